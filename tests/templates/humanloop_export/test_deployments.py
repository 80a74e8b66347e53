"""What is deployed where is read as it was exported, or not at all."""

import json
from pathlib import Path

import pytest

from prompt_resolver_server.templates.files import Root
from prompt_resolver_server.templates.formats.answers import AnswerError
from prompt_resolver_server.templates.humanloop_export.deployments import (
    Deployment,
    read_deployments,
)
from prompt_resolver_server.templates.humanloop_export.reading import Reading

ROW = {
    "version_id": "prv_1",
    "environment_id": "env_1",
    "environment_name": "production",
    "environment_tag": "default",
}


def read(folder: Path, value: object) -> tuple[Deployment, ...]:
    (folder / "deployments.json").write_text(json.dumps(value))
    return read_deployments(Reading(Root(folder, store="old")), str(folder))


def test_reads(tmp_path: Path) -> None:
    """The rows are read, ordered by their environments."""
    staging = {**ROW, "environment_name": "a", "environment_tag": "other"}

    assert read(tmp_path, [ROW, staging]) == (
        Deployment("prv_1", "env_1", "a", "other"),
        Deployment("prv_1", "env_1", "production", "default"),
    )


def test_none(tmp_path: Path) -> None:
    """A file without deployments has none."""
    assert read_deployments(Reading(Root(tmp_path, store="old")), str(tmp_path)) == ()


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({}, "expected a list, got a mapping"),
        ([1], "0: expected a mapping, got a number"),
        ([ROW, {}], "1.version_id: expected text, got nothing"),
        ([ROW, ROW], "expected one version for each environment, and one default"),
        (
            [ROW, {**ROW, "environment_name": "b"}],
            "expected one version for each environment, and one default",
        ),
    ],
)
def test_refuses(tmp_path: Path, value: object, problem: str) -> None:
    """What is no list of deployments, or leaves it to luck which version serves, is refused."""
    with pytest.raises(AnswerError) as caught:
        read(tmp_path, value)

    assert str(caught.value) == problem
