"""What callers watch: each at its own pace, and of each prompt at most one event behind."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

from ..domain.errors import ResolverError, invalid_request
from ..domain.permissions import Permissions
from ..domain.prompts import PromptRef
from ..templates.cache.entries import Key
from ..templates.chain import at_member
from ..templates.permitted import check_permitted
from ..templates.prompt_stores import PromptStores
from .events import Change, Event, ref_of
from .journal import Journal, Record
from .keeper import Keeper

MAX_PROMPTS = 1_000
"""How many prompts one watch may name."""

Keys: TypeAlias = Mapping[Key, str | None]
"""What is held, each with the key of the caller's that opens it."""

Permit: TypeAlias = Callable[[], Permissions]
"""Returns what a caller may use by now. Raises CALLER_FORBIDDEN for one who may not call."""


class Watch:
    """One caller's view of the journal: what it has yet to be told, in the order of the revisions.

    `permit` is asked at each event. `of_all` tells that the caller has named nothing, so that what
    it may not see is passed over. `snapshot_revision` is the newest revision of the snapshot that
    it begins with: 0 for an empty one, None where the watch goes on after a revision that it knew.
    """

    def __init__(self, journal: Journal, permit: Permit, *, of_all: bool) -> None:
        self._journal = journal
        self._permit = permit
        self._of_all = of_all
        # By prompt: whether the caller has yet to be told of another version.
        self._pending: dict[Key, bool] = {}
        self._snapshot: set[Key] = set()
        self._changed = asyncio.Event()
        self.snapshot_revision: int | None = None

    def note(self, key: Key, *, changed: bool) -> bool:
        """Take note of a change; see `Follower`."""
        behind = self._pending.pop(key, False) or changed
        self._pending[key] = behind
        self._changed.set()
        return behind

    def forget(self, key: Key) -> None:
        """Tell nothing more of a prompt that this watch has left."""
        self._pending.pop(key, None)
        self._snapshot.discard(key)

    def begin(self, records: Iterable[tuple[Key, Record]], *, after: int | None) -> None:
        """Begin with a snapshot of these records, or with what is in them after a revision."""
        ordered = sorted(records, key=lambda each: each[1].revision)
        since = after if after is not None else 0
        self._pending = {
            key: record.content_revision > since
            for key, record in ordered
            if record.revision > since
        }
        if after is None:
            self._snapshot = set(self._pending)
            self.snapshot_revision = ordered[-1][1].revision if ordered else 0
        self._changed.set()

    async def next(self) -> Event:
        """Return the next event, once there is one.

        Raises CALLER_FORBIDDEN for what the caller has named, and may not see any more.
        """
        while True:
            while not self._pending:
                self._changed.clear()
                await self._changed.wait()
            key = next(iter(self._pending))
            changed = self._pending.pop(key)
            record = self._journal.get(key)
            # What the journal has forgotten, nobody looks after: it is held no more.
            if record is not None and self._is_seen(key):
                return Event(
                    ref=ref_of(key),
                    served=self._journal.describe(key, record),
                    change=self._change(key, record, changed=changed),
                    revision=record.revision,
                )

    def _is_seen(self, key: Key) -> bool:
        """Tell whether the caller is told of a prompt. Raises CALLER_FORBIDDEN."""
        permissions = self._permit()
        if self._of_all:
            return may_see(key, permissions)
        permissions.check("store", key.store)
        permissions.check("prompt", key.id)
        return True

    def _change(self, key: Key, record: Record, *, changed: bool) -> Change:
        first = key in self._snapshot
        self._snapshot.discard(key)
        if record.removed:
            return "removed"
        if first and record.template.version:
            return "snapshot"
        if changed and record.template.version:
            return "updated"
        return "store_stale" if record.stale else "store_ready"


@dataclass(eq=False)
class _Opened:
    """A watch that goes on, and by what each prompt that it names is followed.

    `kept` has what is held of each, and looked after, in the order of a chain's members.
    """

    watch: Watch
    caller_key: str | None
    credential: bytes
    subjects: dict[PromptRef, Key] = field(default_factory=dict)
    kept: dict[Key, Keys] = field(default_factory=dict)


