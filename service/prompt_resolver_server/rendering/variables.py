"""The variables of a template, for those who render it elsewhere."""

from collections.abc import Iterable, Iterator

from ..domain.errors import TemplateError
from ..domain.prompts import Media, Message, Template, Text
from .compiler import TooMuchError, compile_messages
from .jinja_texts import JinjaTexts
from .languages import CUTS
from .remote import MAX_SOURCE_BYTES
from .substitution import Variable

LANGUAGE = "default"
"""The language of a template that does not say."""

# Of a larger template, nobody waits for the names.
_MAX_PARSED = MAX_SOURCE_BYTES // 8


def find_variables(template: Template) -> tuple[str, ...]:
    """Return the names of a template's variables, in the order of their first use.

    Of a template that cannot be read, or in a language that is not known, there are none. In the
    language `braces` they are what may be variables.
    """
    return template.once(_find_all)


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


def _find_all(template: Template) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_find(template)))


def _find(template: Template) -> Iterable[str]:
    texts = [text for message in template.messages for text in texts_of(message)]
    size = sum(map(len, [*texts, *template.partials.values()]))
    match template.language:
        case "jinja" | "handlebars" if size > _MAX_PARSED:
            return ()
        case "jinja":
            return _find_in_jinja(template)
        case "handlebars":
            return _find_in_handlebars("".join(texts), template)
        case language if language in CUTS:
            cut = CUTS[language]
            return [
                name for text in texts for piece in cut(text) for name in _names(piece, template)
            ]
        case _:
            return ()


def _names(piece: str | Variable, template: Template) -> Iterator[str]:
    if not isinstance(piece, Variable):
        return
    if piece.tool is None:
        yield piece.name
    elif piece.tool in template.snippets and not piece.argument.startswith('"'):
        yield piece.argument


def _find_in_jinja(template: Template) -> Iterable[str]:
    # Most services have no such template, and need not know what one is.
    from ..sandbox.faults import RefusedError  # noqa: PLC0415
    from ..sandbox.jinja.names import find_names  # noqa: PLC0415
    from ..sandbox.jinja.template import parse  # noqa: PLC0415

    texts = JinjaTexts()
    try:
        compile_messages(template, texts)
        return find_names([parse(text) for text in texts.texts]).read
    except (RefusedError, TooMuchError, TemplateError):
        return ()


def _find_in_handlebars(text: str, template: Template) -> Iterable[str]:
    from ..sandbox.faults import RefusedError  # noqa: PLC0415
    from ..sandbox.handlebars.program import find_names  # noqa: PLC0415

    try:
        return find_names(text, template.partials).read
    except RefusedError:
        return ()
