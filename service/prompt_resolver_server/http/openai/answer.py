"""Answers in the form of OpenAI's chat API, whole and as the chunks of a stream.

Beside OpenAI's own fields a message carries `reasoning_content` and `thinking_blocks`, as LiteLLM
names what a model thought, and a call what its provider signed.
"""

import secrets
import time
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from ...domain.answers import (
    Answer,
    Cost,
    Delta,
    Finish,
    Opened,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from ...domain.json_codec import encode_json
from ...domain.parameters import Json
from ...domain.prompts import Message, Reasoning, Refusal, ToolCall

DONE = b"data: [DONE]\n\n"


def write_answer(answer: Answer, name: str) -> bytes:
    """Return a whole answer; `name` is the model as the caller named it."""
    document: dict[str, Json] = {
        "id": _id(answer.id),
        "object": "chat.completion",
        "created": int(time.time()),
        "model": name or answer.finish.model,
        "choices": [
            {
                "index": 0,
                "message": _message(answer.message),
                "logprobs": None,
                "finish_reason": _finish_reason(answer.finish),
            }
        ],
    }
    if answer.finish.usage is not None:
        document["usage"] = _usage(answer.finish.usage)
    return encode_json(document)


class ChunkWriter:
    """Writes one streamed answer; `name` is the model as the caller named it."""

    def __init__(self, name: str, *, with_usage: bool) -> None:
        self._name = name
        self._with_usage = with_usage
        self._created = int(time.time())
        self._head = b""
        self._thoughts = _ThoughtWriter()

    def deltas(self, deltas: Sequence[Delta]) -> bytes:
        """Return the chunks of some deltas, the first of which is `Opened`."""
        return b"".join([self._delta(delta) for delta in deltas])

    def finish(self, finish: Finish, cost: Cost | None) -> bytes:
        """Return the chunks that end the answer.

        Headers have gone by then, so the cost is among the usage, where OpenRouter has it as well.
        """
        last = self._chunk({}, _finish_reason(finish))
        if self._with_usage:
            usage = _usage(finish.usage) if finish.usage is not None else None
            if usage is not None and cost is not None:
                usage["cost"] = cost.usd
            last += self._head + b'"choices":[],"usage":' + encode_json(usage) + b"}\n\n"
        return last + DONE

    def _delta(self, delta: Delta) -> bytes:
        match delta:
            case TextDelta():
                return self._chunk({"content": delta.text})
            case Opened():
                self._open(delta)
                return self._chunk({"role": "assistant", "content": ""})
            case ToolCallDelta():
                return self._chunk({"tool_calls": [_tool_call_delta(delta)]})
            case ReasoningDelta():
                return self._chunk(self._thoughts.write(delta.reasoning))
            case RefusalDelta():
                return self._chunk({"refusal": delta.text})

    def _open(self, opened: Opened) -> None:
        document: Json = {
            "id": _id(opened.id),
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._name or opened.model,
        }
        self._head = b"data: " + encode_json(document)[:-1] + b","

    def _chunk(self, delta: Mapping[str, Json], finish_reason: str | None = None) -> bytes:
        return b"".join(
            (
                self._head,
                b'"choices":[{"index":0,"delta":',
                encode_json(dict(delta)),
                b',"logprobs":null,"finish_reason":',
                encode_json(finish_reason),
                b"}]}\n\n",
            )
        )


class _ThoughtWriter:
    """Tells the thoughts of a stream: their text as it comes, and each block when it is whole.

    Blocks have an index, by which OpenAI's own client adds up what it does not know.
    """

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._blocks = 0

    def write(self, thought: Reasoning) -> dict[str, Json]:
        """Return the fields of a delta."""
        wire: dict[str, Json] = {}
        if thought.text:
            wire["reasoning_content"] = thought.text
            self._texts.append(thought.text)
        if thought.signature is not None or thought.redacted is not None:
            block = write_thought(replace(thought, text="".join(self._texts)))
            wire["thinking_blocks"] = [{"index": self._blocks, **block}]
            self._texts.clear()
            self._blocks += 1
        return wire


def _id(given: str) -> str:
    return given or f"chatcmpl-{secrets.token_hex(12)}"


def _message(message: Message) -> Json:
    wire: dict[str, Json] = {"role": "assistant", "content": message.text or None}
    refusals = [part.text for part in message.content if isinstance(part, Refusal)]
    wire["refusal"] = "".join(refusals) or None
    if message.tool_calls:
        wire["tool_calls"] = [_tool_call(call) for call in message.tool_calls]
    elif not refusals:
        wire["content"] = message.text
    return wire | write_thoughts([part for part in message.content if isinstance(part, Reasoning)])


def write_thoughts(thoughts: Sequence[Reasoning]) -> dict[str, Json]:
    """Return the fields of a message that tell what its model thought."""
    wire: dict[str, Json] = {}
    if text := "".join(thought.text for thought in thoughts):
        wire["reasoning_content"] = text
    if any(each.signature is not None or each.redacted is not None for each in thoughts):
        wire["thinking_blocks"] = [write_thought(thought) for thought in thoughts]
    return wire


def write_thought(thought: Reasoning) -> dict[str, Json]:
    """Return a thought as a block that its provider takes back."""
    if thought.redacted is not None:
        return {"type": "redacted_thinking", "data": thought.redacted.decode("utf-8", "replace")}
    signature = (thought.signature or b"").decode("utf-8", "replace")
    return {"type": "thinking", "thinking": thought.text, "signature": signature}


def _tool_call(call: ToolCall) -> Json:
    function: Json = {"name": call.name, "arguments": call.arguments_json}
    return {"id": call.id, "type": "function", "function": function} | _signed(call.signature)


def _tool_call_delta(delta: ToolCallDelta) -> Json:
    function: dict[str, Json] = {"arguments": delta.arguments_json}
    wire: dict[str, Json] = {"index": delta.index}
    if delta.id:
        wire |= {"id": delta.id, "type": "function"}
    if delta.name:
        function = {"name": delta.name, **function}
    return {**wire, "function": function} | _signed(delta.signature)


def _signed(signature: bytes | None) -> dict[str, Json]:
    """Return the field of a call that has its signature, if it has one."""
    if signature is None:
        return {}
    return {"provider_specific_fields": {"thought_signature": signature.decode("utf-8", "replace")}}


def _finish_reason(finish: Finish) -> str:
    match finish.reason:
        case "refusal":
            # OpenAI tells a refusal by the message, and an answer that was held back by a reason.
            return "stop" if finish.raw_reason == "stop" else "content_filter"
        case "other":
            return finish.raw_reason
        case reason:
            return reason


def _usage(usage: Usage) -> dict[str, Json]:
    wire: dict[str, Json] = {}
    if usage.input_tokens is not None:
        wire["prompt_tokens"] = usage.input_tokens
    if usage.output_tokens is not None:
        wire["completion_tokens"] = usage.output_tokens
    if usage.input_tokens is not None and usage.output_tokens is not None:
        wire["total_tokens"] = usage.input_tokens + usage.output_tokens
    details: dict[str, Json] = {}
    if usage.cache_read_tokens is not None:
        details["cached_tokens"] = usage.cache_read_tokens
    if usage.cache_write_tokens is not None:
        details["cache_write_tokens"] = usage.cache_write_tokens
        wire["cache_creation_input_tokens"] = usage.cache_write_tokens
    if details:
        wire["prompt_tokens_details"] = details
    if usage.reasoning_tokens is not None:
        wire["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return wire
