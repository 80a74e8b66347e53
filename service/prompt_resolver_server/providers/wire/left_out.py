"""What an answer can do without, and not every API has a place for."""

from collections.abc import Sequence
from typing import Literal

from ...domain.prompts import Media, Message

Detail = Literal["name", "detail", "filename"]


def find_left_out(
    messages: Sequence[Message], *details: Detail, names_tools: bool = False
) -> tuple[str, ...]:
    """Return which of these details the messages have.

    They are who speaks, how closely to look at an image, and what a file is called. `names_tools`
    tells that there is a place for the name of the tool that a result is of.
    """
    media = [part for each in messages for part in each.content if isinstance(part, Media)]
    is_there = {
        "name": any(each.name and not (names_tools and each.role == "tool") for each in messages),
        "detail": any(part.detail not in (None, "auto") for part in media),
        "filename": any(part.filename for part in media),
    }
    return tuple(detail for detail in details if is_there[detail])
