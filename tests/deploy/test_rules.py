"""Prometheus' rules: they say what they are to say, of metrics that there are."""

import asyncio
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from prompt_resolver import PromptResolverError
from tests.support.documents import ROOT, Document
from tests.support.prometheus import (
    ask_promtool,
    need_prometheus,
    promtool,
    running_prometheus,
)
from tests.support.promql import PENDING, SCRAPE, find_slips, list_registered, read_names
from tests.support.service import running_service
from tests.support.upstream import Upstream

RULES = ROOT / "deploy" / "prometheus" / "rules.yaml"
UNIT_TESTS = Path(__file__).parent / "rules.test.yaml"
ALL = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
ALERTS = {rule["alert"]: rule for rule in ALL if "alert" in rule}
RECORDED = {rule["record"]: read_names(rule["expr"]).grouping for rule in ALL if "record" in rule}
KNOWN = {**list_registered(), **PENDING, **RECORDED}

SLIPS = {
    "PromptResolverCacheHitRatioLow": ("> 0.1\n", "> 0.5\n"),
    "PromptResolverStoreFailing": ("< 180", "< 100000"),
    "PromptResolverUpstreamErrors": ("[1h]", "[5m]"),
    "PromptResolverUpstreamErrorsPersist": ("increase6h >= 10", "increase6h >= 1"),
    "PromptResolverUpstreamDeadlines": ("> 0.25\n", "> 0.1\n"),
    "PromptResolverSharedCacheFailing": ("> 0.5\n        for: 15m", "> 0.1\n        for: 15m"),
    "PromptResolverCopiesNotWritten": (
        "[10m]) > 0\n        for: 10m",
        "[10m]) > 0\n        for: 1m",
    ),
    "PromptResolverFirstChunkSlow": ("> 5\n", "> 50\n"),
    "PromptResolverStreamsTruncated": (">= 5\n", ">= 1\n"),
    "PromptResolverCallsShed": ("> 0\n        for: 5m", "> 0\n        for: 1m"),
    "PromptResolverCertificateExpiring": ("< 7 * 86400", "< 70 * 86400"),
    "PromptResolverCertificateReloadFailed": (
        "prompt_resolver_certificate_last_reload_successful == 0",
        "prompt_resolver_certificate_last_reload_successful == 1",
    ),
    "PromptResolverConfigReloadFailed": (
        "config_last_reload_successful == 0\n        for: 1m",
        "config_last_reload_successful == 0\n        for: 9m",
    ),
}
"""What is made of some rules, by the alert that it spoils."""

each_rule = pytest.mark.parametrize(
    "expr", [rule["expr"] for rule in ALL], ids=[r.get("alert") or r["record"] for r in ALL]
)
with_tools = pytest.mark.usefixtures("tools")
each_alert = pytest.mark.parametrize("name", ALERTS)


@pytest.fixture
def tools(require_all: bool) -> None:
    """Prometheus, which may be missing."""
    need_prometheus(require_all=require_all)


@with_tools
def test_rules_are_rules() -> None:
    """Prometheus takes the file."""
    assert f"{len(ALL)} rules found" in promtool("check", "rules", RULES)


@with_tools
def test_rules_do_what_they_say() -> None:
    """Every alert is there when it should be, in the words that it should have."""
    assert "SUCCESS" in promtool("test", "rules", UNIT_TESTS)


@each_alert
def test_alert_is_tested(name: str) -> None:
    """Every alert is seen to be there, and seen not to be there."""
    tests = yaml.safe_load(UNIT_TESTS.read_text())["tests"]
    seen = [bool(t["exp_alerts"]) for each in tests for t in each["alert_rule_test"]
            if t["alertname"] == name]  # fmt: skip

    assert {*seen} == {True, False}


@with_tools
def test_slips_in_what_they_mean_are_found(tmp_path: Path) -> None:
    """Rules that are not what they should be fail their tests, each its own."""
    text = RULES.read_text()
    for place, other in SLIPS.values():
        assert place in text
        text = text.replace(place, other)
    (tmp_path / "rules.yaml").write_text(text)
    tests = UNIT_TESTS.read_text().replace("../../deploy/prometheus/", "")
    (tmp_path / "tests.yaml").write_text(tests)

    code, said = ask_promtool("test", "rules", tmp_path / "tests.yaml")

    assert code == 1
    assert {*re.findall(r"alertname: ?(\w+)", said)} == {*SLIPS}


@each_rule
def test_names_are_there(expr: str) -> None:
    """Every metric that a rule names is registered, with the labels that the rule asks it for."""
    assert read_names(expr).metrics
    assert find_slips(expr, KNOWN) == []


