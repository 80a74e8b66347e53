"""What stands beside prompts is checked against them."""

from pathlib import Path

from tests.support.linting import codes, lint
from tests.support.prompts import write_prompt

GOOD = "<user>\nHi\n</user>"


def deploy(root: Path, text: str) -> Path:
    write_prompt(root, "desk.versions/v1", GOOD)
    path = root / "desk.deployments.yaml"
    path.write_text(text)
    return path


async def test_deployments(tmp_path: Path) -> None:
    """A deployment of a version that is not there is told with its line."""
    path = deploy(tmp_path, "default: production\nenvironments:\n  production: v1\n  staging: v2\n")

    findings = await lint(tmp_path)

    assert codes(findings) == [("deployment-missing", 4, 3)]
    assert findings[0].path == str(path)
    assert findings[0].message == "staging: expected a version that is there, got 'v2'"


async def test_versions_are_prompts(tmp_path: Path) -> None:
    """Each version is checked as a prompt."""
    deploy(tmp_path, "environments: {production: v1}\n")
    path = write_prompt(tmp_path, "desk.versions/v2", GOOD, temperature="hot")

    findings = await lint(tmp_path)

    assert codes(findings) == [("template-invalid", 5, None)]
    assert await lint(path) == findings


async def test_deployments_that_are_broken(tmp_path: Path) -> None:
    """A file of deployments that is none is told with its line."""
    found = await lint(deploy(tmp_path, "environments:\n  production: 1.10\n"))
    default = await lint(deploy(tmp_path, "default: staging\nenvironments: {production: v1}\n"))

    assert codes(found) == [("deployments-invalid", 2, None)]
    assert codes(default) == [("deployments-invalid", 1, None)]


async def test_ids(tmp_path: Path) -> None:
    """An id of a prompt that is not there is told with its line; one without a default is not."""
    deploy(tmp_path, "environments: {production: v1}\n")
    path = tmp_path / "ids.yaml"
    path.write_text("pr_1: desk\npr_2: nowhere\npr_3: ../x\n")

    assert codes(await lint(tmp_path)) == [("id-dangling", 2, 1), ("id-dangling", 3, 1)]
    assert codes(await lint(path)) == [("id-dangling", 2, 1), ("id-dangling", 3, 1)]


async def test_ids_that_are_broken(tmp_path: Path) -> None:
    """A file of ids that is none is told with its line."""
    path = tmp_path / "ids.yaml"
    path.write_text("pr_1: desk\npr_1: desk\n")

    assert codes(await lint(path)) == [("ids-invalid", 2, None)]


async def test_ids_elsewhere(tmp_path: Path) -> None:
    """Below the root, a file of this name is nothing."""
    write_prompt(tmp_path, "team/p", GOOD)
    (tmp_path / "team" / "ids.yaml").write_text("pr_1: nowhere\n")

    assert await lint(tmp_path) == ()
