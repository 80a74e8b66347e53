"""Parameters in OpenAI's chat dialect."""

from ....domain.answers import ModelRequest
from ....domain.parameters import Json, Parameters, ResponseFormat
from ...dialect import Quirks
from ...wire.effort import read_budget
from ...wire.unsupported import find_lacking


def write_parameters(
    request: ModelRequest, quirks: Quirks
) -> tuple[dict[str, Json], tuple[str, ...]]:
    """Return the fields of the body, and the names of the parameters that they leave out.

    Raises PARAMETER_UNSUPPORTED for what must be sent and the provider lacks.
    """
    renames = quirks.renames

    def has_no_place(name: str, request: ModelRequest) -> bool:
        return _has_no_place(name, request, quirks)

    lacking = find_lacking(request, quirks.lacks, has_no_place)
    wire = write_all(request.parameters).items()
    return {renames.get(name, name): value for name, value in wire if name not in lacking}, lacking


def _has_no_place(name: str, request: ModelRequest, quirks: Quirks) -> bool:
    """Tell whether the wire cannot express what the request means by a parameter."""
    parameters, renames = request.parameters, quirks.renames
    if name in parameters.extra:
        # Of two that have one name on the wire, the one with a field of its own counts.
        taken = {renames.get(typed, typed) for typed in parameters.names()}
        return renames.get(name, name) in taken
    match name:
        case "reasoning_effort":
            # A number is a budget of thinking tokens; the dialect knows words alone.
            return read_budget(parameters.reasoning_effort) is not None
        case "response_format":
            form = parameters.response_format
            return form is not None and form.type in quirks.lacks_forms
        case "parallel_tool_calls":
            return not request.tools
        case _:
            return False


def write_all(parameters: Parameters) -> dict[str, Json]:
    """Return all parameters that are set, as OpenAI's own API has them."""
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
