"""The contract's model parameters, checked and turned into ours.

Raises `CallError` for whatever the contract forbids, with the field's path.
"""

import math

from prompt_resolver.v1 import prompt_resolver_pb2 as pb

from ..domain.errors import CallError, Reason, Violation, invalid_request
from ..domain.parameters import JsonSchema, Parameters, ResponseFormat, refusal, take_limit
from .structs import read_plain


def read_parameters(wire: pb.ModelParameters) -> Parameters:
    """Return the parameters that a request sets. Raises PARAMETER_UNSUPPORTED for their ranges."""
    max_tokens = wire.max_tokens if wire.HasField("max_tokens") and wire.max_tokens != -1 else None
    parameters = Parameters(
        temperature=wire.temperature if wire.HasField("temperature") else None,
        top_p=wire.top_p if wire.HasField("top_p") else None,
        max_tokens=max_tokens,
        stop=tuple(wire.stop),
        presence_penalty=wire.presence_penalty if wire.HasField("presence_penalty") else None,
        frequency_penalty=wire.frequency_penalty if wire.HasField("frequency_penalty") else None,
        seed=wire.seed if wire.HasField("seed") else None,
        reasoning_effort=wire.reasoning_effort if wire.HasField("reasoning_effort") else None,
        response_format=_response_format(wire),
        top_k=wire.top_k if wire.HasField("top_k") else None,
        parallel_tool_calls=(
            wire.parallel_tool_calls if wire.HasField("parallel_tool_calls") else None
        ),
        extra=read_plain(wire.extra, "parameters.extra"),
    )
    _check_ranges(parameters)
    return take_limit(parameters) if parameters.extra else parameters


def _check_ranges(parameters: Parameters) -> None:
    problems = [
        Violation(f"parameters.{name}", "expected a finite number")
        for name in ("temperature", "top_p", "presence_penalty", "frequency_penalty")
        if (number := getattr(parameters, name)) is not None and not math.isfinite(number)
    ]
    if (temperature := parameters.temperature) is not None and temperature < 0:
        problems.append(Violation("parameters.temperature", "expected a number from 0"))
    if (top_p := parameters.top_p) is not None and not 0 <= top_p <= 1:
        problems.append(Violation("parameters.top_p", "expected a number from 0 to 1"))
    if (max_tokens := parameters.max_tokens) is not None and max_tokens < 1:
        problems.append(Violation("parameters.max_tokens", "expected a number from 1, or -1"))
    if (top_k := parameters.top_k) is not None and top_k < 1:
        problems.append(Violation("parameters.top_k", "expected a number from 1"))
    problems += [
        Violation(f"parameters.extra.{name}", f"refused, as it {problem}")
        for name in parameters.extra
        if (problem := refusal(name))
    ]
    if problems:
        raise CallError(
            Reason.PARAMETER_UNSUPPORTED,
            "; ".join(f"{each.field}: {each.description}" for each in problems),
            violations=tuple(problems),
        )


def _response_format(wire: pb.ModelParameters) -> ResponseFormat | None:
    if not wire.HasField("response_format"):
        return None
    path = "parameters.response_format"
    form = wire.response_format
    if form.HasField("json_schema") != (form.type == pb.ResponseFormat.TYPE_JSON_SCHEMA):
        raise invalid_request(
            f"{path}.json_schema", "expected with TYPE_JSON_SCHEMA, and only then"
        )
    match form.type:
        case pb.ResponseFormat.TYPE_TEXT:
            return ResponseFormat(type="text")
        case pb.ResponseFormat.TYPE_JSON_OBJECT:
            return ResponseFormat(type="json_object")
        case pb.ResponseFormat.TYPE_JSON_SCHEMA:
            schema = form.json_schema
            if not schema.name or not schema.HasField("schema"):
                raise invalid_request(f"{path}.json_schema", "expected a name and a schema")
            return ResponseFormat(
                type="json_schema",
                json_schema=JsonSchema(
                    name=schema.name,
                    schema=read_plain(schema.schema, f"{path}.json_schema.schema"),
                    strict=schema.strict if schema.HasField("strict") else None,
                ),
            )
        case _:
            raise invalid_request(f"{path}.type", "expected a type")
