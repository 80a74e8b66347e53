"""What users get of `deploy/`: by kustomize, and by Helm."""

import json
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import yaml

from tests.support.manifest import ROOT, Manifest, Object, parse_manifest

TOOLS = ROOT / ".venv-kubernetes"
CHART = ROOT / "deploy" / "helm" / "prompt-resolver"
KUSTOMIZED = ("native-sidecar", "plain-sidecar", "shared")
VALUES = {path.stem: path for path in (ROOT / "deploy" / "helm" / "examples").glob("*.yaml")}

_HELM = ROOT / "tests" / "deploy" / "kubernetes" / "helm_sdk.py"


class HelmError(Exception):
    """A chart that Helm does not render, and why."""


def kustomize_text(folder: Path) -> str:
    """Return what `kubectl kustomize` prints for a folder."""
    command = [str(TOOLS / "bin" / "kubectl"), "kustomize", str(folder)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def helm(values: Mapping[str, object], *, chart: Path = CHART) -> dict[str, str]:
    """Return what a chart renders, by the template's name. Raises `HelmError`.

    What `helm lint --strict` finds in it is an error as well.
    """
    asked = {"chart": str(chart), "values": values, "name": "prompt-resolver"}
    command = [str(TOOLS / "bin" / "python"), str(_HELM)]
    done = subprocess.run(
        command, input=json.dumps(asked), check=True, capture_output=True, text=True
    )
    told = json.loads(done.stdout)
    if "error" in told:
        raise HelmError(told["error"])
    if found := [each for each in told["findings"] if each != "icon is recommended"]:
        raise HelmError("\n".join(found))
    manifests: dict[str, str] = told["manifests"]
    return {name.partition("/templates/")[2]: text for name, text in manifests.items()}


def helm_manifest(values: Mapping[str, object]) -> Manifest:
    """Return the objects that the chart renders. Raises `HelmError`."""
    rendered = helm(values)
    return parse_manifest(text for name, text in rendered.items() if name.endswith(".yaml"))


def read_values(name: str) -> Object:
    """Return the values of an example."""
    values: Object = yaml.safe_load(VALUES[name].read_text())
    return values


@cache
def render(name: str) -> Manifest:
    """Return the rendering of this name: `kustomize/NAME` or `helm/NAME`, of an example."""
    way, _, example = name.partition("/")
    if way == "helm":
        return helm_manifest(read_values(example))
    return parse_manifest([kustomize_text(ROOT / "deploy" / "kustomize" / "examples" / example)])


NAMES = (
    *(f"kustomize/{each}" for each in KUSTOMIZED),
    *(f"helm/{each}" for each in sorted(VALUES)),
)
SHARED = tuple(each for each in NAMES if "sidecar" not in each)
