"""Messages in Bedrock's Converse dialect.

What its API has no place for is left out: names, and how closely to look at an image, as is told;
texts of nothing but white space, and that at the end of an answer which the model is to go on with;
reasoning that no provider has signed. Ids of calls that it would refuse are spelled otherwise.
"""

from collections.abc import Sequence

from ....errors import unsupported
from ....parameters import Json
from ....prompts import Media, Message, Part, Reasoning, Refusal, Text, ToolCall
from ...wire.arguments import read_arguments
from ...wire.call_ids import spell_id
from .media import MediaWriter

_Block = dict[str, Json]


def write_messages(messages: Sequence[Message]) -> tuple[list[Json], list[Json]]:
    """Return the blocks of the system's messages, and the turns of all others.

    The system speaks before the conversation, wherever in it a message of the system or of the
    developer stands. Turns alternate: messages of one side that follow each other are one turn, and
    the results of tools come first in theirs. Raises PARAMETER_UNSUPPORTED.
    """
    writer = _MessageWriter()
    system: list[Json] = []
    turns: list[tuple[str, list[_Block]]] = []
    for index, message in enumerate(messages):
        blocks = writer.write(message, f"messages[{index}]")
        side = "assistant" if message.role == "assistant" else "user"
        if message.role in ("system", "developer"):
            system += blocks
        elif turns and turns[-1][0] == side:
            turns[-1][1].extend(blocks)
        elif blocks:
            turns.append((side, blocks))
    for _, blocks in turns:
        blocks.sort(key=lambda block: "toolResult" not in block)
    if turns and turns[-1][0] == "assistant":
        _trim(turns[-1][1][-1])
    return system, [{"role": side, "content": list[Json](blocks)} for side, blocks in turns]


def _trim(block: _Block) -> None:
    text = block.get("text")
    if isinstance(text, str):
        block["text"] = text.rstrip()


class _MessageWriter:
    """Writes the messages of one request."""

    def __init__(self) -> None:
        self._media = MediaWriter()

    def write(self, message: Message, path: str) -> list[_Block]:
        """Return a message's blocks."""
        blocks = [
            block
            for index, part in enumerate(message.content)
            if (block := self._part(part, f"{path}.content[{index}]", message)) is not None
        ]
        if message.role == "tool":
            call_id = spell_id(message.tool_call_id or "")
            result: _Block = {"toolUseId": call_id, "content": [*blocks]}
            return [{"toolResult": result}]
        calls = enumerate(message.tool_calls)
        return blocks + [_tool_use(call, f"{path}.tool_calls[{index}]") for index, call in calls]

    def _part(self, part: Part, path: str, message: Message) -> _Block | None:
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


def _thought(thought: Reasoning, path: str) -> _Block | None:
    if thought.redacted:
        return {"reasoningContent": {"redactedContent": _text(thought.redacted, path)}}
    if thought.signature:
        text: Json = {"text": thought.text, "signature": _text(thought.signature, path)}
        return {"reasoningContent": {"reasoningText": text}}
    return None


def _text(sealed: bytes, path: str) -> str:
    try:
        return sealed.decode()
    except UnicodeDecodeError:
        expected = "expected reasoning as the provider sent it"
        raise unsupported(f"{path}.reasoning", expected) from None


def _tool_use(call: ToolCall, path: str) -> _Block:
    arguments = read_arguments(call, path)
    return {"toolUse": {"toolUseId": spell_id(call.id), "name": call.name, "input": arguments}}
