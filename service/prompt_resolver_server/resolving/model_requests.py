"""What a model is asked: of a resolved prompt, and of who set what in it."""

from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from ..dispatch.notation import ModelChoice
from ..domain.answers import ModelRequest
from ..domain.errors import CallError, Reason, Violation
from ..domain.parameters import NO_PARAMETERS, Json, Parameters
from ..domain.prompts import Message, Part, Reasoning, ResolvedPrompt, ToolChoice
from .queries import Resolution

_HARMLESS: Mapping[str, tuple[Json, ...]] = {
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "top_logprobs": (0,),
}
"""What OpenAI's own parameters say that is so anyway, where there are none of that name."""


def make_model_request(resolution: Resolution, *, first: ModelChoice) -> ModelRequest:
    """Return what a resolved prompt asks of its model. Raises MODEL_MISSING and MESSAGES_MISSING.

    `first` is the model of the call's first candidate, whose signatures another author's would take
    for corrupted ones.
    """
    resolved = resolution.prompt
    moved = resolution.choice.provider != first.provider
    if not resolved.model:
        raise CallError(
            Reason.MODEL_MISSING,
            "model: expected a model from the request, the alias or the template, got none",
            violations=(Violation("model", "missing"),),
        )
    if not resolved.messages:
        raise CallError(
            Reason.MESSAGES_MISSING,
            "messages: expected a message from the template or the request, got none",
            violations=(Violation("messages", "missing"),),
        )
    return ModelRequest(
        model=resolved.model,
        messages=(
            _without_signatures(resolved.messages)
            if moved and not _reads(resolution.choice, first, resolved.messages)
            else resolved.messages
        ),
        parameters=resolved.parameters,
        tools=resolved.tools,
        tool_choice=resolved.tool_choice,
        insisted=_insisted(resolution, moved=moved),
    )


def _reads(choice: ModelChoice, first: ModelChoice, messages: Sequence[Message]) -> bool:
    """Tell whether a model can read what that of another provider has signed.

    Of what one has sealed nobody says that another provider can open it.
    """
    return choice.author == first.author and not any(
        isinstance(part, Reasoning) and part.redacted
        for message in messages
        for part in message.content
    )


def _without_signatures(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Return messages without what a provider has signed or sealed, which no other one can read."""
    return tuple(
        replace(
            message,
            content=tuple(
                part for part in map(_without_signature, message.content) if part is not None
            ),
            tool_calls=tuple(replace(call, signature=None) for call in message.tool_calls),
        )
        for message in messages
    )


def _without_signature(part: Part) -> Part | None:
    if not isinstance(part, Reasoning):
        return part
    return Reasoning(text=part.text) if part.text else None


def _insisted(resolution: Resolution, *, moved: bool) -> frozenset[str]:
    """Return the names of what must be sent, or else the request be refused.

    That is all that was set for this provider, and changes something. What a template or an alias
    sets for another provider was set by somebody who could not know this one.
    """
    if resolution.deployment.terms.drop_parameters:
        return frozenset()
    query, served = resolution.query, resolution.prompt.served
    names = {*_names(query.parameters, query.tool_choice)}
    if not moved:
        elsewhere = resolution.choice.meant_elsewhere
        if served is not None and "template" not in elsewhere:
            names.update(_names(served.template.parameters, served.template.tool_choice))
        if "alias" not in elsewhere:
            names.update(_names(resolution.deployment.parameters))
    return frozenset(names.difference(_neutral(resolution.prompt))) if names else frozenset()


def _names(parameters: Parameters, choice: ToolChoice | None = None) -> Sequence[str]:
    """Return the names of what is set."""
    if parameters is NO_PARAMETERS and choice is None:
        return ()
    return (*parameters.names(), *parameters.extra, *(("tool_choice",) if choice else ()))


def _neutral(prompt: ResolvedPrompt) -> Iterator[str]:
    """Return the names of what leaves an answer as it is without it."""
    parameters, choice = prompt.parameters, prompt.tool_choice
    if parameters.temperature == 1:
        yield "temperature"
    if parameters.top_p == 1:
        yield "top_p"
    if parameters.presence_penalty == 0:
        yield "presence_penalty"
    if parameters.frequency_penalty == 0:
        yield "frequency_penalty"
    if parameters.response_format is not None and parameters.response_format.type == "text":
        yield "response_format"
    if parameters.parallel_tool_calls or not prompt.tools:
        yield "parallel_tool_calls"
    if choice is not None and choice.mode == "auto":
        yield "tool_choice"
    for name, value in parameters.extra.items():
        if value in _HARMLESS.get(name, ()):
            yield name
