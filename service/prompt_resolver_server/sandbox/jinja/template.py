"""Compiles and renders the texts of one Jinja2 template."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from jinja2 import Environment, Template, nodes
from jinja2.exceptions import SecurityError, TemplateError, TemplateSyntaxError, UndefinedError

from ...domain.parameters import JsonObject
from ..faults import RefusedError, UnfitError, output_exhausted
from ..protocol import MAX_OUTPUT, Done
from .environment import environment, json_environment
from .lint import check
from .names import find_names, find_paths

_MAX_TOLD = 5
# What Python and Jinja2's filters raise over values that they cannot do with what they are told to.
_OVER_VALUES = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def count_tokens(text: str, most: int) -> int:
    """Return how many tokens a text has, and no more than `most`. Raises `RefusedError`."""
    try:
        return sum(1 for _ in islice(environment().lex(text), most))
    except TemplateSyntaxError as error:
        raise _no_jinja(error) from None


def parse(text: str) -> nodes.Template:
    """Return a text's tree, which holds nothing that is forbidden. Raises `RefusedError`."""
    try:
        tree = environment().parse(text)
        check(tree)
    except TemplateSyntaxError as error:
        raise _no_jinja(error) from None
    except RecursionError:
        raise RefusedError("budget", "expected fewer levels") from None
    except ValueError:
        # A number with too many digits.
        raise RefusedError("invalid", "expected shorter numbers") from None
    return tree


def _compile(tree: nodes.Template, environment: Environment) -> Template:
    try:
        return environment.from_string(tree)
    except TemplateSyntaxError as error:
        raise _no_jinja(error) from None
    except (SyntaxError, RecursionError):
        # Python's own compiler has had enough.
        raise RefusedError("budget", "expected fewer levels") from None


def _check_expression(tree: nodes.Template) -> None:
    match tree.body:
        case [nodes.Output(nodes=[nodes.Expr() as only])] if not isinstance(
            only, nodes.TemplateData
        ):
            return
    raise RefusedError("invalid", "expected one expression in place of a value")


def _no_jinja(error: TemplateSyntaxError) -> RefusedError:
    return RefusedError("invalid", "expected the syntax of Jinja2", error.lineno)


@contextmanager
def _at(index: int) -> Iterator[None]:
    """Have an error tell in which of the texts it is."""
    try:
        yield
    except RefusedError as error:
        error.text = index
        raise


class JinjaTemplate:
    """The texts of one template, compiled. Raises `RefusedError`.

    `json_values` are the indices of those that are one expression, whose value is written as JSON.
    """

    def __init__(self, texts: Sequence[str], json_values: Sequence[int] = ()) -> None:
        trees = []
        self._sources = tuple(texts)
        self._texts = []
        for index, text in enumerate(texts):
            with _at(index):
                trees.append(parse(text))
                if index in json_values:
                    _check_expression(trees[-1])
                    self._texts.append(_compile(trees[-1], json_environment()))
                else:
                    self._texts.append(_compile(trees[-1], environment()))
        self._names = find_names(trees)

    def find_missing(self, variables: JsonObject) -> dict[str, str]:
        """Return what is wrong with the variables that are required: missing, or null."""
        return {
            name: "null" if name in variables else "missing"
            for name in self._names.required
            if variables.get(name) is None
        }

    def render(self, variables: JsonObject) -> Done:
        """Return the rendered texts. Raises `RefusedError` and `UnfitError`."""
        # What is null counts as absent, except where the template itself asks for it.
        given = {
            name: value
            for name, value in variables.items()
            if value is not None or name in self._names.nullable
        }
        left = MAX_OUTPUT
        rendered = []
        for index, template in enumerate(self._texts):
            with _at(index):
                rendered.append(self._render(index, template, given, left))
            left -= len(rendered[-1].encode())
        if left < 0:
            raise output_exhausted()
        return Done(texts=tuple(rendered))

    def _render(self, index: int, template: Template, variables: JsonObject, left: int) -> str:
        try:
            pieces = []
            for piece in template.root_render_func(template.new_context(dict(variables))):
                left -= len(piece)
                if left < 0:
                    raise output_exhausted()
                pieces.append(piece)
            return "".join(pieces)
        except UndefinedError as error:
            raise UnfitError(self._missing(index, str(error), _line_of(error))) from None
        except UnfitError as error:
            raise self._unfit(index, error, error.problems[""]) from None
        except RefusedError as error:
            error.line = error.line or _line_of(error)
            raise
        except SecurityError as error:
            raise RefusedError(
                "forbidden", "expected nothing that the sandbox forbids", _line_of(error)
            ) from None
        except RecursionError:
            raise RefusedError("budget", "expected it to end") from None
        except _OVER_VALUES as error:
            raise self._unfit(index, error, "expected what the template can use") from None
        except TemplateError as error:
            raise _unrenderable(_line_of(error)) from None

    def _unfit(self, index: int, error: Exception, problem: str) -> Exception:
        """Return the error over values, by the names in the line that failed.

        A line that reads none fails whatever the variables are, and so it is the template's fault.
        """
        line = _line_of(error)
        paths = find_paths(parse(self._sources[index]), line)
        if not paths:
            return _unrenderable(line)
        if len(paths) == 1:
            return UnfitError({paths[0]: problem})
        return UnfitError({"": f"{problem}, in one of {', '.join(paths[:_MAX_TOLD])}"})

    def _missing(self, index: int, name: str, line: int | None) -> dict[str, str]:
        """Tell what is missing by its name, unless a value has named it: that is told to nobody.

        A field is told with the variable that lacks it, if no other in the line can be meant.
        """
        if name not in self._names.written:
            return {"": "expected a value to name a field that there is"}
        paths = {
            path
            for read in find_paths(parse(self._sources[index]), line)
            if read.partition(".")[0] in self._names.read
            for path in _up_to(name, read)
        }
        return {paths.pop() if len(paths) == 1 else name: "missing"}


def _up_to(name: str, path: str) -> Iterator[str]:
    """Return the beginnings of a path that end in a name."""
    names = path.split(".")
    return (".".join(names[: at + 1]) for at, each in enumerate(names) if each == name)


def _unrenderable(line: int | None) -> RefusedError:
    return RefusedError("invalid", "expected a template that can be rendered", line)


def _line_of(error: Exception) -> int | None:
    """Return the line of the text that an error came of, as far as Jinja2 tells."""
    line, trace = None, error.__traceback__
    while trace is not None:
        template = trace.tb_frame.f_globals.get("__jinja_template__")
        if isinstance(template, Template):
            line = template.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    return line
