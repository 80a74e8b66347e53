"""Leaves out what a provider cannot be sent, where its operator prefers an answer to a refusal."""

from collections.abc import Callable

from msgspec.structs import replace

from ..domain.answers import ModelRequest
from ..domain.errors import CallError, Reason
from ..domain.parameters import NO_PARAMETERS
from ..domain.prompts import Media, Message, Part, Text
from .dialect import WireRequest

Build = Callable[[ModelRequest], WireRequest]

_SAID = Message(role="user", content=(Text("."),))


def build_leniently(request: ModelRequest, build: Build) -> WireRequest:
    """Return what to send, without the parameters and the media that cannot be; both are told.

    Raises `CallError` for whatever else the wire cannot carry.
    """
    request = replace(request, insisted=frozenset())
    try:
        return build(request)
    except CallError as error:
        if not _is_of_content(error):
            raise
    dropped: list[str] = []
    messages = []
    for index, message in enumerate(request.messages):
        kept: list[Part] = []
        for place, part in enumerate(message.content):
            if _can_be_sent(part, message, request, build):
                kept.append(part)
            else:
                dropped.append(f"messages[{index}].content[{place}]")
        messages.append(replace(message, content=tuple(kept)))
    wire = build(replace(request, messages=tuple(messages)))
    return replace(wire, dropped=(*wire.dropped, *dropped))


def _can_be_sent(part: Part, message: Message, request: ModelRequest, build: Build) -> bool:
    """Tell whether a provider takes a part: alone, so that each is written once more at most."""
    if not isinstance(part, Media):
        return True
    alone = replace(message, content=(part,), tool_calls=())
    try:
        build(ModelRequest(model=request.model, messages=(_SAID, alone), parameters=NO_PARAMETERS))
    except CallError as error:
        return not _is_of_content(error)
    return True


def _is_of_content(error: CallError) -> bool:
    places = [violation.field for violation in error.violations]
    is_place = all(place.startswith("messages[") for place in places)
    return error.reason is Reason.PARAMETER_UNSUPPORTED and bool(places) and is_place
