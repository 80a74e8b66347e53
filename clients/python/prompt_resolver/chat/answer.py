"""The contract's answers in OpenAI's shape, whole and as the chunks of a stream.

Beside OpenAI's own fields a message carries `reasoning_content` and `thinking_blocks`, as LiteLLM
names what a model thought, and a call what its provider signed.
"""

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import StreamIncompleteError
from ..v1 import prompt_resolver_pb2 as pb
from .records import (
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    ChunkChoice,
    CompletionTokens,
    Cost,
    Delta,
    Function,
    FunctionDelta,
    Message,
    PromptTokens,
    Record,
    ServedPrompt,
    Signature,
    ToolCall,
    ToolCallDelta,
    Usage,
)

_FINISH_REASONS: Mapping[pb.FinishReason.ValueType, str] = {
    pb.FINISH_REASON_STOP: "stop",
    pb.FINISH_REASON_LENGTH: "length",
    pb.FINISH_REASON_TOOL_CALLS: "tool_calls",
    pb.FINISH_REASON_CONTENT_FILTER: "content_filter",
}
_CACHE_RESULTS = {
    value: name.removeprefix("CACHE_RESULT_").lower() for name, value in pb.CacheResult.items()
}


def write_answer(answer: pb.CompleteResponse) -> ChatCompletion:
    """Return a whole answer."""
    return ChatCompletion(
        id=_id(answer.id),
        object="chat.completion",
        created=int(time.time()),
        model=answer.model,
        choices=[
            Choice(
                index=0,
                message=_message(answer.message),
                logprobs=None,
                finish_reason=_finish_reason(answer.finish_reason, answer.raw_finish_reason),
            )
        ],
        usage=_usage(answer.usage) if answer.HasField("usage") else None,
        provider=answer.provider,
        prompt=_prompt(answer.prompt) if answer.HasField("prompt") else None,
        dropped_parameters=list(answer.dropped_parameters),
        cost=_cost(answer.cost) if answer.HasField("cost") else None,
    )


class ChunkWriter:
    """Writes one streamed answer."""

    def __init__(self, *, with_usage: bool) -> None:
        self._with_usage = with_usage
        self._head: dict[str, Any] = {}
        self._finished = False
        self._thoughts = _ThoughtWriter()

    def write(self, event: pb.CompleteStreamResponse) -> Sequence[ChatCompletionChunk]:
        """Return the chunks of an event; none for one that this version does not know."""
        match event.WhichOneof("event"):
            case "started":
                self._start(event.started)
                return [self._chunk(Delta(role="assistant", content=""))]
            case "text_delta":
                return [self._chunk(Delta(content=event.text_delta))]
            case "refusal_delta":
                return [self._chunk(Delta(refusal=event.refusal_delta))]
            case "reasoning_delta":
                return [self._chunk(Delta(self._thoughts.write(event.reasoning_delta)))]
            case "tool_call_delta":
                return [self._chunk(Delta(tool_calls=[_tool_call_delta(event.tool_call_delta)]))]
            case "finished":
                return self._finish(event.finished)
            case _:
                return []

    def end(self) -> None:
        """Note that nothing more comes. Raises `StreamIncompleteError` if that is not all."""
        if not self._finished:
            raise StreamIncompleteError

    def _start(self, started: pb.Started) -> None:
        self._head = {
            "id": _id(started.id),
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": started.model,
            "provider": started.provider,
            "prompt": _prompt(started.prompt) if started.HasField("prompt") else None,
        }

    def _finish(self, finished: pb.Finished) -> Sequence[ChatCompletionChunk]:
        self._finished = True
        reason = _finish_reason(finished.finish_reason, finished.raw_finish_reason)
        last = self._chunk(Delta(), reason)
        last.dropped_parameters = list(finished.dropped_parameters)
        if finished.HasField("cost"):
            last.cost = _cost(finished.cost)
        if not self._with_usage:
            return [last]
        usage = _usage(finished.usage) if finished.HasField("usage") else None
        return [last, ChatCompletionChunk(self._head, choices=[], usage=usage)]

    def _chunk(self, delta: Delta, finish_reason: str | None = None) -> ChatCompletionChunk:
        choice = ChunkChoice(index=0, delta=delta, logprobs=None, finish_reason=finish_reason)
        return ChatCompletionChunk(self._head, choices=[choice])


