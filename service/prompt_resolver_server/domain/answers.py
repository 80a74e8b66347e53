"""What is asked of a model, and what it answers, as values.

A streamed answer is a sequence of deltas, the first of which is `Opened`, and then one `Finish`. A
whole answer is a message and a `Finish`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal, TypeAlias

from msgspec import field

from .parameters import Parameters
from .permissions import UNLIMITED, Permissions
from .prompts import Message, Reasoning, ResolvedPrompt, Tool, ToolChoice
from .values import Value

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "refusal", "other"]


class ModelRequest(Value, frozen=True, kw_only=True):
    """What a model is asked.

    `insisted` names the parameters, and the `tool_choice`, that must be sent: a provider that lacks
    one of them refuses the request, while it drops those that are not among them and says so.
    """

    model: str
    messages: tuple[Message, ...]
    parameters: Parameters
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    insisted: frozenset[str] = frozenset()


class Usage(Value, frozen=True, kw_only=True):
    """How many tokens an answer used; None where the provider did not say.

    Those of the input include what the provider read from its cache and what it wrote there, and
    those of the output what the model reasoned.
    """

    shown = ("input_tokens", "output_tokens")

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


class Finish(Value, frozen=True, kw_only=True):
    """How an answer ended: our word and the provider's, and the model as the provider names it.

    `dropped` names the parameters that were not sent, as the provider lacks them.
    """

    shown = ("reason", "raw_reason", "model")

    reason: FinishReason
    raw_reason: str
    model: str
    usage: Usage | None = None
    dropped: tuple[str, ...] = ()


class Answer(Value, frozen=True, kw_only=True):
    """A whole answer."""

    id: str
    message: Message
    finish: Finish


class Opened(Value, frozen=True, kw_only=True):
    """The provider began to answer: its id of the answer, and the model as it names it."""

    id: str
    model: str


class TextDelta(Value, frozen=True, gc=False):
    """More text."""

    text: str


class RefusalDelta(Value, frozen=True):
    """More of a refusal."""

    text: str


class ReasoningDelta(Value, frozen=True):
    """More reasoning."""

    reasoning: Reasoning


class ToolCallDelta(Value, frozen=True, kw_only=True):
    """More of the tool call with this index; `id` and `name` come once, in its first delta."""

    index: int
    id: str = ""
    name: str = ""
    arguments_json: str = ""
    signature: bytes | None = None


Delta: TypeAlias = Opened | TextDelta | RefusalDelta | ReasoningDelta | ToolCallDelta

Emit: TypeAlias = Callable[[Sequence[Delta]], Awaitable[None]]
"""Passes on the deltas that arrived together, and returns when more may follow.

Awaiting it is what holds a provider back while the caller reads slowly."""


class Attempt(Value, frozen=True, kw_only=True):
    """One call to a provider; `outcome` is `ok` or the failure's reason in lower case.

    One that was not made has no duration: `breaker_open`, `queue_full`, `cooldown`, or the reason
    why the provider could not be sent the request.
    """

    shown = ("provider", "model", "outcome")

    provider: str
    model: str
    outcome: str
    duration_s: float | None


class Cost(Value, frozen=True, kw_only=True):
    """What an answer cost in US dollars, and where its price comes from."""

    shown = ("usd", "source")

    usd: float
    source: str


class Dispatch(Value, frozen=True, kw_only=True):
    """How an answer came about: the attempts, how long the serving one took, and what it answered.

    `prompt` is not the one that was resolved first where that one's provider has failed. `waited_s`
    is how long all attempts took, and the pauses between them. `cost` is that of the answer alone,
    and None where its price is not known.
    """

    prompt: ResolvedPrompt
    attempts: tuple[Attempt, ...]
    upstream_s: float
    waited_s: float
    cost: Cost | None = None


class Credentials(Value, frozen=True, kw_only=True):
    """Who calls, what it may use, and the keys it brought along: by provider, and for the store.

    `caller` is the configured name of who was let in, empty for anybody else.
    """

    caller: str = ""
    permissions: Permissions = UNLIMITED
    provider_keys: Mapping[str, str] = field(default_factory=dict)
    store_key: str | None = None
