"""Messages in Anthropic's Messages dialect.

What its API has no place for is left out: names, and how closely to look at an image, as is told;
texts of nothing but white space, and that at the end of an answer which the model is to go on with;
reasoning that it has not signed. Ids of calls that it would refuse are spelled otherwise.
"""

from collections.abc import Sequence

from ....domain.errors import unsupported
from ....domain.parameters import Json
from ....domain.prompts import Media, Message, Part, Reasoning, Refusal, Text, ToolCall
from ...wire.arguments import read_arguments
from ...wire.call_ids import spell_id
from ...wire.conversation import Block, take_turns, trim_end
from ...wire.signature import read_signature
from .media import write_document, write_image


def write_messages(messages: Sequence[Message]) -> tuple[list[Json], list[Json]]:
    """Return the blocks of the system's messages, and the turns of all others.

    Raises MESSAGES_MISSING and PARAMETER_UNSUPPORTED.
    """
    system, turns = take_turns(messages, _write)
    trim_end(turns)
    return system, [{"role": turn.role, "content": turn.blocks} for turn in turns]


def _write(message: Message, path: str) -> list[Block]:
    blocks = [
        block
        for index, part in enumerate(message.content)
        if (block := _part(part, f"{path}.content[{index}]", message)) is not None
    ]
    if message.role == "tool":
        result: Block = {"type": "tool_result", "tool_use_id": spell_id(message.tool_call_id or "")}
        if blocks:
            result["content"] = list[Json](blocks)
        return [result]
    calls = enumerate(message.tool_calls)
    return blocks + [_tool_use(call, f"{path}.tool_calls[{index}]") for index, call in calls]


def _part(part: Part, path: str, message: Message) -> Block | None:
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


def _thought(thought: Reasoning, path: str) -> Block | None:
    path = f"{path}.reasoning"
    if thought.redacted:
        return {"type": "redacted_thinking", "data": read_signature(thought.redacted, path)}
    if thought.signature:
        signature = read_signature(thought.signature, path)
        return {"type": "thinking", "thinking": thought.text, "signature": signature}
    return None


def _tool_use(call: ToolCall, path: str) -> Block:
    arguments = read_arguments(call, path)
    return {"type": "tool_use", "id": spell_id(call.id), "name": call.name, "input": arguments}
