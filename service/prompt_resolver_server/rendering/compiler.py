"""Compiles the messages of one template, whatever its language makes of their texts."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, TypeAlias

from msgspec.structs import replace

from ..domain.errors import Reason, TemplateError
from ..domain.prompts import Media, Message, Part, Template, Text, ToolCall
from .substitution import (
    CompiledText,
    Cut,
    NoPlaceError,
    Slots,
    Variable,
    compile_text,
    place_in_json,
)

_MAX_OCCURRENCES = 10_000

RenderMessage: TypeAlias = Callable[[Sequence[str]], Message]
"""Returns a message with the values, which are texts, in their places."""


class TooMuchError(Exception):
    """A template that has too much of something: `expected` says how much it may be."""

    def __init__(self, expected: str) -> None:
        super().__init__(expected)
        self.expected = expected


class Compiled(Protocol):
    """A text, ready for values."""

    @property
    def is_constant(self) -> bool:
        """Whether there is nothing to fill in."""
        ...

    def render(self, values: Sequence[str]) -> str:
        """Return the text with the values in place."""
        ...


class Texts(Protocol):
    """Compiles the texts of one template. Raises `TooMuchError`."""

    def compile(self, text: str) -> Compiled:
        """Compile a text."""
        ...

    def compile_json(self, text: str) -> Compiled:
        """Compile a text that is JSON once it is rendered. Raises `NoPlaceError`."""
        ...


class SubstitutedTexts:
    """The texts of a language that only fills variables in: `cut` finds them.

    `required` are the names that have to be given even where the language lets them be text.
    """

    def __init__(self, cut: Cut, required: Sequence[str] = ()) -> None:
        self.slots = Slots()
        self.texts: list[CompiledText] = []
        self._cut = cut
        self._required = frozenset(required)
        self._left = _MAX_OCCURRENCES

    def compile(self, text: str) -> CompiledText:
        """Compile a text."""
        return self._keep(self._pieces(text))

    def compile_json(self, text: str) -> CompiledText:
        """Compile a JSON text, in which values are written as JSON."""
        return self._keep(place_in_json(self._pieces(text)))

    def _pieces(self, text: str) -> Iterator[str | Variable]:
        for piece in self._cut(text):
            if isinstance(piece, Variable):
                self._left -= 1
                if self._left < 0:
                    raise TooMuchError(f"at most {_MAX_OCCURRENCES} variables in a template")
                if piece.name in self._required:
                    yield dataclasses.replace(piece, literal=None)
                    continue
            yield piece

    def _keep(self, pieces: Iterable[str | Variable]) -> CompiledText:
        self.texts.append(compile_text(pieces, self.slots))
        return self.texts[-1]


def compile_messages(template: Template, texts: Texts) -> tuple[Message | RenderMessage, ...]:
    """Compile a template's messages. One in which there is nothing to fill in stays as it is.

    Raises `TooMuchError`, and TEMPLATE_INVALID for arguments in which a variable has no place.
    """
    return tuple([_compile_message(template, message, texts) for message in template.messages])


def _compile_message(template: Template, message: Message, texts: Texts) -> Message | RenderMessage:
    match message:
        case Message(content=(Text(text=text),), tool_calls=()):
            return _compile_text_message(message, texts.compile(text))
    parts = [_compile_part(part, texts) for part in message.content]
    calls = [_compile_tool_call(template, call, texts) for call in message.tool_calls]
    if not any(callable(each) for each in (*parts, *calls)):
        return message
    role, name, call_id = message.role, message.name, message.tool_call_id

    def render(values: Sequence[str]) -> Message:
        return Message(
            role=role,
            content=tuple([part(values) if callable(part) else part for part in parts]),
            name=name,
            tool_calls=tuple([call(values) if callable(call) else call for call in calls])
            if calls
            else (),
            tool_call_id=call_id,
        )

    return render


def _compile_text_message(message: Message, text: Compiled) -> Message | RenderMessage:
    """Compile a message that is one text, as most of them are: in as few steps as may be."""
    if text.is_constant:
        return message
    role, name, call_id, write = message.role, message.name, message.tool_call_id, text.render
    return lambda values: Message(
        role=role, content=(Text(write(values)),), name=name, tool_call_id=call_id
    )


def _compile_part(part: Part, texts: Texts) -> Part | Callable[[Sequence[str]], Part]:
    match part:
        case Text():
            text = texts.compile(part.text)
            return part if text.is_constant else lambda values: Text(text.render(values))
        case Media(url=str() as source):
            url = texts.compile(source)
            return part if url.is_constant else lambda values: replace(part, url=url.render(values))
        case _:
            return part


def _compile_tool_call(
    template: Template, call: ToolCall, texts: Texts
) -> ToolCall | Callable[[Sequence[str]], ToolCall]:
    # Not the template itself, which keeps what is compiled of it.
    location, prompt_id = template.location, template.id

    def fault(expected: str) -> TemplateError:
        return TemplateError(
            Reason.TEMPLATE_INVALID,
            f"{location}: expected the arguments of the call of {call.name!r} to be {expected}",
            metadata={"id": prompt_id},
        )

    try:
        arguments = texts.compile_json(call.arguments_json)
    except NoPlaceError as error:
        raise fault(error.expected) from None
    if arguments.is_constant:
        return call

    def render(values: Sequence[str]) -> ToolCall:
        rendered = arguments.render(values)
        if not _is_json(rendered):
            raise fault("JSON once rendered")
        return replace(call, arguments_json=rendered)

    return render


def _is_json(text: str) -> bool:
    try:
        # Python has numbers that JSON lacks, and reads them, too.
        json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse_constant(_: str) -> None:
    raise ValueError
