"""What a provider is asked, on which terms."""

from ..domain.aliases import Terms
from ..domain.answers import ModelRequest
from ..domain.prompts import ServedTemplate
from ..domain.values import Value
from ..providers.provider import Provider
from ..tracing import CallSpan
from .breaker import Breaker
from .notation import ModelChoice
from .retries import RetryBudget
from .slots import Slots


class Limits(Value, frozen=True, kw_only=True):
    """How much a provider is asked.

    `breaker` tells whether it is left alone for a moment while it fails. `max_concurrency` is how
    many calls it may have at once, where there is a limit, and `max_queue_s` how long a call may
    wait to be one of them.
    """

    breaker: bool = True
    max_concurrency: int | None = None
    max_queue_s: float = 1.0


class Target:
    """A provider, with one key at one address, and what decides whether it may be asked.

    `slots` are those of the provider, whichever key it is called with.
    """

    __slots__ = ("base_url", "breaker", "budget", "provider", "slots", "vendor_url")

    def __init__(
        self, provider: Provider, *, breaker: Breaker | None = None, slots: Slots | None = None
    ) -> None:
        self.provider = provider
        self.base_url = provider.base_url
        self.vendor_url = provider.vendor_url
        self.budget = RetryBudget()
        self.breaker = breaker
        self.slots = slots


class Order(Value, frozen=True, kw_only=True):
    """One request to one provider. `deadline` is on the event loop's clock.

    `others` is how many other candidates there are that could take the call after this one.
    `served` is the template that it was made of, and `span` that of the call.
    """

    shown = ("choice",)

    target: Target
    choice: ModelChoice
    request: ModelRequest
    terms: Terms
    caller_key: str | None
    deadline: float
    served: ServedTemplate | None
    span: CallSpan
    others: int = 0
