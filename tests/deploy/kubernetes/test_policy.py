"""What is rendered holds to the policies that Trivy knows for Kubernetes."""

import copy
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.support.manifest import ROOT, Manifest, Object
from tests.support.renderings import NAMES, TOOLS, render

IGNORED = ROOT / "deploy" / "trivy-ignore.yaml"


def check(folder: Path, manifest: Manifest, *, ignore: bool = True) -> tuple[int, set[str]]:
    """Return how many checks a manifest passes, and the ids of those that it does not."""
    (folder / "manifest.yaml").write_text(yaml.safe_dump_all(manifest.objects))
    command = [
        *(str(TOOLS / "bin" / "trivy"), "config", "--format", "json"),
        # With the checks that it was built with: nothing is fetched, nor told.
        *("--skip-check-update", "--skip-version-check", "--disable-telemetry"),
        *("--cache-dir", str(folder / "cache")),
        *("--ignorefile", str(IGNORED) if ignore else "", str(folder / "manifest.yaml")),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    (result,) = json.loads(done.stdout)["Results"]
    found = {each["ID"] for each in result.get("Misconfigurations", [])}
    return result["MisconfSummary"]["Successes"], found


@pytest.mark.parametrize("name", NAMES)
def test_holds(tmp_path: Path, name: str) -> None:
    """Of some hundred checks none fails that is not turned off with a reason."""
    passed, failed = check(tmp_path, render(name))

    assert failed == set()
    assert passed >= 90


def test_what_is_turned_off_would_fail(tmp_path: Path) -> None:
    """No check is turned off that nothing fails."""
    ignored = yaml.safe_load(IGNORED.read_text())["misconfigurations"]
    failed = set()
    for name in ("kustomize/native-sidecar", "kustomize/shared"):
        failed |= check(tmp_path, render(name), ignore=False)[1]

    assert {each["id"] for each in ignored} == failed
    assert all(each["statement"] for each in ignored)


def container(deployment: Object) -> Object:
    found: Object = deployment["spec"]["template"]["spec"]["containers"][0]
    return found


SLIPS: dict[str, tuple[Callable[[Object], object], str]] = {
    "privileged": (lambda d: container(d)["securityContext"].update(privileged=True), "KSV-0017"),
    "a writable root": (
        lambda d: container(d)["securityContext"].pop("readOnlyRootFilesystem"),
        "KSV-0014",
    ),
    "the node's network": (
        lambda d: d["spec"]["template"]["spec"].update(hostNetwork=True),
        "KSV-0009",
    ),
    "capabilities": (lambda d: container(d)["securityContext"].pop("capabilities"), "KSV-0003"),
    "no limit of memory": (lambda d: container(d)["resources"].pop("limits"), "KSV-0018"),
    "a tag that moves": (
        lambda d: container(d).update(image="registry.example/prompt-resolver:latest"),
        "KSV-0013",
    ),
    "a folder of the node": (
        lambda d: d["spec"]["template"]["spec"]["volumes"].append(
            {"name": "node", "hostPath": {"path": "/var/run/docker.sock"}}
        ),
        "KSV-0006",
    ),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_slips_are_found(tmp_path: Path, slip: str) -> None:
    """A pod that may do more than it must is told by the check that is for it."""
    spoil, expected = SLIPS[slip]
    objects = copy.deepcopy(render("kustomize/shared").objects)
    spoil(next(each for each in objects if each["kind"] == "Deployment"))

    assert expected in check(tmp_path, Manifest(objects))[1]
