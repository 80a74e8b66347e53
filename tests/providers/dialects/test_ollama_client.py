"""The vendor's own client sends what we send, and understands what the stand-in answers."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import ollama
import pytest

from prompt_resolver_server.domain.answers import ModelRequest
from prompt_resolver_server.domain.parameters import Json, JsonSchema, Parameters, ResponseFormat
from prompt_resolver_server.domain.prompts import Media, Message, Reasoning, Text, Tool, ToolCall
from prompt_resolver_server.providers.dialects.ollama import OllamaDialect
from prompt_resolver_server.providers.wire.ndjson import NDJSON
from tests.support.dialects.streams import Streams
from tests.support.ollama import (
    BARE_CALL,
    CALL,
    Fields,
    answer_ollama,
    ollama_answer,
    ollama_error,
    ollama_stream,
)
from tests.support.remote import call_provider
from tests.support.upstream import Upstream, answer_with

DIALECT = OllamaDialect()
PNG = b"\x89PNG\r\n\x1a\n\x00"
SCHEMA: dict[str, Json] = {"type": "object", "properties": {"a": {"type": "integer"}}}

REQUEST = ModelRequest(
    model="some-model",
    messages=(
        Message(role="developer", content=(Text("Be "), Text("brief."))),
        Message(
            role="user",
            content=(
                Text("See."),
                Media(kind="image", data=PNG, media_type="image/png"),
                Media(kind="image", url="data:image/png;base64,iVBORw0KGgoA"),
            ),
        ),
        Message(
            role="assistant",
            content=(Reasoning(text="Hm."), Text("So.")),
            tool_calls=(ToolCall(id="c", name="find", arguments_json='{"a": 1}'),),
        ),
        Message(role="tool", tool_call_id="c", content=(Text("2"),)),
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
        reasoning_effort="high",
        response_format=ResponseFormat(
            type="json_schema", json_schema=JsonSchema(name="n", schema=SCHEMA)
        ),
        extra={"keep_alive": "5m", "num_ctx": 2048, "logprobs": True, "top_logprobs": 2},
    ),
    tools=(Tool(name="find", description="Finds.", parameters=SCHEMA), Tool(name="now")),
)

MESSAGES: list[Mapping[str, object]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "See.", "images": [PNG, "iVBORw0KGgoA"]},
    {
        "role": "assistant",
        "thinking": "Hm.",
        "content": "So.",
        "tool_calls": [{"function": {"name": "find", "arguments": {"a": 1}}}],
    },
    {"role": "tool", "tool_name": "find", "content": "2"},
]
TOOLS: list[Mapping[str, object]] = [
    {
        "type": "function",
        "function": {"name": "find", "description": "Finds.", "parameters": SCHEMA},
    },
    {
        "type": "function",
        "function": {"name": "now", "parameters": {"type": "object", "properties": {}}},
    },
]
OPTIONS = ollama.Options(
    temperature=0.5,
    top_p=0.9,
    num_predict=30,
    stop=["END"],
    presence_penalty=0.1,
    frequency_penalty=0.2,
    seed=7,
    top_k=3,
    num_ctx=2048,
)
CALL_OF_CLIENT: dict[str, Any] = {
    "model": "some-model",
    "messages": MESSAGES,
    "tools": TOOLS,
    "format": SCHEMA,
    "think": "high",
    "options": OPTIONS,
    "keep_alive": "5m",
    "logprobs": True,
    "top_logprobs": 2,
}
HI: list[Mapping[str, object]] = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def upstream(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> Upstream:
    """A server that speaks Ollama's dialect, and a key for the vendor's client."""
    monkeypatch.setenv("OLLAMA_API_KEY", "key-of-fake")
    return upstream.speak(answer_ollama)


@pytest.fixture
async def client(upstream: Upstream) -> AsyncIterator[ollama.AsyncClient]:
    """The vendor's client."""
    async with ollama.AsyncClient(host=upstream.url) as client:
        yield client


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_same_request(upstream: Upstream, client: ollama.AsyncClient, stream: bool) -> None:
    """The same call is the same request, to its last field, but for the ids of tool calls.

    The server has them, and its client knows nothing of them.
    """
    await call_provider(DIALECT, upstream.url, REQUEST, stream=stream)
    if stream:
        assert [part async for part in await client.chat(**CALL_OF_CLIENT, stream=True)]
    else:
        await client.chat(**CALL_OF_CLIENT)

    ours, theirs = upstream.exchanges
    assert without_ids(ours.json) == theirs.json
    assert (ours.method, ours.path) == (theirs.method, theirs.path) == ("POST", "/api/chat")
    for name in ("authorization", "content-type"):
        assert ours.headers[name] == theirs.headers[name], name


