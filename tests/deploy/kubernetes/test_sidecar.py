"""A pod of somebody's with the service in it: what it gets, and what stays as it was."""

import copy
from pathlib import Path

import pytest
import yaml

from prompt_resolver.health import TIMEOUT_S
from prompt_resolver_server.assembly.configuration import load_configuration
from prompt_resolver_server.rpc.server import READINESS, SERVICE
from prompt_resolver_server.settings import Loaded
from prompt_resolver_server.settings.address import parse_address
from prompt_resolver_server.settings.secrets import FileSecret
from tests.support.manifest import ROOT, Manifest, Object, read_manifest
from tests.support.renderings import kustomize_text, render

SIDECARS = ("kustomize/native-sidecar", "kustomize/plain-sidecar")
EXAMPLES = ROOT / "deploy" / "kustomize" / "examples"

each_sidecar = pytest.mark.parametrize("manifest", SIDECARS, indirect=True)


def load(manifest: Manifest, folder: Path) -> Loaded:
    """Read the ConfigMap's configuration, with its keys' folder."""
    path = folder / "config.yaml"
    path.write_text(manifest.files("/config")["config.yaml"].replace("/keys", str(folder)))
    return load_configuration(path, {})


@pytest.fixture
def loaded(manifest: Manifest, tmp_path: Path) -> Loaded:
    return load(manifest, tmp_path)


def test_manifest_is_what_is_rendered() -> None:
    """The manifest that is applied as it stands is what kustomize makes of the example."""
    text = (ROOT / "deploy" / "sidecar.yaml").read_text()
    lines = text.splitlines(keepends=True)
    comment = [line for line in lines if line.startswith("#")]

    assert "".join(lines[len(comment) :]) == kustomize_text(EXAMPLES / "native-sidecar"), (
        "run: make manifest"
    )
    assert read_manifest() == render("kustomize/native-sidecar")


def test_native_has_no_hooks() -> None:
    """It starts before the app and ends after it, which no hook may get in the way of."""
    sidecar = render("kustomize/native-sidecar").sidecar

    assert sidecar["restartPolicy"] == "Always"
    assert "lifecycle" not in sidecar


def test_plain_is_native_with_hooks() -> None:
    """It is the same container, which comes first, and hooks do what its place does not."""
    plain, native = render("kustomize/plain-sidecar"), render("kustomize/native-sidecar")
    expected = copy.deepcopy(native.sidecar)
    expected.pop("restartPolicy")
    actual = copy.deepcopy(plain.resolver)
    hooks = actual.pop("lifecycle")

    assert actual == expected
    assert plain.pod["spec"]["containers"][0]["name"] == "prompt-resolver"
    assert plain.pod["spec"]["initContainers"] == []
    assert hooks.keys() == {"postStart", "preStop"}


def test_plain_outlives_the_app(tmp_path: Path) -> None:
    """The pod has time for the wait before the service is told to stop, and for its drain."""
    manifest = render("kustomize/plain-sidecar")
    sleep, wait_s = manifest.resolver["lifecycle"]["preStop"]["exec"]["command"]
    drain_s = load(manifest, tmp_path).settings.server.drain_s

    assert sleep == "sleep"
    assert int(wait_s) >= 30
    assert manifest.pod["spec"]["terminationGracePeriodSeconds"] >= int(wait_s) + drain_s + 5


@each_sidecar
def test_time_to_end(manifest: Manifest, loaded: Loaded) -> None:
    """The pod's time to end is enough for an app that takes 30 s, and then for the drain."""
    drain_s = loaded.settings.server.drain_s

    assert manifest.pod["spec"]["terminationGracePeriodSeconds"] >= 30 + drain_s + 5


@each_sidecar
def test_configuration(manifest: Manifest, loaded: Loaded) -> None:
    """Nothing in the configuration is without effect, and its paths are where volumes are."""
    (store,) = loaded.settings.stores.values()
    key = loaded.settings.providers["openai"].api_key

    assert manifest.resolver["args"] == ["serve", "--config", "/config/config.yaml"]
    assert loaded.without_effect == ()
    assert str(getattr(store, "path", "")) == "/prompts"
    assert isinstance(key, FileSecret)
    assert manifest.volume("/keys")["secret"]["optional"] is True
    assert str(loaded.settings.server.state_dir) == "/state"
    assert "emptyDir" in manifest.volume("/state")
    prefetched = {f"{each.id}.prompt" for each in loaded.settings.prefetch}
    assert prefetched <= manifest.files("/prompts").keys()


def test_configuration_is_what_holds() -> None:
    """The image sets none of the service's variables, which would win over the configuration."""
    recipe = (ROOT / "Dockerfile").read_text()

    assert "ENV " in recipe
    assert "PROMPT_RESOLVER_" not in recipe


