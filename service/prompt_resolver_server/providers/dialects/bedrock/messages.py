"""Messages in Bedrock's Converse dialect.

What its API has no place for is left out: names, and how closely to look at an image, as is told;
texts of nothing but white space, and that at the end of an answer which the model is to go on with;
reasoning that no provider has signed. Ids of calls that it would refuse are spelled otherwise, and
a document that comes without a text, which it refuses too, has a dot for one.
"""

from collections.abc import Sequence

from ....domain.errors import unsupported
from ....domain.parameters import Json
from ....domain.prompts import Media, Message, Part, Reasoning, Refusal, Text, ToolCall
from ...wire.arguments import read_arguments
from ...wire.call_ids import spell_id
from ...wire.conversation import Block, Turn, take_turns, trim_end
from ...wire.signature import read_signature
from .media import MediaWriter

_BESIDE_A_DOCUMENT: Block = {"text": "."}


def write_messages(messages: Sequence[Message]) -> tuple[list[Json], list[Json]]:
    """Return the blocks of the system's messages, and the turns of all others.

    Raises MESSAGES_MISSING and PARAMETER_UNSUPPORTED.
    """
    system, turns = take_turns(messages, _MessageWriter().write)
    trim_end(turns)
    for turn in turns:
        if _has(turn, "document") and not _has(turn, "text"):
            turn.others.append(_BESIDE_A_DOCUMENT)
    return system, [{"role": turn.role, "content": turn.blocks} for turn in turns]


def _has(turn: Turn, kind: str) -> bool:
    return any(kind in block for block in turn.others)


class _MessageWriter:
    """Writes the messages of one request."""

    def __init__(self) -> None:
        self._media = MediaWriter()

    def write(self, message: Message, path: str) -> list[Block]:
        """Return a message's blocks."""
        blocks = [
            block
            for index, part in enumerate(message.content)
            if (block := self._part(part, f"{path}.content[{index}]", message)) is not None
        ]
        if message.role == "tool":
            call_id = spell_id(message.tool_call_id or "")
            result: Block = {"toolUseId": call_id, "content": [*blocks]}
            return [{"toolResult": result}]
        calls = enumerate(message.tool_calls)
        return blocks + [_tool_use(call, f"{path}.tool_calls[{index}]") for index, call in calls]

    def _part(self, part: Part, path: str, message: Message) -> Block | None:
        match part:
            case Text() | Refusal() if not part.text.strip():
                return None
            case Text() | Refusal():
                return {"text": part.text}
            case _ if message.role in ("system", "developer"):
                raise unsupported(path, "expected text")
            case Reasoning():
                return _thought(part, path)
            case Media() if message.role == "assistant":
                raise unsupported(path, "expected text or reasoning")
            case Media(kind="audio") if message.role == "tool":
                raise unsupported(path, "expected text, an image or a document")
            case Media():
                return self._media.write(part, path)


def _thought(thought: Reasoning, path: str) -> Block | None:
    path = f"{path}.reasoning"
    if thought.redacted:
        sealed = read_signature(thought.redacted, path)
        return {"reasoningContent": {"redactedContent": sealed}}
    if thought.signature:
        signature = read_signature(thought.signature, path)
        text: Json = {"text": thought.text, "signature": signature}
        return {"reasoningContent": {"reasoningText": text}}
    return None


def _tool_use(call: ToolCall, path: str) -> Block:
    arguments = read_arguments(call, path)
    return {"toolUse": {"toolUseId": spell_id(call.id), "name": call.name, "input": arguments}}
