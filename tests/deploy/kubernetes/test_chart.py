"""The chart's values: what is made of each of them, and which are refused."""

import copy
import json
from typing import Any

import pytest
import yaml

from prompt_resolver._version import __version__
from prompt_resolver_server.settings import Settings
from prompt_resolver_server.settings.server import ServerSettings
from prompt_resolver_server.settings.unused import FOREIGN_BLOCKS
from prompt_resolver_server.settings.variables import OWN_VARIABLES
from tests.support.manifest import ROOT, Manifest, Object
from tests.support.renderings import CHART, VALUES, HelmError, helm, helm_manifest, read_values

BASE = read_values("shared")
# The settings that the chart has values of its own for, or decides.
DECIDED = {
    *("grpc_address", "http_address", "admin_address", "state_dir", "drain_s"),
    "max_connection_age_s",
}


def with_values(changes: Object) -> Object:
    """Return the example's values with some of them changed, as Helm merges files of them."""

    def merge(into: Object, source: Object) -> Object:
        for key, value in source.items():
            both = isinstance(value, dict) and isinstance(into.get(key), dict)
            into[key] = merge(into[key], value) if both else value
        return into

    return merge(copy.deepcopy(BASE), changes)


def rendered(**changes: Any) -> Manifest:
    return helm_manifest(with_values(changes))


def configuration(manifest: Manifest) -> Object:
    parsed: Object = yaml.safe_load(manifest.files("/config")["config.yaml"])
    return parsed


REFUSED: dict[str, tuple[Object, str]] = {
    "a name that is not known": ({"replicaCount": 3}, "replicaCount"),
    "one in a block": ({"image": {"name": "x"}}, "/image"),
    "one in a list": ({"secrets": [{"name": "a", "mountPath": "/a", "value": "x"}]}, "/secrets/0"),
    "a Secret without a place": ({"secrets": [{"name": "a"}]}, "mountPath"),
    "a Secret in the place of another volume": (
        {"secrets": [{"name": "a", "mountPath": "/config"}]},
        "/secrets/0/mountPath",
    ),
    "an address that is the chart's": (
        {"config": {"server": {"grpc_address": "127.0.0.1:1"}}},
        "/config/server/grpc_address",
    ),
    "a certificate that is the chart's": (
        {"config": {"server": {"tls_cert_file": "/elsewhere"}}},
        "/config/server/tls_cert_file",
    ),
    "a key that is written out": (
        {"config": {"providers": {"openai": {"api_key": "key-of-openai"}}}},
        "/config/providers/openai/api_key",
    ),
    "a token that is written out": (
        {"config": {"callers": {"app": {"token": "token-of-app"}}}},
        "/config/callers/app/token",
    ),
    "a block that the service does not know": (
        {"config": {"provders": {"openai": {}}}},
        "'provders'",
    ),
    "certificates without TLS": ({"tls": {"verifyClients": True}}, "tls.verifyClients: expected"),
    "a certificate that nobody asks for": (
        {"config": {"callers": {"shop": {"certificate": "shop"}}}, "tls": {"secretName": "ours"}},
        "config.callers.shop.certificate: expected tls.secretName and tls.verifyClients",
    ),
    "a master key that is written out": (
        {"env": [{"name": "LITELLM_MASTER_KEY", "value": "key-of-all"}]},
        "/env/0",
    ),
    "a tag that moves": ({"image": {"tag": "latest"}}, "/image/tag"),
    "a digest that is none": ({"image": {"digest": "sha256:12"}}, "/image/digest"),
    "text for a number": ({"drainSeconds": "60"}, "/drainSeconds"),
    "a time that has passed": ({"preStopSeconds": -1}, "/preStopSeconds"),
    "no pods": ({"autoscaling": {"minReplicas": 0}}, "/autoscaling/minReplicas"),
    "a budget that lets no node be emptied": (
        {"podDisruptionBudget": {"maxUnavailable": 0}},
        "/podDisruptionBudget/maxUnavailable",
    ),
    "memory without a unit": ({"resources": {"memory": "256"}}, "/resources/memory"),
    "a CPU limit": ({"resources": {"limits": {"cpu": 1}}}, "/resources"),
    "a prompt outside of its folder": ({"prompts": {"../a.prompt": "x"}}, "'../a.prompt'"),
    "an absolute prompt": ({"prompts": {"/a.prompt": "x"}}, "'/a.prompt'"),
    "a prompt without text": ({"prompts": {"a.prompt": ""}}, "/prompts/a.prompt"),
    "anybody as a caller": ({"networkPolicy": {"callers": [{}]}}, "/networkPolicy/callers/0"),
    "calls to any port": (
        {"networkPolicy": {"egress": [{"to": [{"podSelector": {}}]}]}},
        "/networkPolicy/egress/0",
    ),
    "a variable without a name": ({"env": [{"value": "x"}]}, "/env/0"),
    "more pods at least than at most": (
        {"autoscaling": {"minReplicas": 11}},
        "expected no more minReplicas than maxReplicas, got 11 and 10",
    ),
    "two prompts under one key": (
        {"prompts": {"a/b.prompt": "x", "a.b.prompt": "y"}},
        "two for a.b.prompt",
    ),
    "prompts of both kinds": ({"promptsConfigMap": {"name": "ours"}}, "beside promptsConfigMap"),
}


