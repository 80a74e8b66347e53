"""What is rendered is what a cluster takes, and its pods may do no more than they must."""

import copy
import re
from collections.abc import Iterator
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from prompt_resolver._version import __version__
from prompt_resolver_server.assembly.configuration import load_configuration
from prompt_resolver_server.rendering.pool import MEMORY_BYTES
from tests.support.manifest import ROOT, Manifest, Object, read_bytes
from tests.support.renderings import NAMES, helm, kustomize_text, read_values, render
from tests.support.service import run_cli

# The first version that each is for, and the last one that there is.
LAST = kubernetes_validate.latest_version().rpartition(".")[0]
FIRST = {name: "1.29" if name.endswith("native-sidecar") else "1.25" for name in NAMES}
# The Prometheus operator's, whose schema is not Kubernetes' own.
FOREIGN = {"PodMonitor", "PrometheusRule"}
# Mappings whose keys are anybody's.
FREE = {"labels", "annotations", "data", "matchLabels", "nodeSelector", "requests", "limits"}
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")

# Those whose configuration is rendered with them.
CONFIGURED = [name for name in NAMES if name != "helm/existing"]

each_configured = pytest.mark.parametrize("manifest", CONFIGURED, indirect=True)
each_rendering = pytest.mark.parametrize("manifest", NAMES, indirect=True)


@pytest.fixture
def configuration(manifest: Manifest, tmp_path: Path) -> Path:
    """The file of the configuration that the service in a manifest has."""
    path = tmp_path / "config.yaml"
    path.write_text(manifest.files("/config")["config.yaml"])
    return path


@pytest.mark.parametrize(
    ("manifest", "version"),
    [(name, version) for name in NAMES for version in (FIRST[name], LAST)],
    indirect=["manifest"],
)
def test_is_valid(manifest: Manifest, version: str) -> None:
    """Kubernetes' own schemas take every object, and know every field."""
    for each in manifest.objects:
        if each["kind"] not in FOREIGN:
            kubernetes_validate.validate(each, version, strict=True)


def is_valid(each: Object, version: str) -> bool:
    try:
        kubernetes_validate.validate(each, version, strict=True)
    except kubernetes_validate.ValidationError:
        return False
    return True


def mappings(node: object) -> Iterator[Object]:
    """Yield every mapping of an object whose keys are the schema's."""
    if isinstance(node, dict):
        yield node
        for key, value in node.items():
            if key not in FREE:
                yield from mappings(value)
    elif isinstance(node, list):
        for value in node:
            yield from mappings(value)


@pytest.mark.parametrize(
    "manifest", ["kustomize/native-sidecar", "kustomize/shared"], indirect=True
)
def test_slips_are_found(manifest: Manifest) -> None:
    """A name that the schema does not have, which a cluster would leave out, is told anywhere."""
    for each in copy.deepcopy(manifest.objects):
        if each["kind"] in FOREIGN:
            continue
        for mapping in mappings(each):
            mapping["readinesProbe"] = {}
            assert not is_valid(each, LAST), mapping
            del mapping["readinesProbe"]
        assert is_valid(each, LAST)


def check_keys(node: yaml.Node | None) -> None:
    match node:
        case yaml.MappingNode(value=pairs):
            names = [key.value for key, _ in pairs]
            assert len(names) == len(set(names)), f"{node.start_mark}: {names}"
            for _, value in pairs:
                check_keys(value)
        case yaml.SequenceNode(value=values):
            for value in values:
                check_keys(value)


@pytest.mark.parametrize("name", NAMES)
def test_keys_come_once(name: str) -> None:
    """No key of a mapping is there twice, of which YAML's reader would keep the last."""
    way, _, example = name.partition("/")
    if way == "helm":
        rendered = helm(read_values(example))
        texts = [text for path, text in rendered.items() if path.endswith(".yaml")]
    else:
        texts = [kustomize_text(ROOT / "deploy" / "kustomize" / "examples" / example)]
    for text in texts:
        for document in yaml.compose_all(text):
            check_keys(document)


