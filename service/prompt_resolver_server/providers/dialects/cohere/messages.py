"""Messages in Cohere's chat dialect.

What its API has no place for is left out: names, as is told, and what of another provider's
reasoning is no text.
"""

from collections.abc import Sequence

from ....domain.errors import unsupported
from ....domain.parameters import Json
from ....domain.prompts import Media, Message, Part, Reasoning, Refusal, Text
from ...wire.functions import write_function_call
from ...wire.media import write_image_url


def write_messages(messages: Sequence[Message]) -> list[Json]:
    """Return the messages. Raises PARAMETER_UNSUPPORTED for content that has no place in them."""
    return [_write(message, f"messages[{index}]") for index, message in enumerate(messages)]


def _write(message: Message, path: str) -> dict[str, Json]:
    """Return a message.

    What a model thought before it called tools goes back as its plan for them, whichever way it
    came: a plan is in the API for every model, and thinking for some.
    """
    wire: dict[str, Json] = {"role": "system" if message.role == "developer" else message.role}
    thoughts = (part.text for part in message.content if isinstance(part, Reasoning))
    plan = "".join(thoughts) if message.tool_calls else ""
    blocks = [
        block
        for index, part in enumerate(message.content)
        if (block := _part(part, message, f"{path}.content[{index}]")) is not None
    ]
    if plan:
        wire["tool_plan"] = plan
    if len(blocks) == 1 and blocks[0]["type"] == "text":
        wire["content"] = blocks[0]["text"]
    elif blocks or not message.tool_calls:
        wire["content"] = list[Json](blocks) or ""
    if message.tool_calls:
        wire["tool_calls"] = [write_function_call(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        wire["tool_call_id"] = message.tool_call_id
    return wire


def _part(part: Part, message: Message, path: str) -> dict[str, Json] | None:
    match part:
        case Text() | Refusal():
            return {"type": "text", "text": part.text}
        case Reasoning() if message.role == "assistant":
            if message.tool_calls or not part.text:
                return None
            return {"type": "thinking", "thinking": part.text}
        case Media(kind="image") if message.role == "user":
            return write_image_url(part, path)
        case _ if message.role == "user":
            raise unsupported(path, "expected text or an image")
        case _:
            raise unsupported(path, "expected text")
