"""Templates that are rendered by workers, and variables that are checked by them."""

import hashlib
from collections.abc import Mapping

from ..domain.json_codec import is_deeper
from ..domain.parameters import Json
from ..domain.prompts import Media, MediaKind, Message, Part, Placeholder, Template, Text
from ..sandbox import protocol
from ..sandbox.protocol import Done, Refused, Source, Unfit
from .offenders import Errand
from .pool import ExhaustedError, WorkerPool
from .problems import (
    template_exhausted,
    template_invalid,
    template_refused,
    variables_invalid,
    variables_too_large,
)

MAX_SOURCE_BYTES = 512 * 1024
"""How large a template that a worker renders may be, with its partials and its schema."""

_MAX_VARIABLES_BYTES = 4 * 1024 * 1024
_MAX_LEVELS = 64

HISTORY = "history"
"""The name of the placeholder that dotprompt's `{{history}}` is."""


class WorkerTemplate:
    """What a worker has to know of one template, encoded once."""

    def __init__(self, template: Template, source: Source) -> None:
        try:
            self._source = protocol.encode(source)
        except (ValueError, OverflowError, RecursionError):
            raise template_invalid(
                template, "texts of whole characters, and a schema with numbers of at most 64 bits"
            ) from None
        self._digest = hashlib.sha256(self._source).digest()
        if len(self._source) > MAX_SOURCE_BYTES:
            raise template_exhausted(template, f"it to have at most {MAX_SOURCE_BYTES} bytes")

    async def render(
        self,
        template: Template,
        variables: Mapping[str, Json],
        workers: WorkerPool,
        *,
        caller: str,
        deadline: float,
    ) -> Done:
        """Return what a worker makes of it for a caller, whose name may be empty.

        Raises VARIABLES_INVALID, TEMPLATE_INVALID, TEMPLATE_FORBIDDEN and TEMPLATE_BUDGET, and what
        the workers raise.
        """
        job = self._encode(variables)
        try:
            reply = await workers.run(Errand(caller, self._digest, job), deadline=deadline)
        except ExhaustedError as error:
            raise template_exhausted(
                template,
                "it to be rendered within its limits of time, memory and output",
                retry_after_s=error.retry_after_s,
            ) from None
        match reply:
            case Done():
                return reply
            case Unfit(problems=problems):
                raise variables_invalid(problems)
            case Refused():
                raise template_refused(template, reply)

    def _encode(self, variables: Mapping[str, Json]) -> bytes:
        if is_deeper(dict(variables), _MAX_LEVELS):
            raise variables_too_large(f"at most {_MAX_LEVELS} levels of nesting")
        try:
            job = protocol.encode(protocol.Job(self._source, variables))
        except (ValueError, OverflowError, RecursionError):
            raise variables_too_large("numbers of at most 64 bits and text in Unicode") from None
        if len(job) - len(self._source) > _MAX_VARIABLES_BYTES:
            raise variables_too_large(f"at most {_MAX_VARIABLES_BYTES} bytes")
        return job


def to_messages(done: Done) -> tuple[Message, ...]:
    """Return the turns that rendering made as messages."""
    return tuple(
        Message(role=turn.role, content=tuple(_to_part(part) for part in turn.parts))
        for turn in done.turns
    )


def to_placeholders(done: Done) -> tuple[Placeholder, ...]:
    """Return the places that rendering found for the history."""
    return tuple(Placeholder(HISTORY, position) for position in done.histories)


def _to_part(part: protocol.Text | protocol.Media) -> Part:
    if isinstance(part, protocol.Text):
        return Text(part.text)
    return Media(kind=_kind(part.media_type), url=part.url, media_type=part.media_type)


def _kind(media_type: str) -> MediaKind:
    # dotprompt's media are images unless they say otherwise.
    match media_type.partition("/")[0].lower():
        case "" | "image":
            return "image"
        case "audio":
            return "audio"
        case _:
            return "file"
