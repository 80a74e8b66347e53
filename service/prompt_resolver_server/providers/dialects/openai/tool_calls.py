"""Tool calls in OpenAI's chat dialect: whole ones, and as they arrive in pieces."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ....domain.answers import ToolCallDelta
from ....domain.json_codec import JsonError, decode_json, encode_json
from ....domain.parameters import Json
from ....domain.prompts import ToolCall
from ...dialect import ProtocolError
from ...wire.fields import read_mapping, read_text

_MAX_DOUBTS = 8
"""How often it is looked whether a call's arguments are complete, which takes as long as they are.

Once is enough, unless a text in them is cut between two braces.
"""
_DIGITS = 10
"""How many the largest number of a call has."""


def read_call(call: Mapping[str, Json]) -> ToolCall:
    """Return a whole call. Raises `ProtocolError`."""
    function = read_mapping(call, "function")
    if function is None or not read_text(function, "name"):
        raise ProtocolError("expected a tool call with the tool's name")
    return ToolCall(
        id=_read_id(call),
        name=read_text(function, "name"),
        arguments_json=_read_arguments(function),
    )


@dataclass(slots=True)
class _Call:
    """A call so far. `named_again` tells that its name came, and no arguments since."""

    number: int
    id: str = ""
    name: str = ""
    arguments: bytearray = field(default_factory=bytearray, repr=False)
    told: bool = False
    named_again: bool = False
    doubts: int = 0

    def add(self, call_id: str, name: str, arguments: str) -> ToolCallDelta | None:
        """Take a piece, and return its delta, or None while the call has no name."""
        new_id = "" if self.id else call_id
        self.id, self.name = self.id or call_id, self.name or name
        self.arguments += arguments.encode()
        self.named_again = bool(name or self.named_again) and not arguments
        if self.told:
            return ToolCallDelta(index=self.number, id=new_id, arguments_json=arguments)
        if not self.name:
            return None
        self.told = True
        return ToolCallDelta(
            index=self.number,
            id=self.id,
            name=self.name,
            arguments_json=self.arguments.decode(),
        )

    def ends_before(self, call_id: str, name: str, arguments: str, *, listed: bool) -> bool:
        """Tell whether a piece is of another call. `listed` is one further on in the same list."""
        if not self.name:
            return False
        if name and (name != self.name or call_id not in ("", self.id) or (listed and not call_id)):
            return True
        if call_id or not (name or self.named_again):
            return False
        return arguments.startswith("{") and self._is_complete()

    def _is_complete(self) -> bool:
        """Tell whether the arguments are a whole object."""
        if not self.arguments.endswith(b"}") or self.doubts == _MAX_DOUBTS:
            return False
        self.doubts += 1
        try:
            return isinstance(decode_json(bytes(self.arguments)), dict)
        except JsonError:
            return False


class ToolCallReader:
    """Tells the calls of one stream apart, and makes deltas of their pieces.

    Servers differ. Some repeat the id and the name with each piece, some make up another id for
    each, some send the name late, some send no ids, and some number no call, or all of them alike.
    What begins another call, after the call before it has a name, is a name: another one, one with
    another id, one further on in a list that numbers none, and the same once the arguments are
    complete.
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._by_index: dict[int | None, _Call] = {}

    @property
    def any(self) -> bool:
        """Whether there are calls."""
        return bool(self._calls)

    def take(self, pieces: Sequence[Mapping[str, Json]]) -> list[ToolCallDelta]:
        """Return the deltas for the pieces of one event. Raises `ProtocolError`.

        The id and the name of a call are told once; it waits for its name.
        """
        deltas = []
        for place, piece in enumerate(pieces):
            function = read_mapping(piece, "function") or {}
            index, call_id, name = _read_index(piece), _read_id(piece), read_text(function, "name")
            arguments = _read_arguments(function)
            listed = place > 0 and index is None
            call = self._by_index.get(index)
            if call is None and index is None and self._calls and not name:
                call = self._calls[-1]
            if call is None or call.ends_before(call_id, name, arguments, listed=listed):
                name = name or (call.name if call is not None else "")
                call = self._by_index[index] = _Call(len(self._calls))
                self._calls.append(call)
            if (delta := call.add(call_id, name, arguments)) is not None:
                deltas.append(delta)
        return deltas

    def end(self) -> None:
        """Raise `ProtocolError` if a call has no name."""
        if not all(call.name for call in self._calls):
            raise ProtocolError("expected a tool call with the tool's name")


def _read_index(piece: Mapping[str, Json]) -> int | None:
    index = piece.get("index")
    if index is None:
        return None
    if isinstance(index, str) and index.isascii() and index.isdecimal() and len(index) <= _DIGITS:
        index = int(index)
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < 2**31:
        raise ProtocolError("expected a tool call's index to be a whole number")
    return index


def _read_id(call: Mapping[str, Json]) -> str:
    call_id = call.get("id")
    if isinstance(call_id, int) and not isinstance(call_id, bool):
        return str(call_id)
    return read_text(call, "id")


def _read_arguments(function: Mapping[str, Json]) -> str:
    """Return a call's arguments as text, which some send as the object that they are."""
    arguments = function.get("arguments")
    if isinstance(arguments, dict):
        return encode_json(arguments).decode()
    return read_text(function, "arguments")