@each_rule
def test_slips_in_names_are_found(expr: str) -> None:
    """A letter too many in any name, label or value of a rule is told."""
    named = read_names(expr)
    labels = {label for _, matchers in named.selectors for label in matchers}
    values = {v for _, m in named.selectors for value in m.values() for v in value.split("|")}
    for word in named.metrics | (named.grouping | labels | values) - SCRAPE:
        assert find_slips(re.sub(rf"\b{word}\b", f"{word}x", expr), KNOWN), word


def test_nothing_pending_is_there() -> None:
    """What is waited for is not there yet: it is on the list no longer than that."""
    assert not PENDING.keys() & list_registered().keys()


@each_alert
def test_alert_says_what_to_do(name: str) -> None:
    """Every alert has a severity and its words, and leads to its paragraph of the runbook."""
    alert: dict[str, Any] = ALERTS[name]
    path, _, anchor = alert["annotations"]["runbook_url"].partition("#")

    assert alert["labels"]["severity"] in ("critical", "warning")
    assert alert["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert anchor == name.lower()
    assert anchor in Document(ROOT / path).anchors


def test_runbook_is_complete() -> None:
    """The runbook tells of each alert, in the same four paragraphs, and of no other."""
    text = (ROOT / "docs" / "runbook.md").read_text()
    form = re.compile(r"^## (PromptResolver\w+)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    parts = dict(form.findall(text))

    assert list(parts) == list(ALERTS)
    for name, part in parts.items():
        told = re.findall(r"^\*\*([^*]+)\*\*", part, re.MULTILINE)
        assert told == ["It means", "Callers notice", "Look at", "Do"], name


def test_table_is_complete() -> None:
    """The table of alerts has each of them, in their order, and no other."""
    text = (ROOT / "docs" / "observability.md").read_text()

    assert re.findall(r"^\| \[(PromptResolver\w+)\]", text, re.MULTILINE) == list(ALERTS)


def test_alerts_lead_to_the_runbook() -> None:
    """The command of the page has every alert name the whole URL of its paragraph."""
    text = (ROOT / "docs" / "observability.md").read_text()
    (command,) = re.findall(r"^    (sed 's,runbook_url.*) > rules\.yaml$", text, re.MULTILINE)

    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True
    )

    rules = [rule for group in yaml.safe_load(done.stdout)["groups"] for rule in group["rules"]]
    urls = [rule["annotations"]["runbook_url"] for rule in rules if "alert" in rule]
    base = "https://git.example/prompt-resolver/blob/main/"
    assert urls == [base + alert["annotations"]["runbook_url"] for alert in ALERTS.values()]


@with_tools
async def test_exposition(tmp_path: Path, prompts: Path, upstream: Upstream) -> None:
    """What the service shows is what Prometheus reads, and as it wants it."""
    config = f"providers: {{fake: {{dialect: openai, base_url: '{upstream.url}'}}}}"
    async with running_service(tmp_path, config) as service:
        await service.client.resolve("support/reply", variables=REPLY)
        page = await service.metrics()

    assert "prompt_resolver_template_cache_requests_total" in page
    assert promtool("check", "metrics", stdin=page) == ""
    code, _ = ask_promtool("check", "metrics", stdin=page + "nonsense{\n")
    assert code != 0


REPLY = {"company": "Juniper", "customer_name": "Ada", "order_id": "7", "message": "Hello?"}
CONFIG = """
stores:
  local: {{type: directory, path: {prompts}}}
  gone: {{type: humanloop, base_url: 'http://127.0.0.1:9', api_key: key-of-fake, ttl_s: 0.1}}
"""


@with_tools
async def test_alert_of_a_service(tmp_path: Path, prompts: Path) -> None:
    """A Prometheus that scrapes a service whose store is gone has the alert, with its names."""
    name, failed = "PromptResolverStoreFailing", set()
    async with running_service(tmp_path, CONFIG.format(prompts=prompts)) as service:
        target = service.admin_url.removeprefix("http://")
        async with running_prometheus(tmp_path, target, RULES) as prometheus:
            async with asyncio.timeout(60):
                while (alert := await prometheus.alert(name)) is None:
                    with pytest.raises(PromptResolverError) as caught:
                        await service.client.resolve("greet", store="gone")
                    failed.add(caught.value.reason)
                    await asyncio.sleep(0.5)
            up = await prometheus.ask("up")

    assert failed == {"STORE_UNAVAILABLE"}
    assert [value for _, value in up] == [1]
    assert alert["state"] in ("pending", "firing")
    assert alert["labels"]["store"] == "gone"
    assert alert["labels"]["instance"] == target
    assert target in alert["annotations"]["description"]
