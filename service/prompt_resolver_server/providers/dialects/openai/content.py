"""What a model says and thinks in OpenAI's chat dialect, in a whole answer or in a piece of one."""

from collections.abc import Iterator
from typing import Any

import msgspec

from ....domain.parameters import Json
from ....domain.prompts import Reasoning, Text
from ...dialect import ProtocolError
from ...wire.fields import read_items, read_text

_READ = frozenset({"text", "thinking"})
"""The kinds of chunks that are read."""


class WireMessage(msgspec.Struct, gc=False):
    """A message, or what an event adds to one.

    Two of the names are for the same thing; servers that send both send the same text in both, or
    something else in the second one.
    """

    content: str | list[Any] | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    refusal: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    function_call: dict[str, Any] | None = None
    audio: Any = None
    images: Any = None

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The calls of tools, or the one call of the form before there were tools."""
        if self.tool_calls:
            return self.tool_calls
        call = self.function_call
        return [{"function": call}] if call and (call.get("name") or call.get("arguments")) else []

    @property
    def is_beyond_words(self) -> bool:
        """Whether there is something that is not read, such as a sound or an image."""
        return bool(self.audio or self.images) or (
            isinstance(self.content, list)
            and any(
                isinstance(each, dict) and each.get("type") not in _READ for each in self.content
            )
        )


def check_words(*, spoke: bool) -> None:
    """Raise `ProtocolError` for an answer beyond words that has none of them, nor calls."""
    if not spoke:
        raise ProtocolError("expected text or calls of tools")


def read_thoughts(thoughts: object) -> Reasoning:
    """Return what a model thought. Raises `ProtocolError`."""
    if not isinstance(thoughts, str):
        raise ProtocolError("expected reasoning to be text")
    return Reasoning(text=thoughts)


def read_chunks(content: list[Json]) -> Iterator[Text | Reasoning]:
    """Return a content that is a list of chunks.

    Those of unknown kinds are skipped: an API may add some. Raises `ProtocolError`.
    """
    for chunk in read_items({"content": content}, "content"):
        text = read_text(chunk, "text")
        if chunk.get("type") == "text" and text:
            yield Text(text)
        if chunk.get("type") == "thinking":
            thoughts = read_items(chunk, "thinking")
            yield Reasoning(text="".join(read_text(each, "text") for each in thoughts))
