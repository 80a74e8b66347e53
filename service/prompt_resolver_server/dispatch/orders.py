"""What a provider is asked, on which terms."""

from ..aliases import Terms
from ..answers import ModelRequest
from ..prompts import ServedTemplate
from ..providers.provider import Provider
from ..tracing import CallSpan
from ..values import Value
from .notation import ModelChoice
from .retries import RetryBudget


class Target:
    """A provider, with one key at one address, and the retries that it may get."""

    __slots__ = ("base_url", "budget", "provider", "vendor_url")

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.base_url = provider.base_url
        self.vendor_url = provider.vendor_url
        self.budget = RetryBudget()


class Order(Value, frozen=True, kw_only=True):
    """One request to one provider. `deadline` is on the event loop's clock.

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
