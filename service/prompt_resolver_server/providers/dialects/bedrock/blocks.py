"""The content blocks of an answer in Bedrock's Converse dialect, whole or in pieces.

Blocks of other kinds are skipped: the API may add some. So are the calls of tools that it has run
itself, which are no business of the caller's.
"""

from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ....domain.answers import Delta, ReasoningDelta, TextDelta, ToolCallDelta
from ....domain.json_codec import encode_json
from ....domain.prompts import Reasoning
from ...dialect import ProtocolError


class ToolUse(msgspec.Struct, rename="camel"):
    """A call of a tool: whole, or as it begins."""

    tool_use_id: str
    name: str
    input: dict[str, Any] = {}
    type: str = ""


class BlockStart(msgspec.Struct, rename="camel"):
    """How a block begins. One of text or of reasoning has no beginning of its own."""

    tool_use: ToolUse | None = None


class ReasoningPiece(msgspec.Struct, rename="camel"):
    """A piece of reasoning."""

    text: str = ""
    signature: str = ""
    redacted_content: bytes = b""


class ToolUsePiece(msgspec.Struct):
    """A piece of a tool's arguments."""

    input: str = ""


class BlockDelta(msgspec.Struct, rename="camel"):
    """What an event adds to a block."""

    text: str = ""
    reasoning_content: ReasoningPiece | None = None
    tool_use: ToolUsePiece | None = None


class _ReasoningContent(msgspec.Struct, rename="camel"):
    reasoning_text: ReasoningPiece | None = None
    redacted_content: bytes = b""


class _CitedText(msgspec.Struct):
    text: str = ""


class _CitationsContent(msgspec.Struct):
    content: list[_CitedText] = []


class ContentBlock(msgspec.Struct, rename="camel"):
    """A whole block."""

    text: str = ""
    reasoning_content: _ReasoningContent | None = None
    tool_use: ToolUse | None = None
    citations_content: _CitationsContent | None = None


@dataclass(slots=True)
class _Block:
    """A block so far. `number` counts the tool calls; it is None for what is none of ours."""

    number: int | None = None
    has_arguments: bool = False
    signature: str = field(default="", repr=False)
    redacted: bytes = field(default=b"", repr=False)


class BlockReader:
    """Makes deltas of the blocks of one answer."""

    def __init__(self) -> None:
        self._open: dict[int, _Block] = {}
        self._calls = 0

    def read(self, index: int, content: ContentBlock) -> list[Delta]:
        """Return what a whole block tells, as if it had been streamed."""
        pieces = [BlockDelta(text=content.text)]
        if content.citations_content is not None:
            pieces += [BlockDelta(text=each.text) for each in content.citations_content.content]
        if (thought := content.reasoning_content) is not None:
            redacted = ReasoningPiece(redacted_content=thought.redacted_content)
            pieces.append(BlockDelta(reasoning_content=thought.reasoning_text or redacted))
        told: list[Delta | None] = []
        if (call := content.tool_use) is not None:
            told.append(self.begin(index, BlockStart(tool_use=call)))
            arguments = encode_json(call.input).decode()
            pieces.append(BlockDelta(tool_use=ToolUsePiece(arguments)))
        told += [self.add(index, piece) for piece in pieces]
        told += self.end(index)
        return [delta for delta in told if delta is not None]

    def begin(self, index: int, start: BlockStart) -> Delta | None:
        """Return what the beginning of a block tells. Raises `ProtocolError`."""
        if index in self._open:
            raise ProtocolError("expected a block to begin once")
        block = self._open[index] = _Block()
        call = start.tool_use
        if call is None or call.type:
            return None
        if not call.tool_use_id or not call.name:
            raise ProtocolError("expected a tool call with an id and the tool's name")
        block.number = self._calls
        self._calls += 1
        return ToolCallDelta(index=block.number, id=call.tool_use_id, name=call.name)

    def add(self, index: int, delta: BlockDelta) -> Delta | None:
        """Return what a piece of a block tells. Raises `ProtocolError`."""
        call = delta.tool_use
        if call is not None and index not in self._open:
            raise ProtocolError("expected a tool call to begin first")
        block = self._open.setdefault(index, _Block())
        if call is not None:
            if block.number is None or not call.input:
                return None
            block.has_arguments = True
            return ToolCallDelta(index=block.number, arguments_json=call.input)
        if (thought := delta.reasoning_content) is not None:
            block.signature += thought.signature
            block.redacted += thought.redacted_content
            return ReasoningDelta(Reasoning(text=thought.text)) if thought.text else None
        return TextDelta(delta.text) if delta.text else None

    def end(self, index: int) -> list[Delta]:
        """Return what the end of a block tells. An empty block may have no beginning."""
        block = self._open.pop(index, None)
        if block is None:
            return []
        told: list[Delta] = []
        if block.signature:
            told.append(ReasoningDelta(Reasoning(signature=block.signature.encode())))
        if block.redacted:
            # As the wire has it, which is text: whoever keeps it need not keep bytes.
            told.append(ReasoningDelta(Reasoning(redacted=b64encode(block.redacted))))
        if block.number is not None and not block.has_arguments:
            told.append(ToolCallDelta(index=block.number, arguments_json="{}"))
        return told

    def end_all(self) -> list[Delta]:
        """Return what the end of the answer tells of the blocks that are open."""
        return [delta for index in sorted(self._open) for delta in self.end(index)]
