"""Makes a whole answer of a streamed one."""

from collections.abc import Sequence

from ..domain.answers import (
    Answer,
    Delta,
    Finish,
    Opened,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)
from ..domain.prompts import Message, Part, Reasoning, Refusal, Text, ToolCall

_PartDelta = TextDelta | ReasoningDelta | RefusalDelta


class Assembler:
    """Collects the deltas of one answer.

    Its parts keep their order. A signature ends the reasoning that it is for, and what only the
    provider can read is a part of its own, so that all of it can be sent back as it came.
    """

    def __init__(self) -> None:
        self._id = ""
        self._parts: list[list[_PartDelta]] = []
        self._calls: dict[int, list[ToolCallDelta]] = {}

    def add(self, deltas: Sequence[Delta]) -> None:
        """Take the next deltas."""
        for delta in deltas:
            match delta:
                case Opened():
                    self._id = delta.id
                case ToolCallDelta():
                    self._calls.setdefault(delta.index, []).append(delta)
                case _ if self._parts and _continues(self._parts[-1][-1], delta):
                    self._parts[-1].append(delta)
                case _:
                    self._parts.append([delta])

    def finish(self, finish: Finish) -> Answer:
        """Return the answer, which ended like this."""
        message = Message(
            role="assistant",
            content=tuple(_join_part(deltas) for deltas in self._parts),
            tool_calls=tuple(_join_call(self._calls[index]) for index in sorted(self._calls)),
        )
        return Answer(id=self._id, message=message, finish=finish)


def _continues(before: _PartDelta, delta: _PartDelta) -> bool:
    """Tell whether a delta belongs to the same part as the one before it."""
    match before, delta:
        case ReasoningDelta(reasoning=first), ReasoningDelta(reasoning=then):
            return first.signature is None and first.redacted is None and then.redacted is None
        case _:
            return type(before) is type(delta)


def _join_part(deltas: Sequence[_PartDelta]) -> Part:
    match deltas[0]:
        case TextDelta():
            return Text("".join(each.text for each in deltas if isinstance(each, TextDelta)))
        case RefusalDelta():
            return Refusal("".join(each.text for each in deltas if isinstance(each, RefusalDelta)))
        case ReasoningDelta():
            thoughts = [each.reasoning for each in deltas if isinstance(each, ReasoningDelta)]
            return Reasoning(
                text="".join(thought.text for thought in thoughts),
                signature=thoughts[-1].signature,
                redacted=thoughts[-1].redacted,
            )


def _join_call(deltas: list[ToolCallDelta]) -> ToolCall:
    signed = [each.signature for each in deltas if each.signature is not None]
    return ToolCall(
        id="".join(each.id for each in deltas),
        name="".join(each.name for each in deltas),
        arguments_json="".join(each.arguments_json for each in deltas),
        signature=b"".join(signed) if signed else None,
    )
