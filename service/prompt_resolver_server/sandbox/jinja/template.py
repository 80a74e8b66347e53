"""Compiles and renders the texts of one Jinja2 template."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from jinja2 import Environment, Template, nodes
from jinja2.exceptions import SecurityError, TemplateError, TemplateSyntaxError, UndefinedError

from ...domain.parameters import JsonObject
from ..faults import RefusedError, UnfitError, output_exhausted
from ..protocol import MAX_OUTPUT, Done
from .environment import environment, json_environment
from .lint import check
from .names import find_names


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
                rendered.append(self._render(template, given, left))
            left -= len(rendered[-1].encode())
        if left < 0:
            raise output_exhausted()
        return Done(texts=tuple(rendered))

    def _render(self, template: Template, variables: JsonObject, left: int) -> str:
        try:
            pieces = []
            for piece in template.root_render_func(template.new_context(dict(variables))):
                left -= len(piece)
                if left < 0:
                    raise output_exhausted()
                pieces.append(piece)
            return "".join(pieces)
        except UndefinedError as error:
            raise UnfitError(self._missing(str(error))) from None
        except SecurityError:
            raise RefusedError("forbidden", "expected nothing that the sandbox forbids") from None
        except RecursionError:
            raise RefusedError("budget", "expected it to end") from None
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError):
            raise RefusedError("invalid", "expected a template that fits these variables") from None

    def _missing(self, name: str) -> dict[str, str]:
        """Tell what is missing by its name, unless a value has named it: that is told to nobody."""
        if name in self._names.written:
            return {name: "missing"}
        return {"": "expected a value to name a field that there is"}
