"""Messages and tools as OpenAI's chat API writes them, read into our values.

Beside OpenAI's own fields an assistant's message may carry `reasoning_content` and
`thinking_blocks`, and its calls a signature, as this door writes them, so that what a model thought
can be sent back to it. As LiteLLM has it, images and files may tell their `format`, and a file may
be behind a URL.
"""

import base64
import binascii
from collections.abc import Mapping

from ...domain.errors import invalid_request, unsupported
from ...domain.json_codec import is_deeper
from ...domain.parameters import Json
from ...domain.prompts import (
    MAX_LEVELS,
    MAX_PARTS,
    Media,
    Message,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)
from ..fields import (
    as_items,
    as_mapping,
    as_text,
    read_flag,
    read_text,
    unexpected,
)

_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_SOUNDS = {"wav": "audio/wav", "mp3": "audio/mpeg"}
# What an assistant's message may have beside what is read here; null asks for nothing.
_NOT_CARRIED = ("audio", "function_call")


def read_messages(value: Json) -> tuple[Message, ...]:
    """Return the messages of a request. Raises `CallError`."""
    if value is None:
        return ()
    items = as_items(value, "messages")
    if sum(map(_count_parts, items)) > MAX_PARTS:
        raise invalid_request("messages", f"expected at most {MAX_PARTS} messages and parts")
    return tuple(
        _message(as_mapping(item, f"messages[{i}]"), f"messages[{i}].")
        for i, item in enumerate(items)
    )


def read_tools(value: Json) -> tuple[Tool, ...]:
    """Return the tools of a request. Raises `CallError`."""
    if value is None:
        return ()
    items = as_items(value, "tools")
    if len(items) > MAX_PARTS:
        raise invalid_request("tools", f"expected at most {MAX_PARTS} tools")
    return tuple(_tool(item, f"tools[{i}]") for i, item in enumerate(items))


def read_tool_choice(value: Json) -> ToolChoice | None:
    """Return the choice of a request, or None. Raises `CallError`."""
    match value:
        case None:
            return None
        case "auto" | "none" | "required":
            return ToolChoice(mode=value)
        case {"type": "function", "function": {"name": str(name)}} if name:
            return ToolChoice(tool_name=name)
        case _:
            raise invalid_request("tool_choice", "expected auto, none, required or a function")


def _count_parts(item: Json) -> int:
    if not isinstance(item, dict):
        return 1
    lists = (item.get(name) for name in ("content", "tool_calls", "thinking_blocks"))
    return 1 + sum(len(each) for each in lists if isinstance(each, list))


def _message(item: Mapping[str, Json], path: str) -> Message:
    name = item.get("role")
    role = _ROLES.get(name) if isinstance(name, str) else None
    if role is None:
        raise invalid_request(f"{path}role", f"expected one of {', '.join(_ROLES)}")
    for other in _NOT_CARRIED:
        if item.get(other) is not None:
            raise unsupported(f"{path}{other}", "not carried by this door")
    content = (*_reasoning(item, path), *_content(item.get("content"), f"{path}content"))
    if refusal := _read_said(item, "refusal", path):
        content = (*content, Refusal(refusal))
    calls = _tool_calls(item.get("tool_calls"), f"{path}tool_calls")
    if calls and role != "assistant":
        raise invalid_request(f"{path}tool_calls", "expected none, as only an assistant calls")
    answered = read_text(item, "tool_call_id", path)
    if (answered is not None) != (role == "tool"):
        expected = "expected the call that is answered" if role == "tool" else "expected none"
        raise invalid_request(f"{path}tool_call_id", expected)
    # An assistant may have said nothing at all, and is quoted with that.
    if not content and role != "assistant":
        raise invalid_request(f"{path}content", "expected text or a part")
    return Message(
        role=role,
        content=content,
        name=read_text(item, "name", path),
        tool_calls=calls,
        tool_call_id=answered,
    )


def _reasoning(item: Mapping[str, Json], path: str) -> tuple[Part, ...]:
    if (blocks := item.get("thinking_blocks")) is not None:
        items = as_items(blocks, f"{path}thinking_blocks")
        return tuple(
            _thought(as_mapping(each, f"{path}thinking_blocks[{i}]"), f"{path}thinking_blocks[{i}]")
            for i, each in enumerate(items)
        )
    thought = _read_said(item, "reasoning_content", path)
    return (Reasoning(text=thought),) if thought else ()


def _read_said(item: Mapping[str, Json], name: str, path: str) -> str | None:
    """Return what a model said beside its text, which in some servers' answers is an empty one."""
    return None if item.get(name) == "" else read_text(item, name, path)


def _thought(item: Mapping[str, Json], path: str) -> Reasoning:
    match item:
        case {"type": "thinking", "thinking": str(text)}:
            signature = _read_said(item, "signature", f"{path}.")
            return Reasoning(text=text, signature=signature.encode() if signature else None)
        case {"type": "redacted_thinking", "data": str(data)}:
            return Reasoning(redacted=data.encode())
        case _:
            raise invalid_request(path, "expected a thinking or redacted_thinking block")


