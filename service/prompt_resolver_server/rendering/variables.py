"""The variables of a template, for those who render it elsewhere."""

from collections.abc import Iterable, Iterator, Sequence

from ..domain.errors import TemplateError
from ..domain.prompts import Media, Message, Template, Text
from .compiler import TooMuchError, compile_messages
from .jinja_texts import JinjaTexts, has_marks
from .known_names import KnownNames
from .languages import CUTS
from .substitution import Variable
from .worker_template import MAX_SOURCE_BYTES

LANGUAGE = "default"
"""The language of a template that does not say."""

# Of a larger template, nobody waits for the names.
_MAX_PARSED = MAX_SOURCE_BYTES // 8
# Nor of one that computes more: prose costs nothing, but each of these takes its microseconds.
_MAX_TOKENS = 10_000
_known = KnownNames()


def find_variables(template: Template) -> tuple[str, ...]:
    """Return the names of a template's variables, in the order of their first use.

    Of a template that cannot be read, or in a language that is not known, there are none. In the
    language `braces` they are what may be variables.
    """
    return template.once(_find_all)


def has_variables(text: str, language: str) -> bool:
    """Tell whether there is anything to fill in, in a text of a template."""
    if language in CUTS:
        return any(isinstance(piece, Variable) for piece in CUTS[language](text))
    return has_marks(text)


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


def jinja_texts_of(template: Template) -> Sequence[str]:
    """Return the texts of a Jinja2 template that a worker renders.

    Raises `TooMuchError` and TEMPLATE_INVALID.
    """
    texts = JinjaTexts()
    compile_messages(template, texts)
    return texts.texts


def _find_all(template: Template) -> tuple[str, ...]:
    texts = [text for message in template.messages for text in texts_of(message)]
    match template.language:
        case "jinja":
            return _find_in_jinja(template)
        case "handlebars":
            text, partials = "".join(texts), template.partials
            parts = [part for name in sorted(partials) for part in (name, partials[name])]
            return _known.find(
                ["handlebars", text, *parts], lambda: _find_in_handlebars(text, template)
            )
        case language if language in CUTS:
            pieces = (piece for text in texts for piece in CUTS[language](text))
            return tuple(dict.fromkeys(name for each in pieces for name in _names(each, template)))
        case _:
            return ()


def _names(piece: str | Variable, template: Template) -> Iterator[str]:
    if not isinstance(piece, Variable):
        return
    if piece.tool is None:
        yield piece.name
    elif piece.tool in template.snippets and not piece.argument.startswith('"'):
        yield piece.argument


def _find_in_jinja(template: Template) -> tuple[str, ...]:
    try:
        texts = jinja_texts_of(template)
    except (TooMuchError, TemplateError):
        return ()
    return _known.find(["jinja", *texts], lambda: _parse_jinja(texts))


def _parse_jinja(texts: Sequence[str]) -> Iterable[str]:
    # Most services have no such template, and need not know what one is.
    from ..sandbox.faults import RefusedError  # noqa: PLC0415
    from ..sandbox.jinja.names import find_names  # noqa: PLC0415
    from ..sandbox.jinja.template import count_tokens, parse  # noqa: PLC0415

    if sum(map(len, texts)) > _MAX_PARSED:
        return ()
    try:
        left = _MAX_TOKENS
        for text in texts:
            left -= count_tokens(text, left)
        return find_names([parse(text) for text in texts]).read if left > 0 else ()
    except RefusedError:
        return ()


def _find_in_handlebars(text: str, template: Template) -> Iterable[str]:
    from ..sandbox.faults import RefusedError  # noqa: PLC0415
    from ..sandbox.handlebars.program import find_names  # noqa: PLC0415

    if sum(map(len, [text, *template.partials.values()])) > _MAX_PARSED:
        return ()
    try:
        return find_names(text, template.partials).read
    except RefusedError:
        return ()
