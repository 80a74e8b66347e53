"""Messages in Ollama's chat dialect.

What its API has no place for is left out: names, and how closely to look at an image, as is told;
and what of another provider's reasoning is no text.
"""

from collections.abc import Mapping, Sequence

from ....domain.errors import unsupported
from ....domain.parameters import Json
from ....domain.prompts import Media, Message, Reasoning, Refusal, Text
from ...wire.arguments import read_arguments
from ...wire.media import read_inline


def write_messages(messages: Sequence[Message]) -> list[Json]:
    """Return the messages. Raises PARAMETER_UNSUPPORTED for content that has no place in them."""
    wire: list[Json] = []
    called: dict[str, str] = {}
    for index, message in enumerate(messages):
        called |= {call.id: call.name for call in message.tool_calls}
        wire.append(_write(message, called, f"messages[{index}]"))
    return wire


def _write(message: Message, called: Mapping[str, str], path: str) -> dict[str, Json]:
    """Return a message. `called` has the tools that were called before it, by the calls' ids."""
    texts: list[str] = []
    thoughts: list[str] = []
    media: list[Json] = []
    for index, part in enumerate(message.content):
        match part:
            case Text() | Refusal():
                texts.append(part.text)
            case Reasoning():
                thoughts.append(part.text)
            case Media():
                media.append(_media(part, f"{path}.content[{index}]"))
    role = "system" if message.role == "developer" else message.role
    wire: dict[str, Json] = {"role": role, "content": "".join(texts)}
    if thought := "".join(thoughts):
        wire["thinking"] = thought
    if media:
        wire["images"] = media
    if message.tool_calls:
        wire["tool_calls"] = [
            {
                "id": call.id,
                "function": {
                    "name": call.name,
                    "arguments": read_arguments(call, f"{path}.tool_calls[{index}]"),
                },
            }
            for index, call in enumerate(message.tool_calls)
        ]
    if message.tool_call_id is not None:
        wire["tool_call_id"] = message.tool_call_id
        # Some models' templates know a result by its tool, and some by its call.
        name = called.get(message.tool_call_id, message.name)
        if name:
            wire["tool_name"] = name
    return wire


def _media(media: Media, path: str) -> str:
    """Return an image or a sound, which the server tells apart by their first bytes."""
    if media.kind == "file":
        raise unsupported(path, "expected text, an image or a sound")
    inline = read_inline(media, path, default_type="application/octet-stream")
    if inline is None:
        raise unsupported(path, "expected an image or a sound as data, not as a URL")
    return inline.data
