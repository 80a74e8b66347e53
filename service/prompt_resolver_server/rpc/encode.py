"""Resolved prompts, turned into the contract's responses. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from google.protobuf import duration_pb2

from prompt_resolver.v1 import prompt_resolver_pb2 as pb

from ..domain.parameters import Parameters, ResponseFormat
from ..domain.prompts import (
    CacheResult,
    Message,
    PromptRef,
    ResolvedPrompt,
    ServedReason,
    ServedTemplate,
    Template,
    Text,
    Tool,
    ToolChoice,
)
from .messages import fill_message
from .structs import to_struct

_CACHE_RESULTS: Mapping[CacheResult, pb.CacheResult.ValueType] = {
    "hit": pb.CACHE_RESULT_HIT,
    "miss": pb.CACHE_RESULT_MISS,
    "stale": pb.CACHE_RESULT_STALE,
    "fallback": pb.CACHE_RESULT_FALLBACK,
    "bypass": pb.CACHE_RESULT_BYPASS,
}
_MODES = {
    "auto": pb.ToolChoice.MODE_AUTO,
    "none": pb.ToolChoice.MODE_NONE,
    "required": pb.ToolChoice.MODE_REQUIRED,
}
_FORMATS = {
    "text": pb.ResponseFormat.TYPE_TEXT,
    "json_object": pb.ResponseFormat.TYPE_JSON_OBJECT,
    "json_schema": pb.ResponseFormat.TYPE_JSON_SCHEMA,
}


class _Constant(NamedTuple):
    """What of a response does not change from call to call: only ever copied.

    The template's messages are in it, unless rendering may make others of them. Those of `plain`
    lack nothing but the text of their one part.
    """

    response: pb.ResolveResponse
    messages: tuple[Message, ...] = ()
    plain: tuple[bool, ...] = ()


def write_resolved(prompt: ResolvedPrompt) -> pb.ResolveResponse:
    """Return a rendered prompt as a response."""
    constant = _constant(prompt)
    response = pb.ResolveResponse()
    response.CopyFrom(constant.response)
    response.model = prompt.model
    response.provider = prompt.provider
    if prompt.served is not None:
        set_duration(response.prompt.age, prompt.served.age_s)
    messages = response.messages
    for index, message in enumerate(prompt.messages):
        if index >= len(constant.messages):
            fill_message(messages.add(), message)
        elif message is constant.messages[index]:
            # It has no variables, so it is the template's own.
            continue
        elif constant.plain[index] and isinstance(part := message.content[0], Text):
            messages[index].content[0].text = part.text
        else:
            messages[index].Clear()
            fill_message(messages[index], message)
    return response


def fill_info(info: pb.PromptInfo, served: ServedTemplate) -> None:
    """Write which prompt was served into a message that a response holds."""
    template = served.template
    info.CopyFrom(
        template.once(_make_info, served.store, served.cache, served.reason, served.stale)
    )
    set_duration(info.age, served.age_s)


def _make_info(
    template: Template, store: str, cache: CacheResult, reason: ServedReason, stale: bool
) -> pb.PromptInfo:
    """Return what is the same with each call of which prompt was served: only ever copied."""
    return pb.PromptInfo(
        id=template.id,
        name=template.name,
        version=template.version,
        environment=template.environment,
        content_sha256=template.content_sha256,
        store=store,
        cache=_CACHE_RESULTS[cache],
        stale=stale,
        reason=reason,
    )


def write_ref(ref: PromptRef) -> pb.PromptRef:
    """Return a reference as the contract has it."""
    wire = pb.PromptRef(id=ref.id, store=ref.store)
    if ref.version is not None:
        wire.version = ref.version
    if ref.environment is not None:
        wire.environment = ref.environment
    return wire


def set_duration(duration: duration_pb2.Duration, seconds: float) -> None:
    """Write a time span into a message that a response holds."""
    duration.seconds = int(seconds)
    duration.nanos = int(seconds % 1 * 1_000_000_000)


def _constant(prompt: ResolvedPrompt) -> _Constant:
    served = prompt.served
    if (
        served is None
        or prompt.parameters is not served.template.parameters
        or prompt.tools is not served.template.tools
        or prompt.tool_choice is not served.template.tool_choice
    ):
        return _Constant(_write_constant(prompt))
    return served.template.once(
        _make_constant, served.store, served.cache, served.reason, served.stale
    )


def _make_constant(
    template: Template, store: str, cache: CacheResult, reason: ServedReason, stale: bool
) -> _Constant:
    response = _write_parts(template)
    response.prompt.CopyFrom(_make_info(template, store, cache, reason, stale))
    if template.placeholders or template.language == "handlebars":
        return _Constant(response)
    for message in template.messages:
        fill_message(response.messages.add(), message)
    plain = tuple(
        len(message.content) == 1
        and isinstance(message.content[0], Text)
        and not message.tool_calls
        for message in template.messages
    )
    return _Constant(response, template.messages, plain)


def _write_constant(prompt: ResolvedPrompt) -> pb.ResolveResponse:
    response = _write_parts(prompt)
    if prompt.served is not None:
        fill_info(response.prompt, prompt.served)
    return response


def _write_parts(source: ResolvedPrompt | Template) -> pb.ResolveResponse:
    return pb.ResolveResponse(
        parameters=_parameters(source.parameters),
        tools=[_tool(tool) for tool in source.tools],
        tool_choice=_tool_choice(source.tool_choice),
    )


def _tool(tool: Tool) -> pb.Tool:
    return pb.Tool(
        name=tool.name,
        description=tool.description,
        parameters=to_struct(tool.parameters) if tool.parameters is not None else None,
        strict=tool.strict,
    )


def _tool_choice(choice: ToolChoice | None) -> pb.ToolChoice | None:
    if choice is None:
        return None
    if choice.tool_name is not None:
        return pb.ToolChoice(tool_name=choice.tool_name)
    return pb.ToolChoice(mode=_MODES[choice.mode]) if choice.mode else None


def _parameters(parameters: Parameters) -> pb.ModelParameters:
    return pb.ModelParameters(
        temperature=parameters.temperature,
        top_p=parameters.top_p,
        max_tokens=parameters.max_tokens,
        stop=parameters.stop,
        presence_penalty=parameters.presence_penalty,
        frequency_penalty=parameters.frequency_penalty,
        seed=parameters.seed,
        reasoning_effort=parameters.reasoning_effort,
        response_format=_response_format(parameters.response_format),
        top_k=parameters.top_k,
        parallel_tool_calls=parameters.parallel_tool_calls,
        extra=to_struct(parameters.extra) if parameters.extra else None,
    )


def _response_format(form: ResponseFormat | None) -> pb.ResponseFormat | None:
    if form is None:
        return None
    schema = form.json_schema
    return pb.ResponseFormat(
        type=_FORMATS[form.type],
        json_schema=None
        if schema is None
        else pb.ResponseFormat.JsonSchema(
            name=schema.name, schema=to_struct(schema.schema), strict=schema.strict
        ),
    )
