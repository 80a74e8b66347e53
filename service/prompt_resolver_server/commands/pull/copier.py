"""Copies prompts, in the order of the store's list, some of them ahead of the one that is written.

All that is decided is decided in that order, so that a run that was torn and goes on ends as one
that was not.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Literal, TypeAlias

from ...domain.errors import Reason, ResolverError, StoreError
from ...domain.prompts import Template
from ...domain.values import Value
from ...templates.directory.layout import IDS
from ...templates.listing import MAX_PAGE_SIZE, ListingStore, ListQuery
from ...templates.store import TemplateStore
from .claims import Claims
from .collected import Collected, Collector, path_of
from .journal import Entry, Journal
from .layout import lay_out, write_yaml
from .names import NameRefusedError
from .progress import Progress
from .retries import Retries, may_pass
from .tree import ConflictError, Plan, Tree
from .verify import DifferenceError, verify, verify_ids

_AHEAD = 8
# After so many failures in a row that may pass, the store is taken for one that is down.
_GIVE_UP = 8

Outcome = Literal["written", "unchanged", "not selected", "failed"]

_Answer: TypeAlias = Collected | ResolverError | Outcome


class StoreDownError(Exception):
    """The store answers no more."""


class _Found(Value, frozen=True, kw_only=True):
    """A prompt to copy, and how the store lists it: its path and its version, if it is listed."""

    shown = ("id",)

    id: str
    path: str = ""
    listed: str = ""


class Copier:
    """Copies prompts from a store, which is called `name`, into the directory `root`."""

    def __init__(
        self,
        *,
        name: str,
        store: TemplateStore,
        collector: Collector,
        retries: Retries,
        root: Path,
        journal: Journal,
        claims: Claims,
        tree: Tree,
        progress: Progress,
    ) -> None:
        self._name = name
        self._store = store
        self._collector = collector
        self._retries = retries
        self._root = root
        self._journal = journal
        self._claims = claims
        self._tree = tree
        self._progress = progress
        self._is_torn = False
        self._failures_in_a_row = 0
        self.counts: Counter[Outcome] = Counter()
        """How many prompts ended in which way."""

    async def run(self, prompt_ids: Sequence[str]) -> bool:
        """Copy these prompts, or all that the store lists. Return whether all of them are there.

        Raises `StoreDownError`, and the store's error where it refuses our key or has no list.
        """
        found = [_Found(id=each) for each in dict.fromkeys(prompt_ids)] or await self._list()
        if not prompt_ids:
            self._claims.expect({each.id: each.path for each in found})
            for path in self._claims.gone():
                self._progress.tell(f"kept {path}, which the store lists no more")
        self._progress.begin(len(found))
        async with aclosing(self._collect(found)) as collecting:
            async for each, collected in collecting:
                outcome = await self._finish(each, collected)
                if prompt_ids and outcome == "not selected":
                    outcome = self._fail(f"{each.id}: it is not deployed {self._where}")
                self.counts[outcome] += 1
                self._progress.step(each.path or each.id, outcome, is_news=outcome == "written")
        await self._write_ids()
        if not prompt_ids and not self.counts["failed"]:
            self._tell_unknown()
        if not self._is_torn:
            self._journal.finish()
        return not self.counts["failed"]

    async def _list(self) -> list[_Found]:
        store = self._store
        if not isinstance(store, ListingStore):
            raise StoreError(
                Reason.NOT_IMPLEMENTED,
                f"store {self._name!r} cannot tell which prompts it has: name them",
            )
        found: dict[str, _Found] = {}
        total = 0
        for page in count(1):
            query = ListQuery(page=page, size=MAX_PAGE_SIZE)
            listed = await self._retries.ask(partial(store.list_prompts, query))
            news = {each.id: _found(each) for each in listed.templates if each.id not in found}
            if not news:
                break
            found |= news
            total = max(total, listed.total)
        if missing := total - len(found):
            self.counts[
                self._fail(f"{missing} of the store's prompts are broken, and not in its list")
            ] += 1
        return list(found.values())

    async def _collect(
        self, found: Sequence[_Found]
    ) -> AsyncGenerator[tuple[_Found, _Answer], None]:
        """Yield what the store has of each prompt, in order, and ask for some more meanwhile."""
        left = iter(found)
        waiting = deque(self._begin(each) for each in islice(left, _AHEAD))
        try:
            while waiting:
                each, task = waiting[0]
                collected = await task
                waiting.popleft()
                waiting.extend(self._begin(more) for more in islice(left, 1))
                yield each, collected
        finally:
            for _, task in waiting:
                task.cancel()
            await asyncio.gather(*(task for _, task in waiting), return_exceptions=True)

    def _begin(self, found: _Found) -> tuple[_Found, asyncio.Task[_Answer]]:
        return found, asyncio.create_task(self._try_to_collect(found))

    async def _try_to_collect(self, found: _Found) -> _Answer:
        try:
            if await asyncio.to_thread(self._is_copied, found):
                return "unchanged"
            return await self._collector.collect(found.id) or "not selected"
        except ResolverError as error:
            return error

    def _is_copied(self, found: _Found) -> bool:
        """Tell whether the torn run that goes on has copied a prompt as it is listed."""
        entry = self._journal.entries.get(found.path)
        if entry is None or (entry.store, entry.id) != (self._name, found.id):
            return False
        done = self._journal.has_done(found.path, found.listed)
        return done and self._tree.holds(entry.files)

    async def _finish(self, found: _Found, collected: _Answer) -> Outcome:
        is_down = isinstance(collected, ResolverError) and may_pass(collected)
        self._is_torn = self._is_torn or is_down
        self._failures_in_a_row = self._failures_in_a_row + 1 if is_down else 0
        if self._failures_in_a_row == _GIVE_UP:
            raise StoreDownError
        match collected:
            case Collected():
                try:
                    return await self._copy(collected, found.listed)
                except (NameRefusedError, ConflictError, DifferenceError) as error:
                    return self._fail(f"{collected.path}: {error}")
            case ResolverError(reason=Reason.STORE_AUTH):
                raise collected
            case ResolverError():
                return self._fail(f"{found.path or found.id}: {collected.reason}: {collected}")
            case outcome:
                return outcome

    async def _copy(self, prompt: Collected, listed: str) -> Outcome:
        files = lay_out(prompt)
        moved_from = self._claims.take(prompt.id, prompt.path)
        earlier = (*self._files_at(prompt.path), *self._files_at(moved_from))
        plan = await asyncio.to_thread(self._tree.plan, files, earlier)
        if plan.has_work:
            await self._put(plan, prompt)
        await verify(self._root, prompt)
        entry = Entry(
            store=self._name,
            id=prompt.id,
            versions={name: each.content_sha256 for name, each in prompt.versions.items()},
            files=plan.hashes,
        )
        self._journal.end_writing(
            prompt.path,
            entry,
            listed=listed,
            moved_from=moved_from,
            environments=tuple(prompt.environments),
        )
        return "written" if plan.has_work else "unchanged"

    async def _put(self, plan: Plan, prompt: Collected | None = None) -> None:
        """Put files in their places, those of a prompt only if they are served as it is."""
        try:
            await asyncio.to_thread(self._tree.prepare, plan)
            if prompt is not None:
                await verify(self._tree.stage, prompt)
            await asyncio.to_thread(self._tree.commit, plan)
        finally:
            self._tree.clear()

    def _files_at(self, path: str | None) -> Collection[str]:
        """Return the files of the prompt that an earlier run has put at a path."""
        entry = self._journal.entries.get(path) if path is not None else None
        return entry.files.keys() if entry is not None else ()

    async def _write_ids(self) -> None:
        """Write the file that has the ids of the prompts whose paths are others."""
        ids = {
            entry.id: path
            for path, entry in sorted(self._journal.entries.items())
            if entry.id != path
        }
        earlier = () if self._journal.ids is None else (IDS,)
        files = {IDS: write_yaml(dict(sorted(ids.items())))} if ids else {}
        try:
            plan = await asyncio.to_thread(self._tree.plan, files, earlier)
            if plan.has_work:
                await self._put(plan)
            self._journal.write_ids(plan.hashes.get(IDS))
            if not self.counts["failed"]:
                await verify_ids(self._root, ids)
        except (ConflictError, DifferenceError) as error:
            self.counts[self._fail(str(error))] += 1

    def _tell_unknown(self) -> None:
        """Tell which of the environments no prompt is deployed to: they may be mistyped."""
        for name in self._collector.selection.environments:
            if name not in self._journal.environments:
                self.counts[self._fail(f"no prompt is deployed to {name!r}")] += 1

    @property
    def _where(self) -> str:
        names = self._collector.selection.environments
        return f"to {' or '.join(map(repr, names))}" if names else "anywhere"

    def _fail(self, problem: str) -> Outcome:
        self._progress.tell(f"prompt-resolver pull: {problem}")
        return "failed"


def _found(template: Template) -> _Found:
    return _Found(
        id=template.id,
        path=path_of(template),
        listed=f"{template.version} {template.content_sha256}",
    )
