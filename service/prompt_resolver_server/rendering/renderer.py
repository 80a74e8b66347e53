"""Renders a template's messages with variables."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from msgspec.structs import replace

from ..errors import CallError, Reason, TemplateError, Violation
from ..parameters import Json
from ..prompts import Media, Message, Part, Template, Text, ToolCall
from .substitution import CompiledText, Slots, Variable, compile_json, compile_text
from .values import ValueUnwritableError, write_value

MAX_CHARACTERS = 4 * 1024 * 1024
"""How long the texts of a rendered prompt may be together: more fits into no message."""

_MAX_OCCURRENCES = 10_000
_MAX_NAMED = 50

_Render = Callable[[Sequence[str]], Message]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compiled:
    """A template's messages, ready to render.

    Without the values its texts are `constant_length` long; `occurrences` tells of each variable
    how often its value comes on top, and `most` is the most of these.
    """

    variables: tuple[Variable, ...] = field(repr=False)
    constant_length: int
    occurrences: tuple[int, ...]
    most: int
    messages: tuple[Message | _Render, ...] = field(repr=False)

    def is_too_long(self, values: Sequence[str]) -> bool:
        """Tell whether the rendered texts would be too long together, without making them."""
        room = MAX_CHARACTERS - self.constant_length
        return sum(map(len, values)) * self.most > room and room < sum(
            count * len(value) for count, value in zip(self.occurrences, values, strict=True)
        )


class Renderer:
    """Renders templates, and compiles each of them once for as long as it lives."""

    def __init__(self) -> None:
        self._compiled: WeakKeyDictionary[Template, _Compiled] = WeakKeyDictionary()

    def render(self, template: Template, variables: Mapping[str, Json]) -> tuple[Message, ...]:
        """Return the template's finished messages. The template is left as it is.

        Raises VARIABLES_INVALID, naming every variable that is missing or null, and
        TEMPLATE_INVALID for a template that no variables could render.
        """
        compiled = self._compiled.get(template)
        if compiled is None:
            compiled = self._compiled[template] = _compile(template)
        values = _values(template, compiled.variables, variables)
        if compiled.is_too_long(values):
            raise CallError(
                Reason.VARIABLES_INVALID,
                f"variables: expected a prompt of at most {MAX_CHARACTERS} characters",
                violations=(Violation("variables", "too large"),),
            )
        return tuple(
            [
                message if isinstance(message, Message) else message(values)
                for message in compiled.messages
            ]
        )


def _values(
    template: Template, needed: tuple[Variable, ...], given: Mapping[str, Json]
) -> list[str]:
    """Return the text for each needed variable, or tell everything that is wrong at once."""
    values = []
    problems: dict[str, str] = {}
    for variable in needed:
        value = given.get(variable.name)
        if type(value) is str and variable.place == "text":
            # Most of all values are text for a text.
            values.append(value)
            continue
        if value is None:
            if variable.tool:
                raise _tool_missing(template, variable.tool)
            problems[variable.name] = "null" if variable.name in given else "missing"
            continue
        try:
            values.append(write_value(value, variable.place))
        except ValueUnwritableError as problem:
            problems[variable.name] = str(problem)
    if problems:
        raise _variables_invalid(problems)
    return values


def _variables_invalid(problems: Mapping[str, str]) -> CallError:
    names = sorted(problems)
    shown = names[:_MAX_NAMED]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    absent = [name for name in shown if problems[name] in ("missing", "null")]
    wrong = [f"{name}: {problems[name]}" for name in shown if name not in absent]
    told = [f"missing {', '.join(absent)}"] if absent else []
    return CallError(
        Reason.VARIABLES_INVALID,
        f"variables: {'; '.join(told + wrong)}{more}",
        metadata={"missing": ",".join(absent)} if absent else {},
        violations=tuple(Violation(f"variables.{name}", problems[name]) for name in shown),
    )


def _tool_missing(template: Template, tool: str) -> TemplateError:
    return TemplateError(
        Reason.TEMPLATE_INVALID,
        f"{template.location}: the output of the tool {tool!r} belongs here, and this store cannot"
        " deliver it",
        metadata={"id": template.id, "tool": tool},
    )


def _compile(template: Template) -> _Compiled:
    if template.language != "default":
        raise TemplateError(
            Reason.TEMPLATE_INVALID,
            f"{template.location}: expected the template language 'default', which is the only one"
            f" served, got {template.language!r}",
            metadata={"id": template.id, "language": template.language},
        )
    compiler = _Compiler(template)
    messages = tuple(compiler.message(message) for message in template.messages)
    if sum(len(text.pieces) for text in compiler.texts) > 2 * _MAX_OCCURRENCES:
        raise TemplateError(
            Reason.TEMPLATE_BUDGET,
            f"{template.location}: expected at most {_MAX_OCCURRENCES} variables in a template",
            metadata={"id": template.id},
        )
    counts = Counter(number for text in compiler.texts for number in text.numbers)
    variables = compiler.slots.variables
    return _Compiled(
        variables=variables,
        constant_length=sum(text.constant_length for text in compiler.texts),
        occurrences=tuple(counts[number] for number in range(len(variables))),
        most=max(counts.values(), default=0),
        messages=messages,
    )


class _Compiler:
    """Compiles the messages of one template. What has no variables is kept as it is."""

    def __init__(self, template: Template) -> None:
        self.slots = Slots()
        self.texts: list[CompiledText] = []
        self._template = template

    def message(self, message: Message) -> Message | _Render:
        parts = [self._part(part) for part in message.content]
        calls = [self._tool_call(call) for call in message.tool_calls]
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

    def _part(self, part: Part) -> Part | Callable[[Sequence[str]], Part]:
        match part:
            case Text():
                text = self._keep(compile_text(part.text, self.slots))
                return part if text.is_constant else lambda values: Text(text.render(values))
            case Media(url=str() as source):
                url = self._keep(compile_text(source, self.slots))
                return (
                    part
                    if url.is_constant
                    else lambda values: replace(part, url=url.render(values))
                )
            case _:
                return part

    def _tool_call(self, call: ToolCall) -> ToolCall | Callable[[Sequence[str]], ToolCall]:
        arguments = self._keep(compile_json(call.arguments_json, self.slots))
        if arguments.is_constant:
            return call

        def render(values: Sequence[str]) -> ToolCall:
            rendered = arguments.render(values)
            if not _is_json(rendered):
                raise TemplateError(
                    Reason.TEMPLATE_INVALID,
                    f"{self._template.location}: expected the arguments of the call of"
                    f" {call.name!r} to be JSON once rendered",
                    metadata={"id": self._template.id},
                )
            return replace(call, arguments_json=rendered)

        return render

    def _keep(self, text: CompiledText) -> CompiledText:
        self.texts.append(text)
        return text


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
