"""A file tells which prompt it is of, by its name and its folder."""

from pathlib import Path

import pytest

from prompt_resolver_server.commands.prompt_path import locate

ROOT = Path("/prompts")


@pytest.mark.parametrize(
    ("path", "prompt_id", "version"),
    [
        ("a.prompt", "a", None),
        ("team/a.prompt", "team/a", None),
        ("team/a.prompt.json", "team/a", None),
        ("team/a.b.prompt", "team/a.b", None),
        ("team/a.versions/v7.prompt", "team/a", "v7"),
        ("team/a.versions/v7.prompt.json", "team/a", "v7"),
    ],
)
def test_below_a_root(path: str, prompt_id: str, version: str | None) -> None:
    """Below a root, the path is the id."""
    located = locate(ROOT / path, ROOT)

    assert located is not None
    assert (located.root, located.ref.id, located.ref.version) == (ROOT, prompt_id, version)


@pytest.mark.parametrize(
    ("path", "root", "version"),
    [
        ("/team/a.prompt", "/team", None),
        ("/.team/a.prompt", "/.team", None),
        ("/team/a.versions/v7.prompt", "/team", "v7"),
    ],
)
def test_by_itself(path: str, root: str, version: str | None) -> None:
    """Without a root, the folder of the prompt is one."""
    located = locate(Path(path))

    assert located is not None
    assert (located.root, located.ref.id, located.ref.version) == (Path(root), "a", version)


@pytest.mark.parametrize("path", ["a.yaml", ".prompt", "a.json", "a"])
def test_other_files(path: str) -> None:
    """What is called otherwise is none of a prompt's files."""
    assert locate(ROOT / path, ROOT) is None
