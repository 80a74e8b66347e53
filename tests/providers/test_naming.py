"""Calls of tools have ids by which their results find them, whoever made the calls."""

import re
from collections.abc import Awaitable, Callable

import pytest

from prompt_resolver_server.domain.answers import Delta, ModelRequest, Opened, ToolCallDelta
from prompt_resolver_server.domain.parameters import NO_PARAMETERS
from prompt_resolver_server.domain.prompts import Message, Text
from prompt_resolver_server.providers.dialect import Dialect
from prompt_resolver_server.providers.dialects.gemini import GeminiDialect
from prompt_resolver_server.providers.dialects.ollama import OllamaDialect
from prompt_resolver_server.providers.dialects.openai.dialect import OpenAIDialect
from prompt_resolver_server.providers.naming import CallNamer
from tests.support import gemini, ollama
from tests.support.remote import call_provider
from tests.support.upstream import Exchange, Upstream, openai_answer

REQUEST = ModelRequest(
    model="m", messages=(Message(role="user", content=(Text("Hi"),)),), parameters=NO_PARAMETERS
)


async def answer_as_ollama(exchange: Exchange) -> None:
    calls = [ollama.CALL, ollama.BARE_CALL]
    if exchange.json["stream"]:
        streamed = ollama.ollama_stream({"tool_calls": calls}, {"tool_calls": calls[1:]})
        await exchange.begin_stream(content_type=OllamaDialect.stream_type)
        await exchange.send(b"".join(streamed))
        exchange.writer.close()
    else:
        await exchange.send_response(ollama.ollama_answer("", tool_calls=calls))


async def answer_as_openai(exchange: Exchange) -> None:
    calls = [
        {"index": 0, "id": "", "function": {"name": "now", "arguments": "{}"}},
        {"index": 1, "id": "fc_1", "function": {"name": "find", "arguments": "{}"}},
    ]
    place = "delta" if exchange.json.get("stream") else "message"
    choice = {"index": 0, place: {"tool_calls": calls}, "finish_reason": "tool_calls"}
    answer = openai_answer(choices=[choice])
    if exchange.json.get("stream"):
        await exchange.begin_stream()
        await exchange.send(b"data: " + answer + b"\n\ndata: [DONE]\n\n")
        exchange.writer.close()
    else:
        await exchange.send_response(answer)


async def answer_as_gemini(exchange: Exchange) -> None:
    parts = gemini.CALL, gemini.BARE_CALL
    whole = gemini.gemini_answer(*parts, responseId=None)
    streamed = [gemini.frame(gemini.chunk(*parts, finish="STOP", responseId=None))]
    await gemini.send_gemini(exchange, whole, streamed)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("dialect", "answer"),
    [
        (OllamaDialect(), answer_as_ollama),
        (GeminiDialect(), answer_as_gemini),
        (OpenAIDialect(), answer_as_openai),
    ],
    ids=["ollama", "gemini", "openai"],
)
async def test_calls_without_ids(
    upstream: Upstream,
    dialect: Dialect,
    answer: Callable[[Exchange], Awaitable[None]],
    stream: bool,
) -> None:
    """Calls without ids get some, no two of which are alike in all of a conversation."""
    upstream.answer = answer
    url = upstream.url.removesuffix("/v1")

    turns = [await call_provider(dialect, url, REQUEST, stream=stream) for _ in range(3)]

    calls = [call for turn in turns for call in turn.message.tool_calls]
    made = [call.id for call in calls if call.name == "now"]
    assert len(made) >= 3
    assert all(re.fullmatch("[a-z0-9]{9}", each) for each in made)
    assert len(set(made)) == len(made)
    (own,) = {call.id for call in calls if call.name == "find"}
    assert own in ("call_a1b2", "fc_1")


def test_id_that_comes_late() -> None:
    """A call keeps the id that it was told by, though its provider tells another one later."""
    namer = CallNamer()
    begun = namer.name([Opened(id="", model="m"), ToolCallDelta(index=0, name="f")])
    late: list[Delta] = [
        ToolCallDelta(index=0, id="late", arguments_json="{}"),
        ToolCallDelta(index=1, id="own", name="g"),
        ToolCallDelta(index=1, arguments_json="{}"),
    ]

    named = begun[1]
    assert isinstance(named, ToolCallDelta)
    assert named.id
    assert namer.name(late) == [ToolCallDelta(index=0, arguments_json="{}"), *late[1:]]
