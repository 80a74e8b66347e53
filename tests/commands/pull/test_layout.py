"""Whatever a template says, the directory serves the same once it is laid out in files."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from prompt_resolver_server.commands.pull.collected import Collected
from prompt_resolver_server.commands.pull.layout import alternatives, lay_out, write_yaml
from prompt_resolver_server.commands.pull.verify import DifferenceError, verify
from prompt_resolver_server.domain.prompts import Template
from prompt_resolver_server.strict_yaml import parse
from tests.support.stores import make_template
from tests.support.templates import names, templates


async def write_and_verify(prompt: Collected) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_files(Path(folder), lay_out(prompt))
        await verify(Path(folder), prompt)


def write_files(root: Path, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


@settings(max_examples=100)
@given(templates)
async def test_any_version(template: Template) -> None:
    """A template that is one of several versions comes back equal, by version and environment."""
    await write_and_verify(
        Collected(
            id="pr_1",
            path="team/hello",
            versions={template.version: template},
            environments={"production": template.version},
        )
    )


@pytest.mark.parametrize("named_default", ["production", ""])
async def test_version_that_is_deployed_and_served(named_default: str) -> None:
    """What is served without a selector is there for its environment, too, and by its version."""
    first, second = make_template("p", "v1"), make_template("p", "v2")
    await write_and_verify(
        Collected(
            id="pr_1",
            path="team/hello",
            served=first,
            versions={"v1": first, "v2": second},
            environments={"production": "v1", "staging": "v2"},
            named_default=named_default,
        )
    )


@settings(max_examples=100)
@given(templates)
async def test_any_template_alone(template: Template) -> None:
    """A template that is all there is of a prompt comes back equal, with its version."""
    await write_and_verify(
        Collected(
            id="pr_1",
            path="team/hello",
            served=template,
            versions={template.version: template},
        )
    )


@pytest.mark.parametrize("name", ["123e45678901", "1e5", "0o17", ".5e1", "010", "no", "12:30", "="])
def test_names_that_look_like_numbers(name: str) -> None:
    """What any YAML takes for something else than text is in quotes, such as some hashes are."""
    assert parse(write_yaml({name: name}).decode(), aliases=False).value == {name: name}
    assert yaml.safe_load(write_yaml({name: name})) == {name: name}


@given(st.dictionaries(names, names, max_size=3))
def test_any_names(mapping: dict[str, str]) -> None:
    """Whatever environments and versions are called, they are read as they were written."""
    assert parse(write_yaml(mapping).decode(), aliases=False).value == mapping


async def test_differences_are_told(tmp_path: Path) -> None:
    """A directory that serves something else is told: which version, and what differs."""
    one, other = make_template("p", "v1", "one"), make_template("p", "v1", "other")
    prompt = Collected(id="p", path="p", served=one, versions={"v1": one})
    write_files(tmp_path, lay_out(prompt))
    expected = Collected(id="p", path="p", served=other, versions={"v1": other})

    with pytest.raises(DifferenceError, match="v1: messages would not be the same"):
        await verify(tmp_path, expected)


def test_alternatives() -> None:
    """The other files that could be the same prompt are known; other files have none."""
    assert alternatives("a/b.prompt") == ("a/b.prompt.json", "a/b.deployments.yaml")
    assert alternatives("a/b.deployments.yaml") == ("a/b.prompt", "a/b.prompt.json")
    assert alternatives("ids.yaml") == ()
