"""Aliases: an operator's own names for a prompt, a model and the parameters between them.

An alias has one deployment or several, one of which serves a call.
"""

from collections.abc import Mapping

from msgspec import field

from .errors import Reason
from .parameters import NO_PARAMETERS, Json, Parameters
from .prompts import PromptRef
from .values import Value

NO_ROW = -1
"""The row of the deployment that stands for a call without an alias, whose model may be any."""


class Terms(Value, frozen=True, kw_only=True):
    """How providers are called.

    `retries` is how often a call that failed is tried again. `timeout_s` is how long one attempt
    may take: to its end, or for a stream to its first event, for which `stream_timeout_s` wins.
    `drop_parameters` has parameters that a provider lacks left out, and told, whoever set them.
    """

    retries: int = 0
    timeout_s: float | None = None
    stream_timeout_s: float | None = None
    drop_parameters: bool = False


class Deployment(Value, frozen=True, kw_only=True):
    """What stands in for whatever a call leaves out.

    `row` tells the deployments of a configuration apart. `store` is where its prompts live, whether
    it names one or the call does. `model` is in the notation of `dispatch.notation`; `provider`,
    where it is set, says whose it is. `prefer_template_model` lets the template's model win over
    this one. Of an alias' deployments those with the lowest `order` are chosen first, in proportion
    to their `weight`.
    """

    row: int = 0
    store: str | None = None
    prompt: PromptRef | None = None
    variables: Mapping[str, Json] = field(default_factory=dict)
    model: str | None = None
    provider: str | None = None
    prefer_template_model: bool = False
    parameters: Parameters = NO_PARAMETERS
    weight: float = 1.0
    order: int = 0
    terms: Terms = field(default_factory=Terms)


class Fallbacks(Value, frozen=True, kw_only=True):
    """The names of the aliases that answer, in this order, where an alias cannot.

    `context_window` are those for a prompt that is longer than the model can read, and
    `content_policy` those for one that the provider's policy blocks, where there are any.
    """

    general: tuple[str, ...] = ()
    context_window: tuple[str, ...] = ()
    content_policy: tuple[str, ...] = ()

    def for_reason(self, reason: Reason) -> tuple[str, ...]:
        """Return the fallbacks for a failure."""
        match reason:
            case Reason.CONTEXT_LENGTH:
                return self.context_window or self.general
            case Reason.CONTENT_BLOCKED:
                return self.content_policy or self.general
            case _:
                return self.general


NO_FALLBACKS = Fallbacks()


class Alias(Value, frozen=True, kw_only=True):
    """A name, what it stands for, and what answers in its place."""

    name: str
    deployments: tuple[Deployment, ...]
    fallbacks: Fallbacks = field(default_factory=Fallbacks)
