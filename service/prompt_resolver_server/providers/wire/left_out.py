"""What an answer can do without, and not every API has a place for."""

from collections.abc import Sequence

from ...prompts import Media, Message


def find_left_out(messages: Sequence[Message]) -> tuple[str, ...]:
    """Return which of these messages have: the names of who speaks, the detail of an image."""
    left_out = {
        "name": any(message.name for message in messages),
        "detail": any(
            isinstance(part, Media) and part.detail not in (None, "auto")
            for message in messages
            for part in message.content
        ),
    }
    return tuple(name for name, is_there in left_out.items() if is_there)