@pytest.mark.parametrize("slip", REFUSED)
def test_is_refused(slip: str) -> None:
    """A value that cannot be meant is told by its path, before anything is sent to a cluster."""
    changes, expected = REFUSED[slip]

    with pytest.raises(HelmError) as caught:
        helm(with_values(changes))

    assert expected in str(caught.value)


def test_doors_for_everybody_are_refused() -> None:
    """Without callers, a master key or certificates there is no manifest: it would not start."""
    with pytest.raises(HelmError, match="config: expected callers"):
        helm({})


MASTER_KEY = {
    "name": "LITELLM_MASTER_KEY",
    "valueFrom": {"secretKeyRef": {"name": "ours", "key": "master"}},
}


@pytest.mark.parametrize(
    "values",
    [
        {"config": {"callers": {"app": {"token": "file:/callers/app"}}}},
        {"config": {"general_settings": {"master_key": "file:/callers/master"}}},
        {"config": {"server": {"insecure": True}}},
        {"env": [MASTER_KEY]},
        {"tls": {"secretName": "ours", "verifyClients": True}},
    ],
)
def test_ways_to_be_admitted(values: Object) -> None:
    """Whatever the service starts with beyond loopback, the chart renders."""
    assert helm_manifest(values).one("Deployment")


def test_callers_certificate() -> None:
    """A caller may be known by a certificate where callers have to show one."""
    manifest = rendered(
        config={"callers": {"shop": {"certificate": "spiffe://example.org/shop"}}},
        tls={"secretName": "ours", "verifyClients": True},
    )

    assert "shop" in configuration(manifest)["callers"]


def test_schema_knows_every_value() -> None:
    """Each value has a form, and each form a value; nothing else may be said in any block."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def check(form: Object, values: Object) -> None:
        assert form["additionalProperties"] is False
        assert form["properties"].keys() - {"global"} == values.keys()
        for key, value in values.items():
            # The configuration's form is the service's own.
            if key != "config" and "properties" in form["properties"][key]:
                check(form["properties"][key], value)

    check(schema, values)


def test_schema_knows_what_is_decided() -> None:
    """Each setting that the chart decides is refused in `config`, and is one of the service's."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    server = schema["properties"]["config"]["properties"]["server"]["properties"]

    assert server.keys() >= DECIDED
    assert ServerSettings.model_fields.keys() >= DECIDED
    assert set(server.values()) == {False}


def test_schema_knows_every_block() -> None:
    """The blocks of a configuration are those that the service takes, and no other."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    config = schema["properties"]["config"]

    assert config["additionalProperties"] is False
    assert config["properties"].keys() == {*Settings.model_fields, *FOREIGN_BLOCKS, OWN_VARIABLES}


def test_version() -> None:
    """The chart is of this version, and so is the image that it starts."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


