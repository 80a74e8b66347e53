"""Aliases: an operator's own names for a prompt, a model and the parameters between them."""

from collections.abc import Mapping

from msgspec import field

from .parameters import NO_PARAMETERS, Json, Parameters
from .prompts import PromptRef
from .values import Value


class Alias(Value, frozen=True, kw_only=True):
    """What stands in for whatever a call leaves out.

    `store` is where its prompts live, whether it names one or the call does. `model` is in the
    notation of `dispatch.notation`; `provider`, where it is set, says whose it is.
    `prefer_template_model` lets the template's model win over this one.
    """

    name: str
    store: str | None = None
    prompt: PromptRef | None = None
    variables: Mapping[str, Json] = field(default_factory=dict)
    model: str | None = None
    provider: str | None = None
    prefer_template_model: bool = False
    parameters: Parameters = NO_PARAMETERS
