"""The newest change of every prompt, numbered in the order in which they came about.

A revision is a position in this journal. Whoever knows one is told what came after it: of each
prompt once, and as it is by then. So nobody is owed more than the journal holds, however slowly it
is read. The first revision comes from the clock, so that those of an earlier process are unknown.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from msgspec.structs import replace

from ..domain.prompts import ServedTemplate, Template
from ..templates.cache.entries import Held, Key
from ..templates.cache.inventory import Inventory

Subject: TypeAlias = Key | bytes
"""What is followed: one prompt, or all that are held with a credential."""


class Follower(Protocol):
    """Is told at once that something has changed. It must neither wait nor fail."""

    def note(self, key: Key, *, changed: bool) -> bool:
        """Take note of a prompt, `changed` if it is another version than before.

        Returns whether the follower has yet to pass such a change on.
        """
        ...


class Upkeep(Protocol):
    """Looks after prompts, and so is told of those that may need it."""

    def found(self, key: Key) -> None:
        """Take note of a prompt that is held."""
        ...

    def lost(self, key: Key) -> None:
        """Take note of a prompt that is held no more, for whatever cause."""
        ...


@dataclass(slots=True)
class Record:
    """The newest change of a prompt: `content_revision` is that of the version, `revision` of all.

    `template` says which version it is, and has none of its content; without a version, there has
    been none yet. `serving` is what the member of a chain holds that serves. `stale` and `removed`
    tell how it is with the store and the prompt by now.
    """

    template: Template
    serving: Key | None = None
    revision: int = 0
    content_revision: int = 0
    stale: bool = False
    removed: bool = False


@dataclass(slots=True)
class View:
    """A chain's prompt, as its members have it, and how many watch it."""

    members: tuple[Key, ...]
    watches: int = 0


