"""What the Messages API has and OpenAI's has not, by way of the HTTP door."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from tests.support.anthropic import CALL, REDACTED, SIGNATURE, THINKING, anthropic_answer
from tests.support.anthropic import anthropic_stream as stream_of
from tests.support.http import Document, HttpDoor
from tests.support.service import running_service
from tests.support.upstream import Exchange, Upstream

SAID = {"role": "user", "content": "Find it"}
TOOL = {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}
BLOCKS = [
    {"type": "thinking", "thinking": "Hm, well.", "signature": SIGNATURE},
    {"type": "redacted_thinking", "data": "c2VhbGVk=="},
]


@pytest.fixture
async def claude(tmp_path: Path, upstream: Upstream) -> AsyncIterator[HttpDoor]:
    """The door, with the alias `claude`."""
    config = f"""
providers: {{anthropic: {{base_url: '{upstream.url.removesuffix("/v1")}', api_key: key-of-it}}}}
model_list: [{{model_name: claude, litellm_params: {{model: anthropic/claude-x}}}}]
"""
    async with running_service(tmp_path, config) as service:
        yield HttpDoor(service.http_url)


def message_of(document: Document) -> Document:
    match document["choices"]:
        case [{"message": dict(message)}]:
            return message
        case other:
            raise AssertionError(other)


async def test_thoughts_go_there_and_back(claude: HttpDoor, upstream: Upstream) -> None:
    """What a model thought is answered with its signature, and can be sent back as it came."""

    async def answer(exchange: Exchange) -> None:
        body = anthropic_answer(THINKING, REDACTED, CALL, stop="tool_use")
        await exchange.send_response(body)

    upstream.answer = answer
    first = await claude.chat(model="claude", messages=[SAID], tools=[TOOL])
    message = message_of(first.json)
    found = {"role": "tool", "tool_call_id": "toolu_1", "content": "found"}

    await claude.chat(model="claude", messages=[SAID, message, found], tools=[TOOL])

    assert message["reasoning_content"] == "Hm, well."
    assert message["thinking_blocks"] == BLOCKS
    match upstream.exchanges[-1].json["messages"]:
        case [_, {"role": "assistant", "content": list(blocks)}, {"content": [result]}]:
            assert blocks == [THINKING, REDACTED, CALL]
            assert (result["type"], result["tool_use_id"]) == ("tool_result", "toolu_1")
        case other:
            raise AssertionError(other)


async def test_thoughts_are_streamed(claude: HttpDoor, upstream: Upstream) -> None:
    """A stream has the thoughts as they come, each signature, and the calls."""

    async def answer(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.send(b"".join(stream_of(THINKING, REDACTED, CALL, stop="tool_use")))
        exchange.writer.close()

    upstream.answer = answer

    answered = await claude.chat(model="claude", messages=[SAID], tools=[TOOL], stream=True)

    text, signatures, sealed, arguments = "", [], [], ""
    for chunk in answered.chunks:
        match chunk["choices"]:
            case [{"delta": {"tool_calls": [call]}}]:
                arguments += call["function"]["arguments"]
            case [{"delta": dict(delta)}]:
                text += delta.get("reasoning_content", "")
                blocks = delta.get("thinking_blocks", [])
                signatures += [each["signature"] for each in blocks if "signature" in each]
                sealed += [each["data"] for each in blocks if "data" in each]
    assert (text, signatures, sealed) == ("Hm, well.", [SIGNATURE], ["c2VhbGVk=="])
    assert json.loads(arguments) == CALL["input"]
    assert answered.events[-1] == "[DONE]"


async def test_the_client_adds_up_thoughts(claude: HttpDoor, upstream: Upstream) -> None:
    """What OpenAI's own client adds up of a stream goes back as what the model thought."""

    async def answer(exchange: Exchange) -> None:
        blocks = (THINKING, REDACTED, THINKING, CALL)
        await exchange.begin_stream()
        await exchange.send(b"".join(stream_of(*blocks, stop="tool_use")))
        exchange.writer.close()

    upstream.answer = answer
    said: ChatCompletionMessageParam = {"role": "user", "content": "Find it"}
    tool: ChatCompletionToolParam = {"type": "function", "function": {"name": "find"}}
    async with (
        openai.AsyncOpenAI(api_key="anything", base_url=claude.url, max_retries=0) as client,
        client.chat.completions.stream(model="claude", messages=[said], tools=[tool]) as stream,
    ):
        message = (await stream.get_final_completion()).choices[0].message.to_dict()
    found = {"role": "tool", "tool_call_id": "toolu_1", "content": "found"}
    await claude.chat(model="claude", messages=[SAID, message, found], tools=[TOOL])

    match upstream.exchanges[-1].json["messages"]:
        case [_, {"role": "assistant", "content": list(blocks)}, _]:
            assert blocks == [THINKING, REDACTED, THINKING, CALL]
        case other:
            raise AssertionError(other)


async def test_a_refusal_is_no_success(claude: HttpDoor, upstream: Upstream) -> None:
    """An answer that the model refuses to go on with is told as one that was held back."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send_response(anthropic_answer(stop="refusal"))

    upstream.answer = answer

    answered = await claude.chat(model="claude", messages=[SAID])

    match answered.json["choices"]:
        case [{"finish_reason": reason}]:
            assert reason == "content_filter"
        case other:
            raise AssertionError(other)


async def test_a_bare_system_prompt_needs_a_message(claude: HttpDoor, upstream: Upstream) -> None:
    """What the provider would refuse for want of a message is told before it is sent."""
    system = {"role": "system", "content": "Be brief."}

    answered = await claude.chat(model="claude", messages=[system])

    assert (answered.status, answered.error["reason"]) == (400, "MESSAGES_MISSING")
    assert upstream.exchanges == []


async def test_a_thought_without_a_signature(claude: HttpDoor, upstream: Upstream) -> None:
    """A thought that nobody signed can be sent back as it came; the provider takes signed ones."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send_response(anthropic_answer())

    upstream.answer = answer
    blocks = [{"type": "thinking", "thinking": "Hm.", "signature": ""}, *BLOCKS]
    message = {"role": "assistant", "content": "Hello", "thinking_blocks": blocks}

    answered = await claude.chat(model="claude", messages=[SAID, message, SAID])

    assert answered.status == 200
    match upstream.exchanges[-1].json["messages"]:
        case [_, {"content": [*thoughts, {"type": "text"}]}, _]:
            assert thoughts == [THINKING, REDACTED]
        case other:
            raise AssertionError(other)
