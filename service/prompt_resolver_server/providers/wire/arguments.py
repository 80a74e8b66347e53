"""The arguments of tool calls, for APIs that take them as objects rather than as text."""

from ...domain.errors import unsupported
from ...domain.json_codec import JsonError, decode_json, is_deeper
from ...domain.parameters import Json
from ...domain.prompts import ToolCall

MAX_LEVELS = 100
"""How deeply JSON may be nested that a provider is to read."""


def read_arguments(call: ToolCall, path: str) -> dict[str, Json]:
    """Return a call's arguments, empty where it has none. Raises PARAMETER_UNSUPPORTED.

    Some models write `null` where there are none.
    """
    try:
        arguments = decode_json((call.arguments_json or "null").encode())
    except JsonError:
        arguments = ""
    if arguments is None:
        return {}
    if not isinstance(arguments, dict) or is_deeper(arguments, MAX_LEVELS):
        expected = f"expected a JSON object of at most {MAX_LEVELS} levels"
        raise unsupported(f"{path}.arguments_json", expected)
    return arguments
