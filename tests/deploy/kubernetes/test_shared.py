"""A service of its own, by kustomize and by Helm: how it scales, is upgraded, and is protected."""

from pathlib import Path

import pytest

from prompt_resolver_server.assembly.configuration import load_configuration
from prompt_resolver_server.settings import Loaded
from prompt_resolver_server.settings.secrets import FileSecret
from tests.support.manifest import Manifest, Object, read_bytes
from tests.support.renderings import SHARED, render

# Those whose configuration is rendered with them, and whose settings are all there by now.
CONFIGURED = ("kustomize/shared", "helm/shared", "helm/humanloop")
EVERYBODY: tuple[Object, ...] = ({}, {"podSelector": {}}, {"namespaceSelector": {}})

each_shared = pytest.mark.parametrize("manifest", SHARED, indirect=True)
each_configured = pytest.mark.parametrize("manifest", CONFIGURED, indirect=True)


def load(manifest: Manifest, folder: Path) -> Loaded:
    """Read the ConfigMap's configuration, with files for all its keys."""
    text = manifest.files("/config")["config.yaml"]
    for name in ("app", "billing", "humanloop", "redis", "anthropic", "openai"):
        (folder / name).write_text(f"key-of-{name}")
    path = folder / "config.yaml"
    path.write_text(text.replace("/callers", str(folder)).replace("/keys", str(folder)))
    return load_configuration(path, {})


@each_configured
def test_configuration(manifest: Manifest, tmp_path: Path) -> None:
    """Nothing in it is without effect; its doors are where ports and probes are, for callers."""
    loaded = load(manifest, tmp_path)
    server = loaded.settings.server
    ports = {each["name"]: each["containerPort"] for each in manifest.resolver["ports"]}

    assert loaded.without_effect == ()
    assert server.grpc_address == f"0.0.0.0:{ports['grpc']}"
    assert server.http_address == f"0.0.0.0:{ports['http']}"
    assert server.admin_address == f"0.0.0.0:{ports['metrics']}"
    assert str(server.state_dir) == "/state"
    assert not server.insecure
    callers = loaded.settings.callers.values()
    assert callers
    assert all(isinstance(each.token, FileSecret) for each in callers)


@each_configured
def test_keys_are_files(manifest: Manifest) -> None:
    """Each file that the configuration names is below a mounted volume."""
    text = manifest.files("/config")["config.yaml"]
    files = [word.strip("'\"{},") for word in text.split() if "file:/" in word]
    mounts = [mount["mountPath"] for mount in manifest.resolver["volumeMounts"]]

    assert files
    for each in files:
        path = each.partition("file:")[2]
        assert path.rpartition("/")[0] in mounts


@each_configured
def test_size_of_state(manifest: Manifest, tmp_path: Path) -> None:
    """The folder for copies holds the cache twice, as do those in memory the pod's memory."""
    cache = load(manifest, tmp_path).settings.cache.max_bytes
    limit = manifest.volume("/state")["emptyDir"]["sizeLimit"]
    memory = manifest.resolver["resources"]["limits"]["memory"]

    assert read_bytes(limit) >= 2 * cache
    assert read_bytes(memory) >= 2 * cache


@each_configured
def test_time_to_end(manifest: Manifest, tmp_path: Path) -> None:
    """The pod's time to end is enough for its preStop, and then for the drain."""
    drain_s = load(manifest, tmp_path).settings.server.drain_s
    sleep, wait_s = manifest.resolver["lifecycle"]["preStop"]["exec"]["command"]

    assert sleep == "sleep"
    assert manifest.pod["spec"]["terminationGracePeriodSeconds"] >= int(wait_s) + drain_s + 5


@each_configured
def test_connections_age(manifest: Manifest, tmp_path: Path) -> None:
    """Clients look for new pods from time to time, and no call is cut for that."""
    server = load(manifest, tmp_path).settings.server

    assert server.max_connection_age_s is not None
    assert server.max_deadline_s > server.default_deadline_s