def test_examples_are_all_rendered() -> None:
    """Each example is of this chart, and does not repeat what holds anyway."""
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())

    assert VALUES
    for name in VALUES:
        values = read_values(name)
        assert values.keys() <= defaults.keys()
        assert not [key for key, value in values.items() if value == defaults[key]]


def test_numbers_stay() -> None:
    """A large number in the configuration is not written as a power of ten, nor is text read."""
    manifest = rendered(config={"cache": {"max_bytes": 134217728, "redis": {"key_prefix": "1e3:"}}})

    cache = configuration(manifest)["cache"]
    assert cache == {"max_bytes": 134217728, "redis": {"key_prefix": "1e3:"}}


def test_prompts_are_not_templates() -> None:
    """A prompt's braces are its own: Helm fills in nothing, and loses no line."""
    text = (
        "---\nmodel: m\n---\n\n<user>\n  {{name}} {{ .Values.image }}\n\n  {% x %}: '1'\n</user>\n"
    )

    manifest = rendered(prompts={"greeting.prompt": text})

    assert manifest.files("/prompts") == {"greeting.prompt": text}


def test_tls() -> None:
    """The Secret is mounted, and both its certificate and its authorities are named."""
    manifest = rendered(tls={"secretName": "ours", "verifyClients": True})
    server = configuration(manifest)["server"]

    assert manifest.volume("/tls")["secret"] == {"secretName": "ours"}
    assert {key: value for key, value in server.items() if key.startswith("tls_")} == {
        "tls_cert_file": "/tls/tls.crt",
        "tls_key_file": "/tls/tls.key",
        "tls_client_ca_file": "/tls/ca.crt",
    }


def test_tls_without_clients_certificates() -> None:
    """Callers show certificates only where they have to."""
    server = configuration(rendered(tls={"secretName": "ours"}))["server"]

    assert "tls_cert_file" in server
    assert "tls_client_ca_file" not in server
    assert not [key for key in configuration(rendered())["server"] if key.startswith("tls_")]


def test_configuration_is_kept() -> None:
    """What the chart decides is added, and every other setting stays."""
    manifest = rendered(config={"server": {"max_deadline_s": 300}}, drainSeconds=120)
    server = configuration(manifest)["server"]

    assert (server["max_deadline_s"], server["drain_s"]) == (300, 120)
    assert manifest.pod["spec"]["terminationGracePeriodSeconds"] == 5 + 120 + 5


def test_restarts_only_if_asked() -> None:
    """A change of the configuration starts new pods where that is wanted, and else does not."""

    def pod(size: int, *, restart: bool) -> Object:
        changes = {"config": {"cache": {"max_entries": size}}, "restartOnConfigChange": restart}
        return rendered(**changes).pod

    assert pod(1, restart=False) == pod(2, restart=False)
    assert pod(1, restart=True) != pod(2, restart=True)
    assert pod(1, restart=True) == pod(1, restart=True)


def test_without_http() -> None:
    """A door that is closed has no port anywhere."""
    manifest = rendered(http={"enabled": False})

    assert configuration(manifest)["server"]["http_address"] == ""
    assert [each["name"] for each in manifest.resolver["ports"]] == ["grpc", "metrics"]
    assert [each["name"] for each in manifest.one("Service")["spec"]["ports"]] == ["grpc"]
    callers, _ = manifest.one("NetworkPolicy")["spec"]["ingress"]
    assert callers["ports"] == [{"port": "grpc", "protocol": "TCP"}]


def test_without_peers_nobody_gets_in() -> None:
    """A policy without peers is one that lets nobody in, and not one without a rule for it."""
    policy = rendered(networkPolicy={"callers": [], "monitoring": [], "egress": []})
    spec = policy.one("NetworkPolicy")["spec"]

    assert (spec["ingress"], spec["egress"]) == ([], [])
    assert spec["policyTypes"] == ["Ingress", "Egress"]


