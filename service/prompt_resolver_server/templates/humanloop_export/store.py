"""The `humanloop_export` store: the tree that Humanloop's official export tool has written.

An id is what Humanloop called an id, `pr_…`, or a path, such as `support/greeting`; `version` is a
version's id and `environment` an environment's name. Without either it is the version that is
deployed to the environment whose tag is `default`. No network is needed.

A tree that is replaced, or added to, is served by the next call, and so is a version that was
edited where it stands. What `file.json` says of another file than the one that was asked for is
read again when somebody asks for what is not there, at most once a second.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from ...domain.errors import ResolverError
from ...domain.prompts import PromptRef, Template
from ...settings.fields import Seconds, Ttl
from ...settings.model import StoreSettings
from ..file_systems import is_at_hand
from ..files import Look, Root
from ..kind import Site, StoreKind
from ..listing import Environment, ListQuery, TemplatePage
from ..readers import LIST_S, Readers
from ..store import check_ref, is_same
from .exports import Export, Exports
from .index import ExportIndex
from .lists import PromptLists
from .versions import Loaded, Versions

_THREADS = 4

_Result = TypeVar("_Result")


class _Origin(NamedTuple):
    """What all looked like that a template was read from.

    Only a thread may look at it again where some of it is not `at_hand`.
    """

    looks: tuple[Look, ...]
    at_hand: bool

    def holds(self) -> bool:
        """Return whether everything certainly looks so still."""
        return all(look.holds() for look in self.looks)


class HumanloopExportSettings(StoreSettings):
    """A store that is an export of Humanloop's."""

    type: Literal["humanloop_export"]
    path: Path
    """The export, or the folder that has several in folders named by the time, as the tool makes
    them. A relative path starts at the configuration file's folder."""
    ttl_s: Ttl = 0
    """How long a prompt is served without looking at its files again; 0: at each call."""
    timeout_s: Seconds = 5.0
    """How long a prompt may take to be read, or all files to be looked through. After that their
    volume is taken to hang."""


class HumanloopExportStore:
    """A `TemplateStore` over an export. `name` is the store's own, for errors.

    `at_hand` tells of a path whether looking at it takes no time.
    """

    def __init__(
        self,
        *,
        name: str,
        path: Path,
        timeout_s: float = 5.0,
        at_hand: Callable[[str], bool] = is_at_hand,
    ) -> None:
        self._name = name
        self._at_hand = at_hand
        self._root = root = Root(path, store=name)
        self._exports = Exports(root, store=name)
        self._versions = Versions(root, store=name)
        self._lists = PromptLists(self._versions, store=name)
        self._origins: WeakKeyDictionary[Template, _Origin] = WeakKeyDictionary()
        self._readers = Readers(store=name, threads=_THREADS, timeout_s=timeout_s)
        # One each, so that neither an index nor a list keeps the threads that prompts are read in.
        self._indexer = Readers(store=name, threads=1, timeout_s=timeout_s, task="index")
        self._lister = Readers(store=name, threads=1, timeout_s=LIST_S, task="list")

    async def fetch(
        self, ref: PromptRef, held: Template | None, *, caller_key: str | None = None
    ) -> Template:
        """Return the template of a version; see `TemplateStore.fetch`."""
        origin = self._origins.get(held) if held is not None else None
        if held is not None and await self._holds_elsewhere(origin):
            return held
        export, (loaded, at_hand) = await self._read(
            ref, lambda index: self._load(index, ref), self._readers
        )
        template = loaded.template
        if held is not None and is_same(template, held):
            template = held
        self._origins[template] = _Origin((*export.looks, *loaded.looks), at_hand)
        return template

    def confirms(self, held: Template) -> bool:
        """Return whether all that a template was read from looks as it did.

        Of files that are not at hand that is not told: they are looked at when it is fetched.
        """
        origin = self._origins.get(held)
        # A handful of `stat`s takes less than handing them to a thread would.
        return origin is not None and origin.at_hand and origin.holds()

    async def list_prompts(
        self, query: ListQuery, *, caller_key: str | None = None
    ) -> TemplatePage:
        """Return a page of the prompts, by their paths unless asked otherwise.

        One that has no default version is listed in the version that the export's own list has.
        """
        export = await self._find_export()
        return await self._lister.do(lambda: self._lists.page(export.index, query))

    async def list_versions(
        self, prompt_id: str, *, caller_key: str | None = None
    ) -> tuple[Template, ...]:
        """Return the versions, the oldest first."""
        ref = PromptRef(id=prompt_id)
        _, versions = await self._read(
            ref, lambda index: self._lists.versions(index, ref), self._lister
        )
        return versions

    async def list_environments(
        self, prompt_id: str, *, caller_key: str | None = None
    ) -> tuple[Environment, ...]:
        """Return the environments that a version of the prompt is deployed to, by their names."""
        ref = PromptRef(id=prompt_id)
        _, found = await self._read(
            ref, lambda index: self._lists.environments(index, ref), self._lister
        )
        return found

    async def aclose(self) -> None:
        """End the threads that read the files."""
        for readers in (self._readers, self._indexer, self._lister):
            readers.close()

    async def _read(
        self, ref: PromptRef, read: Callable[[ExportIndex], _Result], readers: Readers
    ) -> tuple[Export, _Result]:
        """Read something about a prompt, and return with it the export that it was read from."""
        check_ref(ref, store=self._name)
        export = await self._indexer.do(lambda: self._exports.find_current(ref.id))
        try:
            return export, await readers.do(lambda: read(export.index))
        except ResolverError as error:
            if error.metadata.get("problem") == "timeout":
                raise
            # The tree may have been replaced while it was read.
            again = await self._find_export()
            if again is export:
                raise
        return again, await readers.do(lambda: read(again.index))

    async def _holds_elsewhere(self, origin: _Origin | None) -> bool:
        """Return whether everything looks so still, of what only a thread may look at."""
        if origin is None or origin.at_hand:
            return False
        return await self._readers.do(origin.holds)

    def _load(self, index: ExportIndex, ref: PromptRef) -> tuple[Loaded, bool]:
        """Return a version, and whether all that it was read from is at hand."""
        loaded = self._versions.load(index, ref)
        seen = (self._root.path, *(look.path for look in loaded.looks))
        return loaded, all(map(self._at_hand, seen))

    async def _find_export(self) -> Export:
        """Return the export that is served, after a look at all of its files."""
        return await self._indexer.do(lambda: self._exports.find(thorough=True))


def _build(settings: HumanloopExportSettings, site: Site) -> HumanloopExportStore:
    return HumanloopExportStore(
        name=site.name, path=site.find_folder(settings.path), timeout_s=settings.timeout_s
    )


KIND = StoreKind(settings=HumanloopExportSettings, build=_build, is_remote=False)
