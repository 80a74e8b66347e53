"""The vendor's own client sends what we send, and understands what the stand-in answers."""

from typing import Literal, get_args

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from openai.types.chat.chat_completion import Choice

from prompt_resolver_server.domain.answers import ModelRequest
from prompt_resolver_server.domain.parameters import JsonSchema, Parameters, ResponseFormat
from prompt_resolver_server.domain.prompts import (
    Media,
    Message,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)
from prompt_resolver_server.providers.catalogue import CATALOGUE
from prompt_resolver_server.providers.dialects.openai import OpenAIDialect
from tests.support.dialects.openai import OPENAI
from tests.support.dialects.streams import Streams
from tests.support.ends import ends_of
from tests.support.remote import call_provider
from tests.support.upstream import Upstream, answer_with, openai_answer, stream_of

DIALECT = OpenAIDialect()
QUIRKS = CATALOGUE["openai"].quirks
SCHEMA: dict[str, object] = {"type": "object", "properties": {"a": {"type": "integer"}}}
HI: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hi"}]

REQUEST = ModelRequest(
    model="some-model",
    messages=(
        Message(role="system", content=(Text("Be brief."),)),
        Message(role="developer", content=(Text("Be"), Text("kind."))),
        Message(
            role="user",
            name="Ada",
            content=(
                Text("See."),
                Media(kind="image", url="https://x.invalid/a.png", detail="low"),
                Media(kind="image", data=b"\x00\x01", media_type="image/png"),
                Media(kind="audio", data=b"\x00\x01", media_type="audio/wav"),
                Media(kind="audio", data=b"\x00\x02", media_type="audio/mpeg"),
                Media(kind="file", data=b"\x00", media_type="application/pdf", filename="a.pdf"),
            ),
        ),
        Message(
            role="assistant",
            content=(Text("So."),),
            tool_calls=(ToolCall(id="c", name="find", arguments_json='{"a": 1}'),),
        ),
        Message(role="tool", tool_call_id="c", content=(Text("2"), Text("3"))),
        Message(role="assistant", content=(Refusal("No."),)),
        Message(role="user", content=(Text("And?"),)),
    ),
    parameters=Parameters(
        temperature=0.5,
        top_p=0.9,
        max_tokens=3000,
        stop=("END", "STOP"),
        presence_penalty=0.1,
        frequency_penalty=-0.1,
        seed=2**53 + 1,
        reasoning_effort="low",
        response_format=ResponseFormat(
            type="json_schema",
            json_schema=JsonSchema(name="n", schema={"type": "object"}, strict=True),
        ),
        parallel_tool_calls=False,
        extra={"logit_bias": {"1": -1}, "user": "u", "service_tier": "auto", "store": False},
    ),
    tools=(
        Tool(
            name="find",
            description="Finds.",
            parameters={"type": "object", "properties": {"a": {"type": "integer"}}},
            strict=True,
        ),
        Tool(name="now"),
    ),
    tool_choice=ToolChoice(tool_name="find"),
)

MESSAGES: list[ChatCompletionMessageParam] = [
    {"role": "system", "content": "Be brief."},
    {
        "role": "developer",
        "content": [{"type": "text", "text": "Be"}, {"type": "text", "text": "kind."}],
    },
    {
        "role": "user",
        "name": "Ada",
        "content": [
            {"type": "text", "text": "See."},
            {"type": "image_url", "image_url": {"url": "https://x.invalid/a.png", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAE="}},
            {"type": "input_audio", "input_audio": {"data": "AAE=", "format": "wav"}},
            {"type": "input_audio", "input_audio": {"data": "AAI=", "format": "mp3"}},
            {
                "type": "file",
                "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"},
            },
        ],
    },
    {
        "role": "assistant",
        "content": "So.",
        "tool_calls": [
            {
                "id": "c",
                "type": "function",
                "function": {"name": "find", "arguments": '{"a": 1}'},
            }
        ],
    },
    {
        "role": "tool",
        "tool_call_id": "c",
        "content": [{"type": "text", "text": "2"}, {"type": "text", "text": "3"}],
    },
    {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
    {"role": "user", "content": "And?"},
]
TOOLS: list[ChatCompletionToolParam] = [
    {
        "type": "function",
        "function": {
            "name": "find",
            "description": "Finds.",
            "parameters": SCHEMA,
            "strict": True,
        },
    },
    {"type": "function", "function": {"name": "now"}},
]


def client_of(upstream: Upstream) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=upstream.url, api_key="key-of-fake", max_retries=0)


async def test_same_request(upstream: Upstream) -> None:
    """The same call is the same request, to its last field and in all headers that matter."""
    await call_provider(DIALECT, upstream.url, REQUEST, stream=True, quirks=QUIRKS)
    async with client_of(upstream) as client:
        await client.chat.completions.create(
            model="some-model",
            messages=MESSAGES,
            temperature=0.5,
            top_p=0.9,
            max_completion_tokens=3000,
            stop=["END", "STOP"],
            presence_penalty=0.1,
            frequency_penalty=-0.1,
            seed=2**53 + 1,
            reasoning_effort="low",
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True},
            },
            parallel_tool_calls=False,
            logit_bias={"1": -1},
            user="u",
            service_tier="auto",
            store=False,
            tools=TOOLS,
            tool_choice={"type": "function", "function": {"name": "find"}},
            stream=True,
            stream_options={"include_usage": True},
        )

    ours, theirs = upstream.exchanges
    assert ours.json == theirs.json
    assert (ours.method, ours.path) == (theirs.method, theirs.path)
    for name in ("authorization", "content-type"):
        assert ours.headers[name] == theirs.headers[name], name


