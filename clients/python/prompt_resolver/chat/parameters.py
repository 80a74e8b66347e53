"""Model parameters as OpenAI's chat API names them, read into the contract's."""

from collections.abc import Mapping

from ..v1 import prompt_resolver_pb2 as pb
from .fields import (
    as_items,
    as_mapping,
    as_text,
    read_flag,
    read_integer,
    read_number,
    read_text,
    to_struct,
    unexpected,
)


def read_parameters(
    options: Mapping[str, object], further: Mapping[str, object]
) -> pb.ModelParameters:
    """Return the parameters among the options; `further` are those that have no field.

    Raises `TypeError` and `ValueError`.
    """
    limit = read_integer(options, "max_completion_tokens")
    if limit is not None:
        # So the service can say it the same way, where a server takes but this one.
        further = {"max_completion_tokens": limit, **further}
    body = options.get("extra_body")
    if body is not None:
        further = {**further, **as_mapping(body, "extra_body")}
    return pb.ModelParameters(
        temperature=read_number(options, "temperature"),
        top_p=read_number(options, "top_p"),
        max_tokens=read_integer(options, "max_tokens") if limit is None else limit,
        stop=_stop(options.get("stop")),
        presence_penalty=read_number(options, "presence_penalty"),
        frequency_penalty=read_number(options, "frequency_penalty"),
        seed=read_integer(options, "seed", bits=64),
        reasoning_effort=_reasoning_effort(options.get("reasoning_effort")),
        response_format=_response_format(options.get("response_format")),
        top_k=read_integer(options, "top_k"),
        parallel_tool_calls=read_flag(options, "parallel_tool_calls"),
        extra=to_struct(further, "parameters") if further else None,
    )


def _stop(value: object) -> list[str]:
    match value:
        case None:
            return []
        case str():
            return [value]
        case _:
            texts = as_items(value, "stop")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise unexpected(f"stop[{index}]", "text", text)
    return [text for text in texts if isinstance(text, str)]


def _reasoning_effort(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise unexpected("reasoning_effort", "a word or a whole number", value)
    return None if value is None else str(value)


def _response_format(value: object) -> pb.ResponseFormat | None:
    if value is None:
        return None
    form = as_mapping(value, "response_format")
    match form.get("type"):
        case "text":
            return pb.ResponseFormat(type=pb.ResponseFormat.TYPE_TEXT)
        case "json_object":
            return pb.ResponseFormat(type=pb.ResponseFormat.TYPE_JSON_OBJECT)
        case "json_schema":
            return pb.ResponseFormat(
                type=pb.ResponseFormat.TYPE_JSON_SCHEMA,
                json_schema=_json_schema(form.get("json_schema"), "response_format.json_schema"),
            )
        case _:
            raise ValueError("response_format.type: expected text, json_object or json_schema")


def _json_schema(value: object, path: str) -> pb.ResponseFormat.JsonSchema:
    form = as_mapping(value, path)
    schema = as_mapping(form.get("schema"), f"{path}.schema")
    if (description := read_text(form, "description", f"{path}.")) is not None:
        # A schema has a place for it of its own.
        schema = {"description": description, **schema}
    return pb.ResponseFormat.JsonSchema(
        name=as_text(form.get("name"), f"{path}.name"),
        schema=to_struct(schema, f"{path}.schema"),
        strict=read_flag(form, "strict", f"{path}."),
    )
