"""The manifest is one that a cluster takes, and a pod of it may do no more than it must."""

import copy
import re
from collections.abc import Mapping
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from prompt_resolver._version import __version__
from prompt_resolver.health import TIMEOUT_S
from prompt_resolver_server.assembly.configuration import load_configuration
from prompt_resolver_server.rpc.server import READINESS, SERVICE
from prompt_resolver_server.settings import Loaded
from prompt_resolver_server.settings.address import parse_address
from prompt_resolver_server.settings.secrets import FileSecret
from tests.support.manifest import ROOT, Object, image_environment, read_manifest

MANIFEST = read_manifest()
POD = MANIFEST.pod["spec"]
CONTAINERS = [*POD["initContainers"], *POD["containers"]]
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
# The first version in which sidecars are there without being asked for, and the last one.
VERSIONS = ("1.29", kubernetes_validate.latest_version().rpartition(".")[0])

each_container = pytest.mark.parametrize(
    "container", CONTAINERS, ids=[each["name"] for each in CONTAINERS]
)


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    """The ConfigMap's configuration under the image's environment, with its keys' folder."""
    return load(tmp_path, image_environment())


def load(folder: Path, environ: Mapping[str, str]) -> Loaded:
    path = folder / "config.yaml"
    path.write_text(MANIFEST.files("/config")["config.yaml"].replace("/keys", str(folder)))
    return load_configuration(path, environ)


@pytest.mark.parametrize("version", VERSIONS)
def test_is_valid(version: str) -> None:
    """Kubernetes' own schemas take every object, and know every field."""
    kinds = [each["kind"] for each in MANIFEST.objects]
    for each in MANIFEST.objects:
        assert kubernetes_validate.validate(each, version, strict=True) == version

    assert kinds == ["ConfigMap", "ConfigMap", "Deployment"]


@pytest.mark.parametrize("version", VERSIONS)
def test_slips_are_found(version: str) -> None:
    """A probe with a slip in its name, which a cluster would leave out, is told."""
    (deployment,) = (each for each in MANIFEST.objects if each["kind"] == "Deployment")
    broken = copy.deepcopy(deployment)
    sidecar = broken["spec"]["template"]["spec"]["initContainers"][0]
    sidecar["readinesProbe"] = sidecar.pop("readinessProbe")

    with pytest.raises(kubernetes_validate.ValidationError, match="'readinesProbe' was unexp"):
        kubernetes_validate.validate(broken, version, strict=True)


def test_keys_come_once() -> None:
    """No key of a mapping is there twice, of which YAML's reader would keep the last."""

    def check(node: yaml.Node | None) -> None:
        match node:
            case yaml.MappingNode(value=pairs):
                names = [key.value for key, _ in pairs]
                assert len(names) == len(set(names)), f"{node.start_mark}: {names}"
                for _, value in pairs:
                    check(value)
            case yaml.SequenceNode(value=values):
                for value in values:
                    check(value)

    for document in yaml.compose_all((ROOT / "deploy" / "sidecar.yaml").read_text()):
        check(document)


def test_is_a_sidecar() -> None:
    """It starts before the app and ends after it, which no hook may get in the way of."""
    assert MANIFEST.sidecar["restartPolicy"] == "Always"
    assert "lifecycle" not in MANIFEST.sidecar


def test_selects_its_pods() -> None:
    """The Deployment's selector matches its pods."""
    (deployment,) = (each for each in MANIFEST.objects if each["kind"] == "Deployment")

    wanted = deployment["spec"]["selector"]["matchLabels"].items()

    assert wanted <= MANIFEST.pod["metadata"]["labels"].items()


@each_container
def test_may_do_nothing(container: Object) -> None:
    """No container is root, can become root, writes to its image, or has a capability."""
    policy = POD["securityContext"] | container["securityContext"]

    assert policy == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    writable = [m["mountPath"] for m in container.get("volumeMounts", []) if "readOnly" not in m]
    assert writable == (["/state"] if container is MANIFEST.sidecar else [])


