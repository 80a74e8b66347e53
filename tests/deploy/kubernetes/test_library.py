"""The sidecar in a chart of somebody's, by the library chart."""

import shutil
from pathlib import Path

import pytest
import yaml

from prompt_resolver._version import __version__
from tests.support.manifest import Manifest, parse_manifest
from tests.support.renderings import CHART, HelmError, helm, render

LIBRARY = CHART.with_name("prompt-resolver-sidecar")
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: app}
spec:
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      initContainers:
        {{- include "prompt-resolver-sidecar.container" .Values.sidecar | nindent 8 }}
      containers:
        - {name: app, image: registry.example/app:1}
      volumes:
        {{- include "prompt-resolver-sidecar.volumes" .Values.volumes | nindent 8 }}
"""


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    """A chart that has the library as its only dependency."""
    folder = tmp_path / "app"
    metadata = {
        "apiVersion": "v2",
        "name": "app",
        "version": "1.0.0",
        "dependencies": [
            {"name": LIBRARY.name, "version": __version__, "repository": f"file://{LIBRARY}"}
        ],
    }
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(yaml.safe_dump(metadata))
    (folder / "values.yaml").write_text(
        "sidecar: {image: 'registry.example/prompt-resolver:1'}\nvolumes: {}\n"
    )
    (folder / "templates" / "deployment.yaml").write_text(DEPLOYMENT)
    # What `helm dependency build` does.
    shutil.copytree(LIBRARY, folder / "charts" / LIBRARY.name)
    return folder


def render_chart(chart: Path, **values: object) -> Manifest:
    return parse_manifest([helm(values, chart=chart)["deployment.yaml"]])


def test_is_the_same_sidecar(chart: Path) -> None:
    """What the library gives a pod is what kustomize's component gives it."""
    items = [
        {"key": "greeting.prompt", "path": "greeting.prompt"},
        {"key": "support.reply.prompt", "path": "support/reply.prompt"},
    ]
    image = f"registry.example/prompt-resolver:{__version__}"
    ours = render("kustomize/native-sidecar")

    manifest = render_chart(chart, sidecar={"image": image}, volumes={"items": items})

    assert manifest.sidecar == ours.sidecar
    volumes = {each["name"]: each for each in manifest.pod["spec"]["volumes"]}
    assert volumes == {each["name"]: each for each in ours.pod["spec"]["volumes"]}


def test_takes_names_and_sizes(chart: Path) -> None:
    """Names and sizes are the pod's to say; the limit is twice the memory that is asked for."""
    manifest = render_chart(
        chart,
        sidecar={"memory": "512Mi", "cpu": "1"},
        volumes={"config": "a", "prompts": "b", "keys": "c", "stateSize": "1Gi"},
    )

    assert manifest.sidecar["resources"] == {
        "requests": {"cpu": 1, "memory": "512Mi"},
        "limits": {"memory": "1024Mi"},
    }
    assert manifest.volume("/config")["configMap"]["name"] == "a"
    assert manifest.volume("/prompts")["configMap"]["name"] == "b"
    assert manifest.volume("/keys")["secret"]["secretName"] == "c"
    assert manifest.volume("/state")["emptyDir"]["sizeLimit"] == "1Gi"


def test_image_must_be_named(chart: Path) -> None:
    """Without an image there is no manifest."""
    with pytest.raises(HelmError, match="expected image"):
        render_chart(chart, sidecar={"image": ""})


def test_version() -> None:
    """The library is of this version."""
    metadata = yaml.safe_load((LIBRARY / "Chart.yaml").read_text())

    assert (metadata["version"], metadata["appVersion"]) == (__version__, __version__)
