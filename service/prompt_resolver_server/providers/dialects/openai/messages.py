"""Messages in OpenAI's chat dialect."""

from collections.abc import Sequence

from ....domain.errors import unsupported
from ....domain.parameters import Json
from ....domain.prompts import Media, Message, Part, Reasoning, Refusal, Text
from ...dialect import Quirks
from ...wire.functions import write_function_call
from ...wire.media import read_inline, write_image_url

_AUDIO_FORMATS = {
    "audio/mp3": "mp3",
    "audio/mpeg": "mp3",
    "audio/vnd.wave": "wav",
    "audio/wav": "wav",
    "audio/wave": "wav",
    "audio/x-wav": "wav",
}
_AS_OPENAI = Quirks(knows_developer=True)


def write_messages(messages: Sequence[Message], quirks: Quirks) -> list[Json]:
    """Return the messages. Raises PARAMETER_UNSUPPORTED for content that has no place in them."""
    return [
        write_message(message, f"messages[{index}]", quirks)
        for index, message in enumerate(messages)
    ]


def write_message(message: Message, path: str, quirks: Quirks = _AS_OPENAI) -> dict[str, Json]:
    """Return a message, without its reasoning unless the provider wants that back.

    `path` is for errors. Raises PARAMETER_UNSUPPORTED for content that the wire cannot carry.
    """
    role = message.role
    if role == "developer" and not quirks.knows_developer:
        role = "system"
    content = message.content
    wire: dict[str, Json] = {"role": role}
    if len(content) == 1 and isinstance(only := content[0], Text):
        wire["content"] = only.text
    else:
        wire["content"] = _content(message, path, quirks)
    if message.name:
        wire["name"] = message.name
    if message.tool_calls:
        wire["tool_calls"] = [write_function_call(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        wire["tool_call_id"] = message.tool_call_id
    if quirks.reasoning_field and role == "assistant":
        thoughts = [part.text for part in message.content if isinstance(part, Reasoning)]
        # Those who want it back want it with every call of a tool, empty as it may be.
        if thoughts or message.tool_calls:
            wire[quirks.reasoning_field] = "".join(thoughts)
    return wire


def _content(message: Message, path: str, quirks: Quirks) -> Json:
    """Write a message's content: as plain text where it is, which every server understands."""
    parts = [
        (part, f"{path}.content[{index}]")
        for index, part in enumerate(message.content)
        if not isinstance(part, Reasoning)
    ]
    if not parts:
        return None if message.tool_calls else ""
    if len(parts) == 1 and isinstance(parts[0][0], Text):
        return parts[0][0].text
    if quirks.one_text:
        for part, place in parts:
            if not isinstance(part, Text):
                raise unsupported(place, "expected text alone")
        return message.text
    if quirks.media_of_user_alone and message.role != "user":
        for part, place in parts:
            if isinstance(part, Media):
                raise unsupported(place, "expected text, unless in a message of the user's")
    return [_part(part, place) for part, place in parts]


def _part(part: Part, path: str) -> Json:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Refusal():
            return {"type": "refusal", "refusal": part.text}
        case Media(kind="image"):
            return write_image_url(part, path)
        case Media(kind="audio"):
            return _audio(part, path)
        case Media(kind="file"):
            return _file(part, path)
        case _:
            raise unsupported(path, "expected text, an image, a sound or a document")


def _audio(sound: Media, path: str) -> Json:
    inline = read_inline(sound, path)
    form = _AUDIO_FORMATS.get(inline.media_type) if inline is not None else None
    if inline is None or form is None:
        raise unsupported(path, "expected audio/wav or audio/mpeg, as data")
    return {"type": "input_audio", "input_audio": {"data": inline.data, "format": form}}


def _file(document: Media, path: str) -> Json:
    inline = read_inline(document, path)
    if inline is None:
        raise unsupported(path, "expected a document as data, not as a URL")
    wire: dict[str, Json] = {"file_data": inline.url}
    if document.filename:
        wire["filename"] = document.filename
    return {"type": "file", "file": wire}
