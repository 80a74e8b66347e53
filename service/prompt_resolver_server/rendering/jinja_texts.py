"""The texts of a Jinja2 template: each that has anything of Jinja2's in it is rendered whole."""

import json
from collections.abc import Iterator, Sequence

from ..domain.json_codec import is_deeper
from ..domain.parameters import Json
from .compiler import Compiled, TooMuchError
from .substitution import CompiledText

_MARKS = ("{{", "{%", "{#")
_MAX_LEVELS = 64


class JinjaTexts:
    """Collects what is to be rendered in `texts`; a rendered one's number is its index there."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def compile(self, text: str) -> Compiled:
        """Compile a text."""
        return CompiledText([self._number(text)] if has_marks(text) else [text])

    def compile_json(self, text: str) -> Compiled:
        """Compile a JSON text: the strings in it one by one, so that no value gets out of its own.

        One that is JSON only once it is rendered is a text like others.
        """
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return self.compile(text)
        if is_deeper(value, _MAX_LEVELS):
            raise TooMuchError(f"at most {_MAX_LEVELS} levels in the arguments of a call")
        strings = [each for each in _strings(value) if has_marks(each)]
        if not strings:
            return CompiledText([text])
        return _CompiledJson(value, {each: self._number(each) for each in dict.fromkeys(strings)})

    def _number(self, text: str) -> int:
        self.texts.append(text)
        return len(self.texts) - 1


class _CompiledJson:
    """A JSON value, some strings in which are rendered: `numbers` has theirs."""

    is_constant = False

    def __init__(self, value: Json, numbers: dict[str, int]) -> None:
        self._value = value
        self._numbers = numbers

    def render(self, values: Sequence[str]) -> str:
        """Return the value with its strings rendered, as JSON."""
        texts = {text: values[number] for text, number in self._numbers.items()}
        return json.dumps(_with_strings(self._value, texts), ensure_ascii=False)


def has_marks(text: str) -> bool:
    """Tell whether there is anything of Jinja2's in a text."""
    return any(mark in text for mark in _MARKS)


def _strings(value: Json) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for each in value:
                yield from _strings(each)
        case dict():
            for each in value.values():
                yield from _strings(each)


def _with_strings(value: Json, texts: dict[str, str]) -> Json:
    match value:
        case str():
            return texts.get(value, value)
        case list():
            return [_with_strings(each, texts) for each in value]
        case dict():
            return {name: _with_strings(each, texts) for name, each in value.items()}
        case _:
            return value
