"""Templates as documents of our own."""

from datetime import UTC, datetime

import msgspec
import pytest

from prompt_resolver_server.domain.parameters import JsonSchema, Parameters, ResponseFormat
from prompt_resolver_server.domain.prompts import (
    Media,
    Message,
    Placeholder,
    Reasoning,
    Refusal,
    Template,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)
from prompt_resolver_server.templates.formats.documents import (
    DocumentError,
    decode_template,
    encode_template,
)

FULL = Template(
    id="team/hello",
    name="hello",
    version="v7",
    environment="production",
    content_sha256="ab" * 32,
    location="team/hello.prompt",
    size=12,
    language="langfuse",
    messages=(
        Message(role="system", content=(Text("You are {{who}}."),), name="narrator"),
        Message(
            role="user",
            content=(
                Media(kind="image", url="https://example.invalid/a.png", detail="low"),
                Media(kind="file", data=b"\x00\xff", media_type="application/pdf", filename="a"),
            ),
        ),
        Message(
            role="assistant",
            content=(Reasoning(text="hm", signature=b"\x01"), Refusal("no")),
            tool_calls=(ToolCall(id="1", name="look", arguments_json="{}", signature=b"s"),),
        ),
        Message(role="tool", content=(Text("found"),), tool_call_id="1"),
    ),
    placeholders=(Placeholder("history", 1), Placeholder("more", 4)),
    model="gpt-4o",
    provider="openai",
    parameters=Parameters(
        temperature=0.5,
        stop=("a", "b"),
        response_format=ResponseFormat(
            type="json_schema", json_schema=JsonSchema(name="out", schema={"type": "object"})
        ),
        extra={"logit_bias": {"1": 2}, "other": [None, True, 1.5]},
    ),
    tools=(Tool(name="look", description="d", parameters={"type": "object"}, strict=True),),
    tool_choice=ToolChoice(tool_name="look"),
    defaults={"who": "Ada"},
    schema={"type": "object", "properties": {"who": {"type": "string"}}},
    partials={"part": "text"},
    snippets={"snips": {"grumpy": "Hmpf."}},
    as_text=True,
    created_at=datetime(2025, 5, 1, tzinfo=UTC),
)


def test_comes_back() -> None:
    """A template comes back from its document with everything that it had."""
    again = decode_template(encode_template(FULL))

    for name in FULL.__struct_fields__:
        assert getattr(again, name) == getattr(FULL, name), name
        default = Template.__struct_defaults__
        assert getattr(FULL, name) not in default, f"{name} is not tried"
    assert encode_template(again) == encode_template(FULL)


def test_later_version_adds() -> None:
    """What a later version has added is passed over."""
    document = msgspec.json.decode(encode_template(FULL))
    document["template"]["news"] = {"a": 1}
    document["news"] = 1

    again = decode_template(msgspec.json.encode(document))

    assert again.messages == FULL.messages


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        encode_template(FULL)[:-1],
        encode_template(FULL).replace(b'"format":1', b'"format":2'),
        encode_template(FULL).replace(b'"role":"user"', b'"role":"owner"'),
        encode_template(FULL).replace(b'"text":"found"', b'"text":7'),
        b"[" * 100_000,
    ],
)
def test_refuses(document: bytes) -> None:
    """What is no document of this format is refused as one."""
    with pytest.raises(DocumentError):
        decode_template(document)