def without_ids(body: dict[str, object]) -> dict[str, object]:
    messages = body["messages"]
    assert isinstance(messages, list)
    assert messages[2]["tool_calls"][0].pop("id") == messages[3].pop("tool_call_id") == "c"
    return body


async def test_same_small_request(upstream: Upstream, client: ollama.AsyncClient) -> None:
    """What is not set is sent by neither."""
    request = ModelRequest(
        model="m",
        messages=(Message(role="user", content=(Text("Hi"),)),),
        parameters=Parameters(
            reasoning_effort="none", response_format=ResponseFormat(type="json_object")
        ),
    )

    await call_provider(DIALECT, upstream.url, request, stream=False)
    await client.chat(model="m", messages=HI, think=False, format="json")

    ours, theirs = upstream.exchanges
    assert {"tools": [], **ours.json} == theirs.json


async def test_whole_answer(upstream: Upstream, client: ollama.AsyncClient) -> None:
    """The client reads the stand-in's whole answer as we do."""
    body = ollama_answer(thinking="Hm, wéll.", tool_calls=[CALL, BARE_CALL])
    upstream.answer = answer_with(body)

    theirs = await client.chat(model="m", messages=HI)

    ours = DIALECT.parse(body)
    check_same(theirs.message.model_dump(exclude_none=True), ours.message)
    assert ours.finish.usage is not None
    assert theirs.prompt_eval_count == ours.finish.usage.input_tokens == 10
    assert theirs.eval_count == ours.finish.usage.output_tokens == 7
    assert theirs.done_reason == ours.finish.raw_reason == "stop"
    assert theirs.model == ours.finish.model


async def test_streamed_answer(upstream: Upstream, client: ollama.AsyncClient) -> None:
    """The client reads the stand-in's streamed answer as we do."""
    lines = ollama_stream(
        {"thinking": "Hm, "},
        {"thinking": "wéll."},
        {"content": "Hel"},
        {"content": "lo"},
        {"tool_calls": [CALL]},
        {"tool_calls": [BARE_CALL]},
        stop="length",
    )
    upstream.answer = answer_with(b"".join(lines), content_type=NDJSON)

    parts = [part async for part in await client.chat(model="m", messages=HI, stream=True)]

    ours = Streams(DIALECT).assemble(b"".join(lines))
    theirs: Fields = {
        "role": "assistant",
        "thinking": "".join(part.message.thinking or "" for part in parts),
        "content": "".join(part.message.content or "" for part in parts),
        "tool_calls": [
            call.model_dump() for part in parts for call in part.message.tool_calls or ()
        ],
    }
    check_same(theirs, ours.message)
    assert [part.done for part in parts] == [False] * 6 + [True]
    assert parts[-1].done_reason == ours.finish.raw_reason == "length"


def check_same(theirs: Mapping[str, object], ours: Message) -> None:
    """Fail unless the client's message says what ours does."""
    thought, said = ours.content
    assert isinstance(thought, Reasoning)
    assert isinstance(said, Text)
    assert theirs == {
        "role": ours.role,
        "thinking": thought.text,
        "content": said.text,
        "tool_calls": [
            {"function": {"name": "find", "arguments": {"a": [1, 2]}}},
            {"function": {"name": "now", "arguments": {}}},
        ],
    }
    assert [(call.id, call.name, call.arguments_json) for call in ours.tool_calls] == [
        ("call_a1b2", "find", '{"a":[1,2]}'),
        ("", "now", "{}"),
    ]


async def test_failures(upstream: Upstream, client: ollama.AsyncClient) -> None:
    """The client knows the stand-in's failures, in a response and in a stream."""
    unknown = ollama_error("model 'm' not found")

    upstream.answer = answer_with(unknown, status="404 Not Found")
    with pytest.raises(ollama.ResponseError) as refused:
        await client.chat(model="m", messages=HI)
    upstream.answer = answer_with(ollama_stream({"content": "a"})[0] + unknown, content_type=NDJSON)
    with pytest.raises(ollama.ResponseError) as failed:
        async for _ in await client.chat(model="m", messages=HI, stream=True):
            pass

    assert (refused.value.status_code, refused.value.error) == (404, "model 'm' not found")
    assert failed.value.error == "model 'm' not found"
