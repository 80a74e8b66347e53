"""Grafana's dashboard: it is what its program writes, in good shape, and of metrics there are."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from deploy.grafana.dashboard import build

from tests.support.documents import ROOT
from tests.support.prometheus import need_prometheus, promtool
from tests.support.promql import PENDING, find_slips, list_registered, read_names

FILE = ROOT / "deploy" / "grafana" / "prompt-resolver.json"
BOARD: dict[str, Any] = json.loads(FILE.read_text())
PANELS: list[dict[str, Any]] = [each for each in BOARD["panels"] if each["type"] != "row"]
ROWS: list[dict[str, Any]] = [each for each in BOARD["panels"] if each["type"] == "row"]
KNOWN = {**list_registered(), **PENDING}

each_panel = pytest.mark.parametrize("panel", PANELS, ids=[each["title"] for each in PANELS])


def test_is_what_its_program_writes() -> None:
    """The file is as its program writes it."""
    assert build() == BOARD, "python -m deploy.grafana.dashboard writes it"


def test_order() -> None:
    """The rows are in the order in which one asks when something is wrong."""
    assert [row["title"] for row in ROWS] == [
        *("Calls", "Overhead", "Templates", "Providers", "Tokens and cost", "Process")
    ]


def test_panels_have_a_place_of_their_own() -> None:
    """No two panels have one id or one title, or share a place, and none is outside of the page."""
    everything = BOARD["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in everything:
        place = panel["gridPos"]
        assert 0 <= place["x"] <= place["x"] + place["w"] <= 24
        cells = {
            (place["x"] + across, place["y"] + down)
            for across in range(place["w"])
            for down in range(place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells

    assert len({panel["id"] for panel in everything}) == len(everything)
    assert len({panel["title"] for panel in everything}) == len(everything)
    tops = [row["gridPos"]["y"] for row in ROWS]
    assert tops == sorted(tops)


def test_variables() -> None:
    """Whoever looks chooses a source, namespaces and pods, and needs none but the source."""
    variables = {each["name"]: each for each in BOARD["templating"]["list"]}

    assert list(variables) == ["datasource", "namespace", "pod"]
    for name in ("namespace", "pod"):
        assert variables[name]["allValue"] == ".*"
        (metric, _), *_ = read_names(variables[name]["query"].partition("(")[2]).selectors
        assert metric in KNOWN


@each_panel
def test_panel_says_what_it_is(panel: dict[str, Any]) -> None:
    """Every panel has words, a unit, the chosen source, and lines that tell each other apart."""
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]
    ids = [target["refId"] for target in panel["targets"]]
    assert len({*ids}) == len(ids)
    legends = [target["legendFormat"] for target in panel["targets"]]
    assert len({*legends}) == len(legends)
    for part in (panel, *panel["targets"]):
        assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    for target in panel["targets"]:
        told = {*re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])}
        assert told == read_names(target["expr"]).grouping - {"le"}


@each_panel
def test_panel_is_of_what_there_is(panel: dict[str, Any]) -> None:
    """Every metric that a panel names is registered, with its labels, and of the chosen pods."""
    for target in panel["targets"]:
        assert find_slips(target["expr"], KNOWN) == []
        for _, matchers in read_names(target["expr"]).selectors:
            assert matchers["namespace"] == "$namespace"
            assert matchers["pod"] == "$pod"


@each_panel
def test_slips_are_found(panel: dict[str, Any]) -> None:
    """A letter too many in the name of a panel's metric is told."""
    for target in panel["targets"]:
        for name in read_names(target["expr"]).metrics:
            slipped = target["expr"].replace(name, f"{name}x")
            assert f"{name}x" in find_slips(slipped, KNOWN)


def test_expressions(tmp_path: Path, require_all: bool) -> None:
    """Prometheus takes every expression."""
    need_prometheus(require_all=require_all)
    expressions = [target["expr"] for panel in PANELS for target in panel["targets"]]
    rules = [
        {
            "record": f"panel:{number}",
            "expr": re.sub(r"\$(namespace|pod)", ".*", expr).replace("$__rate_interval", "5m"),
        }
        for number, expr in enumerate(expressions)
    ]
    path = tmp_path / "panels.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))

    assert f"{len(expressions)} rules found" in promtool("check", "rules", path)


def test_everything_counted_is_shown() -> None:
    """Every metric of ours has its panel, but those that an alert alone is made of."""
    shown = {
        name
        for panel in PANELS
        for target in panel["targets"]
        for name in read_names(target["expr"]).metrics
    }
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown}
    ours = {name for name in KNOWN if name.startswith("prompt_resolver_")}
    counted = {re.sub(r"_(bucket|sum|count)$", "", name) for name in ours}

    assert counted - families <= {
        "prompt_resolver_certificate_last_reload_successful",
        "prompt_resolver_config_last_reload_successful",
    }
