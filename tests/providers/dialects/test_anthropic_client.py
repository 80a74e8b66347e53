"""The vendor's own client sends what we send, and understands what the stand-in answers."""

from typing import get_args, get_type_hints

import anthropic
import pytest
from anthropic.types import (
    Base64ImageSourceParam,
    DocumentBlockParam,
    ImageBlockParam,
    MessageParam,
    RedactedThinkingBlockParam,
    StopReason,
    TextBlockParam,
    ThinkingBlockParam,
    ToolParam,
    ToolResultBlockParam,
    ToolUseBlockParam,
)

from prompt_resolver_server.domain.answers import ModelRequest
from prompt_resolver_server.domain.parameters import JsonSchema, Parameters, ResponseFormat
from prompt_resolver_server.domain.prompts import (
    Media,
    Message,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)
from prompt_resolver_server.providers.dialects.anthropic.dialect import AnthropicDialect
from tests.support.anthropic import (
    CALL,
    REDACTED,
    TEXT,
    THINKING,
    answer_anthropic,
    anthropic_answer,
    anthropic_error,
    anthropic_stream,
    frame_error,
)
from tests.support.dialects.requests import Requests, say
from tests.support.dialects.streams import Streams
from tests.support.ends import ends_of
from tests.support.remote import call_provider
from tests.support.upstream import Exchange, Upstream, answer_with, stream_of

DIALECT = AnthropicDialect()
SCHEMA: dict[str, object] = {"type": "object", "properties": {"a": {"type": "integer"}}}
PDF = "application/pdf"

REQUEST = ModelRequest(
    model="some-model",
    messages=(
        Message(role="system", content=(Text("Be brief."),)),
        Message(
            role="user",
            content=(
                Text("See."),
                Media(kind="image", url="https://x.invalid/a.png"),
                Media(kind="image", data=b"\x00\x01", media_type="image/png"),
                Media(kind="file", data=b"\x00", media_type=PDF, filename="a.pdf"),
                Media(kind="file", url="https://x.invalid/b.pdf"),
                Media(kind="file", data=b"Notes.", media_type="text/plain", filename="c.txt"),
            ),
        ),
        Message(
            role="assistant",
            content=(Reasoning(text="Hm.", signature=b"s"), Reasoning(redacted=b"r"), Text("So.")),
            tool_calls=(ToolCall(id="c", name="find", arguments_json='{"a": 1}'),),
        ),
        Message(
            role="tool",
            tool_call_id="c",
            content=(Text("2"), Media(kind="image", url="https://x.invalid/d.png")),
        ),
        Message(role="user", content=(Text("And?"),)),
    ),
    parameters=Parameters(
        max_tokens=3000,
        stop=("END",),
        reasoning_effort="2048",
        response_format=ResponseFormat(
            type="json_schema",
            json_schema=JsonSchema(name="n", schema={"type": "object"}),
        ),
        parallel_tool_calls=False,
        extra={"metadata": {"user_id": "u"}, "service_tier": "auto"},
    ),
    tools=(
        Tool(
            name="find",
            description="Finds.",
            parameters={"type": "object", "properties": {"a": {"type": "integer"}}},
            strict=True,
        ),
    ),
    tool_choice=ToolChoice(mode="auto"),
)

MESSAGES: list[MessageParam] = [
    {
        "role": "user",
        "content": [
            TextBlockParam(type="text", text="See."),
            ImageBlockParam(type="image", source={"type": "url", "url": "https://x.invalid/a.png"}),
            ImageBlockParam(
                type="image",
                source={"type": "base64", "media_type": "image/png", "data": "AAE="},
            ),
            DocumentBlockParam(
                type="document",
                title="a.pdf",
                source={"type": "base64", "media_type": "application/pdf", "data": "AA=="},
            ),
            DocumentBlockParam(
                type="document", source={"type": "url", "url": "https://x.invalid/b.pdf"}
            ),
            DocumentBlockParam(
                type="document",
                title="c.txt",
                source={"type": "text", "media_type": "text/plain", "data": "Notes."},
            ),
        ],
    },
    {
        "role": "assistant",
        "content": [
            ThinkingBlockParam(type="thinking", thinking="Hm.", signature="s"),
            RedactedThinkingBlockParam(type="redacted_thinking", data="r"),
            TextBlockParam(type="text", text="So."),
            ToolUseBlockParam(type="tool_use", id="c", name="find", input={"a": 1}),
        ],
    },
    {
        "role": "user",
        "content": [
            ToolResultBlockParam(
                type="tool_result",
                tool_use_id="c",
                content=[
                    {"type": "text", "text": "2"},
                    {"type": "image", "source": {"type": "url", "url": "https://x.invalid/d.png"}},
                ],
            ),
            TextBlockParam(type="text", text="And?"),
        ],
    },
]
TOOLS = [ToolParam(name="find", description="Finds.", input_schema=SCHEMA, strict=True)]


def client_of(upstream: Upstream) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=upstream.url, api_key="key-of-fake", max_retries=0)


@pytest.fixture
def upstream(upstream: Upstream) -> Upstream:
    """A provider that speaks Anthropic's dialect, whose client adds `/v1` on its own."""
    return upstream.speak(answer_anthropic)


