"""A value of any form as the only field of an object: its schema, and its JSON."""

import re

from ..domain.parameters import JsonObject

_NAME = "answer"
_HEAD = re.compile(r'\s*\{\s*"answer"\s*:\s*')
_LONGEST_HEAD = 100
_END = "} \t\r\n"
_DEFINITIONS = ("$defs", "definitions")


def wrap_schema(schema: JsonObject) -> JsonObject:
    """Return the schema of an object whose only field has the given one."""
    inner = {name: value for name, value in schema.items() if name not in _DEFINITIONS}
    # References to these begin at the root.
    definitions = {name: value for name, value in schema.items() if name in _DEFINITIONS}
    return {
        "type": "object",
        "properties": {_NAME: inner},
        "required": [_NAME],
        "additionalProperties": False,
        **definitions,
    }


class Unwrapper:
    """Takes the field's JSON out of the object's, as that arrives.

    What does not begin as it should is passed on as it is.
    """

    def __init__(self) -> None:
        self._held = ""
        self._is_wrapped: bool | None = None

    def feed(self, text: str) -> str:
        """Return what more of the object tells of the field."""
        self._held += text
        if self._is_wrapped is None:
            self._begin()
        if self._is_wrapped is None:
            return ""
        # Which brace is the object's is not known before its end.
        cut = len(self._held.rstrip(_END) if self._is_wrapped else self._held)
        told, self._held = self._held[:cut], self._held[cut:]
        return told

    def end(self) -> str:
        """Return what is left at the end of the object."""
        return self._held.rstrip().removesuffix("}").rstrip() if self._is_wrapped else self._held

    def _begin(self) -> None:
        if head := _HEAD.match(self._held):
            self._is_wrapped, self._held = True, self._held[head.end() :]
        elif len(self._held) > _LONGEST_HEAD:
            self._is_wrapped = False
