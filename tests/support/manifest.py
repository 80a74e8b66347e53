"""The manifest in `deploy/`, read as a cluster reads it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
# Parsed YAML, whose form is checked against Kubernetes' schema before anything else.
Object = dict[str, Any]


@dataclass(frozen=True)
class Manifest:
    """All objects of the file, and what is most asked for of them."""

    objects: tuple[Object, ...]

    @property
    def pod(self) -> Object:
        """What the Deployment's pods are."""
        (deployment,) = (each for each in self.objects if each["kind"] == "Deployment")
        template: Object = deployment["spec"]["template"]
        return template

    @property
    def sidecar(self) -> Object:
        (container,) = self.pod["spec"]["initContainers"]
        found: Object = container
        return found

    @property
    def app(self) -> Object:
        (container,) = self.pod["spec"]["containers"]
        found: Object = container
        return found

    def volume(self, mount_path: str) -> Object:
        """Return the volume that the sidecar sees at a path."""
        (name,) = (m["name"] for m in self.sidecar["volumeMounts"] if m["mountPath"] == mount_path)
        (volume,) = (each for each in self.pod["spec"]["volumes"] if each["name"] == name)
        found: Object = volume
        return found

    def files(self, mount_path: str) -> dict[str, str]:
        """Return the files of a ConfigMap's volume, by their paths in it."""
        source = self.volume(mount_path)["configMap"]
        (entries,) = (
            each["data"]
            for each in self.objects
            if each["kind"] == "ConfigMap" and each["metadata"]["name"] == source["name"]
        )
        items = source.get("items", [{"key": key, "path": key} for key in entries])
        return {each["path"]: entries[each["key"]] for each in items}


def read_manifest() -> Manifest:
    text = (ROOT / "deploy" / "sidecar.yaml").read_text()
    return Manifest(tuple(yaml.safe_load_all(text)))


def image_environment() -> dict[str, str]:
    """Return the variables that the image sets for the service."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    return dict(re.findall(r"\b(PROMPT_RESOLVER_\w+)=(\S+)", dockerfile))
