"""Tool calls, as they arrive in pieces in OpenAI's chat dialect."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ....domain.answers import ToolCallDelta
from ....domain.parameters import Json
from ...dialect import ProtocolError
from ...wire.fields import read_mapping, read_text


@dataclass(slots=True)
class _Call:
    """A call so far. `held` are arguments that came before the name."""

    number: int
    id: str = ""
    name: str = ""
    held: str = field(default="", repr=False)


class ToolCallReader:
    """Tells the calls of one stream apart, and makes deltas of their pieces.

    Servers differ. Some repeat the id and the name with each piece, some make up another id for
    each, some send the name late, and some number no call, or all of them alike. A piece with a
    name, after the call has one, and with another id begins another call.
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_index: dict[int | None, _Call] = {}

    @property
    def any(self) -> bool:
        """Whether there are calls."""
        return bool(self._calls)

    def take(self, piece: Mapping[str, Json]) -> ToolCallDelta | None:
        """Return the delta for a piece, or None while its call has no name. Raises `ProtocolError`.

        The id and the name are told once.
        """
        function = read_mapping(piece, "function") or {}
        call_id, name = read_text(piece, "id"), read_text(function, "name")
        call = self._find(_read_index(piece), call_id, name)
        arguments = call.held + read_text(function, "arguments")
        new_id = call_id if not call.id else ""
        new_name = name if not call.name else ""
        call.id, call.name = call.id or call_id, call.name or name
        if not call.name:
            call.held = arguments
            return None
        told_id = call.id if new_name else new_id
        call.held = ""
        return ToolCallDelta(index=call.number, id=told_id, name=new_name, arguments_json=arguments)

    def end(self) -> None:
        """Raise `ProtocolError` if a call is incomplete."""
        if not all(call.name for call in self._calls):
            raise ProtocolError("expected a tool call with the tool's name")

    def _find(self, index: int | None, call_id: str, name: str) -> _Call:
        call = self._by_index.get(index)
        if call is None and index is None and self._calls and not name:
            call = self._calls[-1]
        if call is None or (name and call.name and call_id not in ("", call.id)):
            call = self._by_index[index] = _Call(len(self._calls))
            self._calls.append(call)
        return call


def _read_index(piece: Mapping[str, Json]) -> int | None:
    index = piece.get("index")
    if index is None:
        return None
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < 2**31:
        raise ProtocolError("expected a tool call's index to be a whole number")
    return index