def test_may_not_ask_the_cluster() -> None:
    """No token of the cluster's is mounted, and nothing of the node's is shared."""
    assert POD["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & POD.keys()
    assert all(volume.keys() & {"configMap", "secret", "emptyDir"} for volume in POD["volumes"])


def test_user_is_the_images() -> None:
    """The pod's user is the one that the image was made for."""
    policy = POD["securityContext"]

    assert (
        f"USER {policy['runAsUser']}:{policy['runAsGroup']}\n" in (ROOT / "Dockerfile").read_text()
    )


@each_container
def test_resources(container: Object) -> None:
    """Memory is asked for in full; of CPU there is no limit that would slow calls down."""
    resources = container["resources"]

    assert resources["requests"]["memory"] == resources["limits"]["memory"]
    assert "cpu" in resources["requests"]
    assert "cpu" not in resources["limits"]


def test_image_is_of_this_version() -> None:
    """The image has this version as its tag, and no tag that moves."""
    for container in CONTAINERS:
        assert container["image"].rpartition(":")[2] == __version__


def test_volumes_follow_their_objects() -> None:
    """Every volume is mounted whole: a subPath would stay what it was when the pod started."""
    mounts = MANIFEST.sidecar["volumeMounts"]

    assert {mount["name"] for mount in mounts} == {volume["name"] for volume in POD["volumes"]}
    assert not any("subPath" in mount or "subPathExpr" in mount for mount in mounts)


def test_every_prompt_is_mounted() -> None:
    """Each key of the ConfigMap of prompts has a path, and one is in a folder."""
    (entries,) = (
        each["data"]
        for each in MANIFEST.objects
        if each["metadata"]["name"] == MANIFEST.volume("/prompts")["configMap"]["name"]
    )
    items = MANIFEST.volume("/prompts")["configMap"]["items"]

    assert sorted(item["key"] for item in items) == sorted(entries)
    assert any("/" in path for path in MANIFEST.files("/prompts"))
    assert all(path.endswith(".prompt") for path in MANIFEST.files("/prompts"))


def test_configuration(loaded: Loaded) -> None:
    """Nothing in the configuration is without effect, and its paths are where volumes are."""
    (store,) = loaded.settings.stores.values()
    key = loaded.settings.providers["openai"].api_key

    assert MANIFEST.sidecar["args"] == ["serve", "--config", "/config/config.yaml"]
    assert loaded.without_effect == ()
    assert str(getattr(store, "path", "")) == "/prompts"
    assert isinstance(key, FileSecret)
    assert MANIFEST.volume("/keys")["secret"]["optional"] is True
    assert str(loaded.settings.server.state_dir) == "/state"
    assert "emptyDir" in MANIFEST.volume("/state")
    prefetched = {f"{each.id}.prompt" for each in loaded.settings.prefetch}
    assert prefetched <= MANIFEST.files("/prompts").keys()


def test_configuration_is_what_holds(loaded: Loaded, tmp_path: Path) -> None:
    """The image's variables, which win over the configuration, say the same."""
    assert image_environment().keys() == {"PROMPT_RESOLVER_ADMIN_ADDRESS"}
    assert load(tmp_path, {}).settings.server == loaded.settings.server


def test_calls_stay_in_the_pod(loaded: Loaded) -> None:
    """Calls come in on the pod's loopback alone, where the app and the probes look for it."""
    address = loaded.settings.server.grpc_address
    environment = {each["name"]: each["value"] for each in MANIFEST.app["env"]}

    assert parse_address(address, unix=True).is_local
    assert environment == {"PROMPT_RESOLVER_ADDRESS": address}
    assert load_configuration(None, {}).settings.server.grpc_address == address


def test_probes(loaded: Loaded) -> None:
    """Start and readiness are asked for by a command, liveness where the kubelet gets to."""
    startup, readiness, liveness = (MANIFEST.sidecar[name] for name in PROBES)
    admin = parse_address(loaded.settings.server.admin_address, unix=False)

    assert startup["exec"]["command"] == ["prompt-resolver", "health", "--service", SERVICE]
    assert readiness["exec"]["command"] == ["prompt-resolver", "health", "--service", READINESS]
    assert liveness["httpGet"] == {"path": "/healthz", "port": "metrics"}
    assert MANIFEST.sidecar["ports"] == [{"name": "metrics", "containerPort": admin.port}]
    assert not admin.is_local
    # The command gives up before it is killed, and so can say why.
    assert all(each["timeoutSeconds"] > TIMEOUT_S for each in (startup, readiness))
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 60


def test_metrics_are_found(loaded: Loaded) -> None:
    """Prometheus is told the port and the path that the admin door has."""
    admin = parse_address(loaded.settings.server.admin_address, unix=False)

    assert MANIFEST.pod["metadata"]["annotations"] == {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(admin.port),
        "prometheus.io/path": "/metrics",
    }


def test_time_to_end(loaded: Loaded) -> None:
    """The pod's time to end is enough for an app that takes 30 s, and then for the drain."""
    drain_s = loaded.settings.server.drain_s

    assert POD["terminationGracePeriodSeconds"] >= 30 + drain_s + 5


def test_readme() -> None:
    """What the folder's README names is in the manifest, or beside it."""
    readme = (ROOT / "deploy" / "README.md").read_text()
    names = {(each["kind"], each["metadata"]["name"]) for each in MANIFEST.objects}

    for link in re.findall(r"\]\(([^)#]+)\)", readme):
        assert (ROOT / "deploy" / link).exists()
    assert {("Deployment", name) for name in re.findall(r"deployment/(\w+)", readme)} <= names
    (secret,) = re.findall(r"secret generic (\S+) --from-file=openai=", readme)
    assert secret == MANIFEST.volume("/keys")["secret"]["secretName"]
    assert f"/prompt-resolver:{__version__}" in readme
    assert all(each["image"].startswith("registry.example/") for each in CONTAINERS)
