"""Messages in Google's Gemini dialect.

What its API has no place for is left out: names, how closely to look at an image, and names of
files, as is told; empty texts, and reasoning that it has not signed.
"""

import re
from collections.abc import Sequence
from functools import partial

from ....domain.errors import unsupported
from ....domain.json_codec import JsonError, decode_json, is_deeper
from ....domain.parameters import Json
from ....domain.prompts import Media, Message, Part, Reasoning, Refusal, Text, ToolCall
from ...wire.arguments import MAX_LEVELS, read_arguments
from ...wire.conversation import Block, take_turns
from ...wire.signature import read_signature
from .media import write_media

_DEMANDS_SIGNATURES = re.compile(r"(models/)?gemini-([3-9]|\d\d|[a-z-]+-latest)")
"""Newer models, and whatever is the newest."""
_NOT_MY_CALL = "skip_thought_signature_validator"
"""What the API has for calls that another model made: newer ones want each of theirs signed."""


def write_messages(messages: Sequence[Message], model: str) -> tuple[list[Json], list[Json]]:
    """Return the parts of the system's instruction, and the turns of all others.

    Raises MESSAGES_MISSING and PARAMETER_UNSUPPORTED.
    """
    system, turns = take_turns(messages, partial(_write, names={}))
    if _DEMANDS_SIGNATURES.match(model):
        for turn in turns:
            _sign_first_call(turn.others)
    return system, [
        {"role": "model" if turn.role == "assistant" else "user", "parts": turn.blocks}
        for turn in turns
    ]


def _sign_first_call(parts: Sequence[Block]) -> None:
    """Mark the first call of a turn, which stands for all of them, if nobody has signed it."""
    first = next((part for part in parts if "functionCall" in part), {})
    if first:
        first.setdefault("thoughtSignature", _NOT_MY_CALL)


def _write(message: Message, path: str, names: dict[str, str]) -> list[Block]:
    """Return a message's parts. `names` has the tools that were called before, by their calls."""
    if message.role == "tool":
        return [_function_response(message, path, names)]
    parts: list[Block] = []
    for index, part in enumerate(message.content):
        _add(parts, part, f"{path}.content[{index}]", message)
    for index, call in enumerate(message.tool_calls):
        names[call.id] = call.name
        parts.append(_function_call(call, f"{path}.tool_calls[{index}]"))
    return parts


def _add(parts: list[Block], part: Part, path: str, message: Message) -> None:
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
            _add_signature(parts, part.text, read_signature(seal, f"{path}.reasoning"))


def _add_signature(parts: list[Block], thought: str, signature: str) -> None:
    """Put a signature where it was: on its thought, else on the text before it."""
    if thought:
        parts.append({"text": thought, "thought": True, "thoughtSignature": signature})
    elif parts and parts[-1].keys() == {"text"}:
        parts[-1]["thoughtSignature"] = signature
    else:
        parts.append({"text": "", "thoughtSignature": signature})


def _function_call(call: ToolCall, path: str) -> Block:
    wire: Block = {
        "functionCall": {**_with_id(call.id), "name": call.name, "args": read_arguments(call, path)}
    }
    if call.signature:
        wire["thoughtSignature"] = read_signature(call.signature, f"{path}.signature")
    return wire


def _function_response(message: Message, path: str, names: dict[str, str]) -> Block:
    """Return a tool's result, which the API finds by the tool's name."""
    call_id = message.tool_call_id or ""
    name = names.get(call_id) or message.name
    if not name:
        raise unsupported(f"{path}.tool_call_id", "expected the id of a call before it")
    parts: list[Block] = []
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
    if isinstance(result, dict) and not is_deeper(result, MAX_LEVELS):
        return result
    return {"output": text}
