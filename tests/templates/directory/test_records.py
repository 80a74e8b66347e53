"""The YAML files beside prompts are read, or refused with a line."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_resolver_server.templates.directory.records import (
    Deployments,
    read_deployments,
    read_ids,
)
from prompt_resolver_server.templates.formats.prompt_file import PromptFileError


def test_deployments() -> None:
    """Deployments tell the version of each environment, and an environment of each version."""
    deployments = read_deployments(b"default: b\nenvironments: {a: v1, b: v1, c: 2026-01-01}")

    assert deployments == Deployments("b", {"a": "v1", "b": "v1", "c": "2026-01-01"})
    assert [deployments.environment_of(each) for each in ("v1", "2026-01-01", "v2", None)] == [
        *("b", "c", "", ""),
    ]


def test_nothing() -> None:
    """An empty file, or one of comments, says nothing."""
    assert read_deployments(b"# later\n") == Deployments(None, {})
    assert read_ids(b"") == {}


PIECES = st.sampled_from(
    [
        *(
            "default: ",
            "environments:",
            " a",
            ": ",
            "{",
            "}",
            "v1",
            "\n",
            "  ",
            "- ",
            "&x ",
            "*x",
            "!",
            "1",
        )
    ]
)


@pytest.mark.parametrize("read", [read_deployments, read_ids])
@given(content=st.binary() | st.lists(PIECES).map(lambda pieces: "".join(pieces).encode()))
def test_any_bytes(read: Callable[[bytes], object], content: bytes) -> None:
    """Any bytes at all are read, or refused with a line of theirs."""
    line = 1
    try:
        read(content)
    except PromptFileError as error:
        line = error.line

    assert 1 <= line <= content.count(b"\n") + content.count(b"\r") + 2
