"""Run in the environment of Helm's SDK: renders and checks charts as `helm` does.

It reads one JSON object on standard input, `{"chart", "values", "name"}`, and prints another:
`{"findings", "manifests"}`, or `{"error"}`.
"""

import json
import sys

import helm_python

asked = json.load(sys.stdin)
try:
    report = helm_python.lint(asked["chart"], asked["values"], strict=True, with_subcharts=True)
    with helm_python.Chart.load(asked["chart"]) as chart:
        manifests = chart.render(asked["values"], name=asked["name"], namespace="prompts")
    told = {
        "findings": [each["error"] for each in report["messages"]] + report["errors"],
        "manifests": manifests,
    }
except helm_python.HelmError as error:
    told = {"error": str(error)}
print(json.dumps(told))
