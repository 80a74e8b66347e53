"""Ids for tool calls that come without one, as some APIs know a call by its tool alone."""

import secrets
from collections.abc import Sequence

from msgspec.structs import replace

from ..domain.answers import Answer, Delta, ToolCallDelta

_DIGITS = 9
"""How many an id of ours has: Mistral's models take no others."""


def name_calls(answer: Answer) -> Answer:
    """Return an answer each of whose calls has an id, and one that no other call has."""
    message = answer.message
    if all(call.id for call in message.tool_calls):
        return answer
    calls = tuple(replace(call, id=call.id or _make_id()) for call in message.tool_calls)
    return replace(answer, message=replace(message, tool_calls=calls))


class CallNamer:
    """Does the same for an answer as it arrives."""

    def __init__(self) -> None:
        self._named: set[int] = set()

    def name(self, deltas: Sequence[Delta]) -> Sequence[Delta]:
        """Return deltas of which each that begins a call has an id."""
        for delta in deltas:
            if isinstance(delta, ToolCallDelta):
                break
        else:
            return deltas
        return [
            self._name(delta) if isinstance(delta, ToolCallDelta) else delta for delta in deltas
        ]

    def _name(self, delta: ToolCallDelta) -> ToolCallDelta:
        if delta.index in self._named:
            # It has been told another one.
            return replace(delta, id="") if delta.id else delta
        if delta.id or not delta.name:
            return delta
        self._named.add(delta.index)
        return replace(delta, id=_make_id())


def _make_id() -> str:
    return secrets.token_hex(_DIGITS)[:_DIGITS]
