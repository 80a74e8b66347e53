"""Prompts as values: references, templates and messages.

All values are immutable, so that one template can serve any number of calls at once. Their `repr`
shows no text, no schema and no arguments, so that none of it slips into a log.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from .parameters import NO_PARAMETERS, Json, Parameters

Role = Literal["system", "developer", "user", "assistant", "tool"]
MediaKind = Literal["image", "audio", "file"]


@dataclass(frozen=True, slots=True)
class Text:
    """A part of a message that is text."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """A part of a message that is an image, a sound or a document: its URL, or its bytes."""

    kind: MediaKind
    url: str | None = field(default=None, repr=False)
    data: bytes | None = field(default=None, repr=False)
    media_type: str = ""
    detail: str | None = None
    filename: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reasoning:
    """What a model thought, with the provider's signature or in a form that only it can read."""

    text: str = field(default="", repr=False)
    signature: bytes | None = field(default=None, repr=False)
    redacted: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A part of a message in which the model refuses."""

    text: str = field(repr=False)


Part: TypeAlias = Text | Media | Reasoning | Refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A model's call of a tool; the arguments are as the model wrote them."""

    id: str
    name: str
    arguments_json: str = field(repr=False)
    signature: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message: finished, or, inside a template, with its variables still in it."""

    role: Role
    content: tuple[Part, ...] = ()
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """The message's text parts, joined."""
        return "".join(part.text for part in self.content if isinstance(part, Text))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool that a model may call; the parameters are a JSON Schema."""

    name: str
    description: str = field(default="", repr=False)
    parameters: Mapping[str, Json] | None = field(default=None, repr=False)
    strict: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolChoice:
    """Which tool a model should call: a mode, or exactly the tool of this name."""

    mode: Literal["auto", "none", "required"] | None = None
    tool_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptRef:
    """A caller's reference to a prompt, with at most one selector."""

    id: str
    store: str | None = None
    version: str | None = None
    environment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Template:
    """One version of a prompt, before rendering. Equal only to itself, so that it can be a key.

    `model` and `provider` are in the store's words; `language` is the template language of the
    texts; `location` is where people find the template, such as the path of a file below its store;
    `size` is how many bytes the store delivered.
    """

    id: str
    name: str
    version: str
    environment: str = ""
    content_sha256: str
    location: str
    size: int = 0
    language: str = "default"
    messages: tuple[Message, ...] = ()
    model: str | None = None
    provider: str | None = None
    parameters: Parameters = NO_PARAMETERS
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None


CacheResult = Literal["hit", "miss", "stale", "fallback", "bypass"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedTemplate:
    """A template as a cache served it: how, why this version, and how old its confirmation is."""

    template: Template
    store: str
    cache: CacheResult
    reason: Literal["deployed", "pinned", "label", "fallback"]
    age_s: float = 0.0
    stale: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedPrompt:
    """A rendered prompt with all that is needed to have it answered.

    `served` is None where an alias without a prompt passes the caller's messages through. `model`
    and `provider` are empty where nobody named a model.
    """

    messages: tuple[Message, ...]
    model: str
    provider: str
    parameters: Parameters
    tools: tuple[Tool, ...]
    tool_choice: ToolChoice | None
    served: ServedTemplate | None
