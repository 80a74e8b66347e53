"""The texts that stand for variables: their values, or what a template has in their places."""

from collections.abc import Mapping

from ..domain.errors import Reason, TemplateError
from ..domain.parameters import Json
from ..domain.prompts import Template
from .problems import tool_missing, variables_invalid
from .substitution import Variable
from .values import ValueUnwritableError, write_value


def fill(template: Template, needed: tuple[Variable, ...], given: Mapping[str, Json]) -> list[str]:
    """Return the text for each needed variable, or tell everything that is wrong at once."""
    values = []
    problems: dict[str, str] = {}
    for variable in needed:
        value = given.get(variable.name)
        if variable.place == "text":
            # Most of all values are text, or a number, for a text.
            if type(value) is str:
                values.append(value)
                continue
            if type(value) is int:
                values.append(str(value))
                continue
        if value is None:
            if variable.literal is not None and variable.name not in given:
                values.append(variable.literal)
                continue
            name, value = variable.name, None
            if variable.tool is not None:
                name, value = _snippet(template, variable, variable.tool, given)
            if value is None:
                problems[name] = _problem(name, variable, given)
                continue
        try:
            values.append(write_value(value, variable.place))
        except ValueUnwritableError as problem:
            problems[variable.name] = str(problem)
    if problems:
        raise variables_invalid(problems)
    return values


def _problem(name: str, variable: Variable, given: Mapping[str, Json]) -> str:
    if given.get(name) is not None:
        return f"expected a key of the tool {variable.tool!r}"
    return "null" if name in given else "missing"


def _snippet(
    template: Template, variable: Variable, tool: str, given: Mapping[str, Json]
) -> tuple[str, str | None]:
    """Return the text of a snippet, if there is one, and the variable that is to blame if not."""
    snippets = template.snippets.get(tool)
    argument = variable.argument
    if snippets is None or not argument or "," in argument:
        raise tool_missing(template, tool)
    if argument.startswith('"'):
        text = snippets.get(argument.strip('"'))
        if text is None:
            raise TemplateError(
                Reason.TEMPLATE_INVALID,
                f"{template.location}: expected a key that the tool {tool!r} has",
                metadata={"id": template.id, "tool": tool},
            )
        return variable.name, text
    key = given.get(argument)
    return argument, snippets.get(key) if isinstance(key, str) else None
