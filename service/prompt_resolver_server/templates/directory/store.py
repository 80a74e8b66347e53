"""The `directory` store: a tree of Humanloop `.prompt` files.

A prompt's id is its path below the root, without the ending: `support/greeting` is
`<root>/support/greeting.prompt`. A file is read again once it has changed, so an edit is served by
the next call. The version is the beginning of the content's hash: there is always exactly one, and
pinning it refuses any other. Nothing outside of the root is ever opened, whatever links lead there;
links that stay inside, as Kubernetes makes them for a ConfigMap, are followed. Names that begin
with a dot are not part of the tree. The prompts can be listed; there are no environments.
"""

import asyncio
import errno
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from weakref import WeakKeyDictionary

from ...errors import Reason, StoreError, TemplateError
from ...prompts import PromptRef, Template
from ...settings.fields import Ttl
from ...settings.model import StoreSettings
from ..files import LocalFile, Look, Root
from ..formats.humanloop_file import MAX_BYTES, PromptFileError, parse_prompt_file
from ..kind import Site, StoreKind
from ..listing import Environment, ListQuery, TemplatePage
from ..store import check_path_id, prompt_not_found, version_not_found
from .index import ENDING, DirectoryIndex

_VERSION_DIGITS = 12
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EISDIR)


class DirectorySettings(StoreSettings):
    """A store that is a tree of `.prompt` files."""

    type: Literal["directory"]
    path: Path
    """The root of the tree. A relative path starts at the configuration file's folder."""
    ttl_s: Ttl = 0
    """How long a file is served without looking at it again; 0: it is looked at with each call."""


class DirectoryStore:
    """A `TemplateStore` over a directory. `name` is the store's own, for errors."""

    def __init__(self, *, name: str, root: Path) -> None:
        self._name = name
        self._root = Root(root, store=name)
        self._looks: WeakKeyDictionary[Template, Look] = WeakKeyDictionary()
        self._index = DirectoryIndex(name=name, load=self._load_for_list)
        # One for all lists, so that they never keep the threads that prompts are fetched in.
        self._lister = ThreadPoolExecutor(1, thread_name_prefix=f"list-{name}")

    async def fetch(
        self, ref: PromptRef, held: Template | None, *, caller_key: str | None = None
    ) -> Template:
        """Return the template of a file; see `TemplateStore.fetch`."""
        path = self._path(ref)
        template, self._looks[template] = await asyncio.to_thread(self._load, path, ref, held)
        self._check_selector(ref, template)
        return template

    def confirms(self, held: Template) -> bool:
        """Return whether the template's file looks as it did when it was read."""
        look = self._looks.get(held)
        # One `stat` of a local file takes microseconds: less than handing it to a thread would.
        return look is not None and look.holds()

    async def list_prompts(
        self, query: ListQuery, *, caller_key: str | None = None
    ) -> TemplatePage:
        """Return a page of the prompts, by their ids unless asked otherwise."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._lister, lambda: self._index.page(self._root.find(), query)
        )

    async def list_versions(
        self, prompt_id: str, *, caller_key: str | None = None
    ) -> tuple[Template, ...]:
        """Return the one version that there is."""
        return (await self.fetch(PromptRef(id=prompt_id), None),)

    async def list_environments(
        self, prompt_id: str, *, caller_key: str | None = None
    ) -> tuple[Environment, ...]:
        """Return none."""
        await self.fetch(PromptRef(id=prompt_id), None)
        return ()

    async def aclose(self) -> None:
        """Begin no more lists."""
        self._lister.shutdown(wait=False, cancel_futures=True)

    def _path(self, ref: PromptRef) -> str:
        segments = check_path_id(ref.id, store=self._name)
        if any(segment.startswith(".") for segment in segments):
            raise prompt_not_found(ref, store=self._name)
        return os.path.join(self._root.path, *segments[:-1], segments[-1] + ENDING)

    def _load_for_list(self, prompt_id: str) -> Template:
        ref = PromptRef(id=prompt_id)
        return self._load(self._path(ref), ref, None)[0]

    def _load(self, path: str, ref: PromptRef, held: Template | None) -> tuple[Template, Look]:
        file = self._read(path, ref)
        digest = hashlib.sha256(file.content).hexdigest()
        if held is not None and held.content_sha256 == digest:
            return held, file.look
        return self._parse(file, ref, digest), file.look

    def _read(self, path: str, ref: PromptRef) -> LocalFile:
        try:
            return self._root.read(path, max_bytes=MAX_BYTES)
        except OSError as error:
            if error.errno in _ABSENT:
                hint = f": ids go without {ENDING!r}" if ref.id.endswith(ENDING) else ""
                raise prompt_not_found(ref, store=self._name, hint=hint) from None
            raise StoreError(
                Reason.STORE_UNAVAILABLE,
                f"store {self._name!r} cannot read the file of {ref.id!r}: {error.strerror}",
                metadata={"store": self._name},
            ) from None

    def _parse(self, read: LocalFile, ref: PromptRef, digest: str) -> Template:
        location = ref.id + ENDING
        try:
            file = parse_prompt_file(read.content)
        except PromptFileError as error:
            raise TemplateError(
                Reason.TEMPLATE_FORBIDDEN if error.forbidden else Reason.TEMPLATE_INVALID,
                f"{location}, line {error.line}: {error.problem}",
                metadata={"store": self._name, "id": ref.id, "line": str(error.line)},
            ) from None
        return Template(
            id=ref.id,
            name=ref.id.rpartition("/")[2],
            version=digest[:_VERSION_DIGITS],
            content_sha256=digest,
            size=len(read.content),
            location=location,
            language=file.language,
            messages=file.messages,
            model=file.model,
            provider=file.provider,
            parameters=file.parameters,
            tools=file.tools,
            as_text=file.as_text,
            created_at=_moment(read.modified_at),
        )

    def _check_selector(self, ref: PromptRef, template: Template) -> None:
        """Refuse what this store cannot honour: it has one version and no environments."""
        if ref.version is not None and ref.version not in (
            template.version,
            template.content_sha256,
        ):
            raise version_not_found(
                ref, store=self._name, known=f"its only version is {template.version!r}"
            )
        if ref.environment is not None:
            raise version_not_found(ref, store=self._name, known="this store has no environments")


def _moment(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        # A file may say that it was written when no calendar has a date.
        return None


def _build(settings: DirectorySettings, site: Site) -> DirectoryStore:
    root = site.path(settings.path)
    try:
        came = "a file" if root.exists() else "nothing there"
        found = root.is_dir()
    except (OSError, ValueError):
        came, found = "what is no path", False
    if not found:
        raise site.fault("path", f"expected a directory, got {came}")
    return DirectoryStore(name=site.name, root=root)


KIND = StoreKind(settings=DirectorySettings, build=_build, is_remote=False)
