"""Real pods: the image beside an app in another language, started, restarted and ended by podman.

The app calls from its first moment to its last, with no pause. Podman does not know sidecars that
start before the app and end after it: the app starts at once, and what a cluster would do at the
end of a pod is done here, in the same order.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.app import Report, watching_app
from tests.support.containers import Containers
from tests.support.image import NAME as IMAGE
from tests.support.manifest import Object, read_manifest
from tests.support.volume import Volume

pytestmark = [pytest.mark.foreign, pytest.mark.timeout(400)]

MANIFEST = read_manifest()
RESTARTS = 5
METHODS = ("complete", "resolve", "stream")
SIDECAR = "pod-prompt-resolver"
# What podman makes of it takes a systemd, or is not there.
NOT_OF_PODMAN = ("livenessProbe", "ports", "readinessProbe", "restartPolicy", "startupProbe")


def assert_no_failure(report: Report) -> None:
    assert report.failures == []
    assert all(report.calls[method] for method in METHODS), report


def pod_of_manifest(folder: Path, app_image: str) -> Object:
    """Return the pod of the manifest as podman takes it, with an app that calls."""
    spec = MANIFEST.pod["spec"]
    volumes = []
    for mount in MANIFEST.sidecar["volumeMounts"]:
        place = folder / mount["name"]
        volume = MANIFEST.volume(mount["mountPath"])
        Volume(place, MANIFEST.files(mount["mountPath"]) if "configMap" in volume else {})
        # What a cluster does by fsGroup.
        place.chmod(0o777)
        volumes.append({"name": mount["name"], "hostPath": {"path": str(place)}})

    def container(source: Object, image: str, **own: object) -> Object:
        kept = {key: value for key, value in source.items() if key not in NOT_OF_PODMAN}
        policy = spec["securityContext"] | source["securityContext"]
        return {
            **kept,
            "image": image,
            "imagePullPolicy": "Never",
            "securityContext": policy,
            **own,
        }

    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "pod", "labels": MANIFEST.pod["metadata"]["labels"]},
        "spec": {
            "restartPolicy": "Never",
            "containers": [
                container(MANIFEST.sidecar, IMAGE),
                container(MANIFEST.app, app_image, command=["/app"], args=[]),
            ],
            "volumes": volumes,
        },
    }


@pytest.fixture
def pod(containers: Containers, image: str, app_image: str, tmp_path: Path) -> Iterator[None]:
    """The pod of the manifest, which has just been started."""
    file = tmp_path / "pod.yaml"
    file.write_text(yaml.safe_dump(pod_of_manifest(tmp_path, app_image)))
    containers.podman("play", "kube", "--network=none", str(file))
    yield
    containers.podman("pod", "rm", "--force", "--time=0", "pod")


def test_first_to_last(containers: Containers, pod: None) -> None:
    """An app that calls from its first moment to its last sees no call fail."""
    with watching_app(containers, "pod-app") as app:
        app.go_on()
        code, report = app.end()
    sidecars_code = containers.end(SIDECAR)

    assert_no_failure(report)
    assert (code, sidecars_code) == (0, 0)


def test_restarts_in_place(containers: Containers, pod: None) -> None:
    """The sidecar is ended and started again under load, and no call of the app fails."""
    with watching_app(containers, "pod-app") as app:
        for _ in range(RESTARTS):
            app.go_on()
            assert containers.end(SIDECAR) == 0
            containers.podman("start", SIDECAR)
        app.go_on()
        code, report = app.end()

    assert_no_failure(report)
    assert code == 0


@pytest.fixture
def deployment(containers: Containers) -> Iterator[str]:
    """The name of a pod that has no containers yet."""
    name = "deployment"
    containers.podman("pod", "create", f"--name={name}", "--network=none")
    yield name
    containers.podman("pod", "rm", "--force", "--time=0", name)


def test_rolling_update(
    containers: Containers, deployment: str, image: str, app_image: str, tmp_path: Path
) -> None:
    """Replicas are replaced by others of a new configuration, one by one, and no call fails."""
    addresses = {"one": "127.0.0.1", "two": "127.0.0.2"}
    prompt = MANIFEST.files("/prompts")["greeting.prompt"]
    # A name with several addresses, as that of a headless Service is.
    hosts = tmp_path / "hosts"
    hosts.write_text("".join(f"{each} service\n" for each in addresses.values()))

    def start(replica: str, text: str) -> None:
        volume = tmp_path / text
        volume.mkdir(exist_ok=True)
        (volume / "greeting.prompt").write_text(prompt.replace("Good morning", text))
        (volume / "config.yaml").write_text("stores: {local: {type: directory, path: /volume}}")
        containers.podman(
            "run",
            "--detach",
            "--replace",
            f"--pod={deployment}",
            f"--name={replica}",
            "--read-only",
            "--cap-drop=all",
            "--env=PROMPT_RESOLVER_ADMIN_ADDRESS=",
            "--env=PROMPT_RESOLVER_HTTP_ADDRESS=",
            f"--env=PROMPT_RESOLVER_GRPC_ADDRESS={addresses[replica]}:50051",
            f"--volume={volume}:/volume:ro",
            image,
            "serve",
            "--config=/volume/config.yaml",
        )
        containers.wait_until_ready(replica)

    for replica in addresses:
        start(replica, "Hello")
    containers.podman(
        "run",
        "--detach",
        f"--pod={deployment}",
        "--name=app",
        "--env=PROMPT_RESOLVER_ADDRESS=dns:///service:50051",
        f"--volume={hosts}:/etc/hosts:ro",
        app_image,
    )
    with watching_app(containers, "app") as app:
        before = app.go_on()
        for replica in addresses:
            assert containers.end(replica) == 0
            app.go_on()
            start(replica, "Welcome")
            app.go_on()
        replaced = app.go_on()
        code, report = app.end()

    (old,) = before.versions
    assert_no_failure(report)
    assert code == 0
    assert report.versions.keys() > {old}
    assert report.versions[old] == replaced.versions[old]
