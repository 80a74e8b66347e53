"""What is asked of a model, and what it answers, as values.

A streamed answer is a sequence of deltas, the first of which is `Opened`, and then one `Finish`. A
whole answer is a message and a `Finish`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from .parameters import Parameters
from .prompts import Message, Reasoning, Tool, ToolChoice

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "refusal", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """What a model is asked.

    `insisted` names the parameters that the caller's own request sets: a provider that lacks one of
    them refuses the request, while it drops those that came from elsewhere and says so.
    """

    model: str
    messages: tuple[Message, ...]
    parameters: Parameters
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    insisted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """How many tokens an answer used; None where the provider did not say."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """How an answer ended: our word and the provider's, and the model as the provider names it.

    `dropped` names the parameters that were not sent, as the provider lacks them.
    """

    reason: FinishReason
    raw_reason: str
    model: str
    usage: Usage | None = None
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer."""

    id: str
    message: Message
    finish: Finish


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The provider began to answer: its id of the answer, and the model as it names it."""

    id: str
    model: str


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RefusalDelta:
    """More of a refusal."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """More reasoning."""

    reasoning: Reasoning


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallDelta:
    """More of the tool call with this index; `id` and `name` come once, in its first delta."""

    index: int
    id: str = ""
    name: str = ""
    arguments_json: str = field(default="", repr=False)
    signature: bytes | None = field(default=None, repr=False)


Delta: TypeAlias = Opened | TextDelta | RefusalDelta | ReasoningDelta | ToolCallDelta

Emit: TypeAlias = Callable[[Sequence[Delta]], Awaitable[None]]
"""Passes on the deltas that arrived together, and returns when more may follow.

Awaiting it is what holds a provider back while the caller reads slowly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call to a provider; `outcome` is `ok` or the failure's reason in lower case."""

    provider: str
    model: str
    outcome: str
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """How an answer came about: the attempts, and how long the serving one took."""

    attempts: tuple[Attempt, ...]
    upstream_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Who calls, and the keys it brought along for this call: by provider, and for the store.

    `caller` is the configured name of the token that let the call in, empty without one.
    """

    caller: str = field(default="", repr=False)

    provider_keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    store_key: str | None = field(default=None, repr=False)
