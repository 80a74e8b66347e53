"""What is held is forgotten on demand: all that is named, and nothing else."""

import asyncio

import pytest

from prompt_resolver_server.domain.errors import CallError, Reason, ResolverError
from prompt_resolver_server.domain.prompts import PromptRef, Template
from tests.support.caches import ONE, TWO, FollowedCache, P
from tests.support.stores import absent

SELECTED = [P, PromptRef(id="p", version="1"), PromptRef(id="p", environment="staging")]
OTHERS = [PromptRef(id="pp"), PromptRef(id="p", store="other")]


@pytest.mark.parametrize(
    ("ref", "left"),
    [(P, OTHERS), (SELECTED[1], [P, SELECTED[2], *OTHERS])],
    ids=["every version", "one version"],
)
async def test_exactly_what_is_named_is_forgotten(ref: PromptRef, left: list[PromptRef]) -> None:
    """A prompt goes with all its versions, or one version alone; nothing else goes."""
    subject = FollowedCache()
    for each in [*SELECTED, *OTHERS]:
        await subject.get(each)

    dropped = subject.cache.invalidate([ref])

    held = [each for each in [*SELECTED, *OTHERS] if subject.look(each) is not None]
    assert held == left
    assert dropped == len(SELECTED) + len(OTHERS) - len(left)
    assert f"dropped {ref.id}" in subject.told.events


async def test_copies_of_callers_are_forgotten() -> None:
    """What callers' own keys have opened goes as well."""
    subject = FollowedCache()
    await subject.get()
    await subject.get(caller_key="key-of-one")
    await subject.get(caller_key="key-of-two")

    assert subject.cache.invalidate([P]) == 3
    assert len(subject.cache.inventory.keys()) == subject.cache.inventory.entries == 0


async def test_absences_are_forgotten() -> None:
    """A prompt that was absent is asked for again, and counts as no copy."""
    subject = FollowedCache()
    subject.store.says = absent()
    with pytest.raises(ResolverError):
        await subject.get()
    subject.store.says = ONE

    dropped = subject.cache.invalidate([P])
    served = await subject.get()

    assert dropped == 0
    assert served.template is ONE


async def test_an_unknown_store_forgets_nothing() -> None:
    """Where one of the references has no store, none of them is forgotten."""
    subject = FollowedCache()
    await subject.get()

    with pytest.raises(CallError) as caught:
        subject.cache.invalidate([P, PromptRef(id="p", store="nowhere")])

    assert caught.value.reason is Reason.STORE_UNKNOWN
    assert subject.look() is not None


@pytest.mark.parametrize("late", [ONE, absent()], ids=["a template", "an absence"])
async def test_what_was_on_its_way_is_not_held(late: Template | ResolverError) -> None:
    """What the store answered before is for those who waited; the next call asks anew."""
    subject = FollowedCache()
    subject.store.says = late
    subject.store.may.clear()
    waiting = asyncio.ensure_future(subject.get())
    await subject.store.asked.wait()

    subject.cache.invalidate([P])
    subject.store.may.set()
    await asyncio.gather(waiting, return_exceptions=True)
    held = subject.look()
    subject.store.says = TWO
    served = await subject.get()

    assert held is None
    assert served.template is TWO
    assert subject.fetches == 2


async def test_closing_ends_forgotten_fetches() -> None:
    """A fetch that nobody needs any more does not outlive the cache."""
    subject = FollowedCache()
    subject.store.may.clear()
    waiting = asyncio.ensure_future(subject.get())
    await subject.store.asked.wait()
    subject.cache.invalidate([P])

    await subject.cache.aclose()

    assert subject.store.running == 0
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
