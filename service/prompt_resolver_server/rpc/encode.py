"""Our values, turned into the contract's responses. Pure."""

from collections.abc import Mapping

from google.protobuf import duration_pb2

from prompt_resolver.v1 import prompt_resolver_pb2 as pb

from ..answers import (
    Answer,
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
    Media,
    Message,
    Part,
    Reasoning,
    Refusal,
    ResolvedPrompt,
    Role,
    ServedTemplate,
    Text,
    Tool,
    ToolChoice,
)
from .structs import to_struct

_ROLES: Mapping[Role, pb.Role.ValueType] = {
    "system": pb.ROLE_SYSTEM,
    "developer": pb.ROLE_DEVELOPER,
    "user": pb.ROLE_USER,
    "assistant": pb.ROLE_ASSISTANT,
    "tool": pb.ROLE_TOOL,
}
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


def write_resolved(prompt: ResolvedPrompt) -> pb.ResolveResponse:
    """Return a rendered prompt as a response."""
    return pb.ResolveResponse(
        messages=[_message(message) for message in prompt.messages],
        model=prompt.model,
        provider=prompt.provider,
        parameters=_parameters(prompt.parameters),
        tools=[_tool(tool) for tool in prompt.tools],
        tool_choice=_tool_choice(prompt.tool_choice),
        prompt=_prompt_info(prompt.served),
    )


def write_completed(
    prompt: ResolvedPrompt, answer: Answer, dispatch: Dispatch, *, include_resolved: bool
) -> pb.CompleteResponse:
    """Return a whole answer as a response."""
    finish = answer.finish
    return pb.CompleteResponse(
        id=answer.id,
        message=_message(answer.message),
        finish_reason=_FINISH_REASONS[finish.reason],
        usage=_usage(finish.usage),
        model=finish.model,
        provider=prompt.provider,
        prompt=_prompt_info(prompt.served),
        resolved=write_resolved(prompt) if include_resolved else None,
        attempts=_attempts(dispatch),
        upstream_duration=_duration(dispatch.upstream_s),
        dropped_parameters=finish.dropped,
        raw_finish_reason=finish.raw_reason,
    )


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
            return pb.CompleteStreamResponse(reasoning_delta=_reasoning(delta.reasoning))
        case RefusalDelta():
            return pb.CompleteStreamResponse(refusal_delta=delta.text)


def write_finished(finish: Finish, dispatch: Dispatch) -> pb.CompleteStreamResponse:
    """Return the end of a streamed answer as a response."""
    return pb.CompleteStreamResponse(
        finished=pb.Finished(
            finish_reason=_FINISH_REASONS[finish.reason],
            usage=_usage(finish.usage),
            attempts=_attempts(dispatch),
            upstream_duration=_duration(dispatch.upstream_s),
            model=finish.model,
            dropped_parameters=finish.dropped,
            raw_finish_reason=finish.raw_reason,
        )
    )


def _prompt_info(served: ServedTemplate | None) -> pb.PromptInfo | None:
    if served is None:
        return None
    template = served.template
    return pb.PromptInfo(
        id=template.id,
        name=template.name,
        store=served.store,
        version=template.version,
        environment=template.environment,
        content_sha256=template.content_sha256,
        cache=_CACHE_RESULTS[served.cache],
        age=_duration(served.age_s),
        stale=served.stale,
        reason=served.reason,
    )


def _message(message: Message) -> pb.Message:
    return pb.Message(
        role=_ROLES[message.role],
        content=[_part(part) for part in message.content],
        name=message.name,
        tool_calls=[
            pb.ToolCall(
                id=call.id,
                name=call.name,
                arguments_json=call.arguments_json,
                signature=call.signature,
            )
            for call in message.tool_calls
        ],
        tool_call_id=message.tool_call_id,
    )


def _part(part: Part) -> pb.ContentPart:
    match part:
        case Text():
            return pb.ContentPart(text=part.text)
        case Refusal():
            return pb.ContentPart(refusal=part.text)
        case Reasoning():
            return pb.ContentPart(reasoning=_reasoning(part))
        case Media(kind="image"):
            return pb.ContentPart(image=_media(part))
        case Media(kind="audio"):
            return pb.ContentPart(audio=_media(part))
        case Media():
            return pb.ContentPart(file=_media(part))


def _media(media: Media) -> pb.Media:
    wire = pb.Media(media_type=media.media_type, detail=media.detail, filename=media.filename)
    if media.data is not None:
        wire.data = media.data
    else:
        wire.url = media.url or ""
    return wire


def _reasoning(thought: Reasoning) -> pb.Reasoning:
    return pb.Reasoning(text=thought.text, signature=thought.signature, redacted=thought.redacted)


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


def _attempts(dispatch: Dispatch) -> list[pb.Attempt]:
    return [
        pb.Attempt(
            provider=attempt.provider,
            model=attempt.model,
            outcome=attempt.outcome,
            duration=_duration(attempt.duration_s),
        )
        for attempt in dispatch.attempts
    ]


def _duration(seconds: float) -> duration_pb2.Duration:
    return duration_pb2.Duration(seconds=int(seconds), nanos=int(seconds % 1 * 1_000_000_000))