@each_shared
def test_upgrades(manifest: Manifest) -> None:
    """An old pod goes once a new one serves, and a node that is emptied takes one at a time."""
    spec = manifest.one("Deployment")["spec"]

    assert spec["strategy"] == {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert spec["minReadySeconds"] > 0
    for budget in manifest.all_of("PodDisruptionBudget"):
        assert budget["spec"]["maxUnavailable"] == 1


@each_shared
def test_pods_are_spread(manifest: Manifest) -> None:
    """Zones and nodes get as many as each other, where that is possible."""
    constraints = manifest.pod["spec"]["topologySpreadConstraints"]

    assert [(each["topologyKey"], each["whenUnsatisfiable"]) for each in constraints] == [
        ("topology.kubernetes.io/zone", "ScheduleAnyway"),
        ("kubernetes.io/hostname", "ScheduleAnyway"),
    ]


@each_shared
def test_service_is_headless(manifest: Manifest) -> None:
    """The name stands for all pods that are ready, whose data doors it has, and no other door."""
    service = manifest.one("Service")["spec"]
    ports = {each["name"]: each["containerPort"] for each in manifest.resolver["ports"]}

    assert service["clusterIP"] == "None"
    assert "publishNotReadyAddresses" not in service
    assert {each["targetPort"]: each["port"] for each in service["ports"]} == {
        name: port for name, port in ports.items() if name != "metrics"
    }


@each_shared
def test_policy_lets_callers_in(manifest: Manifest) -> None:
    """Only pods that are named get in: to the data doors callers, to the metrics others."""
    for policy in manifest.all_of("NetworkPolicy"):
        spec = policy["spec"]
        assert spec["policyTypes"] == ["Ingress", "Egress"]
        callers, monitoring = spec["ingress"]
        assert {each["port"] for each in callers["ports"]} == {
            each["name"] for each in manifest.resolver["ports"] if each["name"] != "metrics"
        }
        assert monitoring["ports"] == [{"port": "metrics", "protocol": "TCP"}]
        for rule in (callers, monitoring):
            assert rule["from"]
            assert not any(peer in EVERYBODY for peer in rule["from"])


@each_shared
def test_policy_keeps_calls_from_going_anywhere(manifest: Manifest) -> None:
    """Each rule names whom it is about, and ports; no rule reaches the cloud's metadata."""
    for policy in manifest.all_of("NetworkPolicy"):
        for rule in policy["spec"]["egress"]:
            assert rule["to"]
            assert all("port" in each for each in rule["ports"])
            for peer in rule["to"]:
                assert peer not in EVERYBODY
                if peer.get("ipBlock", {}).get("cidr") == "0.0.0.0/0":
                    assert "169.254.0.0/16" in peer["ipBlock"]["except"]
                    assert "10.0.0.0/8" in peer["ipBlock"]["except"]


@each_shared
def test_is_not_encrypted_for_probes(manifest: Manifest) -> None:
    """Probes ask over HTTP, on the port that has no TLS and no token in any mode."""
    for name, path in (("startup", "/healthz"), ("readiness", "/readyz"), ("liveness", "/healthz")):
        assert manifest.resolver[f"{name}Probe"]["httpGet"] == {"path": path, "port": "metrics"}


def essence(container: Object) -> Object:
    """Return what a container is, whatever its volumes are called."""
    mounts = {(each["mountPath"], each.get("readOnly")) for each in container["volumeMounts"]}
    return {
        **{key: value for key, value in container.items() if key != "imagePullPolicy"},
        "volumeMounts": mounts,
    }


def test_both_ways_give_the_same() -> None:
    """What kustomize renders and what Helm renders from the same values do the same."""
    kustomized, helmed = render("kustomize/shared"), render("helm/shared")

    assert essence(kustomized.resolver) == essence(helmed.resolver)
    assert kustomized.files("/prompts") == helmed.files("/prompts")
    for kind in ("HorizontalPodAutoscaler", "PodDisruptionBudget", "NetworkPolicy", "Service"):
        (one, other) = (strip(each.one(kind)["spec"]) for each in (kustomized, helmed))
        assert one == other
    for key in ("strategy", "minReadySeconds"):
        assert kustomized.one("Deployment")["spec"][key] == helmed.one("Deployment")["spec"][key]
    for key in ("terminationGracePeriodSeconds", "securityContext", "automountServiceAccountToken"):
        assert kustomized.pod["spec"][key] == helmed.pod["spec"][key]


def test_both_ways_configure_the_same(tmp_path: Path) -> None:
    """The configuration that the chart completes is that of the example of kustomize's."""
    kustomized, helmed = render("kustomize/shared"), render("helm/shared")

    assert load(kustomized, tmp_path).settings.model_dump_json(
        exclude={"callers", "providers"}
    ) == load(helmed, tmp_path).settings.model_dump_json(exclude={"callers", "providers"})


def strip(node: object) -> object:
    """Return a spec without the label that tells releases apart."""
    if isinstance(node, dict):
        return {k: strip(v) for k, v in node.items() if k != "app.kubernetes.io/instance"}
    return [strip(each) for each in node] if isinstance(node, list) else node