class Watches:
    """Opens watches. Made inside of a running event loop.

    Watches may name as many prompts, and the journal remembers about as many, as `capacity` says.
    """

    def __init__(self, stores: PromptStores, *, capacity: int) -> None:
        self._stores = stores
        self._cache = cache = stores.cache
        self._journal = Journal(cache.inventory, capacity=capacity)
        self._keeper = Keeper(cache, self._journal, most=capacity)
        self._opened: set[_Opened] = set()
        cache.listen(self._journal)

    def adopt(self, stores: PromptStores, *, capacity: int, lost: Collection[str]) -> None:
        """Watch what these stores serve from now on; see `Replacement.lost`.

        Where a prompt is now served by another store, because the default one or the members of a
        chain have changed, its watches go on with that one, and are told. Of lost stores they are
        told what has become of each prompt.
        """
        served_alike = stores.layout == self._stores.layout
        self._stores = stores
        self._journal.capacity = self._keeper.most = capacity
        if not served_alike:
            for opened in self._opened:
                self._move(opened)
        self._keeper.look_again(lost)

    @asynccontextmanager
    async def open(
        self,
        refs: Sequence[PromptRef],
        *,
        after: int | None,
        caller_key: str | None,
        permit: Permit,
    ) -> AsyncIterator[Watch]:
        """Watch these prompts, or without any all that are held, until the context ends.

        All that are held are those that the store's own key opened or, where the caller has a key,
        those that this one did: as far as the caller may use them. `after` is the revision to go on
        after. Raises CALLER_FORBIDDEN where the caller may not use one of them, `CallError` for a
        reference that no store can have, OVERLOADED, and STORE_AUTH for a key of the caller's.
        """
        if len(refs) > MAX_PROMPTS:
            raise invalid_request("prompts", f"expected at most {MAX_PROMPTS} prompts")
        for ref in refs:
            check_permitted(ref, self._stores, permit())
        if after is not None and not self._journal.knows(after):
            after = None
        credential = self._cache.credential(caller_key)
        watch = Watch(self._journal, permit, of_all=not refs)
        opened = _Opened(watch, caller_key, credential)
        with ExitStack() as stack:
            if refs:
                stack.callback(self._unfollow_all, opened)
                for ref in refs:
                    subject, keys = self._choose(ref, opened)
                    opened.subjects[ref] = subject
                    self._follow(opened, subject, keys)
            else:
                self._keeper.add_all(credential, caller_key)
                stack.callback(self._keeper.remove_all, credential)
                self._journal.follow((credential,), watch)
                stack.callback(self._journal.leave, (credential,), watch)
            self._opened.add(opened)
            stack.callback(self._opened.discard, opened)
            await self._keeper.look([[*keys] for keys in opened.kept.values()])
            records = self._records(opened.kept, credential, after)
            if not refs:
                records = ((key, each) for key, each in records if may_see(key, permit()))
            watch.begin(records, after=after)
            yield watch

    def _choose(self, ref: PromptRef, opened: _Opened) -> tuple[Key, Keys]:
        """Return what a reference is followed by, and what is held for it, by which caller's key.

        These are one and the same, except for a chain. Raises STORE_UNKNOWN.
        """
        members = self._stores.members(ref.store)
        keys = {}
        for member in members:
            key = opened.caller_key if member.takes_key else None
            keys[self._cache.key(at_member(ref, member.name), key)] = key
        store = ref.store if ref.store is not None else self._stores.default_store
        if [member.name for member in members] == [store]:
            return next(iter(keys)), keys
        return Key(store, ref.id, ref.version, ref.environment, opened.credential), keys

    def _follow(self, opened: _Opened, subject: Key, keys: Keys) -> bool:
        """Have a watch told of a prompt, and the prompt looked after. Raises OVERLOADED.

        Returns whether that is new.
        """
        before = opened.kept.get(subject)
        # The order of a chain's members counts.
        if before is not None and [*before] == [*keys]:
            return False
        self._keeper.add(keys)
        if subject not in keys:
            self._journal.add_view(subject, [*keys])
        if before is not None:
            self._release(subject, before)
        opened.kept[subject] = keys
        self._journal.follow((subject,), opened.watch)
        return True

    def _unfollow(self, opened: _Opened, subject: Key) -> None:
        self._journal.leave((subject,), opened.watch)
        self._release(subject, opened.kept.pop(subject))

    def _unfollow_all(self, opened: _Opened) -> None:
        for subject in [*opened.kept]:
            self._unfollow(opened, subject)

    def _release(self, subject: Key, keys: Keys) -> None:
        self._keeper.remove(keys)
        if subject not in keys:
            self._journal.remove_view(subject)

    def _move(self, opened: _Opened) -> None:
        """Have a watch follow what its prompts are served by now."""
        for ref in opened.subjects:
            try:
                subject, keys = self._choose(ref, opened)
                moved = self._follow(opened, subject, keys)
            except ResolverError:
                # Its store is not there any more, which the watch is told, or there is no room.
                continue
            if not moved:
                continue
            if subject != opened.subjects[ref]:
                opened.subjects[ref] = subject
                self._journal.tell_again(subject)
            else:
                # Of a chain another member may serve by now, which this writes down.
                self._journal.find(subject)
            for key in keys:
                self._keeper.lost(key)
        for subject in opened.kept.keys() - opened.subjects.values():
            self._unfollow(opened, subject)
            opened.watch.forget(subject)

    async def aclose(self) -> None:
        """Look after nothing any more."""
        await self._keeper.aclose()

    def _records(
        self, keys: Collection[Key], credential: bytes, after: int | None
    ) -> Iterable[tuple[Key, Record]]:
        """Return the newest change of the prompts of a watch; where it goes on, those since."""
        if not keys and after is not None:
            for key, record in self._journal.after(after):
                if key.credential == credential and record.template.version:
                    yield key, record
            return
        for key in keys or self._cache.inventory.keys(credential):
            if (found := self._journal.find(key)) is not None:
                yield key, found


def may_see(key: Key, permissions: Permissions) -> bool:
    """Tell whether a caller may use a prompt that is held, of the very store that has it."""
    return permissions.allow("store", key.store) and permissions.allow("prompt", key.id)