def test_without_scaling() -> None:
    """Without the autoscaler, the Deployment says how many pods there are."""
    manifest = rendered(autoscaling={"enabled": False}, replicas=3)

    assert manifest.one("Deployment")["spec"]["replicas"] == 3
    assert manifest.all_of("HorizontalPodAutoscaler") == []


def test_image_by_digest() -> None:
    """A digest wins over a tag."""
    digest = "sha256:" + "0" * 64

    manifest = rendered(image={"digest": digest, "tag": "1"})

    assert manifest.resolver["image"] == f"registry.example/prompt-resolver@{digest}"


def test_what_is_somebody_elses() -> None:
    """ConfigMaps and an account that are named are used, and none is made."""
    manifest = helm_manifest(read_values("existing"))

    assert {each["kind"] for each in manifest.objects} == {"Deployment", "Service"}
    assert manifest.volume("/config")["configMap"] == {"name": "our-configuration"}
    assert manifest.volume("/prompts")["configMap"]["name"] == "our-prompts"
    assert manifest.pod["spec"]["serviceAccountName"] == "our-account"


def test_account_has_a_clouds_role() -> None:
    """An account that is made has the name and the annotations that it is given."""
    manifest = rendered(serviceAccount={"name": "ours", "annotations": {"cloud/role": "reader"}})
    account = manifest.one("ServiceAccount")

    assert account["metadata"]["name"] == manifest.pod["spec"]["serviceAccountName"] == "ours"
    assert account["metadata"]["annotations"] == {"cloud/role": "reader"}


def test_labels_of_pods_cannot_hide_them() -> None:
    """A label of somebody's does not take the place of one that pods are selected by."""
    manifest = rendered(podLabels={"app.kubernetes.io/name": "other", "team": "prompts"})
    labels = manifest.pod["metadata"]["labels"]

    assert manifest.one("Deployment")["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert labels["team"] == "prompts"


def test_pod_monitor() -> None:
    """Prometheus' operator finds the port of metrics, where it is asked to."""
    manifest = rendered(podMonitor={"enabled": True, "labels": {"release": "prometheus"}})
    monitor = manifest.one("PodMonitor")

    assert monitor["spec"]["podMetricsEndpoints"] == [
        {"port": "metrics", "path": "/metrics", "interval": "30s"}
    ]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert rendered().all_of("PodMonitor") == []


def test_alerts() -> None:
    """The rules that Prometheus is given are those that are tested, word for word."""
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yaml").read_text())

    manifest = rendered(prometheusRule={"enabled": True, "labels": {"release": "prometheus"}})

    assert manifest.one("PrometheusRule")["spec"] == rules
    assert manifest.one("PrometheusRule")["metadata"]["labels"]["release"] == "prometheus"
    assert rendered().all_of("PrometheusRule") == []


@pytest.mark.parametrize(
    "base", ["https://git.example/blob/main", "https://git.example/blob/main/"]
)
def test_alerts_lead_to_the_runbook(base: str) -> None:
    """Each alert has the whole URL of its paragraph, where it is told where the pages are."""
    manifest = rendered(prometheusRule={"enabled": True, "runbookBaseUrl": base})
    rules = [each for g in manifest.one("PrometheusRule")["spec"]["groups"] for each in g["rules"]]
    alerts = {each["alert"]: each for each in rules if "alert" in each}

    assert alerts
    for name, alert in alerts.items():
        url = f"https://git.example/blob/main/docs/runbook.md#{name.lower()}"
        assert alert["annotations"]["runbook_url"] == url


def test_notes() -> None:
    """Whoever has installed it reads where callers find it, and which Secrets pods wait for."""
    notes = helm(BASE)["NOTES.txt"]

    assert "dns:///prompt-resolver.prompts:50051" in notes
    assert "create secret generic prompt-resolver-callers" in notes
    assert "prompt-resolver-keys" not in notes
