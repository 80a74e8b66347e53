"""The vendor's own client sends what we send, and understands what the stand-in answers."""

from collections.abc import AsyncIterator
from typing import Any, get_args

import cohere
import httpx
import pytest
from cohere.core.api_error import ApiError
from cohere.types import ChatFinishReason

from prompt_resolver_server.domain.answers import ModelRequest
from prompt_resolver_server.domain.parameters import Json, JsonSchema, Parameters, ResponseFormat
from prompt_resolver_server.domain.prompts import (
    Media,
    Message,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)
from prompt_resolver_server.providers.dialects.cohere import CohereDialect
from tests.support.cohere import (
    CALL,
    OTHER_CALL,
    TEXT,
    THINKING,
    answer_cohere,
    cohere_answer,
    cohere_error,
    cohere_stream,
    frame_end,
)
from tests.support.dialects.streams import Streams
from tests.support.ends import ends_of
from tests.support.remote import call_provider
from tests.support.upstream import Upstream, answer_with, stream_of

DIALECT = CohereDialect()
SCHEMA: dict[str, Json] = {"type": "object", "properties": {"a": {"type": "integer"}}}
NO_PARAMETERS_SCHEMA: dict[str, Json] = {"type": "object", "properties": {}}

REQUEST = ModelRequest(
    model="some-model",
    messages=(
        Message(role="developer", content=(Text("Be brief."),)),
        Message(
            role="user",
            content=(
                Text("See."),
                Media(kind="image", url="https://x.invalid/a.png", detail="low"),
                Media(kind="image", data=b"\x00\x01", media_type="image/png"),
            ),
        ),
        Message(role="assistant", content=(Reasoning(text="Hm."), Text("So."))),
        Message(role="user", content=(Text("And?"),)),
        Message(
            role="assistant",
            content=(Reasoning(text="I will look."),),
            tool_calls=(ToolCall(id="c", name="find", arguments_json='{"a": 1}'),),
        ),
        Message(role="tool", tool_call_id="c", content=(Text("2"), Text("3"))),
    ),
    parameters=Parameters(
        temperature=0.5,
        top_p=0.9,
        max_tokens=30,
        stop=("END",),
        presence_penalty=0.1,
        frequency_penalty=0.2,
        seed=7,
        top_k=3,
        reasoning_effort="500",
        response_format=ResponseFormat(
            type="json_schema", json_schema=JsonSchema(name="n", schema=SCHEMA)
        ),
        extra={"safety_mode": "STRICT", "logprobs": True, "priority": 3},
    ),
    tools=(
        Tool(name="find", description="Finds.", parameters=SCHEMA, strict=True),
        Tool(name="now"),
    ),
    tool_choice=ToolChoice(mode="required"),
)

MESSAGES: list[cohere.ChatMessageV2] = [
    cohere.SystemChatMessageV2(content="Be brief."),
    cohere.UserChatMessageV2(
        content=[
            cohere.TextContent(text="See."),
            cohere.ImageUrlContent(
                image_url=cohere.ImageUrl(url="https://x.invalid/a.png", detail="low")
            ),
            cohere.ImageUrlContent(image_url=cohere.ImageUrl(url="data:image/png;base64,AAE=")),
        ]
    ),
    cohere.AssistantChatMessageV2(
        content=[
            cohere.ThinkingAssistantMessageV2ContentOneItem(thinking="Hm."),
            cohere.TextAssistantMessageV2ContentOneItem(text="So."),
        ]
    ),
    cohere.UserChatMessageV2(content="And?"),
    cohere.AssistantChatMessageV2(
        tool_plan="I will look.",
        tool_calls=[
            cohere.ToolCallV2(
                id="c", function=cohere.ToolCallV2Function(name="find", arguments='{"a": 1}')
            )
        ],
    ),
    cohere.ToolChatMessageV2(
        tool_call_id="c",
        content=[cohere.TextToolContent(text="2"), cohere.TextToolContent(text="3")],
    ),
]
TOOLS = [
    cohere.ToolV2(
        function=cohere.ToolV2Function(name="find", description="Finds.", parameters=SCHEMA)
    ),
    cohere.ToolV2(function=cohere.ToolV2Function(name="now", parameters=NO_PARAMETERS_SCHEMA)),
]
CALL_OF_CLIENT: dict[str, Any] = {
    "model": "some-model",
    "messages": MESSAGES,
    "tools": TOOLS,
    "strict_tools": True,
    "tool_choice": "REQUIRED",
    "response_format": cohere.JsonObjectResponseFormatV2(json_schema=SCHEMA),
    "thinking": cohere.Thinking(type="enabled", token_budget=500),
    "temperature": 0.5,
    "p": 0.9,
    "k": 3,
    "max_tokens": 30,
    "stop_sequences": ["END"],
    "presence_penalty": 0.1,
    "frequency_penalty": 0.2,
    "seed": 7,
    "safety_mode": "STRICT",
    "logprobs": True,
    "priority": 3,
}
HI: list[cohere.ChatMessageV2] = [cohere.UserChatMessageV2(content="Hi")]


