"""Writes the dashboard, which is committed beside this.

python -m deploy.grafana.dashboard > deploy/grafana/prompt-resolver.json
"""

import json
import sys
from collections.abc import Iterable
from itertools import count
from typing import TypeAlias

from .panels import Panel, Row
from .rows import ROWS

Json: TypeAlias = dict[str, object]

_WIDTH, _HEIGHT, _ACROSS = 8, 8, 3
_SOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}


def build() -> Json:
    """Return the dashboard as Grafana reads it."""
    return {
        "title": "prompt-resolver",
        "uid": "prompt-resolver",
        "tags": ["prompt-resolver"],
        "description": "How prompts are served and answered, and what that takes.",
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {
            "list": [
                {
                    "name": "datasource",
                    "label": "Data source",
                    "type": "datasource",
                    "query": "prometheus",
                },
                _variable("namespace", "label_values(prompt_resolver_build_info, namespace)"),
                _variable(
                    "pod",
                    'label_values(prompt_resolver_build_info{namespace=~"$namespace"}, pod)',
                ),
            ]
        },
        "panels": list(_place(ROWS)),
    }


def _variable(name: str, query: str) -> Json:
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": _SOURCE,
        "query": query,
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _place(rows: Iterable[Row]) -> Iterable[Json]:
    """Return the rows and their panels, one beside the other and below each other."""
    ids, top = count(1), 0
    for row in rows:
        yield {
            "id": next(ids),
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "panels": [],
            "gridPos": {"x": 0, "y": top, "w": _WIDTH * _ACROSS, "h": 1},
        }
        top += 1
        for number, panel in enumerate(row.panels):
            down, across = divmod(number, _ACROSS)
            place = {"x": across * _WIDTH, "y": top + down * _HEIGHT, "w": _WIDTH, "h": _HEIGHT}
            yield {"id": next(ids), "gridPos": place, **_draw(panel)}
        top += -(-len(row.panels) // _ACROSS) * _HEIGHT


def _draw(panel: Panel) -> Json:
    custom: Json = {"fillOpacity": 10, "showPoints": "never"}
    if panel.stacked:
        custom |= {"fillOpacity": 40, "stacking": {"mode": "normal"}}
    defaults: Json = {"unit": panel.unit, "min": 0}
    if panel.kind == "timeseries":
        defaults["custom"] = custom
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": _SOURCE,
                "expr": query.expr,
                "legendFormat": query.legend,
            }
            for number, query in enumerate(panel.queries)
        ],
    }


if __name__ == "__main__":
    json.dump(build(), sys.stdout, indent=2)
    sys.stdout.write("\n")
