"""Renders a template's messages with variables."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from ..domain.parameters import Json
from ..domain.prompts import Message, Placeholder, Template
from ..domain.values import Value
from ..sandbox.protocol import Source
from .compiler import RenderMessage, SubstitutedTexts, TooMuchError, compile_messages
from .filling import fill
from .jinja_texts import JinjaTexts
from .languages import CUTS, LANGUAGES
from .pool import WorkerPool
from .problems import language_unknown, template_exhausted, variables_too_large
from .substitution import Variable
from .worker_template import WorkerTemplate, to_messages, to_placeholders

MAX_CHARACTERS = 4 * 1024 * 1024
"""How long the texts of a rendered prompt may be together: more fits into no message."""


class Rendered(Value, frozen=True):
    """A template's finished messages, and where among them the caller's may stand."""

    messages: tuple[Message, ...]
    placeholders: tuple[Placeholder, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compiled:
    """A template, ready to render.

    Without the values its texts are `constant_length` long; `occurrences` tells of each variable
    how often its value comes on top, and `most` is the most of these. `remote` is what a worker has
    to do for it, if anything.
    """

    variables: tuple[Variable, ...] = field(default=(), repr=False)
    constant_length: int = 0
    occurrences: tuple[int, ...] = ()
    most: int = 0
    messages: tuple[Message | RenderMessage, ...] = field(default=(), repr=False)
    remote: WorkerTemplate | None = None

    def is_too_long(self, values: Sequence[str]) -> bool:
        """Tell whether the rendered texts would be too long together, without making them."""
        counted = zip(self.occurrences, values, strict=True)
        total = sum(count * len(value) for count, value in counted)
        return self.constant_length + total > MAX_CHARACTERS

    def render(self, values: Sequence[str]) -> tuple[Message, ...]:
        """Return the messages with the values in place. Raises VARIABLES_INVALID."""
        most = self.constant_length + sum(map(len, values)) * self.most
        if most > MAX_CHARACTERS and self.is_too_long(values):
            raise variables_too_large(f"a prompt of at most {MAX_CHARACTERS} characters")
        return tuple(
            [
                message if isinstance(message, Message) else message(values)
                for message in self.messages
            ]
        )


class Renderer:
    """Renders templates, and compiles each of them once for as long as it lives.

    Languages that compute, and schemas, are left to `workers`.
    """

    def __init__(self, workers: WorkerPool | None = None) -> None:
        self._workers = workers or WorkerPool()

    async def render(
        self,
        template: Template,
        variables: Mapping[str, Json],
        *,
        deadline: float,
        caller: str = "",
    ) -> Rendered:
        """Return the template's finished messages. The template is left as it is.

        `deadline` is on the event loop's clock. A `caller` with a name has its own turn at the
        workers. Raises VARIABLES_INVALID, naming every variable that is missing, null or not as the
        template's schema says; TEMPLATE_INVALID for a template that no variables could render,
        TEMPLATE_FORBIDDEN and TEMPLATE_BUDGET for one that is or takes too much; OVERLOADED and
        DEADLINE.
        """
        compiled = template.once(_compile)
        if template.defaults:
            variables = {**template.defaults, **variables}
        if compiled.remote is not None:
            done = await compiled.remote.render(
                template, variables, self._workers, caller=caller, deadline=deadline
            )
            if template.language == "handlebars":
                return Rendered(to_messages(done), to_placeholders(done))
            if template.language == "jinja":
                return Rendered(compiled.render(done.texts), template.placeholders)
        values = fill(template, compiled.variables, variables)
        return Rendered(compiled.render(values), template.placeholders)

    async def aclose(self) -> None:
        """End the workers."""
        await self._workers.aclose()


def _compile(template: Template) -> _Compiled:
    try:
        match template.language:
            case "jinja":
                return _compile_jinja(template)
            case "handlebars":
                return _compile_handlebars(template)
            case language if language in CUTS:
                return _compile_substitution(template)
            case _:
                raise language_unknown(template, LANGUAGES)
    except TooMuchError as error:
        raise template_exhausted(template, error.expected) from None


def _compile_substitution(template: Template) -> _Compiled:
    texts = SubstitutedTexts(CUTS[template.language], _required(template))
    messages = compile_messages(template, texts)
    counts = Counter(number for text in texts.texts for number in text.numbers)
    variables = texts.slots.variables
    return _Compiled(
        variables=variables,
        constant_length=sum(text.constant_length for text in texts.texts),
        occurrences=tuple(counts[number] for number in range(len(variables))),
        most=max(counts.values(), default=0),
        messages=messages,
        remote=None if template.schema is None else _remote(template, Source("none")),
    )


def _compile_jinja(template: Template) -> _Compiled:
    texts = JinjaTexts()
    messages = compile_messages(template, texts)
    source = Source("jinja", tuple(texts.texts), json_values=tuple(texts.json_values))
    has_work = texts.texts or template.schema is not None
    return _Compiled(messages=messages, remote=_remote(template, source) if has_work else None)


def _compile_handlebars(template: Template) -> _Compiled:
    text = "".join(message.text for message in template.messages)
    source = Source("handlebars", (text,), dict(template.partials))
    return _Compiled(remote=_remote(template, source))


def _remote(template: Template, source: Source) -> WorkerTemplate:
    return WorkerTemplate(template, replace(source, schema=template.schema))


def _required(template: Template) -> Sequence[str]:
    required = (template.schema or {}).get("required", ())
    return (
        [name for name in required if isinstance(name, str)] if isinstance(required, list) else ()
    )