@pytest.fixture
def upstream(upstream: Upstream) -> Upstream:
    """A provider that speaks Cohere's dialect."""
    return upstream.speak(answer_cohere)


@pytest.fixture
async def client(upstream: Upstream) -> AsyncIterator[cohere.AsyncClientV2]:
    """The vendor's client."""
    async with httpx.AsyncClient() as connections:
        yield cohere.AsyncClientV2(
            api_key="key-of-fake", base_url=upstream.url, httpx_client=connections
        )


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_same_request(upstream: Upstream, client: cohere.AsyncClientV2, stream: bool) -> None:
    """The same call is the same request, to its last field and in all headers that matter."""
    await call_provider(DIALECT, upstream.url, REQUEST, stream=stream)
    if stream:
        assert [event async for event in client.chat_stream(**CALL_OF_CLIENT)]
    else:
        await client.chat(**CALL_OF_CLIENT)

    ours, theirs = upstream.exchanges
    assert ours.json == theirs.json
    assert (ours.method, ours.path) == (theirs.method, theirs.path) == ("POST", "/v2/chat")
    for name in ("authorization", "content-type"):
        assert ours.headers[name] == theirs.headers[name], name


async def test_same_small_request(upstream: Upstream, client: cohere.AsyncClientV2) -> None:
    """What is not set is sent by neither."""
    request = ModelRequest(
        model="m",
        messages=(Message(role="user", content=(Text("Hi"),)),),
        parameters=Parameters(
            reasoning_effort="none", response_format=ResponseFormat(type="json_object")
        ),
        tools=(Tool(name="now"),),
        tool_choice=ToolChoice(mode="none"),
    )

    await call_provider(DIALECT, upstream.url, request, stream=False)
    await client.chat(
        model="m",
        messages=HI,
        thinking=cohere.Thinking(type="disabled"),
        response_format=cohere.JsonObjectResponseFormatV2(),
        tools=TOOLS[1:],
        tool_choice="NONE",
    )

    ours, theirs = upstream.exchanges
    assert ours.json == theirs.json


async def test_whole_answer(upstream: Upstream, client: cohere.AsyncClientV2) -> None:
    """The client reads the stand-in's whole answer as we do."""
    body = cohere_answer(
        THINKING, TEXT, calls=(CALL, OTHER_CALL), plan="I will look.", stop="TOOL_CALL"
    )
    upstream.answer = answer_with(body)
    theirs = await client.chat(model="m", messages=HI)

    ours = DIALECT.parse(body)
    content = theirs.message.content or []
    check_same(
        ours.message,
        thought=(theirs.message.tool_plan or "")
        + "".join(part.thinking for part in content if part.type == "thinking"),
        text="".join(part.text for part in content if part.type == "text"),
        calls=[
            (call.id, call.function.name, call.function.arguments)
            for call in theirs.message.tool_calls or ()
            if call.function is not None
        ],
    )
    assert (theirs.id, theirs.finish_reason) == (ours.id, ours.finish.raw_reason)
    assert theirs.usage is not None
    assert theirs.usage.tokens is not None
    assert ours.finish.usage is not None
    assert theirs.usage.tokens.input_tokens == ours.finish.usage.input_tokens == 10
    assert theirs.usage.tokens.output_tokens == ours.finish.usage.output_tokens == 7
    assert theirs.usage.cached_tokens == ours.finish.usage.cache_read_tokens == 3