def normal(exchange: Exchange) -> dict[str, object]:
    """Return what was sent, where the client says by a default what we leave unsaid."""
    return {**exchange.json, "stream": exchange.json.get("stream", False)}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_same_request(upstream: Upstream, stream: bool) -> None:
    """The same call is the same request, to its last field and in all headers that matter."""
    await call_provider(DIALECT, upstream.url, REQUEST, stream=stream)
    async with client_of(upstream) as client:
        await client.messages.create(
            model="some-model",
            max_tokens=3000,
            system=[{"type": "text", "text": "Be brief."}],
            messages=MESSAGES,
            tools=TOOLS,
            tool_choice={"type": "auto", "disable_parallel_tool_use": True},
            thinking={"type": "enabled", "budget_tokens": 2048},
            output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}},
            stop_sequences=["END"],
            metadata={"user_id": "u"},
            service_tier="auto",
            stream=stream,
        )

    ours, theirs = upstream.exchanges
    assert normal(ours) == normal(theirs)
    assert (ours.method, ours.path) == (theirs.method, theirs.path) == ("POST", "/v1/messages")
    for name in ("x-api-key", "anthropic-version", "content-type"):
        assert ours.headers[name] == theirs.headers[name], name
    assert "authorization" not in ours.headers


async def test_same_parameters(upstream: Upstream) -> None:
    """What the client has no names for any more is sent as the API's version still takes it."""
    request = ModelRequest(
        model="some-model",
        messages=(Message(role="user", content=(Text("Hi"),)),),
        parameters=Parameters(temperature=0.5, top_p=0.9, top_k=3, reasoning_effort="high"),
        tools=(Tool(name="now"),),
        tool_choice=ToolChoice(tool_name="now"),
    )

    await call_provider(DIALECT, upstream.url, request)
    async with client_of(upstream) as client:
        await client.messages.create(
            model="some-model",
            max_tokens=4096,
            messages=[{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
            tools=[{"name": "now", "input_schema": {"type": "object"}}],
            tool_choice={"type": "tool", "name": "now"},
            output_config={"effort": "high"},
            extra_body={"temperature": 0.5, "top_p": 0.9, "top_k": 3},
        )

    ours, theirs = upstream.exchanges
    assert ours.json == theirs.json


async def test_whole_answer(upstream: Upstream) -> None:
    """The client reads the stand-in's whole answer as we do."""
    body = anthropic_answer(THINKING, REDACTED, TEXT, CALL, stop="tool_use")
    upstream.answer = answer_with(body)
    async with client_of(upstream) as client:
        theirs = await client.messages.create(
            model="m", max_tokens=9, messages=[{"role": "user", "content": "Hi"}]
        )

    check_same(theirs, DIALECT.parse(body).message)
    assert theirs.stop_reason == "tool_use"
    assert theirs.usage.cache_read_input_tokens == 3


async def test_streamed_answer(upstream: Upstream) -> None:
    """The client reads the stand-in's streamed answer as we do."""
    events = anthropic_stream(THINKING, REDACTED, TEXT, CALL, stop="tool_use")
    upstream.answer = stream_of(*events)
    async with (
        client_of(upstream) as client,
        client.messages.stream(
            model="m", max_tokens=9, messages=[{"role": "user", "content": "Hi"}]
        ) as stream,
    ):
        theirs = await stream.get_final_message()

    ours = Streams(DIALECT).assemble(b"".join(events))
    check_same(theirs, ours.message)
    assert ours.finish.usage is not None
    assert theirs.usage.output_tokens == ours.finish.usage.output_tokens == 7
    assert theirs.usage.input_tokens == 5


def check_same(theirs: anthropic.types.Message, ours: Message) -> None:
    """Fail unless the client's message says what ours does."""
    (turn,) = Requests(DIALECT).written(ours)
    assert turn["content"] == [block.to_dict() for block in theirs.content]


async def test_failures(upstream: Upstream) -> None:
    """The client knows the stand-in's failures by their types, in a response and in a stream."""
    async with client_of(upstream) as client:
        upstream.answer = answer_with(anthropic_error("overloaded_error"), status="529 Overloaded")
        with pytest.raises(anthropic.APIStatusError) as refused:
            await client.messages.create(model="m", max_tokens=9, messages=MESSAGES)
        upstream.answer = stream_of(anthropic_stream()[0], frame_error("api_error"))
        with pytest.raises(anthropic.APIStatusError) as failed:
            async for _ in await client.messages.create(
                model="m", max_tokens=9, messages=MESSAGES, stream=True
            ):
                pass

    assert (refused.value.status_code, refused.value.type) == (529, "overloaded_error")
    assert failed.value.type == "api_error"


def test_ends() -> None:
    """Every end that the client knows has a word of ours, but for that of tools on their side."""
    ends = ends_of(DIALECT, get_args(StopReason), lambda word: anthropic_answer(stop=word))

    assert ends == {
        "end_turn": "stop",
        "stop_sequence": "stop",
        "max_tokens": "length",
        "model_context_window_exceeded": "length",
        "tool_use": "tool_calls",
        "refusal": "refusal",
        "pause_turn": "other",
    }


def test_types_of_images() -> None:
    """Images are sent of the types that the client knows."""
    types = get_args(get_type_hints(Base64ImageSourceParam)["media_type"])

    for media_type in types:
        image = Media(kind="image", data=b"\x00", media_type=media_type)
        (turn,) = Requests(DIALECT).written(say("user", image))
        assert turn["content"][0]["source"]["media_type"] in types
    assert len(types) == 4