@each_sidecar
def test_calls_stay_in_the_pod(manifest: Manifest, loaded: Loaded) -> None:
    """Calls come in on the pod's loopback alone, where the app and the probes look for it."""
    address = loaded.settings.server.grpc_address
    environment = {each["name"]: each["value"] for each in manifest.app["env"]}

    assert parse_address(address, unix=True).is_local
    assert environment == {"PROMPT_RESOLVER_ADDRESS": address}
    assert load_configuration(None, {}).settings.server.grpc_address == address


@each_sidecar
def test_probes(manifest: Manifest, loaded: Loaded) -> None:
    """Start and readiness are asked for by a command, liveness where the kubelet gets to."""
    names = ("startupProbe", "readinessProbe", "livenessProbe")
    startup, readiness, liveness = (manifest.resolver[name] for name in names)
    admin = parse_address(loaded.settings.server.admin_address, unix=False)

    assert startup["exec"]["command"] == ["prompt-resolver", "health", "--service", SERVICE]
    assert readiness["exec"]["command"] == ["prompt-resolver", "health", "--service", READINESS]
    assert liveness["httpGet"] == {"path": "/healthz", "port": "metrics"}
    assert manifest.resolver["ports"] == [{"name": "metrics", "containerPort": admin.port}]
    assert not admin.is_local
    # The command gives up before it is killed, and so can say why.
    assert all(each["timeoutSeconds"] > TIMEOUT_S for each in (startup, readiness))


@each_sidecar
def test_metrics_are_found(manifest: Manifest, loaded: Loaded) -> None:
    """Prometheus is told the port and the path that the admin door has."""
    admin = parse_address(loaded.settings.server.admin_address, unix=False)

    assert manifest.pod["metadata"]["annotations"] == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(admin.port),
        "prometheus.io/path": "/metrics",
    }


WORKLOADS = """
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: ledger, labels: {prompt-resolver: sidecar}}
spec:
  serviceName: ledger
  selector: {matchLabels: {app: ledger}}
  template:
    metadata: {labels: {app: ledger}}
    spec:
      terminationGracePeriodSeconds: 300
      securityContext: {runAsUser: 1000}
      initContainers:
        - {name: migrate, image: registry.example/ledger:1}
      containers:
        - {name: ledger, image: registry.example/ledger:1}
      volumes:
        - {name: config, emptyDir: {}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - {name: web, image: registry.example/web:1}
"""


def add_sidecars(folder: Path, component: str) -> list[Object]:
    """Return the workloads as they were, and as a component leaves them."""
    (folder / "workloads.yaml").write_text(WORKLOADS)
    # Kustomize takes relative paths alone.
    components = folder / "components"
    components.symlink_to(ROOT / "deploy" / "kustomize" / "components")
    kustomization = {"resources": ["workloads.yaml"], "components": [f"components/{component}"]}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return list(yaml.safe_load_all(kustomize_text(folder)))


@pytest.mark.parametrize("component", ["native-sidecar", "plain-sidecar"])
def test_only_what_is_labelled_gets_one(tmp_path: Path, component: str) -> None:
    """A workload without the label stays as it was, whatever stands beside it."""
    _, before = yaml.safe_load_all(WORKLOADS)
    after = next(
        each for each in add_sidecars(tmp_path, component) if each["kind"] != "StatefulSet"
    )

    assert after == before


def test_nothing_else_of_the_pod_is_touched(tmp_path: Path) -> None:
    """What the pod has stays: its containers, time, policy and volumes; it gets one of each."""
    before = next(yaml.safe_load_all(WORKLOADS))["spec"]["template"]["spec"]
    rendered = add_sidecars(tmp_path, "native-sidecar")
    (ledger,) = (each for each in rendered if each["kind"] == "StatefulSet")
    after = ledger["spec"]["template"]["spec"]
    names = [each["name"] for each in after["initContainers"]]
    added = [each for each in after["volumes"] if each not in before["volumes"]]

    # The pod's own init containers can call it already.
    assert names == ["prompt-resolver", "migrate"]
    assert all(each["name"].startswith("prompt-resolver-") for each in added)
    after["initContainers"] = after["initContainers"][1:]
    after["volumes"] = [each for each in after["volumes"] if each not in added]
    assert after == before


def test_plain_keeps_init_containers(tmp_path: Path) -> None:
    """As a plain container it comes before the pod's own, and after its init containers."""
    rendered = add_sidecars(tmp_path, "plain-sidecar")
    (pod,) = (
        each["spec"]["template"]["spec"] for each in rendered if each["kind"] == "StatefulSet"
    )

    assert [each["name"] for each in pod["initContainers"]] == ["migrate"]
    assert [each["name"] for each in pod["containers"]] == ["prompt-resolver", "ledger"]
    assert "restartPolicy" not in pod["containers"][0]