@pytest.mark.parametrize("mode", ["auto", "none", "required"])
async def test_same_whole_request(
    upstream: Upstream, mode: Literal["auto", "none", "required"]
) -> None:
    """What is asked for whole is the same request, too, however a tool is chosen."""
    request = ModelRequest(
        model="some-model",
        messages=(Message(role="user", content=(Text("Hi"),)),),
        parameters=Parameters(response_format=ResponseFormat(type="json_object")),
        tools=(Tool(name="now"),),
        tool_choice=ToolChoice(mode=mode),
    )

    await call_provider(DIALECT, upstream.url, request, quirks=QUIRKS)
    async with client_of(upstream) as client:
        await client.chat.completions.create(
            model="some-model",
            messages=HI,
            response_format={"type": "json_object"},
            tools=[{"type": "function", "function": {"name": "now"}}],
            tool_choice=mode,
        )

    ours, theirs = upstream.exchanges
    assert ours.json == theirs.json


async def test_whole_answer(upstream: Upstream) -> None:
    """The client reads the stand-in's whole answer as we do."""
    call = {"id": "c", "type": "function", "function": {"name": "find", "arguments": '{"a":1}'}}
    message = {"role": "assistant", "content": "Hi", "refusal": "No", "tool_calls": [call]}
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    body = openai_answer(
        choices=[{"index": 0, "message": message, "finish_reason": "tool_calls"}], usage=usage
    )
    upstream.answer = answer_with(body)
    async with client_of(upstream) as client:
        theirs = await client.chat.completions.create(model="m", messages=HI)

    ours = DIALECT.parse(body)
    said = theirs.choices[0].message
    assert ours.message.content == (Text(said.content or ""), Refusal(said.refusal or ""))
    assert [each.to_dict() for each in said.tool_calls or ()] == [call]
    assert ours.message.tool_calls == (ToolCall(id="c", name="find", arguments_json='{"a":1}'),)
    counted, told = ours.finish.usage, theirs.usage
    assert counted is not None
    assert told is not None
    assert (counted.input_tokens, counted.output_tokens) == (
        told.prompt_tokens,
        told.completion_tokens,
    )
    assert told.prompt_tokens_details is not None
    assert told.completion_tokens_details is not None
    assert counted.cache_read_tokens == told.prompt_tokens_details.cached_tokens
    assert counted.cache_write_tokens == told.prompt_tokens_details.cache_write_tokens
    assert counted.reasoning_tokens == told.completion_tokens_details.reasoning_tokens


async def test_streamed_answer(upstream: Upstream) -> None:
    """The client reads the stand-in's streamed answer as we do."""
    (recording,) = [each for each in OPENAI.recordings if each.name == "everything"]
    upstream.answer = stream_of(recording.body)
    async with (
        client_of(upstream) as client,
        client.chat.completions.stream(model="m", messages=HI) as stream,
    ):
        async for _ in stream:
            pass
        theirs = (await stream.get_final_completion()).choices[0]

    answer = Streams(DIALECT).assemble(recording.body)
    ours = answer.message
    assert ours.text == theirs.message.content
    assert [(each.id, each.name, each.arguments_json) for each in ours.tool_calls] == [
        (each.id, each.function.name, each.function.arguments)
        for each in theirs.message.tool_calls or ()
    ]
    assert answer.finish.raw_reason == theirs.finish_reason


def test_ends() -> None:
    """Every end that the client knows has a word of ours."""
    words = get_args(Choice.model_fields["finish_reason"].annotation)

    ends = ends_of(
        DIALECT, words, lambda word: openai_answer().replace(b'"stop"', f'"{word}"'.encode())
    )

    assert ends == {
        "stop": "stop",
        "length": "length",
        "tool_calls": "tool_calls",
        "function_call": "tool_calls",
        "content_filter": "content_filter",
    }
