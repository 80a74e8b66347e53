"""Messages in Cohere's chat dialect.

What its API has no place for is left out: names, as is told, and what of another provider's
reasoning is no text.
"""

from ....errors import unsupported
from ....parameters import Json
from ....prompts import Media, Message, Part, Reasoning, Refusal, Text
from ...wire.media import read_inline


def write_message(message: Message, path: str) -> dict[str, Json]:
    """Return a message; `path` is for errors.

    What a model thought before it called tools goes back as its plan for them, whichever way it
    came: a plan is in the API for every model, and thinking for some. Raises PARAMETER_UNSUPPORTED.
    """
    wire: dict[str, Json] = {"role": "system" if message.role == "developer" else message.role}
    thoughts = (part.text for part in message.content if isinstance(part, Reasoning))
    plan = "".join(thoughts) if message.tool_calls else ""
    blocks = [
        block
        for index, part in enumerate(message.content)
        if (block := _block(part, message, f"{path}.content[{index}]")) is not None
    ]
    if plan:
        wire["tool_plan"] = plan
    if len(blocks) == 1 and blocks[0]["type"] == "text":
        wire["content"] = blocks[0]["text"]
    elif blocks or not message.tool_calls:
        wire["content"] = list[Json](blocks) or ""
    if message.tool_calls:
        wire["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments_json},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        wire["tool_call_id"] = message.tool_call_id
    return wire


def _block(part: Part, message: Message, path: str) -> dict[str, Json] | None:
    match part:
        case Text() | Refusal():
            return {"type": "text", "text": part.text}
        case Reasoning() if message.role == "assistant":
            if message.tool_calls or not part.text:
                return None
            return {"type": "thinking", "thinking": part.text}
        case Media(kind="image") if message.role == "user":
            inline = read_inline(part, path) if part.data is not None else None
            image: dict[str, Json] = {"url": inline.url if inline is not None else part.url}
            if part.detail:
                image["detail"] = part.detail
            return {"type": "image_url", "image_url": image}
        case _ if message.role == "user":
            raise unsupported(path, "expected text or an image")
        case _:
            raise unsupported(path, "expected text")
