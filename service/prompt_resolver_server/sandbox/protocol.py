"""What a worker is told and what it answers: frames of a length in four bytes, and MessagePack."""

import struct
from typing import Literal, TypeAlias

import msgspec
from msgspec import field

from ..domain.parameters import JsonObject
from ..domain.values import Value

MAX_OUTPUT = 1024 * 1024
"""How many bytes a rendered prompt may have, in UTF-8."""

MAX_FRAME = 8 * 1024 * 1024
"""How many bytes a frame may have: a worker that announces more is out of its mind."""

HEADER = struct.Struct(">I")
READY = b""
"""The frame that a worker sends when it is ready for jobs."""

Language = Literal["none", "jinja", "handlebars"]
Fault = Literal["invalid", "forbidden", "budget"]


class Source(Value, frozen=True, array_like=True):
    """All of a template that a worker needs: texts, partials and the schema of its variables.

    In the language `none` there is nothing to render, and the variables are checked. `json_values`
    are the indices of the texts that are one expression each, of which the value as JSON is wanted.
    """

    language: Language
    texts: tuple[str, ...] = ()
    partials: dict[str, str] = field(default_factory=dict)
    schema: JsonObject | None = None
    json_values: tuple[int, ...] = ()


class Job(Value, frozen=True, array_like=True):
    """A source, encoded, so that a worker finds what it has compiled of it; and its variables."""

    source: bytes
    variables: JsonObject


class Media(Value, frozen=True, array_like=True, tag=True):
    """A part of a turn that is no text, by its URL."""

    url: str
    media_type: str


class Text(Value, frozen=True, array_like=True, tag=True):
    """A part of a turn that is text."""

    text: str


class Turn(Value, frozen=True, array_like=True):
    """A message that rendering has made."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[Text | Media, ...]


class Done(Value, frozen=True, array_like=True, tag=True):
    """What came of a job: a text for each text, or turns, with the places of the history.

    A place is the index of the turn that follows.
    """

    texts: tuple[str, ...] = ()
    turns: tuple[Turn, ...] = ()
    histories: tuple[int, ...] = ()


class Refused(Value, frozen=True, array_like=True, tag=True):
    """Why a template is not rendered: what was expected of it, and where, if that is known.

    `text` is the index of the text and `line` the line in it, from 1 on.
    """

    fault: Fault
    expected: str
    text: int | None = None
    line: int | None = None


class Unfit(Value, frozen=True, array_like=True, tag=True):
    """What is wrong with the variables, by their names or paths."""

    problems: dict[str, str]


Reply: TypeAlias = Done | Refused | Unfit

encode = msgspec.msgpack.Encoder().encode
read_source = msgspec.msgpack.Decoder(Source).decode
read_job = msgspec.msgpack.Decoder(Job).decode
_read_reply = msgspec.msgpack.Decoder(Reply)


def read_reply(frame: bytes) -> Reply:
    """Return the reply in a frame. Raises `ValueError`."""
    reply: Reply = _read_reply.decode(frame)
    return reply
