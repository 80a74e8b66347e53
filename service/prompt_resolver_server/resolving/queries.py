"""What callers ask, and the resolved prompts that answer it, as values."""

from collections.abc import Mapping

from msgspec import field

from ..dispatch.notation import ModelChoice
from ..domain.aliases import Alias, Deployment
from ..domain.answers import Credentials
from ..domain.parameters import NO_PARAMETERS, Json, Parameters
from ..domain.prompts import Message, MessagePolicy, PromptRef, ResolvedPrompt, Tool, ToolChoice
from ..domain.values import Value
from ..tracing import NO_SPAN, CallSpan


class Query(Value, frozen=True, kw_only=True):
    """What a caller asks, whichever door it came through. The fields are those of the contract.

    `deadline` is on the event loop's clock, and `span` that of the call.
    """

    shown = ("prompt", "alias")

    prompt: PromptRef
    deadline: float
    credentials: Credentials
    variables: Mapping[str, Json] = field(default_factory=dict)
    model: str | None = None
    messages: tuple[Message, ...] = ()
    message_policy: MessagePolicy = "append"
    parameters: Parameters = NO_PARAMETERS
    refresh: bool = False
    alias: str | None = None
    placeholders: Mapping[str, tuple[Message, ...]] = field(default_factory=dict)
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    span: CallSpan = NO_SPAN


class Resolution(Value, frozen=True, kw_only=True):
    """A resolved prompt, with the query that it answers and the model that was chosen for it.

    `deployment` is the one of `alias` that serves, and `ref` what was asked of the stores. `began`
    is when the query came, on the clock of `time.perf_counter`.
    """

    query: Query
    alias: Alias
    deployment: Deployment
    ref: PromptRef
    prompt: ResolvedPrompt
    choice: ModelChoice
    began: float
