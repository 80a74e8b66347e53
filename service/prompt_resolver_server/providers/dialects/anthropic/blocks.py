"""The content blocks of an answer in Anthropic's Messages dialect, whole or in pieces."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from ....domain.answers import Delta, ReasoningDelta, TextDelta, ToolCallDelta
from ....domain.json_codec import encode_json
from ....domain.parameters import Json
from ....domain.prompts import Reasoning
from ...dialect import ProtocolError
from ...wire.fields import read_mapping, read_text


class BlockDelta(msgspec.Struct):
    """What an event adds to a block."""

    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""


@dataclass(slots=True)
class _Block:
    """A block so far. `number` counts the tool calls; `arguments` is for one without pieces."""

    kind: str
    signature: str = field(default="", repr=False)
    number: int = 0
    arguments: str = field(default="", repr=False)


class BlockReader:
    """Makes deltas of the blocks of one answer. A whole block is one that begins and ends.

    Blocks of other kinds, and deltas of other types, are skipped: the API may add some.
    """

    def __init__(self) -> None:
        self._open: dict[int, _Block] = {}
        self._calls = 0

    def begin(self, index: int, content: Mapping[str, Json]) -> Delta | None:
        """Return what the beginning of a block tells. Raises `ProtocolError`."""
        if index in self._open:
            raise ProtocolError("expected a block to begin once")
        block = self._open[index] = _Block(read_text(content, "type"))
        match block.kind:
            case "text":
                return _text(read_text(content, "text"))
            case "thinking":
                block.signature = read_text(content, "signature")
                return _thought(read_text(content, "thinking"))
            case "redacted_thinking":
                data = read_text(content, "data").encode()
                return ReasoningDelta(Reasoning(redacted=data)) if data else None
            case "tool_use":
                return self._begin_call(block, content)
            case _:
                return None

    def add(self, index: int, delta: BlockDelta) -> Delta | None:
        """Return what a piece of a block tells. Raises `ProtocolError`."""
        block = self._find(index)
        match block.kind, delta.type:
            case "text", "text_delta":
                return _text(delta.text)
            case "thinking", "thinking_delta":
                return _thought(delta.thinking)
            case "thinking", "signature_delta":
                block.signature += delta.signature
                return None
            case "tool_use", "input_json_delta" if delta.partial_json:
                block.arguments = ""
                return ToolCallDelta(index=block.number, arguments_json=delta.partial_json)
            case _:
                return None

    def end(self, index: int) -> Delta | None:
        """Return what the end of a block tells. Raises `ProtocolError`."""
        block = self._find(index)
        del self._open[index]
        if block.signature:
            return ReasoningDelta(Reasoning(signature=block.signature.encode()))
        if block.arguments:
            return ToolCallDelta(index=block.number, arguments_json=block.arguments)
        return None

    def check_ended(self) -> None:
        """Raise `ProtocolError` if a block is incomplete."""
        if self._open:
            raise ProtocolError("expected every block to end")

    def _begin_call(self, block: _Block, content: Mapping[str, Json]) -> Delta:
        call_id, name = read_text(content, "id"), read_text(content, "name")
        if not call_id or not name:
            raise ProtocolError("expected a tool call with an id and the tool's name")
        block.arguments = encode_json(dict(read_mapping(content, "input") or {})).decode()
        block.number = self._calls
        self._calls += 1
        return ToolCallDelta(index=block.number, id=call_id, name=name)

    def _find(self, index: int) -> _Block:
        block = self._open.get(index)
        if block is None:
            raise ProtocolError("expected a block to begin first")
        return block


def _text(text: str) -> Delta | None:
    return TextDelta(text) if text else None


def _thought(text: str) -> Delta | None:
    return ReasoningDelta(Reasoning(text=text)) if text else None