def _content(value: Json, path: str) -> tuple[Part, ...]:
    match value:
        case None:
            return ()
        case str():
            return (Text(value),)
        case list():
            return tuple(
                _part(as_mapping(item, f"{path}[{i}]"), f"{path}[{i}]")
                for i, item in enumerate(value)
            )
        case _:
            raise unexpected(path, "text or a list of parts", value)


def _part(item: Mapping[str, Json], path: str) -> Part:
    match item:
        case {"type": "text", "text": str(text)}:
            return Text(text)
        case {"type": "refusal", "refusal": str(text)}:
            return Refusal(text)
        case {"type": "image_url", "image_url": str(url)}:
            return _image({"url": url}, f"{path}.image_url")
        case {"type": "image_url", "image_url": dict(image)}:
            return _image(image, f"{path}.image_url")
        case {"type": "input_audio", "input_audio": {"data": str(data), "format": str(form)}}:
            if form not in _SOUNDS:
                raise invalid_request(f"{path}.input_audio.format", "expected wav or mp3")
            sound = _decode(data, f"{path}.input_audio.data")
            return Media(kind="audio", data=sound, media_type=_SOUNDS[form])
        case {"type": "file", "file": dict(file)}:
            return _file(file, f"{path}.file.")
        case _:
            raise invalid_request(
                path, "expected a part of type text, image_url, input_audio, file or refusal"
            )


def _image(image: Mapping[str, Json], path: str) -> Media:
    url = read_text(image, "url", f"{path}.")
    if url is None or not url.startswith(("http://", "https://", "data:")):
        raise invalid_request(f"{path}.url", "expected an http, https or data URL")
    return Media(
        kind="image",
        url=url,
        media_type=read_text(image, "format", f"{path}.") or "",
        detail=read_text(image, "detail", f"{path}."),
    )


def _file(file: Mapping[str, Json], path: str) -> Media:
    filename = read_text(file, "filename", path)
    media_type = read_text(file, "format", path) or ""
    file_id = read_text(file, "file_id", path)
    if file_id is not None:
        if not file_id.startswith(("http://", "https://")):
            raise unsupported(f"{path}file_id", "expected file_data, or the URL of a document")
        return Media(kind="file", url=file_id, media_type=media_type, filename=filename)
    head, comma, data = (read_text(file, "file_data", path) or "").partition(",")
    media_type = head.removeprefix("data:").removesuffix(";base64")
    if not (comma and head.startswith("data:") and head.endswith(";base64") and media_type):
        raise invalid_request(f"{path}file_data", "expected a data URL in base64")
    return Media(
        kind="file",
        data=_decode(data, f"{path}file_data"),
        media_type=media_type,
        filename=filename,
    )


def _decode(data: str, path: str) -> bytes:
    try:
        decoded = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if not decoded:
        raise invalid_request(path, "expected base64")
    return decoded


def _tool_calls(value: Json, path: str) -> tuple[ToolCall, ...]:
    if value is None:
        return ()
    return tuple(_tool_call(item, f"{path}[{i}]") for i, item in enumerate(as_items(value, path)))


def _tool_call(item: Json, path: str) -> ToolCall:
    match item:
        case {"id": str(call_id), "function": {"name": str(name), "arguments": str(arguments)}} if (
            call_id and name
        ):
            signature = _signature(as_mapping(item, path), path)
            return ToolCall(id=call_id, name=name, arguments_json=arguments, signature=signature)
        case _:
            raise invalid_request(path, "expected a call of a function: id, name and arguments")


def _signature(call: Mapping[str, Json], path: str) -> bytes | None:
    """Return what a provider signed a call with: LiteLLM has it in the call, or in its function."""
    function = as_mapping(call["function"], f"{path}.function")
    given = call.get("provider_specific_fields") or function.get("provider_specific_fields")
    path = f"{path}.provider_specific_fields"
    fields = as_mapping(given, path) if given else {}
    signature = _read_said(fields, "thought_signature", f"{path}.")
    return signature.encode() if signature else None


def _tool(item: Json, path: str) -> Tool:
    tool = as_mapping(item, path)
    if tool.get("type") != "function":
        raise unsupported(f"{path}.type", "expected function, the only kind that is served")
    function = as_mapping(tool.get("function"), f"{path}.function")
    within = f"{path}.function."
    schema = function.get("parameters")
    if schema is not None and is_deeper(as_mapping(schema, f"{within}parameters"), MAX_LEVELS):
        raise invalid_request(f"{within}parameters", f"expected at most {MAX_LEVELS} levels")
    description = function.get("description")
    if not isinstance(description, str | None):
        raise unexpected(f"{within}description", "text", description)
    return Tool(
        name=as_text(function.get("name"), f"{within}name"),
        description=description or "",
        parameters=as_mapping(schema, within) if schema is not None else None,
        strict=read_flag(function, "strict", within),
    )