@each_rendering
def test_selects_its_pods(manifest: Manifest) -> None:
    """What selects pods, in each of the objects, selects those of the Deployment."""
    labels = manifest.pod["metadata"]["labels"].items()
    deployment = manifest.one("Deployment")
    wanted = [
        deployment["spec"]["selector"]["matchLabels"],
        *(each["spec"]["selector"] for each in manifest.all_of("Service")),
        *(each["spec"]["podSelector"]["matchLabels"] for each in manifest.all_of("NetworkPolicy")),
        *(
            each["spec"]["selector"]["matchLabels"]
            for kind in ("PodDisruptionBudget", "PodMonitor")
            for each in manifest.all_of(kind)
        ),
        *(
            each["labelSelector"]["matchLabels"]
            for each in manifest.pod["spec"].get("topologySpreadConstraints", [])
        ),
    ]

    assert all(each.items() <= labels for each in wanted)
    for each in manifest.all_of("HorizontalPodAutoscaler"):
        assert each["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
        assert "replicas" not in deployment["spec"]


@each_rendering
def test_may_do_nothing(manifest: Manifest) -> None:
    """No container is root, can become root, writes to its image, or has a capability."""
    for container in manifest.containers:
        pod = manifest.pod["spec"].get("securityContext", {})
        assert pod | container["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        mounts = container.get("volumeMounts", [])
        writable = [mount["mountPath"] for mount in mounts if not mount.get("readOnly")]
        assert writable == (["/state"] if container is manifest.resolver else [])


@each_rendering
def test_may_not_ask_the_cluster(manifest: Manifest) -> None:
    """No token of the cluster's is mounted, and nothing of the node's is shared."""
    spec = manifest.pod["spec"]

    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & spec.keys()
    assert all(volume.keys() & {"configMap", "secret", "emptyDir"} for volume in spec["volumes"])
    for account in manifest.all_of("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False
    assert not {each["kind"] for each in manifest.objects} & {"Role", "ClusterRole", "RoleBinding"}


@each_rendering
def test_holds_no_secret(manifest: Manifest) -> None:
    """Secrets are named and mounted, and none is made; no variable has one."""
    assert manifest.all_of("Secret") == []
    for each in manifest.containers:
        assert not any("secretKeyRef" in str(variable) for variable in each.get("env", []))


@each_rendering
def test_user_is_the_images(manifest: Manifest) -> None:
    """The pod's user is the one that the image was made for."""
    policy = manifest.pod["spec"].get("securityContext", {}) | manifest.resolver["securityContext"]
    recipe = (ROOT / "Dockerfile").read_text()

    assert f"USER {policy['runAsUser']}:{policy['runAsGroup']}\n" in recipe


@each_rendering
def test_resources(manifest: Manifest) -> None:
    """Memory has a limit, at what is asked for or twice that; no limit on CPU slows calls down."""
    for container in manifest.containers:
        resources = container["resources"]
        times = 2 if container is manifest.resolver else 1

        asked = read_bytes(resources["requests"]["memory"])
        assert read_bytes(resources["limits"]["memory"]) == times * asked
        assert "cpu" in resources["requests"]
        assert "cpu" not in resources["limits"]


@each_configured
def test_workers_fit(manifest: Manifest, configuration: Path) -> None:
    """What is asked for holds the cache twice; the limit, beside it, each worker at its own."""
    settings = load_configuration(configuration, {}, is_elsewhere=True).settings
    resources = manifest.resolver["resources"]
    workers = settings.rendering.workers * MEMORY_BYTES
    asked = read_bytes(resources["requests"]["memory"])

    assert asked >= 2 * settings.cache.max_bytes
    assert read_bytes(resources["limits"]["memory"]) >= 2 * settings.cache.max_bytes + workers


@each_configured
def test_configuration_can_be_checked(configuration: Path) -> None:
    """Where its files are not, each configuration is one that the service would take."""
    done = run_cli("config", "check", "--elsewhere", str(configuration), environ={})

    assert (done.returncode, done.stderr) == (0, "")


@each_rendering
def test_image_is_fixed(manifest: Manifest) -> None:
    """The image is of this version, or of a digest; no tag moves."""
    for container in manifest.containers:
        repository, _, tag = container["image"].partition(":")
        assert repository.removesuffix("@sha256") == "registry.example/prompt-resolver"
        assert tag.partition("-")[0] == __version__ or "@sha256:" in container["image"]


@each_rendering
def test_volumes_follow_their_objects(manifest: Manifest) -> None:
    """Every volume is mounted whole: a subPath would stay what it was when the pod started."""
    mounts = manifest.resolver["volumeMounts"]
    volumes = {volume["name"] for volume in manifest.pod["spec"]["volumes"]}

    assert {mount["name"] for mount in mounts} == volumes
    assert not any("subPath" in mount or "subPathExpr" in mount for mount in mounts)
    paths = [mount["mountPath"] for mount in mounts]
    assert len(paths) == len(set(paths))


@each_rendering
def test_every_prompt_is_mounted(manifest: Manifest) -> None:
    """Each key of a ConfigMap of prompts has a path, which is that of a prompt."""
    for entries in manifest.all_of("ConfigMap"):
        if not entries["metadata"]["name"].endswith("prompts"):
            continue
        files = manifest.files("/prompts")

        assert sorted(files.values()) == sorted(entries["data"].values())
        assert all(path.endswith(".prompt") for path in files)


def test_folders_are_kept() -> None:
    """A prompt in a folder keeps its path, by kustomize and by Helm."""
    for name in ("kustomize/native-sidecar", "helm/mtls"):
        assert "support/reply.prompt" in render(name).files("/prompts")


@each_rendering
def test_probes_can_succeed(manifest: Manifest) -> None:
    """Each probe asks a port that the container has, or runs the image's command, in time."""
    ports = {each["name"]: each["containerPort"] for each in manifest.resolver["ports"]}
    for name in PROBES:
        probe = manifest.resolver[name]
        if "exec" in probe:
            assert probe["exec"]["command"][:2] == ["prompt-resolver", "health"]
        else:
            assert ports[probe["httpGet"]["port"]] == 9090
        assert probe["timeoutSeconds"] <= 5
    startup = manifest.resolver["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 60


def test_links() -> None:
    """What the folder's README names is there."""
    readme = (ROOT / "deploy" / "README.md").read_text()
    for link in re.findall(r"\]\(([^)#]+)\)", readme):
        assert (ROOT / "deploy" / Path(link)).exists(), link
    for path in re.findall(r"\bdeploy/[\w/.-]+\w", readme):
        assert (ROOT / path).exists(), path
    assert f"/prompt-resolver:{__version__}" in readme