async def test_streamed_answer(upstream: Upstream, client: cohere.AsyncClientV2) -> None:
    """The client reads the stand-in's streamed answer as we do."""
    frames = cohere_stream(
        THINKING, TEXT, calls=(CALL, OTHER_CALL), plan="I will look.", stop="TOOL_CALL"
    )
    upstream.answer = stream_of(*frames)
    thought = text = ""
    calls: list[list[str | None]] = []
    events = [event async for event in client.chat_stream(model="m", messages=HI)]
    for event in events:
        match event:
            case cohere.ToolPlanDeltaV2ChatStreamResponse():
                thought += event.delta.message.tool_plan  # type: ignore[union-attr, operator]
            case cohere.ContentDeltaV2ChatStreamResponse():
                content = event.delta.message.content  # type: ignore[union-attr]
                thought += content.thinking or ""  # type: ignore[union-attr]
                text += content.text or ""  # type: ignore[union-attr]
            case cohere.ToolCallStartV2ChatStreamResponse():
                call = event.delta.message.tool_calls  # type: ignore[union-attr]
                calls.append([call.id, call.function.name, ""])  # type: ignore[union-attr]
            case cohere.ToolCallDeltaV2ChatStreamResponse():
                more = event.delta.message.tool_calls  # type: ignore[union-attr]
                calls[-1][2] += more.function.arguments  # type: ignore[union-attr, operator]

    ours = Streams(DIALECT).assemble(b"".join(frames))
    check_same(ours.message, thought=thought, text=text, calls=[tuple(call) for call in calls])
    assert len(events) == len(frames)
    last = events[-1]
    assert isinstance(last, cohere.MessageEndV2ChatStreamResponse)
    assert last.delta is not None
    assert last.delta.finish_reason == ours.finish.raw_reason == "TOOL_CALL"
    assert (
        ours.message
        == DIALECT.parse(
            cohere_answer(THINKING, TEXT, calls=(CALL, OTHER_CALL), plan="I will look.")
        ).message
    )


def check_same(
    ours: Message, *, thought: str, text: str, calls: list[tuple[str | None, ...]]
) -> None:
    """Fail unless the client's message says what ours does."""
    assert ours.content == (Reasoning(text=thought), Text(text))
    assert [(call.id, call.name, call.arguments_json) for call in ours.tool_calls] == calls
    assert len(calls) == 2


async def test_failures(upstream: Upstream, client: cohere.AsyncClientV2) -> None:
    """The client knows the stand-in's failures, in a response and in a stream."""
    upstream.answer = answer_with(cohere_error("no such model"), status="404 Not Found")
    with pytest.raises(cohere.NotFoundError) as refused:
        await client.chat(model="m", messages=HI)
    upstream.answer = stream_of(cohere_stream()[0], frame_end("ERROR", error="it broke"))
    events = [event async for event in client.chat_stream(model="m", messages=HI)]

    assert isinstance(refused.value, ApiError)
    assert refused.value.body == {"id": "error-1", "message": "no such model"}
    last = events[-1]
    assert isinstance(last, cohere.MessageEndV2ChatStreamResponse)
    assert last.delta is not None
    assert (last.delta.finish_reason, last.delta.error) == ("ERROR", "it broke")


def test_ends() -> None:
    """Every end that the client knows has a word of ours, or is none of an answer."""
    words = get_args(get_args(ChatFinishReason)[0])

    ends = ends_of(DIALECT, words, lambda word: cohere_answer(stop=word))

    assert ends == {
        "COMPLETE": "stop",
        "STOP_SEQUENCE": "stop",
        "MAX_TOKENS": "length",
        "TOOL_CALL": "tool_calls",
        "ERROR": "failure",
        "TIMEOUT": "failure",
    }
