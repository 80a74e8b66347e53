"""Messages in Google's Gemini dialect.

What its API has no place for is left out: names, how closely to look at an image, and names of
files, as is told; empty texts, and reasoning that it has not signed.
"""

import re
from collections.abc import Sequence

from ....errors import unsupported
from ....json_codec import JsonError, decode_json, is_deeper
from ....parameters import Json
from ....prompts import Media, Message, Part, Reasoning, Refusal, Text, ToolCall
from ...wire.arguments import read_arguments
from .media import write_media

_Part = dict[str, Json]

_MAX_LEVELS = 100
_DEMANDS_SIGNATURES = re.compile(r"(models/)?gemini-([3-9]|\d\d)")
_NOT_MY_CALL = "skip_thought_signature_validator"
"""What the API has for calls that another model made: newer ones want each of theirs signed."""


def write_contents(messages: Sequence[Message], model: str) -> tuple[list[Json], list[Json]]:
    """Return the parts of the system's instruction, and the turns of all others.

    The system speaks before the conversation, wherever in it a message of the system or of the
    developer stands. Turns alternate: messages of one side that follow each other are one turn, and
    the results of tools come first in theirs. Raises PARAMETER_UNSUPPORTED.
    """
    system: list[Json] = []
    turns: list[tuple[str, list[_Part]]] = []
    names: dict[str, str] = {}
    for index, message in enumerate(messages):
        parts = _write(message, f"messages[{index}]", names)
        role = "model" if message.role == "assistant" else "user"
        if message.role in ("system", "developer"):
            system += parts
        elif turns and turns[-1][0] == role:
            turns[-1][1].extend(parts)
        elif parts:
            turns.append((role, parts))
    for _, parts in turns:
        parts.sort(key=lambda part: "functionResponse" not in part)
        if _DEMANDS_SIGNATURES.match(model):
            _sign_first_call(parts)
    return system, [{"role": role, "parts": list[Json](parts)} for role, parts in turns]


def _sign_first_call(parts: Sequence[_Part]) -> None:
    """Mark the first call of a turn, which stands for all of them, if nobody has signed it."""
    first = next((part for part in parts if "functionCall" in part), {})
    if first:
        first.setdefault("thoughtSignature", _NOT_MY_CALL)


def find_left_out(messages: Sequence[Message]) -> tuple[str, ...]:
    """Return the names of what the API has no place for, and an answer can do without."""
    media = [part for each in messages for part in each.content if isinstance(part, Media)]
    left_out = {
        "name": any(message.name for message in messages if message.role != "tool"),
        "detail": any(part.detail not in (None, "auto") for part in media),
        "filename": any(part.filename for part in media),
    }
    return tuple(name for name, is_there in left_out.items() if is_there)


def _write(message: Message, path: str, names: dict[str, str]) -> list[_Part]:
    """Return a message's parts. `names` has the tools that were called before, by their calls."""
    if message.role == "tool":
        return [_function_response(message, path, names)]
    parts: list[_Part] = []
    for index, part in enumerate(message.content):
        _add(parts, part, f"{path}.content[{index}]", message)
    for index, call in enumerate(message.tool_calls):
        names[call.id] = call.name
        parts.append(_function_call(call, f"{path}.tool_calls[{index}]"))
    return parts


def _add(parts: list[_Part], part: Part, path: str, message: Message) -> None:
    match part:
        case Text(text="") | Refusal(text=""):
            pass
        case Text() | Refusal():
            parts.append({"text": part.text})
        case _ if message.role in ("system", "developer"):
            raise unsupported(path, "expected text")
        case Media():
            parts.append(write_media(part, path))
        case Reasoning() if message.role != "assistant":
            raise unsupported(path, "expected text or media")
        case Reasoning(signature=bytes() as seal) if seal:
            _add_signature(parts, part.text, _read_signature(seal, f"{path}.reasoning"))


def _add_signature(parts: list[_Part], thought: str, signature: str) -> None:
    """Put a signature where it was: on its thought, else on the text before it."""
    if thought:
        parts.append({"text": thought, "thought": True, "thoughtSignature": signature})
    elif parts and parts[-1].keys() == {"text"}:
        parts[-1]["thoughtSignature"] = signature
    else:
        parts.append({"text": "", "thoughtSignature": signature})


def _read_signature(seal: bytes, path: str) -> str:
    """Return a signature as the API writes it. Raises PARAMETER_UNSUPPORTED."""
    try:
        return seal.decode()
    except UnicodeDecodeError:
        raise unsupported(path, "expected a signature as the provider sent it") from None


def _function_call(call: ToolCall, path: str) -> _Part:
    wire: _Part = {
        "functionCall": {**_with_id(call.id), "name": call.name, "args": read_arguments(call, path)}
    }
    if call.signature:
        wire["thoughtSignature"] = _read_signature(call.signature, f"{path}.signature")
    return wire


def _function_response(message: Message, path: str, names: dict[str, str]) -> _Part:
    """Return a tool's result, which the API finds by the tool's name."""
    call_id = message.tool_call_id or ""
    name = names.get(call_id) or message.name
    if not name:
        raise unsupported(f"{path}.tool_call_id", "expected the id of a call before it")
    parts: list[_Part] = []
    for index, part in enumerate(message.content):
        _add(parts, part, f"{path}.content[{index}]", message)
    text = "".join(str(part["text"]) for part in parts if "text" in part)
    response = {**_with_id(call_id), "name": name, "response": _read_result(text)}
    media = [part for part in parts if "text" not in part]
    return {"functionResponse": {**response, "parts": list[Json](media)} if media else response}


def _with_id(call_id: str) -> dict[str, Json]:
    return {"id": call_id} if call_id else {}


def _read_result(text: str) -> dict[str, Json]:
    """Return what a tool said as the API wants it, which is an object."""
    try:
        result = decode_json(text.encode())
    except JsonError:
        result = None
    if isinstance(result, dict) and not is_deeper(result, _MAX_LEVELS):
        return result
    return {"output": text}
