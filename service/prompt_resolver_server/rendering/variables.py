"""The variables of a template, for those who render it elsewhere."""

from collections.abc import Iterator

from ..prompts import Media, Message, Template, Text
from .substitution import Variable, cut_text

LANGUAGE = "default"
"""The template language whose variables are known."""


def find_variables(template: Template) -> tuple[str, ...]:
    """Return the names of a template's variables, in the order of their first use.

    Of a template in another language they are not known: there are none.
    """
    if template.language != LANGUAGE:
        return ()
    names = dict.fromkeys(
        piece.name
        for message in template.messages
        for text in texts_of(message)
        for piece in cut_text(text)
        if isinstance(piece, Variable) and piece.tool is None
    )
    return tuple(names)


def texts_of(message: Message) -> Iterator[str]:
    """Return the texts of a message that may have variables in them."""
    for part in message.content:
        match part:
            case Text():
                yield part.text
            case Media(url=str() as url):
                yield url
    for call in message.tool_calls:
        yield call.arguments_json
