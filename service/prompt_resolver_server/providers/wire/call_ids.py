"""The ids of tool calls, which in a conversation may be another provider's."""

import hashlib
import re
from collections.abc import Sequence

from msgspec.structs import replace

from ...domain.prompts import Message, ToolCall

_TAKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NOT_TAKEN = re.compile(r"[^A-Za-z0-9_-]")
_KEPT = 47
_HASH_BYTES = 8


def spell_id(call_id: str) -> str:
    """Return an id of letters, digits, `_` and `-`, at most 64: itself if it is one.

    The same id is spelled the same everywhere, and no two are spelled alike.
    """
    if _TAKEN.fullmatch(call_id):
        return call_id
    digest = hashlib.blake2b(call_id.encode(), digest_size=_HASH_BYTES).hexdigest()
    return f"{_NOT_TAKEN.sub('_', call_id[:_KEPT])}_{digest}"


def tell_apart(messages: Sequence[Message]) -> Sequence[Message]:
    """Return messages no two calls of which have one id, as some APIs refuse that.

    A later call gets another, and so does its result, which is the one that comes after it.
    """
    ids = [call.id for message in messages for call in message.tool_calls]
    if len(ids) == len(set(ids)):
        return messages
    apart = _Apart()
    return [apart.take(message) for message in messages]


class _Apart:
    """Tells the calls of one conversation apart: by the ids that were given, and are awaited."""

    def __init__(self) -> None:
        self._given: set[str] = set()
        self._awaited: dict[str, list[str]] = {}
        self._last_role = ""

    def take(self, message: Message) -> Message:
        """Return the next message."""
        begins = message.role != self._last_role
        self._last_role = message.role
        if message.tool_calls:
            # Several messages of the assistant's in a row are one turn.
            if begins:
                self._awaited = {}
            return replace(message, tool_calls=tuple(map(self._take_call, message.tool_calls)))
        awaited = self._awaited.get(message.tool_call_id or "") if message.role == "tool" else None
        return replace(message, tool_call_id=awaited.pop(0)) if awaited else message

    def _take_call(self, call: ToolCall) -> ToolCall:
        call_id, number = call.id, 1
        while call_id in self._given:
            number += 1
            call_id = f"{call.id}_{number}"
        self._given.add(call_id)
        self._awaited.setdefault(call.id, []).append(call_id)
        return replace(call, id=call_id)
