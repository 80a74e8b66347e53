"""Our values, turned into the contract's responses. Pure."""

from collections.abc import Mapping
from typing import NamedTuple
from weakref import WeakKeyDictionary

from google.protobuf import duration_pb2

from prompt_resolver.v1 import prompt_resolver_pb2 as pb

from ..answers import (
    Answer,
    Attempt,
    Delta,
    Dispatch,
    Finish,
    FinishReason,
    Opened,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from ..parameters import Parameters, ResponseFormat
from ..prompts import (
    CacheResult,
    Message,
    ResolvedPrompt,
    ServedTemplate,
    Template,
    Tool,
    ToolChoice,
)
from .messages import fill_message, write_reasoning
from .structs import to_struct

_CACHE_RESULTS: Mapping[CacheResult, pb.CacheResult.ValueType] = {
    "hit": pb.CACHE_RESULT_HIT,
    "miss": pb.CACHE_RESULT_MISS,
    "stale": pb.CACHE_RESULT_STALE,
    "fallback": pb.CACHE_RESULT_FALLBACK,
    "bypass": pb.CACHE_RESULT_BYPASS,
}
_FINISH_REASONS: Mapping[FinishReason, pb.FinishReason.ValueType] = {
    "stop": pb.FINISH_REASON_STOP,
    "length": pb.FINISH_REASON_LENGTH,
    "tool_calls": pb.FINISH_REASON_TOOL_CALLS,
    "content_filter": pb.FINISH_REASON_CONTENT_FILTER,
    "refusal": pb.FINISH_REASON_REFUSAL,
    "other": pb.FINISH_REASON_OTHER,
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
    """What of a response depends on the template alone: only ever copied.

    `messages` are those that are in it; it has an empty one in the place of each of the others.
    """

    response: pb.ResolveResponse
    messages: tuple[Message | None, ...]


_CONSTANTS: WeakKeyDictionary[Template, _Constant] = WeakKeyDictionary()


def write_resolved(prompt: ResolvedPrompt) -> pb.ResolveResponse:
    """Return a rendered prompt as a response."""
    constant = _constant(prompt)
    response = pb.ResolveResponse()
    response.CopyFrom(constant.response)
    response.model = prompt.model
    response.provider = prompt.provider
    if prompt.served is not None:
        _add_serving(response.prompt, prompt.served)
    messages = response.messages
    for index, message in enumerate(prompt.messages):
        if index >= len(constant.messages):
            fill_message(messages.add(), message)
        elif constant.messages[index] is not message:
            messages[index].Clear()
            fill_message(messages[index], message)
    return response


def _constant(prompt: ResolvedPrompt) -> _Constant:
    template = prompt.served.template if prompt.served is not None else None
    if (
        template is None
        or prompt.parameters is not template.parameters
        or prompt.tools is not template.tools
        or prompt.tool_choice is not template.tool_choice
    ):
        return _Constant(_write_constant(prompt, template), ())
    constant = _CONSTANTS.get(template)
    if constant is None:
        constant = _CONSTANTS[template] = _make_constant(prompt, template)
    return constant


def _make_constant(prompt: ResolvedPrompt, template: Template) -> _Constant:
    response = _write_constant(prompt, template)
    # A message that has no variables is the template's own.
    messages = tuple(
        own if own is rendered else None
        for own, rendered in zip(template.messages, prompt.messages, strict=False)
    )
    for message in messages:
        wire = response.messages.add()
        if message is not None:
            fill_message(wire, message)
    return _Constant(response, messages)


def _write_constant(prompt: ResolvedPrompt, template: Template | None) -> pb.ResolveResponse:
    return pb.ResolveResponse(
        parameters=_parameters(prompt.parameters),
        tools=[_tool(tool) for tool in prompt.tools],
        tool_choice=_tool_choice(prompt.tool_choice),
        prompt=_describe(template) if template is not None else None,
    )


def write_completed(
    prompt: ResolvedPrompt, answer: Answer, dispatch: Dispatch, *, include_resolved: bool
) -> pb.CompleteResponse:
    """Return a whole answer as a response."""
    finish = answer.finish
    response = pb.CompleteResponse(
        id=answer.id,
        finish_reason=_FINISH_REASONS[finish.reason],
        usage=_usage(finish.usage),
        model=finish.model,
        provider=prompt.provider,
        resolved=write_resolved(prompt) if include_resolved else None,
        dropped_parameters=finish.dropped,
        raw_finish_reason=finish.raw_reason,
    )
    fill_message(response.message, answer.message)
    if prompt.served is not None:
        response.prompt.CopyFrom(_constant(prompt).response.prompt)
        _add_serving(response.prompt, prompt.served)
    for attempt in dispatch.attempts:
        _fill_attempt(response.attempts.add(), attempt)
    _set_duration(response.upstream_duration, dispatch.upstream_s)
    return response


def write_delta(
    delta: Delta, prompt: ResolvedPrompt, *, include_resolved: bool
) -> pb.CompleteStreamResponse:
    """Return one event of a streamed answer as a response."""
    match delta:
        case TextDelta():
            return pb.CompleteStreamResponse(text_delta=delta.text)
        case Opened():
            return pb.CompleteStreamResponse(
                started=pb.Started(
                    id=delta.id,
                    model=delta.model,
                    provider=prompt.provider,
                    prompt=_prompt_info(prompt.served),
                    resolved=write_resolved(prompt) if include_resolved else None,
                )
            )
        case ToolCallDelta():
            return pb.CompleteStreamResponse(
                tool_call_delta=pb.ToolCallDelta(
                    index=delta.index,
                    id=delta.id,
                    name=delta.name,
                    arguments_json_delta=delta.arguments_json,
                    signature=delta.signature,
                )
            )
        case ReasoningDelta():
            return pb.CompleteStreamResponse(reasoning_delta=write_reasoning(delta.reasoning))
        case RefusalDelta():
            return pb.CompleteStreamResponse(refusal_delta=delta.text)


def write_finished(finish: Finish, dispatch: Dispatch) -> pb.CompleteStreamResponse:
    """Return the end of a streamed answer as a response."""
    finished = pb.Finished(
        finish_reason=_FINISH_REASONS[finish.reason],
        usage=_usage(finish.usage),
        model=finish.model,
        dropped_parameters=finish.dropped,
        raw_finish_reason=finish.raw_reason,
    )
    for attempt in dispatch.attempts:
        _fill_attempt(finished.attempts.add(), attempt)
    _set_duration(finished.upstream_duration, dispatch.upstream_s)
    return pb.CompleteStreamResponse(finished=finished)


def _prompt_info(served: ServedTemplate | None) -> pb.PromptInfo | None:
    if served is None:
        return None
    info = _describe(served.template)
    _add_serving(info, served)
    return info


def _describe(template: Template) -> pb.PromptInfo:
    return pb.PromptInfo(
        id=template.id,
        name=template.name,
        version=template.version,
        environment=template.environment,
        content_sha256=template.content_sha256,
    )


def _add_serving(info: pb.PromptInfo, served: ServedTemplate) -> None:
    info.store = served.store
    info.cache = _CACHE_RESULTS[served.cache]
    _set_duration(info.age, served.age_s)
    info.stale = served.stale
    info.reason = served.reason


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


def _usage(usage: Usage | None) -> pb.Usage | None:
    if usage is None:
        return None
    return pb.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        reasoning_tokens=usage.reasoning_tokens,
    )


def _fill_attempt(wire: pb.Attempt, attempt: Attempt) -> None:
    wire.provider = attempt.provider
    wire.model = attempt.model
    wire.outcome = attempt.outcome
    _set_duration(wire.duration, attempt.duration_s)


def _set_duration(duration: duration_pb2.Duration, seconds: float) -> None:
    duration.seconds = int(seconds)
    duration.nanos = int(seconds % 1 * 1_000_000_000)
