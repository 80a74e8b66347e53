"""Messages in Anthropic's Messages dialect.

What its API has no place for is left out: names, and how closely to look at an image, as is told;
texts of nothing but white space, and that at the end of an answer which the model is to go on with;
reasoning that it has not signed. Ids of calls that it would refuse are spelled otherwise.
"""

from collections.abc import Sequence

from ....errors import unsupported
from ....json_codec import JsonError, decode_json, is_deeper
from ....parameters import Json
from ....prompts import Media, Message, Part, Reasoning, Refusal, Text, ToolCall
from ...wire.call_ids import spell_id
from .media import write_document, write_image

_Block = dict[str, Json]

_MAX_LEVELS = 100


def write_messages(messages: Sequence[Message]) -> tuple[list[Json], list[Json]]:
    """Return the blocks of the system's messages, and the turns of all others.

    The system speaks before the conversation, wherever in it a message of the system or of the
    developer stands. Turns alternate: messages of one side that follow each other are one turn, and
    the results of tools come first in theirs. Raises PARAMETER_UNSUPPORTED.
    """
    system: list[Json] = []
    turns: list[tuple[str, list[_Block]]] = []
    for index, message in enumerate(messages):
        blocks = _write(message, f"messages[{index}]")
        side = "assistant" if message.role == "assistant" else "user"
        if message.role in ("system", "developer"):
            system += blocks
        elif turns and turns[-1][0] == side:
            turns[-1][1].extend(blocks)
        elif blocks:
            turns.append((side, blocks))
    for _, blocks in turns:
        blocks.sort(key=lambda block: block["type"] != "tool_result")
    if turns and turns[-1][0] == "assistant":
        _trim(turns[-1][1][-1])
    return system, [{"role": side, "content": list[Json](blocks)} for side, blocks in turns]


def find_left_out(messages: Sequence[Message]) -> tuple[str, ...]:
    """Return the names of what the API has no place for, and an answer can do without."""
    left_out = {
        "name": any(message.name for message in messages),
        "detail": any(
            isinstance(part, Media) and part.detail not in (None, "auto")
            for message in messages
            for part in message.content
        ),
    }
    return tuple(name for name, is_there in left_out.items() if is_there)


def _write(message: Message, path: str) -> list[_Block]:
    blocks = [
        block
        for index, part in enumerate(message.content)
        if (block := _part(part, f"{path}.content[{index}]", message)) is not None
    ]
    if message.role == "tool":
        result: _Block = {
            "type": "tool_result",
            "tool_use_id": spell_id(message.tool_call_id or ""),
        }
        if blocks:
            result["content"] = list[Json](blocks)
        return [result]
    calls = enumerate(message.tool_calls)
    return blocks + [_tool_use(call, f"{path}.tool_calls[{index}]") for index, call in calls]


def _trim(block: _Block) -> None:
    text = block.get("text")
    if isinstance(text, str):
        block["text"] = text.rstrip()


def _part(part: Part, path: str, message: Message) -> _Block | None:
    match part:
        case Text() | Refusal() if not part.text.strip():
            return None
        case Text() | Refusal():
            return {"type": "text", "text": part.text}
        case _ if message.role in ("system", "developer"):
            raise unsupported(path, "expected text")
        case Reasoning():
            return _thought(part, path)
        case Media() if message.role == "assistant":
            raise unsupported(path, "expected text or reasoning")
        case Media(kind="image"):
            return write_image(part, path)
        case Media(kind="file"):
            return write_document(part, path)
        case Media():
            raise unsupported(path, "expected text, an image or a document")


def _thought(thought: Reasoning, path: str) -> _Block | None:
    if thought.redacted:
        return {"type": "redacted_thinking", "data": _text(thought.redacted, f"{path}.reasoning")}
    if thought.signature:
        signature = _text(thought.signature, f"{path}.reasoning")
        return {"type": "thinking", "thinking": thought.text, "signature": signature}
    return None


def _text(sealed: bytes, path: str) -> str:
    try:
        return sealed.decode()
    except UnicodeDecodeError:
        raise unsupported(path, "expected reasoning as the provider sent it") from None


def _tool_use(call: ToolCall, path: str) -> _Block:
    try:
        arguments = decode_json(call.arguments_json.encode()) if call.arguments_json else {}
    except JsonError:
        arguments = None
    if not isinstance(arguments, dict) or is_deeper(arguments, _MAX_LEVELS):
        expected = f"expected a JSON object of at most {_MAX_LEVELS} levels"
        raise unsupported(f"{path}.arguments_json", expected)
    return {"type": "tool_use", "id": spell_id(call.id), "name": call.name, "input": arguments}
