"""What was read of an export is remembered by its looks."""

from pathlib import Path

import pytest

from prompt_resolver_server.templates.files import Root
from prompt_resolver_server.templates.formats.answers import AnswerError
from prompt_resolver_server.templates.humanloop_export.reading import MAX_BYTES, Reading
from tests.support.humanloop_export import age


def test_remembers(tmp_path: Path) -> None:
    """What a document looked like and its length are known once it is read."""
    path = tmp_path / "a.json"
    path.write_text('{"a": 1}')
    age(tmp_path)
    reading = Reading(Root(tmp_path, store="old"))

    assert (reading.document(str(path)), reading.value(str(path))) == ({"a": 1}, {"a": 1})
    assert (reading.size, [look.path for look in reading.looks]) == (16, [str(path)] * 2)
    assert all(look.holds() for look in reading.looks)
    path.write_text('{"a": 2}')
    assert not any(look.holds() for look in reading.looks)


def test_bound(tmp_path: Path) -> None:
    """A document may have so many bytes, and not one more."""
    path = tmp_path / "a.json"
    path.write_text("1" + " " * (MAX_BYTES - 1))
    reading = Reading(Root(tmp_path, store="old"))
    assert reading.value(str(path)) == 1

    path.write_text("1" + " " * MAX_BYTES)

    with pytest.raises(AnswerError, match="expected at most 1048576 bytes"):
        reading.value(str(path))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000])
def test_refuses(tmp_path: Path, content: bytes) -> None:
    """What is no JSON is refused."""
    path = tmp_path / "a.json"
    path.write_bytes(content)

    with pytest.raises(AnswerError, match="expected JSON"):
        Reading(Root(tmp_path, store="old")).value(str(path))


def test_names(tmp_path: Path) -> None:
    """The names in a folder are told in order; where there is none, there are none."""
    for name in ("b", "a", ".hidden"):
        (tmp_path / name).write_text("")
    reading = Reading(Root(tmp_path, store="old"))

    assert reading.names(str(tmp_path)) == ["a", "b"]
    assert reading.names(str(tmp_path / "a")) == reading.names(str(tmp_path / "c")) == []
