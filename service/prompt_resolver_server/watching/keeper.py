"""Has watched prompts kept current although nobody asks for them; without watchers, does nothing.

A prompt is looked after once its store is due to be asked, or every second where the store is asked
each time. The cache sees to it that there is one fetch at a time for each prompt, and that a store
that fails is left alone for a while.
"""

import asyncio
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import TypeAlias

from ..domain.errors import Blame, CallError, Reason, ResolverError, ServerError
from ..logs import place_of
from ..runtime.backoff import backoff_s
from ..templates.cache.cache import TemplateCache
from ..templates.cache.entries import Key
from .events import ref_of
from .journal import Journal

_log = logging.getLogger(__name__)

MAX_NAMES = 100_000
"""How many prompts all watches may name together, the same ones counted each time. A name takes
more than a kilobyte for as long as its watch lasts."""

_EVERY_S = 1.0
# What keeps a prompt from being looked at just before it is due.
_MARGIN_S = 0.01
_SHORTEST_PAUSE_S = 0.25
_SPARE = 64
"""How many prompts more than twice as many as there are may be in the heap, scheduled anew."""

_Entry: TypeAlias = tuple[float, int, Key]
"""When a prompt is due, a number that tells it from others, and its key."""
# However many prompts are watched, looking after them leaves most of a processor to the calls.
_LOOKS_PER_S = 1_000
_PER_STORE = 16
_LOOK_S = 10.0
_LONGEST_PAUSE_S = 5.0
_GONE = frozenset({Reason.PROMPT_NOT_FOUND, Reason.VERSION_NOT_FOUND, Reason.STORE_AUTH})


@dataclass(slots=True)
class _Topic:
    """A prompt that is looked after: by how many watches it is named, and its entry in the heap.

    `caller_key` is the key of the caller that watches it. `failures` counts the looks in a row that
    found nothing to serve, and `looks` those that go on. One that was `lost` is looked for once,
    even if nobody names it.
    """

    caller_key: str | None
    named: int = 0
    entry: int = 0
    failures: int = 0
    looks: int = 0
    lost: bool = False


