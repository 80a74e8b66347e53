"""Messages and tools as OpenAI's chat API writes them, read into the contract's.

Beside OpenAI's own fields an assistant's message may carry `reasoning_content` and
`thinking_blocks`, and its calls a signature, as answers do, so that what a model thought can be
sent back to it. As LiteLLM has it, images and files may tell their `format`, and a file may be
behind a URL.
"""

import base64
import binascii
from collections.abc import Mapping

from ..v1 import prompt_resolver_pb2 as pb
from .fields import as_items, as_mapping, as_text, read_flag, read_text, to_struct, unexpected

_ROLES: Mapping[str, pb.Role.ValueType] = {
    "system": pb.ROLE_SYSTEM,
    "developer": pb.ROLE_DEVELOPER,
    "user": pb.ROLE_USER,
    "assistant": pb.ROLE_ASSISTANT,
    "tool": pb.ROLE_TOOL,
}
_MODES: Mapping[str, pb.ToolChoice.Mode.ValueType] = {
    "auto": pb.ToolChoice.MODE_AUTO,
    "none": pb.ToolChoice.MODE_NONE,
    "required": pb.ToolChoice.MODE_REQUIRED,
}
# What an assistant's message may have beside what is read here; None asks for nothing.
_NOT_CARRIED = ("audio", "function_call")
_SOUNDS = {"wav": "audio/wav", "mp3": "audio/mpeg"}


def read_messages(value: object) -> list[pb.Message]:
    """Return messages. Raises `TypeError` and `ValueError` for what is none."""
    if value is None:
        return []
    return [
        _message(as_mapping(item, f"messages[{i}]"), f"messages[{i}].")
        for i, item in enumerate(as_items(value, "messages"))
    ]


def read_tools(value: object) -> list[pb.Tool]:
    """Return tools. Raises `TypeError` and `ValueError` for what is none."""
    if value is None:
        return []
    return [
        _tool(as_mapping(item, f"tools[{i}]"), f"tools[{i}].")
        for i, item in enumerate(as_items(value, "tools"))
    ]


def read_tool_choice(value: object) -> pb.ToolChoice | None:
    """Return the choice of a tool. Raises `ValueError` for what is none."""
    match value:
        case None:
            return None
        case str() if value in _MODES:
            return pb.ToolChoice(mode=_MODES[value])
        case {"type": "function", "function": {"name": str(name)}} if name:
            return pb.ToolChoice(tool_name=name)
        case _:
            raise ValueError("tool_choice: expected auto, none, required or a function")


def _message(item: Mapping[str, object], path: str) -> pb.Message:
    name = item.get("role")
    role = _ROLES.get(name) if isinstance(name, str) else None
    if role is None:
        raise ValueError(f"{path}role: expected one of {', '.join(_ROLES)}")
    for other in _NOT_CARRIED:
        if item.get(other) is not None:
            raise ValueError(f"{path}{other}: not carried by a message")
    content = [*_reasoning(item, path), *_content(item.get("content"), f"{path}content")]
    if refusal := _read_said(item, "refusal", path):
        content.append(pb.ContentPart(refusal=refusal))
    return pb.Message(
        role=role,
        content=content,
        name=read_text(item, "name", path),
        tool_calls=_tool_calls(item.get("tool_calls"), f"{path}tool_calls"),
        tool_call_id=read_text(item, "tool_call_id", path),
    )


def _reasoning(item: Mapping[str, object], path: str) -> list[pb.ContentPart]:
    if (blocks := item.get("thinking_blocks")) is not None:
        path = f"{path}thinking_blocks"
        thoughts = [
            _thought(as_mapping(block, f"{path}[{i}]"), f"{path}[{i}]")
            for i, block in enumerate(as_items(blocks, path))
        ]
        return [pb.ContentPart(reasoning=thought) for thought in thoughts]
    thought = _read_said(item, "reasoning_content", path)
    return [pb.ContentPart(reasoning=pb.Reasoning(text=thought))] if thought else []


def _read_said(item: Mapping[str, object], name: str, path: str) -> str | None:
    """Return what a model said beside its text, which in some answers is an empty one."""
    return None if item.get(name) == "" else read_text(item, name, path)


def _thought(block: Mapping[str, object], path: str) -> pb.Reasoning:
    match block:
        case {"type": "thinking", "thinking": str(text)}:
            signature = _read_said(block, "signature", f"{path}.")
            return pb.Reasoning(text=text, signature=signature.encode() if signature else None)
        case {"type": "redacted_thinking", "data": str(data)}:
            return pb.Reasoning(redacted=data.encode())
        case _:
            raise ValueError(f"{path}: expected a thinking or redacted_thinking block")


