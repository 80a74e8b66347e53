"""What models of Anthropic's take, at whichever provider they are, and when they think."""

from collections.abc import Sequence

from msgspec.structs import replace

from ...domain.answers import ModelRequest
from ...domain.errors import unsupported
from ...domain.parameters import Json, Parameters
from ...domain.prompts import Message, Reasoning, Refusal, Text
from .effort import read_budget
from .unsupported import check_insisted

EFFORTS = frozenset({"low", "medium", "high", "xhigh", "max"})
"""The words that there are for how much to think; a number is how many tokens that may take."""

NO_EFFORT = "none"
"""The word for not to think."""

MAX_TEMPERATURE = 1

_MIN_BUDGET = 1024
_LEAST_TOP_P = 0.95


def is_thinking(given: Json) -> bool:
    """Tell whether a `thinking` in the API's own words has the model think."""
    return isinstance(given, dict) and given.get("type") in ("enabled", "adaptive")


def begin_without_thought(request: ModelRequest) -> tuple[ModelRequest, tuple[str, ...]]:
    """Return a request that has no model think in vain, and the names of what it leaves out.

    A model with a budget for its thoughts has to have thought at the beginning of the turn that it
    is to go on with, which another one that made the calls has not, or not in words that it takes.
    Raises PARAMETER_UNSUPPORTED where it must think.
    """
    parameters = request.parameters
    thinking = parameters.extra.get("thinking")
    asked: list[str] = []
    if read_budget(parameters.reasoning_effort) is not None:
        asked.append("reasoning_effort")
    if isinstance(thinking, dict) and thinking.get("type") == "enabled":
        asked.append("thinking")
    if not asked or not _has_thoughtless_calls(request.messages):
        return request, ()
    check_insisted(asked, request.insisted)
    extra = {name: value for name, value in parameters.extra.items() if name not in asked}
    effort = None if "reasoning_effort" in asked else parameters.reasoning_effort
    parameters = replace(parameters, reasoning_effort=effort, extra=extra)
    return replace(request, parameters=parameters), tuple(asked)


def _has_thoughtless_calls(messages: Sequence[Message]) -> bool:
    """Tell whether the last answer has calls, in a turn that begins without a signed thought.

    A turn is all that the model says to what the user has said, over any number of calls and their
    results. The model may think at its beginning alone.
    """
    turn: list[Message] = []
    for message in reversed(messages):
        if message.role == "assistant":
            turn.append(message)
        elif turn and (message.role == "user" or not _have_calls(turn)):
            break
    if not _have_calls(turn):
        return False
    for message in reversed(turn):
        for part in message.content:
            match part:
                case Reasoning() if part.signature or part.redacted:
                    return False
                case Text() | Refusal() if part.text.strip():
                    return True
        if message.tool_calls:
            return True
    return True


def _have_calls(messages: Sequence[Message]) -> bool:
    return any(message.tool_calls for message in messages)


def is_refused_while_thinking(name: str, parameters: Parameters) -> bool:
    """Tell whether a model that thinks refuses a parameter, as it changes how it samples."""
    match name:
        case "temperature":
            return parameters.temperature != 1
        case "top_p":
            return (parameters.top_p or 0) < _LEAST_TOP_P
        case "top_k":
            return True
        case _:
            return False


def find_redundant(request: ModelRequest) -> tuple[str, ...]:
    """Return the names of parameters that change nothing, and that newer models refuse."""
    parameters = request.parameters
    both = parameters.top_p == 1 and parameters.temperature is not None
    return ("top_p",) if both and "top_p" not in request.insisted else ()


def check_budget(budget: int) -> None:
    """Raise PARAMETER_UNSUPPORTED for fewer tokens of thinking than the API takes."""
    if budget < _MIN_BUDGET:
        expected = f"expected a word, or {_MIN_BUDGET} or more"
        raise unsupported("parameters.reasoning_effort", expected)


def check_max_tokens(max_tokens: int | None, budget: int) -> None:
    """Raise PARAMETER_UNSUPPORTED where an answer may not be longer than the thoughts before it."""
    if max_tokens is not None and max_tokens <= budget:
        expected = "expected more tokens than those that the model may think"
        raise unsupported("parameters.max_tokens", expected)
