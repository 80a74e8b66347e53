"""The `humanloop_export` store: the tree that Humanloop's official export tool has written.

An id is what Humanloop called an id, `pr_…`, or a path, such as `support/greeting`; `version` is a
version's id and `environment` an environment's name. Without either it is the version that is
deployed to the environment whose tag is `default`. No network is needed.

A tree that is replaced, or added to, is served by the next call, and so is a version that was
edited where it stands. What `file.json` says of another file than the one that was asked for is
read again when somebody asks for what is not there, at most once a second.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar
from weakref import WeakKeyDictionary

from ...domain.errors import ResolverError
from ...domain.prompts import PromptRef, Template
from ...runtime.threads import Threads
from ...settings.fields import Ttl
from ...settings.model import StoreSettings
from ..files import Look, Root
from ..kind import Site, StoreKind
from ..listing import Environment, ListQuery, TemplatePage
from ..store import check_ref, is_same
from .exports import Export, Exports
from .index import ExportIndex
from .lists import PromptLists
from .versions import Versions

_Result = TypeVar("_Result")


class HumanloopExportSettings(StoreSettings):
    """A store that is an export of Humanloop's."""

    type: Literal["humanloop_export"]
    path: Path
    """The export, or the folder that has several in folders named by the time, as the tool makes
    them. A relative path starts at the configuration file's folder."""
    ttl_s: Ttl = 0
    """How long a prompt is served without looking at its files again; 0: at each call."""


class HumanloopExportStore:
    """A `TemplateStore` over an export. `name` is the store's own, for errors."""

    def __init__(self, *, name: str, path: Path) -> None:
        self._name = name
        root = Root(path, store=name)
        self._exports = Exports(root, store=name)
        self._versions = Versions(root, store=name)
        self._lists = PromptLists(self._versions, store=name)
        self._looks: WeakKeyDictionary[Template, tuple[Look, ...]] = WeakKeyDictionary()
        # One each, so that neither an index nor a list keeps the threads that prompts are read in.
        self._indexer = Threads(1, f"index-{name}")
        self._lister = Threads(1, f"list-{name}")

    async def fetch(
        self, ref: PromptRef, held: Template | None, *, caller_key: str | None = None
    ) -> Template:
        """Return the template of a version; see `TemplateStore.fetch`."""
        export, loaded = await self._read(ref, lambda index: self._versions.load(index, ref))
        template = loaded.template
        if held is not None and is_same(template, held):
            template = held
        self._looks[template] = (*export.looks, *loaded.looks)
        return template

    def confirms(self, held: Template) -> bool:
        """Return whether all that a template was read from looks as it did."""
        looks = self._looks.get(held)
        # A handful of `stat`s takes less than handing them to a thread would.
        return looks is not None and all(look.holds() for look in looks)

    async def list_prompts(
        self, query: ListQuery, *, caller_key: str | None = None
    ) -> TemplatePage:
        """Return a page of the prompts, by their paths unless asked otherwise.

        One that has no default version is listed in the version that the export's own list has.
        """
        export = await self._find_export(thorough=True)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._lister, lambda: self._lists.page(export.index, query)
        )

    async def list_versions(
        self, prompt_id: str, *, caller_key: str | None = None
    ) -> tuple[Template, ...]:
        """Return the versions, the oldest first."""
        ref = PromptRef(id=prompt_id)
        _, versions = await self._read(ref, lambda index: self._lists.versions(index, ref))
        return versions

    async def list_environments(
        self, prompt_id: str, *, caller_key: str | None = None
    ) -> tuple[Environment, ...]:
        """Return the environments that a version of the prompt is deployed to, by their names."""
        ref = PromptRef(id=prompt_id)
        _, found = await self._read(ref, lambda index: self._lists.environments(index, ref))
        return found

    async def aclose(self) -> None:
        """Begin nothing more."""
        for executor in (self._indexer, self._lister):
            executor.shutdown(wait=False, cancel_futures=True)

    async def _read(
        self, ref: PromptRef, read: Callable[[ExportIndex], _Result]
    ) -> tuple[Export, _Result]:
        """Read something about a prompt, and return with it the export that it was read from."""
        check_ref(ref, store=self._name)
        export = await self._find_export()
        if not all(file.is_current for file in export.index.find(ref.id)):
            export = await self._find_export(thorough=True)
        try:
            return export, await asyncio.to_thread(read, export.index)
        except ResolverError:
            # The tree may have been replaced while it was read.
            again = await self._find_export(thorough=True)
            if again is export:
                raise
        return again, await asyncio.to_thread(read, again.index)

    async def _find_export(self, *, thorough: bool = False) -> Export:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._indexer, lambda: self._exports.find(thorough=thorough)
        )


def _build(settings: HumanloopExportSettings, site: Site) -> HumanloopExportStore:
    return HumanloopExportStore(name=site.name, path=site.find_folder(settings.path))


KIND = StoreKind(settings=HumanloopExportSettings, build=_build, is_remote=False)