def _content(value: object, path: str) -> list[pb.ContentPart]:
    match value:
        case None:
            return []
        case str():
            return [pb.ContentPart(text=value)]
        case list() | tuple():
            return [
                _part(as_mapping(item, f"{path}[{i}]"), f"{path}[{i}]")
                for i, item in enumerate(value)
            ]
        case _:
            raise unexpected(path, "text or a list of parts", value)


def _part(item: Mapping[str, object], path: str) -> pb.ContentPart:
    match item:
        case {"type": "text", "text": str(text)}:
            return pb.ContentPart(text=text)
        case {"type": "refusal", "refusal": str(text)}:
            return pb.ContentPart(refusal=text)
        case {"type": "image_url", "image_url": str(url)}:
            return pb.ContentPart(image=_image({"url": url}, f"{path}.image_url"))
        case {"type": "image_url", "image_url": Mapping() as image}:
            path = f"{path}.image_url"
            return pb.ContentPart(image=_image(as_mapping(image, path), path))
        case {"type": "input_audio", "input_audio": {"data": str(data), "format": str(form)}}:
            if form not in _SOUNDS:
                raise ValueError(f"{path}.input_audio.format: expected wav or mp3")
            sound = _decode(data, f"{path}.input_audio.data")
            return pb.ContentPart(audio=pb.Media(data=sound, media_type=_SOUNDS[form]))
        case {"type": "file", "file": Mapping() as file}:
            path = f"{path}.file"
            return pb.ContentPart(file=_file(as_mapping(file, path), f"{path}."))
        case _:
            raise ValueError(
                f"{path}: expected a part of type text, image_url, input_audio, file or refusal"
            )


def _image(image: Mapping[str, object], path: str) -> pb.Media:
    return pb.Media(
        url=as_text(image.get("url"), f"{path}.url"),
        media_type=read_text(image, "format", f"{path}.") or "",
        detail=read_text(image, "detail", f"{path}."),
    )


def _file(file: Mapping[str, object], path: str) -> pb.Media:
    filename = read_text(file, "filename", path)
    media_type = read_text(file, "format", path) or ""
    file_id = read_text(file, "file_id", path)
    if file_id is not None:
        if not file_id.startswith(("http://", "https://")):
            raise ValueError(f"{path}file_id: expected file_data, or the URL of a document")
        return pb.Media(url=file_id, media_type=media_type, filename=filename)
    head, comma, data = (read_text(file, "file_data", path) or "").partition(",")
    path = f"{path}file_data"
    media_type = head.removeprefix("data:").removesuffix(";base64")
    if not (comma and head.startswith("data:") and head.endswith(";base64") and media_type):
        raise ValueError(f"{path}: expected a data URL in base64")
    return pb.Media(data=_decode(data, path), media_type=media_type, filename=filename)


def _decode(data: str, path: str) -> bytes:
    try:
        decoded = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if not decoded:
        raise ValueError(f"{path}: expected base64")
    return decoded


def _tool_calls(value: object, path: str) -> list[pb.ToolCall]:
    if value is None:
        return []
    return [_tool_call(item, f"{path}[{i}]") for i, item in enumerate(as_items(value, path))]


def _tool_call(item: object, path: str) -> pb.ToolCall:
    match item:
        case {"id": str(call_id), "function": {"name": str(name), "arguments": str(arguments)}}:
            return pb.ToolCall(
                id=call_id,
                name=name,
                arguments_json=arguments,
                signature=_signature(as_mapping(item, path), path),
            )
        case _:
            raise ValueError(f"{path}: expected a call of a function: id, name and arguments")


def _signature(call: Mapping[str, object], path: str) -> bytes | None:
    """Return what a provider signed a call with: LiteLLM has it in the call, or in its function."""
    function = as_mapping(call["function"], f"{path}.function")
    given = call.get("provider_specific_fields") or function.get("provider_specific_fields")
    path = f"{path}.provider_specific_fields"
    fields = as_mapping(given, path) if given else {}
    signature = _read_said(fields, "thought_signature", f"{path}.")
    return signature.encode() if signature else None


def _tool(tool: Mapping[str, object], path: str) -> pb.Tool:
    if tool.get("type") != "function":
        raise ValueError(f"{path}type: expected function, the only kind that is served")
    function = as_mapping(tool.get("function"), f"{path}function")
    path = f"{path}function."
    schema, description = function.get("parameters"), function.get("description")
    if not isinstance(description, str | None):
        raise unexpected(f"{path}description", "text", description)
    return pb.Tool(
        name=as_text(function.get("name"), f"{path}name"),
        description=description or "",
        parameters=None
        if schema is None
        else to_struct(as_mapping(schema, f"{path}parameters"), f"{path}parameters"),
        strict=read_flag(function, "strict", path),
    )
