"""A tool's snippets are found wherever it may keep them, and references wherever they may stand."""

import pytest

from prompt_resolver_server.domain.parameters import Json
from prompt_resolver_server.domain.prompts import Media, Message, Template, Text, ToolCall
from prompt_resolver_server.templates.formats.answers import AnswerError
from prompt_resolver_server.templates.humanloop_export.snippets import (
    find_references,
    read_snippets,
)

TEXTS = {"a": "one", "b": "two"}


@pytest.mark.parametrize(
    "document",
    [
        {"setup_values": {"a": "one", "b": "two", "n": 1}},
        {"setup_values": [{"key": "a", "value": "one"}, {"key": "b", "value": "two"}, {}, 1]},
        {"setup_values": {"snippets": {"a": "one", "b": "two"}}},
        {
            "setup_values": {
                "n": 1,
                "pairs": [{"key": name, "value": TEXTS[name]} for name in TEXTS],
            }
        },
        {"setup_values": {}, "attributes": {"a": "one", "b": "two"}},
        {"setup_values": None, "source_code": '{"a": "one", "b": "two"}', "attributes": {"c": "d"}},
        {"source_code": "def f(): ...", "attributes": {"a": "one", "b": "two"}},
    ],
)
def test_reads(document: dict[str, Json]) -> None:
    """The texts are read from the first field that has any, in whatever form it has them."""
    assert read_snippets(document) == TEXTS


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"setup_values": {"a": 1}, "attributes": [], "source_code": "[[[["},
        {"source_code": 7, "function": {"name": "f", "description": "d"}},
    ],
)
def test_refuses(document: dict[str, Json]) -> None:
    """A tool without texts is refused, and what it shows to a model is not taken for texts."""
    with pytest.raises(AnswerError, match="expected texts by key in setup_values"):
        read_snippets(document)


def test_references() -> None:
    """References are found in texts, in the URLs of images and in the arguments of tools."""
    message = Message(
        role="assistant",
        content=(
            Text('{{ a-b(key) }} and {{c("x")}} but {{d}}, e(f) and {{ g h(i) }}'),
            Media(kind="image", url="https://example.invalid/{{j(k)}}"),
        ),
        tool_calls=(ToolCall(id="1", name="l", arguments_json='{"m": "{{n(o)}}"}'),),
    )
    template = Template(
        id="p", name="p", version="1", content_sha256="0", location="p", messages=(message,)
    )

    assert find_references(template) == {"a-b", "c", "j", "n"}