class Journal:
    """Follows a cache, and tells followers. Lives on one event loop.

    Remembers about `capacity` prompts, and beyond it those that are looked after.
    """

    def __init__(
        self, inventory: Inventory, *, capacity: int, now_s: Callable[[], float] = time.time
    ) -> None:
        self._inventory = inventory
        self.capacity = capacity
        self._records: OrderedDict[Key, Record] = OrderedDict()
        self._followers: dict[Subject, set[Follower]] = {}
        self._views: dict[Key, View] = {}
        self._views_of: dict[Key, set[Key]] = {}
        self._forgotten = self.revision = int(now_s() * 1_000_000)
        self._upkeep: Upkeep | None = None
        self._kept: Collection[Key] = ()

    def look_after(self, upkeep: Upkeep, kept: Collection[Key]) -> None:
        """Tell `upkeep` of what may need it; the keys that are `kept` are never forgotten."""
        self._upkeep, self._kept = upkeep, kept

    def knows(self, revision: int) -> bool:
        """Tell whether all that came after a revision is still here."""
        return self._forgotten <= revision <= self.revision

    def get(self, key: Key) -> Record | None:
        """Return the newest change of a prompt."""
        return self._records.get(key)

    def find(self, key: Key) -> Record | None:
        """Return the newest change of a prompt: that it is held, where nothing has changed yet."""
        if key in self._views:
            for member in self._views[key].members:
                self.find(member)
            self._review(key)
        record, served = self._records.get(key), self._inventory.look(key)
        if record is None and served is not None:
            record = Record(_without_content(served.template), stale=served.stale)
            self._write(key, record, changed=True)
        return record

    def tell_again(self, key: Key) -> None:
        """Tell all who follow a prompt of its newest change, as one of them did not until now."""
        known = self._records.get(key)
        record = self.find(key)
        if record is not None and record is known:
            self._write(key, record, changed=True)

    def after(self, revision: int) -> Iterator[tuple[Key, Record]]:
        """Return what came after a revision, in order. Not to be changed meanwhile."""
        newest_first = []
        for key, record in reversed(self._records.items()):
            if record.revision <= revision:
                break
            newest_first.append((key, record))
        return reversed(newest_first)

    def describe(self, key: Key, record: Record) -> ServedTemplate:
        """Return which version of a prompt is served now, or was at last."""
        view, at = self._views.get(key), record.serving or key
        served = self._inventory.look(at)
        if record.removed or served is None:
            served = ServedTemplate(
                template=record.template,
                store=at.store,
                cache="stale" if record.stale else "hit",
                reason="deployed",
                stale=record.stale,
            )
        if view is not None and at in view.members[1:]:
            return replace(served, cache="fallback", reason="fallback")
        return served

    def add_view(self, key: Key, members: Sequence[Key]) -> None:
        """Keep a record of the first of several prompts that there is, until it is removed.

        Members that were told before make way for these.
        """
        view = self._views.setdefault(key, View(()))
        view.watches += 1
        self._put_members(key, view, tuple(members))

    def remove_view(self, key: Key) -> None:
        """Forget what `add_view` was told, once all who told it have come here."""
        view = self._views[key]
        view.watches -= 1
        if not view.watches:
            self._put_members(key, view, ())
            del self._views[key]

    def _put_members(self, key: Key, view: View, members: tuple[Key, ...]) -> None:
        for member in view.members:
            self._views_of[member].discard(key)
            if not self._views_of[member]:
                del self._views_of[member]
        view.members = members
        for member in members:
            self._views_of.setdefault(member, set()).add(key)

    def follow(self, subjects: Iterable[Subject], follower: Follower) -> None:
        """Tell a follower of these prompts from now on."""
        for subject in subjects:
            self._followers.setdefault(subject, set()).add(follower)

    def leave(self, subjects: Iterable[Subject], follower: Follower) -> None:
        """Tell a follower nothing more of these prompts."""
        for subject in subjects:
            followers = self._followers[subject]
            followers.discard(follower)
            if not followers:
                del self._followers[subject]

    def confirmed(self, key: Key, held: Held, *, changed: bool) -> None:
        """Write down another version, or that the store answers again; see `CacheListener`."""
        record = self._records.get(key)
        self.recalled(key, held)
        if record is not None and record.stale and self._records.get(key) is record:
            record.stale = False
            self._write(key, record, changed=False)

    def recalled(self, key: Key, held: Held) -> None:
        """Write down another version, of which no store has told; see `CacheListener`."""
        template, record = held.template, self._records.get(key)
        if self._upkeep is not None:
            self._upkeep.found(key)
        if record is None or record.removed or _identity(record.template) != _identity(template):
            self._write(key, Record(_without_content(template)), changed=True)
        else:
            # It may not have been held for a while.
            self._review_views(key)

    def failing(self, key: Key, held: Held) -> None:
        """Write down that a prompt is past its time, and its store does not answer."""
        record, served = self._records.get(key), self._inventory.look(key)
        if record is not None and not record.stale and served is not None and served.stale:
            record.stale = True
            self._write(key, record, changed=False)

    def dropped(self, key: Key) -> None:
        """Have somebody find out why a prompt is held no more."""
        if self._upkeep is not None:
            self._upkeep.lost(key)

    def removed(self, key: Key) -> None:
        """Write down that a prompt is not there, or may not be had any more."""
        record = self._records.get(key) or Record(_nothing(key))
        if not record.removed:
            record.removed, record.stale = True, False
            self._write(key, record, changed=True)

    def unavailable(self, key: Key) -> None:
        """Write down that the store does not answer, and that there is no copy to serve."""
        record = self._records.get(key) or Record(_nothing(key))
        if not record.stale and not record.removed:
            record.stale = True
            self._write(key, record, changed=False)

    def _write(self, key: Key, record: Record, *, changed: bool) -> None:
        """Put a record at the end of the journal, and tell who follows it."""
        self.revision += 1
        record.revision = self.revision
        self._records[key] = record
        self._records.move_to_end(key)
        followers = [*self._followers.get(key, ())]
        if record.template.version:
            followers += self._followers.get(key.credential, ())
        # Whoever has yet to pass on another version, and is cut off before it can, is told of it
        # when it asks for what came after.
        behind = [follower.note(key, changed=changed) for follower in followers]
        if changed or any(behind):
            record.content_revision = self.revision
        self._review_views(key)
        if len(self._records) > 2 * self.capacity:
            self._forget()

    def _review_views(self, member: Key) -> None:
        for view in self._views_of.get(member, ()):
            self._review(view)

    def _review(self, key: Key) -> None:
        """Write down what the first member of a chain is that serves, if that has changed."""
        records = [(member, self._records.get(member)) for member in self._views[key].members]
        known = [(member, record) for member, record in records if record and not record.removed]
        serving = next((each for each in known if self._inventory.look(each[0]) is not None), None)
        if serving is None:
            (self.unavailable if known else self.removed)(key)
            return
        (member, source), record = serving, self._records.get(key)
        if (
            record is None
            or record.removed
            or record.serving != member
            or _identity(record.template) != _identity(source.template)
        ):
            new = Record(source.template, serving=member, stale=source.stale)
            self._write(key, new, changed=True)
        elif record.stale != source.stale:
            record.stale = source.stale
            self._write(key, record, changed=False)

    def _forget(self) -> None:
        """Forget the oldest records, down to the capacity."""
        kept = (self._kept, self._views)
        for key in [key for key in self._records if not any(key in each for each in kept)]:
            if len(self._records) <= self.capacity:
                break
            self._forgotten = max(self._forgotten, self._records.pop(key).revision)


def _identity(template: Template) -> tuple[str, ...]:
    return (
        template.id,
        template.name,
        template.version,
        template.environment,
        template.content_sha256,
    )


def _without_content(template: Template) -> Template:
    return Template(
        id=template.id,
        name=template.name,
        version=template.version,
        environment=template.environment,
        content_sha256=template.content_sha256,
        location="",
    )


def _nothing(key: Key) -> Template:
    return Template(id=key.id, name="", version="", content_sha256="", location="")
