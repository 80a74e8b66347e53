"""Responses in OpenAI's chat dialect: whole, streamed, and failed."""

from collections.abc import Mapping

import orjson

from ..answers import (
    Answer,
    Delta,
    Finish,
    FinishReason,
    Opened,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from ..errors import Reason
from ..parameters import Json
from ..prompts import Message, Part, Reasoning, Refusal, Text, ToolCall
from .dialect import InBandError, ProtocolError
from .sse import SseError, SseParser

_FINISH_REASONS: Mapping[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_MAX_WORD = 64

_REASONS_BY_CODE: Mapping[str, Reason] = {
    "context_length_exceeded": Reason.CONTEXT_LENGTH,
    "exceed_context_size_error": Reason.CONTEXT_LENGTH,
    "string_above_max_length": Reason.CONTEXT_LENGTH,
    "content_policy_violation": Reason.CONTENT_BLOCKED,
    "content_filter": Reason.CONTENT_BLOCKED,
    "insufficient_quota": Reason.UPSTREAM_QUOTA,
    "billing_hard_limit_reached": Reason.UPSTREAM_QUOTA,
    "model_not_found": Reason.MODEL_NOT_FOUND,
    "rate_limit_exceeded": Reason.UPSTREAM_RATE_LIMITED,
    "rate_limit_error": Reason.UPSTREAM_RATE_LIMITED,
    "overloaded_error": Reason.UPSTREAM_OVERLOADED,
    "engine_overloaded": Reason.UPSTREAM_OVERLOADED,
    "server_error": Reason.UPSTREAM_UNAVAILABLE,
    "service_unavailable": Reason.UPSTREAM_UNAVAILABLE,
}


def parse_answer(body: bytes) -> Answer:
    """Return a whole answer. Raises `ProtocolError` and `InBandError`."""
    answer = _load(body)
    choice = _first_choice(answer)
    message = _mapping(choice, "message")
    raw_reason = choice.get("finish_reason")
    if message is None or not isinstance(raw_reason, str):
        raise ProtocolError("expected a choice with a message and a finish reason")
    calls = tuple(_tool_call(call) for call in _items(message, "tool_calls"))
    refusal = _text(message, "refusal")
    return Answer(
        id=_text(answer, "id"),
        message=Message(role="assistant", content=_parts(message, refusal), tool_calls=calls),
        finish=Finish(
            reason=_finish_reason(raw_reason, called=bool(calls), refused=bool(refusal)),
            raw_reason=raw_reason[:_MAX_WORD],
            model=_text(answer, "model"),
            usage=_usage(_mapping(answer, "usage")),
        ),
    )


class OpenAIStreamReader:
    """A `StreamReader`. The answer has ended with a finish reason and `[DONE]`, and not before."""

    def __init__(self) -> None:
        self._events = SseParser()
        self._opened: Opened | None = None
        self._raw_reason: str | None = None
        self._usage: Usage | None = None
        self._model = ""
        self._calls: set[int] = set()
        self._refused = False
        self.finish: Finish | None = None
        self.chunks = 0
        self.characters = 0

    def feed(self, chunk: bytes) -> list[Delta]:
        """Return the deltas that the bytes complete; see `StreamReader.feed`."""
        if self.finish is not None:
            return []
        try:
            events = self._events.feed(chunk)
        except SseError as error:
            raise ProtocolError(str(error)) from None
        deltas: list[Delta] = []
        for event in events:
            if event == b"[DONE]":
                self._end()
                break
            self.chunks += 1
            self._take(_load(event), deltas)
        return _coalesce(deltas)

    def _end(self) -> None:
        if self._raw_reason is None:
            raise ProtocolError("expected a finish reason before the end")
        self.finish = Finish(
            reason=_finish_reason(
                self._raw_reason, called=bool(self._calls), refused=self._refused
            ),
            raw_reason=self._raw_reason[:_MAX_WORD],
            model=self._model,
            usage=self._usage,
        )

    def _take(self, event: Mapping[str, Json], deltas: list[Delta]) -> None:
        if self._opened is None:
            self._model = _text(event, "model")
            self._opened = Opened(id=_text(event, "id"), model=self._model)
            deltas.append(self._opened)
        usage = _usage(_mapping(event, "usage"))
        if usage is not None:
            self._usage = usage
        for choice in _items(event, "choices"):
            if choice.get("index", 0) != 0:
                continue
            self._take_delta(_mapping(choice, "delta") or {}, deltas)
            raw_reason = choice.get("finish_reason")
            if isinstance(raw_reason, str):
                self._raw_reason = raw_reason
                if raw_reason == "error":
                    raise ProtocolError("the answer ended in an error")

    def _take_delta(self, delta: Mapping[str, Json], deltas: list[Delta]) -> None:
        if thought := _reasoning(delta):
            self.characters += len(thought)
            deltas.append(ReasoningDelta(Reasoning(text=thought)))
        if text := _text(delta, "content"):
            self.characters += len(text)
            deltas.append(TextDelta(text))
        if refusal := _text(delta, "refusal"):
            self._refused = True
            deltas.append(RefusalDelta(refusal))
        deltas += [self._tool_call_delta(call) for call in _items(delta, "tool_calls")]

    def _tool_call_delta(self, call: Mapping[str, Json]) -> ToolCallDelta:
        function = _mapping(call, "function") or {}
        index = call.get("index", 0)
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < 2**31:
            raise ProtocolError("expected a tool call's index to be a whole number")
        # Some servers repeat the id and the name with every piece; they are told once.
        first = index not in self._calls
        self._calls.add(index)
        return ToolCallDelta(
            index=index,
            id=_text(call, "id") if first else "",
            name=_text(function, "name") if first else "",
            arguments_json=_text(function, "arguments"),
        )


def classify_error(status: int, body: bytes) -> Reason | None:
    """Return the reason that an error's body gives by one of its known codes, if it does."""
    try:
        document: Json = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    error = document.get("error") if isinstance(document, dict) else None
    return _reason_of(error) if isinstance(error, dict) else None


def _reason_of(error: Mapping[str, Json]) -> Reason | None:
    for name in ("code", "type"):
        word = error.get(name)
        if isinstance(word, str) and word in _REASONS_BY_CODE:
            return _REASONS_BY_CODE[word]
    return None


def _status_of(error: Mapping[str, Json]) -> int | None:
    code = error.get("code")
    return code if isinstance(code, int) and 400 <= code <= 599 else None


def _load(document: bytes) -> Mapping[str, Json]:
    """Read a JSON object that may report a failure in place of an answer."""
    try:
        value: Json = orjson.loads(document)
    except orjson.JSONDecodeError:
        raise ProtocolError("expected JSON") from None
    if not isinstance(value, dict):
        raise ProtocolError("expected a JSON object")
    error = value.get("error")
    if error:
        reason, status = (
            (_reason_of(error), _status_of(error)) if isinstance(error, dict) else (None, None)
        )
        if reason is None and status is None:
            raise ProtocolError("an error that is not known in place of an answer")
        raise InBandError(reason, status)
    return value


def _first_choice(answer: Mapping[str, Json]) -> Mapping[str, Json]:
    choices = _items(answer, "choices")
    if not choices:
        raise ProtocolError("expected a choice")
    return choices[0]


def _parts(message: Mapping[str, Json], refusal: str) -> tuple[Part, ...]:
    parts: list[Part] = []
    if thought := _reasoning(message):
        parts.append(Reasoning(text=thought))
    if text := _text(message, "content"):
        parts.append(Text(text))
    if refusal:
        parts.append(Refusal(refusal))
    return tuple(parts)


def _reasoning(message: Mapping[str, Json]) -> str:
    # Two names for the same thing; servers that send both send the same text in both.
    return _text(message, "reasoning_content") or _text(message, "reasoning")


def _tool_call(call: Mapping[str, Json]) -> ToolCall:
    function = _mapping(call, "function")
    if function is None or not _text(function, "name"):
        raise ProtocolError("expected a tool call with the tool's name")
    return ToolCall(
        id=_text(call, "id"),
        name=_text(function, "name"),
        arguments_json=_text(function, "arguments"),
    )


def _finish_reason(raw: str, *, called: bool, refused: bool) -> FinishReason:
    if raw == "error":
        raise ProtocolError("the answer ended in an error")
    if refused:
        return "refusal"
    if called and raw == "stop":
        return "tool_calls"
    return _FINISH_REASONS.get(raw, "other")


def _usage(usage: Mapping[str, Json] | None) -> Usage | None:
    if usage is None:
        return None
    prompt = _mapping(usage, "prompt_tokens_details") or {}
    completion = _mapping(usage, "completion_tokens_details") or {}
    return Usage(
        input_tokens=_count(usage, "prompt_tokens"),
        output_tokens=_count(usage, "completion_tokens"),
        cache_read_tokens=_count(prompt, "cached_tokens"),
        reasoning_tokens=_count(completion, "reasoning_tokens"),
    )


def _coalesce(deltas: list[Delta]) -> list[Delta]:
    """Join texts that follow each other: what arrived together travels together."""
    joined: list[Delta] = []
    for delta in deltas:
        last = joined[-1] if joined else None
        if isinstance(delta, TextDelta) and isinstance(last, TextDelta):
            joined[-1] = TextDelta(last.text + delta.text)
        else:
            joined.append(delta)
    return joined


def _count(source: Mapping[str, Json], name: str) -> int | None:
    value = source.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        return None
    return value


def _text(source: Mapping[str, Json], name: str) -> str:
    value = source.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ProtocolError(f"expected {name} to be text")
    return value


def _mapping(source: Mapping[str, Json], name: str) -> Mapping[str, Json] | None:
    value = source.get(name)
    if value is None or isinstance(value, dict):
        return value
    raise ProtocolError(f"expected {name} to be an object")


def _items(source: Mapping[str, Json], name: str) -> list[Mapping[str, Json]]:
    value = source.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise ProtocolError(f"expected {name} to be a list")
    items: list[Mapping[str, Json]] = [item for item in value if isinstance(item, dict)]
    if len(items) < len(value):
        raise ProtocolError(f"expected {name} to be objects")
    return items
