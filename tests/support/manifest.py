"""Manifests for Kubernetes, read as a cluster reads them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
# Parsed YAML, whose form is checked against Kubernetes' schema before anything else.
Object = dict[str, Any]


@dataclass(frozen=True)
class Manifest:
    """All objects of a rendering, and what is most asked for of them."""

    objects: tuple[Object, ...]

    def all_of(self, kind: str) -> list[Object]:
        return [each for each in self.objects if each["kind"] == kind]

    def one(self, kind: str) -> Object:
        (found,) = self.all_of(kind)
        return found

    @property
    def pod(self) -> Object:
        """What the Deployment's pods are."""
        template: Object = self.one("Deployment")["spec"]["template"]
        return template

    @property
    def containers(self) -> list[Object]:
        spec = self.pod["spec"]
        return [*spec.get("initContainers", []), *spec["containers"]]

    @property
    def resolver(self) -> Object:
        """The container with the service in it, wherever it stands."""
        (container,) = (each for each in self.containers if each["name"] == "prompt-resolver")
        return container

    @property
    def sidecar(self) -> Object:
        """The service as a sidecar: the only init container."""
        (container,) = self.pod["spec"]["initContainers"]
        found: Object = container
        return found

    @property
    def app(self) -> Object:
        """The container that the service stands beside."""
        (container,) = (each for each in self.containers if each["name"] != "prompt-resolver")
        return container

    def volume(self, mount_path: str) -> Object:
        """Return the volume that the service sees at a path."""
        (name,) = (m["name"] for m in self.resolver["volumeMounts"] if m["mountPath"] == mount_path)
        (volume,) = (each for each in self.pod["spec"]["volumes"] if each["name"] == name)
        found: Object = volume
        return found

    def files(self, mount_path: str) -> dict[str, str]:
        """Return the files of a ConfigMap's volume, by their paths in it."""
        source = self.volume(mount_path)["configMap"]
        (entries,) = (
            each["data"]
            for each in self.all_of("ConfigMap")
            if each["metadata"]["name"] == source["name"]
        )
        items = source.get("items", [{"key": key, "path": key} for key in entries])
        return {each["path"]: entries[each["key"]] for each in items}


def parse_manifest(texts: Iterable[str]) -> Manifest:
    """Return the objects of some documents."""
    documents = (each for text in texts for each in yaml.safe_load_all(text))
    return Manifest(tuple(each for each in documents if each))


def read_manifest() -> Manifest:
    """Return the manifest that is applied as it stands."""
    return parse_manifest([(ROOT / "deploy" / "sidecar.yaml").read_text()])


def read_bytes(quantity: str) -> int:
    """Return an amount of memory or disk, as the manifests write it."""
    assert quantity.endswith("Mi")
    return int(quantity.removesuffix("Mi")) * 1024 * 1024
