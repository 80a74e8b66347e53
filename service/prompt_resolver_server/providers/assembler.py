"""Makes a whole answer of a streamed one."""

from collections.abc import Sequence

from ..answers import (
    Answer,
    Delta,
    Finish,
    Opened,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)
from ..prompts import Message, Part, Reasoning, Refusal, Text, ToolCall


class Assembler:
    """Collects the deltas of one answer."""

    def __init__(self) -> None:
        self._id = ""
        self._texts: list[str] = []
        self._refusals: list[str] = []
        self._thoughts: list[Reasoning] = []
        self._calls: dict[int, list[ToolCallDelta]] = {}

    def add(self, deltas: Sequence[Delta]) -> None:
        """Take the next deltas."""
        for delta in deltas:
            match delta:
                case TextDelta():
                    self._texts.append(delta.text)
                case ToolCallDelta():
                    self._calls.setdefault(delta.index, []).append(delta)
                case ReasoningDelta():
                    self._thoughts.append(delta.reasoning)
                case RefusalDelta():
                    self._refusals.append(delta.text)
                case Opened():
                    self._id = delta.id

    def finish(self, finish: Finish) -> Answer:
        """Return the answer, which ended like this."""
        parts: list[Part] = []
        if self._thoughts:
            parts.append(_join_thoughts(self._thoughts))
        if self._texts:
            parts.append(Text("".join(self._texts)))
        if self._refusals:
            parts.append(Refusal("".join(self._refusals)))
        calls = tuple(_join_call(self._calls[index]) for index in sorted(self._calls))
        message = Message(role="assistant", content=tuple(parts), tool_calls=calls)
        return Answer(id=self._id, message=message, finish=finish)


def _join_thoughts(thoughts: list[Reasoning]) -> Reasoning:
    signed = [each.signature for each in thoughts if each.signature is not None]
    redacted = [each.redacted for each in thoughts if each.redacted is not None]
    return Reasoning(
        text="".join(each.text for each in thoughts),
        signature=b"".join(signed) if signed else None,
        redacted=b"".join(redacted) if redacted else None,
    )


def _join_call(deltas: list[ToolCallDelta]) -> ToolCall:
    signed = [each.signature for each in deltas if each.signature is not None]
    return ToolCall(
        id="".join(each.id for each in deltas),
        name="".join(each.name for each in deltas),
        arguments_json="".join(each.arguments_json for each in deltas),
        signature=b"".join(signed) if signed else None,
    )
