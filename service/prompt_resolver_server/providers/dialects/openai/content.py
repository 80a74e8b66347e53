"""What a model says and thinks in OpenAI's chat dialect, in a whole answer or in a piece of one."""

from collections.abc import Iterator, Mapping

from ....domain.parameters import Json
from ....domain.prompts import Reasoning, Text
from ...wire.fields import read_items, read_text


def read_reasoning(message: Mapping[str, Json]) -> str:
    """Return the reasoning in a message or a delta."""
    # Two names for the same thing; servers that send both send the same text in both.
    return read_text(message, "reasoning_content") or read_text(message, "reasoning")


def read_content(content: Json) -> Iterator[Text | Reasoning]:
    """Return the content of a message or a delta: a text, or a list of chunks.

    Chunks of unknown kinds are skipped: an API may add some. Raises `ProtocolError`.
    """
    if not isinstance(content, list):
        if text := read_text({"content": content}, "content"):
            yield Text(text)
        return
    for chunk in read_items({"content": content}, "content"):
        text = read_text(chunk, "text")
        if chunk.get("type") == "text" and text:
            yield Text(text)
        if chunk.get("type") == "thinking":
            thoughts = read_items(chunk, "thinking")
            yield Reasoning(text="".join(read_text(each, "text") for each in thoughts))
