"""Answers, turned into the contract's responses. Pure."""

from collections.abc import Mapping

from prompt_resolver.v1 import prompt_resolver_pb2 as pb

from ..domain.answers import (
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
from ..domain.prompts import ResolvedPrompt
from .encode import fill_info, set_duration, write_resolved
from .messages import fill_message, write_reasoning

_FINISH_REASONS: Mapping[FinishReason, pb.FinishReason.ValueType] = {
    "stop": pb.FINISH_REASON_STOP,
    "length": pb.FINISH_REASON_LENGTH,
    "tool_calls": pb.FINISH_REASON_TOOL_CALLS,
    "content_filter": pb.FINISH_REASON_CONTENT_FILTER,
    "refusal": pb.FINISH_REASON_REFUSAL,
    "other": pb.FINISH_REASON_OTHER,
}


def write_completed(
    answer: Answer, dispatch: Dispatch, *, include_resolved: bool
) -> pb.CompleteResponse:
    """Return a whole answer as a response."""
    finish, prompt = answer.finish, dispatch.prompt
    response = pb.CompleteResponse()
    response.id = answer.id
    response.provider = prompt.provider
    fill_message(response.message, answer.message)
    if prompt.served is not None:
        fill_info(response.prompt, prompt.served)
    if include_resolved:
        response.resolved.CopyFrom(write_resolved(prompt))
    _fill_end(response, finish, dispatch)
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
                started=_started(delta, prompt, include_resolved=include_resolved)
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
    response = pb.CompleteStreamResponse()
    _fill_end(response.finished, finish, dispatch)
    return response


def _started(opened: Opened, prompt: ResolvedPrompt, *, include_resolved: bool) -> pb.Started:
    started = pb.Started(
        id=opened.id,
        model=opened.model,
        provider=prompt.provider,
        resolved=write_resolved(prompt) if include_resolved else None,
    )
    if prompt.served is not None:
        fill_info(started.prompt, prompt.served)
    return started


def _fill_end(wire: pb.CompleteResponse | pb.Finished, finish: Finish, dispatch: Dispatch) -> None:
    """Write how an answer ended, and how it came about, into what a response holds."""
    # As with `fill_message`: what is filled in costs less than what is made first.
    wire.finish_reason = _FINISH_REASONS[finish.reason]
    wire.model = finish.model
    wire.raw_finish_reason = finish.raw_reason
    if finish.usage is not None:
        _fill_usage(wire.usage, finish.usage)
    if finish.dropped:
        wire.dropped_parameters.extend(finish.dropped)
    if dispatch.cost is not None:
        wire.cost.usd = dispatch.cost.usd
        wire.cost.source = dispatch.cost.source
    for attempt in dispatch.attempts:
        each = wire.attempts.add()
        each.provider = attempt.provider
        each.model = attempt.model
        each.outcome = attempt.outcome
        if attempt.duration_s is not None:
            set_duration(each.duration, attempt.duration_s)
    set_duration(wire.upstream_duration, dispatch.upstream_s)


def _fill_usage(wire: pb.Usage, usage: Usage) -> None:
    # That there was one is told, though it says nothing.
    wire.SetInParent()
    if usage.input_tokens is not None:
        wire.input_tokens = usage.input_tokens
    if usage.output_tokens is not None:
        wire.output_tokens = usage.output_tokens
    if usage.cache_read_tokens is not None:
        wire.cache_read_tokens = usage.cache_read_tokens
    if usage.cache_write_tokens is not None:
        wire.cache_write_tokens = usage.cache_write_tokens
    if usage.reasoning_tokens is not None:
        wire.reasoning_tokens = usage.reasoning_tokens
