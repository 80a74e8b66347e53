"""Our messages, turned into the contract's. Pure."""

from collections.abc import Mapping

from prompt_resolver.v1 import prompt_resolver_pb2 as pb

from ..domain.prompts import Media, Message, Part, Reasoning, Refusal, Role, Text

_ROLES: Mapping[Role, pb.Role.ValueType] = {
    "system": pb.ROLE_SYSTEM,
    "developer": pb.ROLE_DEVELOPER,
    "user": pb.ROLE_USER,
    "assistant": pb.ROLE_ASSISTANT,
    "tool": pb.ROLE_TOOL,
}


def fill_message(wire: pb.Message, message: Message) -> None:
    """Write a message into one that a response holds."""
    # Filling what a response already holds costs a third of making it first.
    wire.role = _ROLES[message.role]
    for part in message.content:
        if isinstance(part, Text):
            wire.content.add().text = part.text
        else:
            wire.content.append(_part(part))
    if message.name is not None:
        wire.name = message.name
    for call in message.tool_calls:
        wire.tool_calls.add(
            id=call.id,
            name=call.name,
            arguments_json=call.arguments_json,
            signature=call.signature,
        )
    if message.tool_call_id is not None:
        wire.tool_call_id = message.tool_call_id


def _part(part: Part) -> pb.ContentPart:
    match part:
        case Text():
            return pb.ContentPart(text=part.text)
        case Refusal():
            return pb.ContentPart(refusal=part.text)
        case Reasoning():
            return pb.ContentPart(reasoning=write_reasoning(part))
        case Media(kind="image"):
            return pb.ContentPart(image=_media(part))
        case Media(kind="audio"):
            return pb.ContentPart(audio=_media(part))
        case Media():
            return pb.ContentPart(file=_media(part))


def _media(media: Media) -> pb.Media:
    wire = pb.Media(media_type=media.media_type, detail=media.detail, filename=media.filename)
    if media.data is not None:
        wire.data = media.data
    else:
        wire.url = media.url or ""
    return wire


def write_reasoning(thought: Reasoning) -> pb.Reasoning:
    """Return what a model thought as the contract's message."""
    return pb.Reasoning(text=thought.text, signature=thought.signature, redacted=thought.redacted)
