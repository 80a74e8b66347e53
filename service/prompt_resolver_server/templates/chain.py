"""Several stores in order: where one has nothing to serve, the next one is asked.

A chain stands above the cache, so that each of its members keeps what it served, and serves it
through an outage of its own.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from math import inf
from typing import Literal, TypeVar

from ..domain.errors import Blame, Reason, ResolverError, TemplateError
from ..domain.prompts import PromptRef
from ..settings.model import AnyStoreSettings
from .cache.source import Member

_Result = TypeVar("_Result")

ABSENCES = (
    Reason.VERSION_NOT_FOUND,
    Reason.PROMPT_NOT_FOUND,
    Reason.SELECTOR_INVALID,
    Reason.PROMPT_ID_INVALID,
)
"""What a member says that does not have a prompt, from what weighs most to what weighs least.

All of that weighs less than what it might have. What is malformed by its grammar may be well-formed
by another one's."""

_FAILURES = frozenset({Reason.STORE_UNAVAILABLE, Reason.DEADLINE, Reason.NOT_IMPLEMENTED})


class ChainSettings(AnyStoreSettings):
    """A store that is several others, asked in order."""

    type: Literal["chain"]
    stores: tuple[str, ...]
    """The names of these stores, the one first whose prompts are wanted."""


async def first_that_serves(
    members: Sequence[Member],
    ask: Callable[[Member, float], Awaitable[_Result]],
    *,
    deadline: float,
    patience_s: Callable[[Member], float] = lambda _: inf,
) -> _Result:
    """Return what the first member answers that has an answer.

    `ask` is given a member, and the time of the event loop's clock until which it may take. Before
    the last member that is half of the time that is left, and no more than `patience_s` allows the
    member, in seconds: what it began goes on by itself, and is waited for if no other member can
    serve. Raises what weighs most of what they raise.
    """
    now = asyncio.get_running_loop().time
    errors: dict[str, ResolverError] = {}
    asked = members
    for patient in (False, True):
        for member in asked:
            until = deadline
            if member is not asked[-1]:
                until = (now() + deadline) / 2
                if not patient:
                    until = min(until, now() + patience_s(member))
            try:
                return await ask(member, min(until, deadline))
            except ResolverError as error:
                if len(members) == 1 or not _has_nothing(error):
                    raise
                errors[member.name] = error
        asked = [each for each in asked if errors[each.name].reason is Reason.DEADLINE]
    raise min(errors.values(), key=_weight)


def at_member(ref: PromptRef, store: str) -> PromptRef:
    """Return a reference to the prompt of one store."""
    return PromptRef(id=ref.id, store=store, version=ref.version, environment=ref.environment)


def _has_nothing(error: ResolverError) -> bool:
    """Tell whether a member that says so has nothing to serve, so that the next one may.

    A template that is broken cannot be served either. A caller whose key is refused is told.
    """
    if error.reason is Reason.STORE_AUTH:
        return error.blame is Blame.OPERATOR
    return error.reason in _FAILURES or error.reason in ABSENCES or isinstance(error, TemplateError)


def _weight(error: ResolverError) -> int:
    return ABSENCES.index(error.reason) + 1 if error.reason in ABSENCES else 0
