"""Parameters in Google's Gemini dialect."""

from collections.abc import Mapping

from ....domain.answers import ModelRequest
from ....domain.parameters import Json, JsonSchema, ResponseFormat
from ...dialect import Quirks
from ...wire.effort import read_budget
from ...wire.openais_own import OPENAIS_OWN
from ...wire.unsupported import find_lacking

_NAMES: Mapping[str, str] = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "max_tokens": "maxOutputTokens",
    "stop": "stopSequences",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}

_BESIDE_THE_CONFIGURATION = frozenset(
    {
        *("cachedContent", "cached_content", "labels", "safetySettings", "safety_settings"),
        *("serviceTier", "service_tier", "store"),
    }
)
"""Extra parameters that stand in the body itself. The others are of `generationConfig`."""

_FOREIGN = OPENAIS_OWN - {"logprobs", "service_tier", "store"}
_OPENAIS_TIERS = ("auto", "default", "scale")

_LEVELS = frozenset({"minimal", "low", "medium", "high", "xhigh"})
_BUDGETS: Mapping[str, int] = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}
"""What Google's own translation of OpenAI's efforts makes of them for models without levels."""
_WITHOUT_LEVELS = "gemini-2.5"
_AMOUNTS = ("thinkingBudget", "thinkingLevel")
"""How much to think is said by one of them alone."""
_WITHOUT_BOTH = ("gemini-1", "gemini-2")
"""Models that answer in a form, or call tools, and refuse to be asked for both."""
_SEEDS = range(-(2**31), 2**31)
_NO_THOUGHT: dict[str, Json] = {"thinkingBudget": 0}


def write_parameters(
    request: ModelRequest, quirks: Quirks
) -> tuple[dict[str, Json], tuple[str, ...]]:
    """Return the fields of the body, and the names of the parameters that they leave out.

    A number as `reasoning_effort` is how many tokens the model may think, -1 as many as it likes; a
    word is the API's level. The name of a JSON Schema, and whether it is strict, have no place: the
    API keeps to it. Raises PARAMETER_UNSUPPORTED.
    """
    parameters = request.parameters
    lacking = find_lacking(request, quirks.lacks, _has_no_place)
    body: dict[str, Json] = {}
    config: dict[str, Json] = {}
    for name, value in parameters.extra.items():
        if name not in lacking:
            (body if name in _BESIDE_THE_CONFIGURATION else config)[name] = value
    for name in parameters.names():
        if name not in lacking:
            config |= _write(name, request, config)
    if config:
        body["generationConfig"] = config
    return body, lacking


def _has_no_place(name: str, request: ModelRequest) -> bool:
    """Tell whether the dialect cannot express what the request means by a parameter."""
    match name:
        case _ if name in _FOREIGN:
            return True
        case "logprobs":
            # How many are told of each token. OpenAI's is whether any are.
            return isinstance(request.parameters.extra[name], bool)
        case "service_tier":
            return request.parameters.extra[name] in _OPENAIS_TIERS
        case "reasoning_effort":
            return _how_much(request) is None
        case "seed":
            return request.parameters.seed not in _SEEDS
        case "response_format":
            form, model = request.parameters.response_format, request.model
            has_form = form is not None and form.type != "text"
            bare = model.removeprefix("models/")
            return has_form and bool(request.tools) and bare.startswith(_WITHOUT_BOTH)
        case "parallel_tool_calls":
            # The model may always call several tools, and cannot be told otherwise.
            return request.parameters.parallel_tool_calls is False and bool(request.tools)
        case _:
            return False


def _write(name: str, request: ModelRequest, config: Mapping[str, Json]) -> dict[str, Json]:
    """Return what a parameter says in the configuration, of which a part may have been given."""
    match getattr(request.parameters, name):
        case tuple() as texts:
            return {_NAMES[name]: list(texts)}
        case value if name in _NAMES:
            return {_NAMES[name]: value}
        case ResponseFormat() as form:
            return _response_form(form)
        case _ if name == "reasoning_effort":
            given = config.get("thinkingConfig")
            return {"thinkingConfig": _thinking(_how_much(request) or {}, given)}
        case _:
            return {}


def _thinking(how_much: dict[str, Json], given: Json) -> Json:
    """Return how a model should think, of which extra parameters may say more.

    Whoever has it think is told what it thought, unless that is given, too.
    """
    shown: dict[str, Json] = {} if how_much == _NO_THOUGHT else {"includeThoughts": True}
    more = given if isinstance(given, dict) else {}
    kept = {name: value for name, value in more.items() if name not in _AMOUNTS}
    return {**shown, **kept, **how_much}


def _response_form(form: ResponseFormat) -> dict[str, Json]:
    match form:
        case ResponseFormat(json_schema=JsonSchema(schema=schema)):
            return {"responseMimeType": "application/json", "responseJsonSchema": dict(schema)}
        case ResponseFormat(type="json_object"):
            return {"responseMimeType": "application/json"}
        case _:
            return {}


def _how_much(request: ModelRequest) -> dict[str, Json] | None:
    """Return how much the model should think, or None where the API has no word for it."""
    effort = request.parameters.reasoning_effort or ""
    has_levels = not request.model.removeprefix("models/").startswith(_WITHOUT_LEVELS)
    budget = 0 if effort == "none" else read_budget(effort)
    if budget is None and not has_levels:
        budget = _BUDGETS.get(effort)
    if budget is not None:
        return {"thinkingBudget": budget}
    return {"thinkingLevel": effort.upper()} if has_levels and effort in _LEVELS else None
