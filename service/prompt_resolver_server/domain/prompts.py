"""Prompts as values: references, templates and messages.

All values are immutable, so that one template can serve any number of calls at once.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, TypeAlias

from msgspec import field

from .parameters import NO_PARAMETERS, JsonObject, Parameters
from .values import LastingValue, Value

MessagePolicy = Literal["append", "without_user_turn", "ignore"]
Role = Literal["system", "developer", "user", "assistant", "tool"]
MediaKind = Literal["image", "audio", "file"]

MAX_PARTS = 10_000
"""How many messages and parts, or tools, a caller may send: more fit into no model, and reading
them would hold up other calls."""
MAX_LEVELS = 30
"""How many levels a schema may have. The contract's messages carry 32 of a `Struct`, and a tool's
stand inside of one more."""


class Text(Value, frozen=True, tag="text"):
    """A part of a message that is text."""

    text: str


class Media(Value, frozen=True, kw_only=True, tag="media"):
    """A part of a message that is an image, a sound or a document: its URL, or its bytes."""

    shown = ("kind",)

    kind: MediaKind
    url: str | None = None
    data: bytes | None = None
    media_type: str = ""
    detail: str | None = None
    filename: str | None = None


class Reasoning(Value, frozen=True, kw_only=True, tag="reasoning"):
    """What a model thought, with the provider's signature or in a form that only it can read."""

    text: str = ""
    signature: bytes | None = None
    redacted: bytes | None = None


class Refusal(Value, frozen=True, tag="refusal"):
    """A part of a message in which the model refuses."""

    text: str


Part: TypeAlias = Text | Media | Reasoning | Refusal


class ToolCall(Value, frozen=True, kw_only=True):
    """A model's call of a tool; the arguments are as the model wrote them."""

    shown = ("id", "name")

    id: str
    name: str
    arguments_json: str
    signature: bytes | None = None


class Message(Value, frozen=True, kw_only=True):
    """One message: finished, or, inside a template, with its variables still in it."""

    shown = ("role",)

    role: Role
    content: tuple[Part, ...] = ()
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """The message's text parts, joined."""
        return "".join(part.text for part in self.content if isinstance(part, Text))


class Placeholder(Value, frozen=True):
    """A place in a template for messages of the caller's.

    `position` is the index of the template's message before which they stand; the number of its
    messages for the end.
    """

    shown = ("name", "position")

    name: str
    position: int


class Tool(Value, frozen=True, kw_only=True):
    """A tool that a model may call; the parameters are a JSON Schema."""

    shown = ("name",)

    name: str
    description: str = ""
    parameters: JsonObject | None = None
    strict: bool | None = None


class ToolChoice(Value, frozen=True, kw_only=True):
    """Which tool a model should call: a mode, or exactly the tool of this name."""

    shown = ("mode", "tool_name")

    mode: Literal["auto", "none", "required"] | None = None
    tool_name: str | None = None


class PromptRef(Value, frozen=True, kw_only=True):
    """A caller's reference to a prompt, with at most one selector."""

    shown = ("id", "store", "version", "environment")

    id: str
    store: str | None = None
    version: str | None = None
    environment: str | None = None


class Template(LastingValue, frozen=True, kw_only=True, eq=False, weakref=True):
    """One version of a prompt, before rendering. Equal only to itself, so that it can be a key.

    `model` and `provider` are in the store's words; `language` is the template language of the
    texts; `location` is where people find the template, such as the path of a file below its store;
    `size` is how many bytes the store delivered. `as_text` tells that the store has it as one text
    rather than as messages; `created_at` is when this version came about, if the store knows.

    `defaults` are values of variables that the call leaves out, and `schema` is a JSON Schema of
    the object of all variables, if the template declares one. `partials` are texts in the same
    language that the template may include, by name. `snippets` are the texts of the tools that it
    may refer to: by the tool's name, and then by the snippet's key.
    """

    shown = ("id", "version", "environment")

    id: str
    name: str
    version: str
    environment: str = ""
    content_sha256: str
    location: str
    size: int = 0
    language: str = "default"
    messages: tuple[Message, ...] = ()
    placeholders: tuple[Placeholder, ...] = ()
    model: str | None = None
    provider: str | None = None
    parameters: Parameters = NO_PARAMETERS
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    defaults: JsonObject = field(default_factory=dict)
    schema: JsonObject | None = None
    partials: Mapping[str, str] = field(default_factory=dict)
    snippets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    as_text: bool = False
    created_at: datetime | None = None

    @property
    def path(self) -> str:
        """Where the template is, without a file's ending: the prompt's id, where ids are paths."""
        return self.location.removesuffix(".prompt")


CacheResult = Literal["hit", "miss", "stale", "fallback", "bypass"]
ServedReason = Literal["deployed", "pinned", "label", "fallback"]


class ServedTemplate(Value, frozen=True, kw_only=True):
    """A template as a cache served it: how, why this version, and how old its confirmation is."""

    shown = ("template", "store", "cache", "stale")

    template: Template
    store: str
    cache: CacheResult
    reason: ServedReason
    age_s: float = 0.0
    stale: bool = False


class ResolvedPrompt(Value, frozen=True, kw_only=True):
    """A rendered prompt with all that is needed to have it answered.

    `served` is None where an alias without a prompt passes the caller's messages through. `model`
    and `provider` are empty where nobody named a model.
    """

    shown = ("model", "provider", "served")

    messages: tuple[Message, ...]
    model: str
    provider: str
    parameters: Parameters
    tools: tuple[Tool, ...]
    tool_choice: ToolChoice | None
    served: ServedTemplate | None
