"""The texts of a template in the default language, cut at their variables."""

from collections.abc import Iterator

from ...domain.prompts import Template
from ...rendering.languages import cut_default
from ...rendering.substitution import Variable
from ...rendering.variables import texts_of

_LANGUAGE = "default"


def find_texts(template: Template) -> tuple[str, ...]:
    """Return what is no variable, each text once; of another language there is none."""
    return tuple(dict.fromkeys(each for each in _pieces(template) if isinstance(each, str)))


def find_references(template: Template) -> tuple[Variable, ...]:
    """Return the references to tools, each once."""
    pieces = (each for each in _pieces(template) if isinstance(each, Variable))
    return tuple(dict.fromkeys(each for each in pieces if each.tool is not None))


def _pieces(template: Template) -> Iterator[str | Variable]:
    if template.language != _LANGUAGE:
        return
    for message in template.messages:
        for text in texts_of(message):
            yield from cut_default(text)
