"""Answers, turned into the contract's responses. Pure."""

from collections.abc import Mapping

from prompt_resolver.v1 import prompt_resolver_pb2 as pb

from ..domain.answers import (
    Answer,
    Attempt,
    Cost,
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
    response = pb.CompleteResponse(
        id=answer.id,
        finish_reason=_FINISH_REASONS[finish.reason],
        usage=_usage(finish.usage),
        model=finish.model,
        provider=prompt.provider,
        resolved=write_resolved(prompt) if include_resolved else None,
        dropped_parameters=finish.dropped,
        raw_finish_reason=finish.raw_reason,
        cost=_cost(dispatch.cost),
    )
    fill_message(response.message, answer.message)
    if prompt.served is not None:
        fill_info(response.prompt, prompt.served)
    for attempt in dispatch.attempts:
        _fill_attempt(response.attempts.add(), attempt)
    set_duration(response.upstream_duration, dispatch.upstream_s)
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
    finished = pb.Finished(
        finish_reason=_FINISH_REASONS[finish.reason],
        usage=_usage(finish.usage),
        model=finish.model,
        dropped_parameters=finish.dropped,
        raw_finish_reason=finish.raw_reason,
        cost=_cost(dispatch.cost),
    )
    for attempt in dispatch.attempts:
        _fill_attempt(finished.attempts.add(), attempt)
    set_duration(finished.upstream_duration, dispatch.upstream_s)
    return pb.CompleteStreamResponse(finished=finished)


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


def _cost(cost: Cost | None) -> pb.Cost | None:
    return pb.Cost(usd=cost.usd, source=cost.source) if cost is not None else None


def _fill_attempt(wire: pb.Attempt, attempt: Attempt) -> None:
    wire.provider = attempt.provider
    wire.model = attempt.model
    wire.outcome = attempt.outcome
    if attempt.duration_s is not None:
        set_duration(wire.duration, attempt.duration_s)
