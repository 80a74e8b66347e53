"""Does jobs, and keeps what it has compiled for the next one of the same template."""

from collections import OrderedDict
from typing import Protocol

from ..domain.parameters import JsonObject
from .faults import RefusedError, UnfitError
from .numbers import read_numbers
from .protocol import Done, Refused, Reply, Source, Unfit, encode, read_job, read_source

# Compiled, a template may take a hundred times the memory of its source. A worker that is full of
# those of some authors has none left for another's.
_MAX_KEPT = 512 * 1024
"""How many bytes the sources of what is kept may have together."""


class _Template(Protocol):
    def find_missing(self, variables: JsonObject) -> dict[str, str]: ...

    def render(self, variables: JsonObject) -> Done: ...


class _Schema(Protocol):
    def find_problems(self, variables: JsonObject) -> dict[str, str]: ...


class Jobs:
    """Answers one job after the other."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, _Compiled | Refused] = OrderedDict()
        self._size = 0

    def answer(self, frame: bytes) -> bytes:
        """Return the reply to a job, both encoded."""
        job = read_job(frame)
        try:
            compiled = self._find(job.source)
            reply = compiled if isinstance(compiled, Refused) else compiled.answer(job.variables)
        except MemoryError:
            raise
        except RecursionError:
            reply = Refused("budget", "expected it to end")
        except Exception:  # noqa: BLE001 - engines fail as they like over what nobody can mean
            reply = Refused("invalid", "expected a template and a schema that can be used")
        return encode(reply)

    def _find(self, source: bytes) -> "_Compiled | Refused":
        kept = self._kept.get(source)
        if kept is not None:
            self._kept.move_to_end(source)
            return kept
        compiled = _compile(read_source(source))
        self._kept[source] = compiled
        self._size += len(source)
        while self._size > _MAX_KEPT and len(self._kept) > 1:
            oldest, _ = self._kept.popitem(last=False)
            self._size -= len(oldest)
        return compiled


class _Compiled:
    """A source, ready for variables."""

    def __init__(self, template: _Template | None, schema: _Schema | None) -> None:
        self._template = template
        self._schema = schema

    def answer(self, variables: JsonObject) -> Reply:
        """Return what comes of it with these variables."""
        variables, problems = read_numbers(variables)
        if problems:
            return Unfit(problems)
        try:
            problems = self._schema.find_problems(variables) if self._schema is not None else {}
            if self._template is None:
                return Unfit(problems) if problems else Done()
            missing = self._template.find_missing(variables)
            if problems := {**missing, **problems}:
                return Unfit(problems)
            return self._template.render(variables)
        except UnfitError as unfit:
            return Unfit(unfit.problems)
        except RefusedError as refused:
            return refuse(refused)


def _compile(source: Source) -> _Compiled | Refused:
    try:
        return _Compiled(_compile_template(source), _compile_schema(source))
    except RefusedError as refused:
        return refuse(refused)


def _compile_template(source: Source) -> _Template | None:
    # Each is imported where it is first needed: a worker of one language does without the other.
    match source.language:
        case "none":
            return None
        case "jinja":
            from .jinja.template import JinjaTemplate  # noqa: PLC0415

            return JinjaTemplate(source.texts, source.json_values)
        case "handlebars":
            from .handlebars.template import HandlebarsTemplate  # noqa: PLC0415

            return HandlebarsTemplate(source.texts[0], source.partials)


def _compile_schema(source: Source) -> _Schema | None:
    if source.schema is None:
        return None
    from .schema import VariablesSchema  # noqa: PLC0415

    return VariablesSchema(source.schema)


def refuse(error: RefusedError) -> Refused:
    """Return the reply for an error."""
    return Refused(error.fault, error.expected, error.text, error.line)
