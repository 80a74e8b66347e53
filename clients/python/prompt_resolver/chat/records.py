"""Answers in OpenAI's shape, to be read by attribute or by item.

    answer.choices[0].message.content
    answer["choices"][0]["message"]["content"]

A field that an answer does not have is None either way. A record is a `dict`, so it can be looked
through, and written as JSON by whatever writes JSON.
"""

import json
from typing import TYPE_CHECKING, Any

from typing_extensions import override


class Record(dict[str, Any]):
    """A mapping whose items are attributes, too."""

    __slots__ = ()

    def __missing__(self, name: str) -> None:
        if name not in type(self).__annotations__:
            raise KeyError(name)

    # Where types are checked, the fields are those that a class names, and no others.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            try:
                return self[name]
            except KeyError:
                raise AttributeError(f"{type(self).__name__!r} has no field {name!r}") from None

        @override
        def __setattr__(self, name: str, value: object) -> None:
            self[name] = value

    def to_dict(
        self,
        *,
        mode: str = "python",
        by_alias: bool | None = None,
        exclude_unset: bool = False,
        exclude_none: bool = False,
    ) -> dict[str, Any]:
        """Return a copy in plain dicts and lists, without what is None if asked.

        The other options are pydantic's: a record is plain data under its own names, and has
        nothing in it that is not set.
        """
        return _plain_fields(self, exclude_none=exclude_none)

    model_dump = to_dict

    def json(
        self,
        *,
        indent: int | None = None,
        by_alias: bool | None = None,
        exclude_unset: bool = False,
        exclude_none: bool = False,
    ) -> str:
        """Return the record as JSON; the options are those of `to_dict`."""
        return json.dumps(self.to_dict(exclude_none=exclude_none), indent=indent)

    model_dump_json = json


class Function(Record):
    """The tool that is called, and with what: its arguments are JSON, as the model wrote it."""

    __slots__ = ()

    name: str
    arguments: str


class Signature(Record):
    """What a provider signed a call with, for the call to be sent back with."""

    __slots__ = ()

    thought_signature: str


class ToolCall(Record):
    """A model's call of a tool; `provider_specific_fields` are there if its provider signed it."""

    __slots__ = ()

    id: str
    type: str
    function: Function
    provider_specific_fields: Signature | None


class FunctionDelta(Record):
    """A part of a call: the tool's name in the first one, and more of the arguments."""

    __slots__ = ()

    name: str | None
    arguments: str


class ToolCallDelta(Record):
    """What a chunk adds to the call at `index`, whose id and type are in its first part alone."""

    __slots__ = ()

    index: int
    id: str | None
    type: str | None
    function: FunctionDelta
    provider_specific_fields: Signature | None


class Message(Record):
    """What the model said. It can be sent back as it is, among the `messages` of the next call."""

    __slots__ = ()

    role: str
    content: str | None
    refusal: str | None
    tool_calls: list[ToolCall] | None
    reasoning_content: str | None
    thinking_blocks: list[dict[str, Any]] | None


class Choice(Record):
    """The answer, and why it ended."""

    __slots__ = ()

    index: int
    message: Message
    logprobs: None
    finish_reason: str


class Delta(Record):
    """What a chunk adds to the answer."""

    __slots__ = ()

    role: str | None
    content: str | None
    refusal: str | None
    tool_calls: list[ToolCallDelta] | None
    reasoning_content: str | None
    thinking_blocks: list[dict[str, Any]] | None


class ChunkChoice(Record):
    """What a chunk adds to the answer; the last one tells why it ended."""

    __slots__ = ()

    index: int
    delta: Delta
    logprobs: None
    finish_reason: str | None


class PromptTokens(Record):
    """How many of the prompt's tokens a provider's cache had, or took."""

    __slots__ = ()

    cached_tokens: int | None
    cache_write_tokens: int | None


class CompletionTokens(Record):
    """How many of the answer's tokens were thoughts."""

    __slots__ = ()

    reasoning_tokens: int


class Usage(Record):
    """How many tokens were used; None for what the provider did not say."""

    __slots__ = ()

    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None
    prompt_tokens_details: PromptTokens | None
    completion_tokens_details: CompletionTokens | None
    cache_creation_input_tokens: int | None


class Cost(Record):
    """What an answer cost in US dollars, and where its price comes from."""

    __slots__ = ()

    usd: float
    source: str


class ServedPrompt(Record):
    """Which prompt was served, and how; `age` is in seconds, the words are the contract's."""

    __slots__ = ()

    id: str
    name: str
    store: str
    version: str
    environment: str
    content_sha256: str
    cache: str
    age: float
    stale: bool
    reason: str


class ChatCompletion(Record):
    """A whole answer. `model` is as the provider names it; `cost` is None where it is not known."""

    __slots__ = ()

    id: str
    object: str
    created: int
    model: str
    choices: list[Choice]
    usage: Usage | None
    provider: str
    prompt: ServedPrompt | None
    dropped_parameters: list[str]
    cost: Cost | None

    @property
    def _hidden_params(self) -> dict[str, Any]:
        """What users of LiteLLM look up: `response_cost` in US dollars, None if not known."""
        return {"response_cost": self.cost.usd if self.cost is not None else None}


class ChatCompletionChunk(Record):
    """A part of a streamed answer. `choices` is empty in the one that tells the usage alone.

    The one that tells why the answer ended tells the cost, too, if it is known.
    """

    __slots__ = ()

    id: str
    object: str
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None
    provider: str
    prompt: ServedPrompt | None
    dropped_parameters: list[str] | None
    cost: Cost | None


def _plain_fields(fields: dict[str, Any], *, exclude_none: bool) -> dict[str, Any]:
    return {
        name: _plain(value, exclude_none=exclude_none)
        for name, value in fields.items()
        if not (exclude_none and value is None)
    }


def _plain(value: object, *, exclude_none: bool) -> object:
    match value:
        case dict():
            return _plain_fields(value, exclude_none=exclude_none)
        case list():
            return [_plain(item, exclude_none=exclude_none) for item in value]
        case _:
            return value
