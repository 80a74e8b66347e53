"""Parameters in OpenAI's chat dialect."""

from collections.abc import Mapping
from typing import NamedTuple

from ....domain.answers import ModelRequest
from ....domain.parameters import Json, Parameters, ResponseFormat
from ...dialect import NO_QUIRKS, Quirks
from ...wire.effort import read_budget
from ...wire.unsupported import check_insisted, name_all


class _Written(NamedTuple):
    """The fields of a body, and the names of the parameters that they leave out."""

    fields: Mapping[str, Json]
    lacking: tuple[str, ...]


def write_parameters(
    request: ModelRequest, quirks: Quirks
) -> tuple[Mapping[str, Json], tuple[str, ...]]:
    """Return the fields of the body, and the names of the parameters that they leave out.

    Raises PARAMETER_UNSUPPORTED for what must be sent and the provider lacks.
    """
    written = request.parameters.once(_write, quirks, bool(request.tools))
    if written.lacking:
        check_insisted(written.lacking, request.insisted)
    return written


def _write(parameters: Parameters, quirks: Quirks, has_tools: bool) -> _Written:
    lacking = tuple(
        name
        for name in name_all(parameters)
        if name in quirks.lacks or _has_no_place(name, parameters, quirks, has_tools=has_tools)
    )
    written = _write_each(parameters).items()
    fields = {
        _on_the_wire(name, parameters, quirks): value
        for name, value in written
        if name not in lacking
    }
    return _Written(fields, lacking)


def _on_the_wire(name: str, parameters: Parameters, quirks: Quirks = NO_QUIRKS) -> str:
    """Return what the wire calls a parameter: the limit as it was called, unless renamed."""
    said = parameters.limit_name if name == "max_tokens" else name
    return quirks.renames.get(said, said)


def _has_no_place(name: str, parameters: Parameters, quirks: Quirks, *, has_tools: bool) -> bool:
    """Tell whether the wire cannot express what is meant by a parameter."""
    if name in parameters.extra:
        # Of two that have one name on the wire, the one with a field of its own counts.
        taken = {_on_the_wire(typed, parameters, quirks) for typed in parameters.names()}
        return _on_the_wire(name, parameters, quirks) in taken
    match name:
        case "reasoning_effort":
            # A number is a budget of thinking tokens; the dialect knows words alone.
            return read_budget(parameters.reasoning_effort) is not None
        case "response_format":
            form = parameters.response_format
            return form is not None and form.type in quirks.lacks_forms
        case "parallel_tool_calls":
            return not has_tools
        case _:
            return False


def write_all(parameters: Parameters) -> dict[str, Json]:
    """Return all parameters that are set, as OpenAI's own API has them."""
    written = _write_each(parameters).items()
    return {_on_the_wire(name, parameters): value for name, value in written}


def _write_each(parameters: Parameters) -> dict[str, Json]:
    """Return all parameters that are set, by our names."""
    wire: dict[str, Json] = dict(parameters.extra)
    for name in parameters.names():
        match getattr(parameters, name):
            case ResponseFormat() as form:
                wire[name] = _response_format(form)
            case tuple() as texts:
                wire[name] = list(texts)
            case value if name != "extra":
                wire[name] = value
    return wire


def _response_format(form: ResponseFormat) -> Json:
    if form.json_schema is None:
        return {"type": form.type}
    schema: dict[str, Json] = {
        "name": form.json_schema.name,
        "schema": dict(form.json_schema.schema),
    }
    if form.json_schema.strict is not None:
        schema["strict"] = form.json_schema.strict
    return {"type": form.type, "json_schema": schema}
