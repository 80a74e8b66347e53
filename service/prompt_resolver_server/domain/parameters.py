"""How a model should answer, as a value; and which further parameters may be passed on."""

import unicodedata
from collections.abc import Mapping
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from msgspec import field
from msgspec.structs import replace
from typing_extensions import TypeAliasType

from .values import LastingValue, Value

Json = TypeAliasType("Json", "bool | int | float | str | list[Json] | dict[str, Json] | None")

if TYPE_CHECKING:
    JsonObject: TypeAlias = Mapping[str, Json]
else:
    # What reads documents into values knows no type that is defined by itself.
    JsonObject = Mapping[str, Any]


def kind_of(value: Json) -> str:
    """Name the kind of a value, for errors that must not show the value itself."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case dict():
            return "a mapping"


class JsonSchema(Value, frozen=True, kw_only=True):
    """A named JSON Schema for an answer."""

    name: str
    schema: JsonObject
    strict: bool | None = None


class ResponseFormat(Value, frozen=True, kw_only=True):
    """The form of an answer; the schema is there for `json_schema` alone."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


LimitName = Literal["max_tokens", "max_completion_tokens"]
"""What OpenAI's API calls the limit of an answer, at first and since its models reason."""


class Parameters(LastingValue, frozen=True, kw_only=True):
    """How a model should answer. None and empty mean "not set".

    `limit_name` is what whoever set `max_tokens` called it, as there are servers that take but the
    one name, and no telling which. It is no parameter itself.
    """

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    reasoning_effort: str | None = None
    response_format: ResponseFormat | None = None
    top_k: int | None = None
    parallel_tool_calls: bool | None = None
    extra: JsonObject = field(default_factory=dict)
    limit_name: LimitName = "max_tokens"

    def over(self, defaults: "Parameters") -> "Parameters":
        """Return these parameters, and `defaults` where these say nothing."""
        # The very same where that will do: what has been made of it once is found again.
        if defaults is NO_PARAMETERS:
            return self
        if self is NO_PARAMETERS or not self:
            return defaults
        if not defaults:
            return self
        chosen = {name: getattr(self, name) for name in self.names()}
        if self.extra and defaults.extra:
            chosen["extra"] = {**defaults.extra, **self.extra}
        if self.max_tokens is not None:
            chosen["limit_name"] = self.limit_name
        return replace(defaults, **chosen)

    def names(self) -> tuple[str, ...]:
        """Return the names of the parameters that are set."""
        return self._names

    @cached_property
    def _names(self) -> tuple[str, ...]:
        values = zip(_PARAMETER_NAMES, _read_all(self), strict=True)
        return tuple([name for name, value in values if value not in _UNSET])

    def __bool__(self) -> bool:
        return bool(self.names())


_UNSET: tuple[object, ...] = (None, (), {})
_PARAMETER_NAMES = tuple(name for name in Parameters.__struct_fields__ if name != "limit_name")
_read_all = attrgetter(*_PARAMETER_NAMES)
NO_PARAMETERS = Parameters()

TYPED_PARAMETERS = frozenset(_PARAMETER_NAMES) - {"extra"}
"""The names of the parameters that have a field of their own."""


def find_limit(fields: Mapping[str, object]) -> LimitName:
    """Return which of OpenAI's fields has the limit: of two, the one with the newer name."""
    return "max_tokens" if fields.get("max_completion_tokens") is None else "max_completion_tokens"


def take_limit(parameters: Parameters) -> Parameters:
    """Return parameters with the limit in its field, if the newer name of it is an extra one."""
    extra = dict(parameters.extra)
    limit = extra.pop("max_completion_tokens", None)
    if type(limit) is not int or not 1 <= limit < 2**31:
        return parameters
    return replace(parameters, max_tokens=limit, limit_name="max_completion_tokens", extra=extra)


def _fold(name: str) -> str:
    """Return a name as lenient readers take it: whatever its case, and the marks between words."""
    return unicodedata.normalize("NFKC", name).casefold().translate(_MARKS)


_MARKS = str.maketrans("", "", "-_. ")
_TYPED_NAMES = frozenset(_fold(name) for name in TYPED_PARAMETERS)
_OWN_NAMES = frozenset(
    {
        *("bestof", "candidatecount", "contents", "functioncall", "functions", "generationconfig"),
        *("messages", "model", "n", "prompt", "stream", "streamoptions", "system"),
        *("systeminstruction", "toolchoice", "toolconfig", "tools"),
    }
)
_ROUTING_NAMES = frozenset(
    {
        *("accesstoken", "auth", "authorization", "client", "clientid", "credentials"),
        *("customllmprovider", "tenantid"),
        *("defaultquery", "deploymentid", "endpoint", "extrabody", "extraquery", "fallbacks"),
        *("headers", "host", "key", "litellmparams", "maxretries", "models", "organization"),
        *("project", "provider", "proxy", "route", "timeout", "token", "userconfig"),
    }
)
_ROUTING_PREFIXES = ("api", "aws", "azure", "vertex", "http", "xapi")
_ROUTING_SUFFIXES = (
    *("accesskey", "apibase", "apikey", "credentialname", "credentials", "headers", "host"),
    *("password", "proxy", "publickey", "secret", "secretkey", "url"),
)


def refusal(name: str) -> str | None:
    """Tell why `Parameters.extra` must not hold this name; None means that it may.

    Extra parameters come from callers and from stores. They may tune an answer; what is sent, where
    to and with which key is never theirs to say.
    """
    folded = _fold(name)
    if folded in _TYPED_NAMES:
        return "has a field of its own"
    if folded in _OWN_NAMES:
        return "is set by this service"
    if (
        folded in _ROUTING_NAMES
        or folded.startswith(_ROUTING_PREFIXES)
        or folded.endswith(_ROUTING_SUFFIXES)
    ):
        return "would decide where the request goes"
    return None
