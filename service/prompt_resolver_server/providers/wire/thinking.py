"""What models of Anthropic's take, at whichever provider they are, and when they think."""

from ...domain.answers import ModelRequest
from ...domain.errors import unsupported
from ...domain.parameters import Json, Parameters

EFFORTS = frozenset({"low", "medium", "high", "xhigh", "max"})
"""The words that there are for how much to think; a number is how many tokens that may take."""

MAX_TEMPERATURE = 1

_MIN_BUDGET = 1024
_LEAST_TOP_P = 0.95


def is_thinking(given: Json) -> bool:
    """Tell whether a `thinking` in the API's own words has the model think."""
    return isinstance(given, dict) and given.get("type") in ("enabled", "adaptive")


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