class _ThoughtWriter:
    """Tells the thoughts of a stream: their text as it comes, and each block when it is whole.

    Blocks have an index, by which OpenAI's own client adds up what it does not know.
    """

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._blocks = 0

    def write(self, thought: pb.Reasoning) -> dict[str, Any]:
        """Return the fields of a delta."""
        wire: dict[str, Any] = {}
        if thought.text:
            wire["reasoning_content"] = thought.text
            self._texts.append(thought.text)
        if thought.HasField("signature") or thought.HasField("redacted"):
            block = _thinking_block(thought, "".join(self._texts))
            wire["thinking_blocks"] = [Record(index=self._blocks, **block)]
            self._texts.clear()
            self._blocks += 1
        return wire


def _id(given: str) -> str:
    return given or f"chatcmpl-{secrets.token_hex(12)}"


def _message(message: pb.Message) -> Message:
    parts = message.content
    text = "".join(part.text for part in parts if part.HasField("text"))
    refusals = [part.refusal for part in parts if part.HasField("refusal")]
    wire = Message(role="assistant", content=text or None, refusal="".join(refusals) or None)
    if message.tool_calls:
        wire.tool_calls = [
            ToolCall(
                id=call.id,
                type="function",
                function=Function(name=call.name, arguments=call.arguments_json),
                **_signed(call),
            )
            for call in message.tool_calls
        ]
    elif not refusals:
        wire.content = text
    wire.update(_thoughts([part.reasoning for part in parts if part.HasField("reasoning")]))
    return wire


def _thoughts(thoughts: Sequence[pb.Reasoning]) -> dict[str, Any]:
    wire: dict[str, Any] = {}
    if text := "".join(thought.text for thought in thoughts):
        wire["reasoning_content"] = text
    if any(each.HasField("signature") or each.HasField("redacted") for each in thoughts):
        wire["thinking_blocks"] = [_thinking_block(thought, thought.text) for thought in thoughts]
    return wire


def _thinking_block(thought: pb.Reasoning, text: str) -> Record:
    if thought.HasField("redacted"):
        data = thought.redacted.decode("utf-8", "replace")
        return Record(type="redacted_thinking", data=data)
    signature = thought.signature.decode("utf-8", "replace")
    return Record(type="thinking", thinking=text, signature=signature)


def _tool_call_delta(delta: pb.ToolCallDelta) -> ToolCallDelta:
    function = FunctionDelta(arguments=delta.arguments_json_delta)
    if delta.name:
        function = FunctionDelta(name=delta.name, **function)
    call = ToolCallDelta(index=delta.index, **_signed(delta))
    if delta.id:
        call.update(id=delta.id, type="function")
    call.function = function
    return call


def _signed(call: pb.ToolCall | pb.ToolCallDelta) -> dict[str, Any]:
    """Return the field of a call that has its signature, if it has one."""
    if not call.HasField("signature"):
        return {}
    signature = call.signature.decode("utf-8", "replace")
    return {"provider_specific_fields": Signature(thought_signature=signature)}


def _finish_reason(reason: pb.FinishReason.ValueType, raw: str) -> str:
    if reason == pb.FINISH_REASON_REFUSAL:
        # OpenAI tells a refusal by the message, and an answer that was held back by a reason.
        return "stop" if raw == "stop" else "content_filter"
    return _FINISH_REASONS.get(reason, raw)


def _usage(usage: pb.Usage) -> Usage:
    wire = Usage()
    if usage.HasField("input_tokens"):
        wire.prompt_tokens = usage.input_tokens
    if usage.HasField("output_tokens"):
        wire.completion_tokens = usage.output_tokens
    if usage.HasField("input_tokens") and usage.HasField("output_tokens"):
        wire.total_tokens = usage.input_tokens + usage.output_tokens
    details = PromptTokens()
    if usage.HasField("cache_read_tokens"):
        details.cached_tokens = usage.cache_read_tokens
    if usage.HasField("cache_write_tokens"):
        details.cache_write_tokens = usage.cache_write_tokens
        wire.cache_creation_input_tokens = usage.cache_write_tokens
    if details:
        wire.prompt_tokens_details = details
    if usage.HasField("reasoning_tokens"):
        wire.completion_tokens_details = CompletionTokens(reasoning_tokens=usage.reasoning_tokens)
    return wire


def _cost(cost: pb.Cost) -> Cost:
    return Cost(usd=cost.usd, source=cost.source)


def _prompt(info: pb.PromptInfo) -> ServedPrompt:
    return ServedPrompt(
        id=info.id,
        name=info.name,
        store=info.store,
        version=info.version,
        environment=info.environment,
        content_sha256=info.content_sha256,
        cache=_CACHE_RESULTS.get(info.cache, ""),
        age=info.age.seconds + info.age.nanos / 1e9,
        stale=info.stale,
        reason=info.reason,
    )