class Keeper:
    """Looks after the prompts that are watched. Made inside of a running event loop.

    At most `most` prompts may be named by watches.
    """

    def __init__(self, templates: TemplateCache, journal: Journal, *, most: int) -> None:
        self._templates = templates
        self._journal = journal
        self.most = most
        self._loop = asyncio.get_running_loop()
        self._topics: dict[Key, _Topic] = {}
        self._named = 0
        self._names = 0
        self._all: dict[bytes, tuple[int, str | None]] = {}
        self._due: list[_Entry] = []
        self._scheduled = 0
        self._slots: dict[str, asyncio.Semaphore] = {}
        self._looks: set[asyncio.Task[ResolverError | None]] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        journal.look_after(self, self._topics)

    def __len__(self) -> int:
        """How many prompts are looked after."""
        return len(self._topics)

    def add(self, keys: Mapping[Key, str | None]) -> None:
        """Look after prompts that a watch names, each with the caller's key that it needs.

        Raises OVERLOADED where they are too many, of all watches or of all prompts.
        """
        new = sum(key not in self._topics or not self._topics[key].named for key in keys)
        if self._named + new > self.most:
            raise ServerError(
                Reason.OVERLOADED,
                f"{self.most} prompts are watched by name, which is all that may be",
                metadata={"limit": str(self.most)},
            )
        if self._names + len(keys) > MAX_NAMES:
            raise ServerError(
                Reason.OVERLOADED,
                f"watches name {MAX_NAMES} prompts, which is all that they may together",
                metadata={"limit": str(MAX_NAMES)},
            )
        for key, caller_key in keys.items():
            self._topics.setdefault(key, _Topic(caller_key)).named += 1
        self._named += new
        self._names += len(keys)

    def remove(self, keys: Iterable[Key]) -> None:
        """Look after prompts no more that a watch has named."""
        for key in keys:
            topic = self._topics[key]
            topic.named -= 1
            self._names -= 1
            self._named -= not topic.named
            if topic.named:
                continue
            if key.credential not in self._all:
                del self._topics[key]
            elif not topic.entry and not topic.looks:
                self._schedule(key, topic, 0)
        self._rest()

    def add_all(self, credential: bytes, caller_key: str | None) -> None:
        """Look after all that is held with a credential, as long as it is held."""
        count, _ = self._all.get(credential, (0, None))
        self._all[credential] = count + 1, caller_key
        for key in self._templates.inventory.keys(credential):
            self.found(key)

    def remove_all(self, credential: bytes) -> None:
        """Look no more after all that is held with a credential, for one watch."""
        count, caller_key = self._all.pop(credential)
        if count > 1:
            self._all[credential] = count - 1, caller_key
            return
        for key, topic in [*self._topics.items()]:
            if not topic.named and key.credential == credential:
                del self._topics[key]
        self._rest()

    async def look(self, subjects: Iterable[Sequence[Key]]) -> None:
        """See to it that prompts are current that a watch names, each in all members of a chain.

        Raises what its caller has to change: an id or a selector that no store can have, or a key
        of its own that a store refuses. Whatever else is wrong, the journal tells.
        """
        looks = [asyncio.ensure_future(self._look_at(keys)) for keys in subjects]
        try:
            for look in asyncio.as_completed(looks):
                await look
        finally:
            for look in looks:
                look.cancel()
            await asyncio.gather(*looks, return_exceptions=True)

    async def _look_at(self, keys: Sequence[Key]) -> None:
        errors = [await asyncio.shield(look) for look in [self._begin(key) for key in keys]]
        for error in errors:
            refused = error is not None and error.blame is not Blame.OPERATOR
            malformed = all(isinstance(each, CallError) for each in errors)
            if error is not None and (refused or malformed):
                raise error.again()

    def found(self, key: Key) -> None:
        """Look after a prompt that is held, if all are watched; see `Upkeep`."""
        watched = self._all.get(key.credential)
        if watched is not None and key not in self._topics:
            topic = self._topics[key] = _Topic(watched[1])
            self._schedule(key, topic, self._pause_s(key, topic))

    def lost(self, key: Key) -> None:
        """Find out at once what has become of a watched prompt; see `Upkeep`."""
        topic = self._topics.get(key)
        if topic is not None:
            topic.lost = True
            # A look that goes on finds it out, and may be what has told of it; but not by a fetch
            # that is forgotten.
            if not topic.looks or not self._templates.is_fetching(key):
                self._schedule(key, topic, 0)

    def look_again(self, stores: Collection[str]) -> None:
        """Find out at once what has become of all watched prompts of these stores."""
        for key in self._topics if stores else ():
            if key.store in stores:
                self.lost(key)

    async def aclose(self) -> None:
        """Look after nothing more."""
        tasks = [*self._looks, *([self._task] if self._task is not None else ())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _rest(self) -> None:
        """Stop where there is nothing left to look after."""
        if not self._topics and self._task is not None:
            self._task.cancel()
            self._task = None
            self._due.clear()

    def _schedule(self, key: Key, topic: _Topic, pause_s: float) -> None:
        self._scheduled += 1
        topic.entry = self._scheduled
        heappush(self._due, (self._loop.time() + pause_s, self._scheduled, key))
        if len(self._due) > 2 * len(self._topics) + _SPARE:
            self._due = [entry for entry in self._due if self._counts(entry)]
            heapify(self._due)
        self._wake.set()
        if self._task is None:
            self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        """Begin a look at each prompt once it is due."""
        while True:
            self._wake.clear()
            while self._due and self._due[0][0] <= self._loop.time():
                entry = heappop(self._due)
                if self._counts(entry):
                    self._begin(entry[2])
            pause_s = self._due[0][0] - self._loop.time() if self._due else None
            try:
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _counts(self, entry: _Entry) -> bool:
        """Tell whether an entry is its prompt's last: one that is scheduled anew has several."""
        _, number, key = entry
        topic = self._topics.get(key)
        return topic is not None and topic.entry == number

    def _begin(self, key: Key) -> "asyncio.Task[ResolverError | None]":
        task = asyncio.ensure_future(self._look(key))
        self._looks.add(task)
        task.add_done_callback(self._looks.discard)
        return task

    async def _look(self, key: Key) -> ResolverError | None:
        topic = self._topics.get(key)
        if topic is None:
            return None
        held = self._templates.inventory.look(key) is not None
        if not (held or topic.named or topic.lost):
            # The cache needed the room, and nobody in particular watches this one.
            del self._topics[key]
            return None
        topic.lost = False
        topic.looks += 1
        try:
            error = await self._renew(key, topic)
        finally:
            topic.looks -= 1
        topic.failures = topic.failures + 1 if error is not None else 0
        if self._topics.get(key) is not topic:
            return error
        if error is not None and not topic.named:
            del self._topics[key]
        else:
            # What was lost while it was there to be served is not known to be there by now.
            at_once = topic.lost and error is None
            self._schedule(key, topic, 0 if at_once else self._pause_s(key, topic))
        return error

    async def _renew(self, key: Key, topic: _Topic) -> ResolverError | None:
        """Have a prompt current. Returns why there is none to serve, if so."""
        slots = self._slots.setdefault(key.store, asyncio.Semaphore(_PER_STORE))
        deadline = self._loop.time() + _LOOK_S
        try:
            async with asyncio.timeout_at(deadline), slots:
                await self._templates.renew(
                    ref_of(key), deadline=deadline, caller_key=topic.caller_key
                )
        except CallError as error:
            if error.reason is Reason.STORE_UNKNOWN:
                # It was configured when the watch began.
                self._journal.removed(key)
            return error
        except ResolverError as error:
            failure = error
        except Exception as fault:  # noqa: BLE001 - one prompt's, and the others go on
            failure = self._describe(fault)
        else:
            return None
        if failure.reason in _GONE:
            self._journal.removed(key)
        else:
            self._journal.unavailable(key)
        return failure

    @staticmethod
    def _describe(fault: Exception) -> ResolverError:
        """Return what is not foreseen as an error: a queue that is too long, or a fault of ours."""
        if isinstance(fault, TimeoutError):
            return ServerError(Reason.DEADLINE, "a store did not answer in time")
        _log.error("a fault of this server", extra=place_of(fault))
        return ServerError(Reason.INTERNAL, "a fault of this server")

    def _pause_s(self, key: Key, topic: _Topic) -> float:
        """Return in how many seconds a prompt is to be looked at again."""
        inventory = self._templates.inventory
        # A store that is gone may come back.
        ttl_s = inventory.ttls_s.get(key.store, _EVERY_S)
        if topic.failures:
            longest_s = min(_LONGEST_PAUSE_S, max(ttl_s, _EVERY_S))
            pause_s = backoff_s(topic.failures - 1, first_s=_EVERY_S, longest_s=longest_s)
        elif ttl_s == 0:
            pause_s = max(inventory.due_s(key), _EVERY_S)
        elif inventory.look(key) is None:
            # It is too large to be held.
            pause_s = ttl_s
        else:
            pause_s = inventory.due_s(key) + _MARGIN_S
        return max(pause_s, _SHORTEST_PAUSE_S, len(self._topics) / _LOOKS_PER_S)
