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
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple
from weakref import WeakKeyDictionary

from ...errors import Reason, StoreError, TemplateError
from ...prompts import PromptRef, Template
from ...settings.fields import Ttl
from ...settings.model import StoreSettings
from ..formats.humanloop_file import MAX_BYTES, PromptFileError, parse_prompt_file
from ..kind import Site, StoreKind
from ..listing import Environment, ListQuery, TemplatePage
from ..store import check_path_id, prompt_not_found, version_not_found
from .index import ENDING, DirectoryIndex, Signature, is_settled, sign

_VERSION_DIGITS = 12
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EISDIR)

# Where a file is, and what it looked like when it was read.
_Look = tuple[str, Signature]


class _File(NamedTuple):
    """A file that was read; the signature is there where it proves the content."""

    content: bytes
    modified_at: datetime | None
    signature: Signature | None


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
        self._root = root
        self._looks: WeakKeyDictionary[Template, _Look] = WeakKeyDictionary()
        self._index = DirectoryIndex(name=name, load=self._load_for_list)
        # One for all lists, so that they never keep the threads that prompts are fetched in.
        self._lister = ThreadPoolExecutor(1, thread_name_prefix=f"list-{name}")

    async def fetch(
        self, ref: PromptRef, held: Template | None, *, caller_key: str | None = None
    ) -> Template:
        """Return the template of a file; see `TemplateStore.fetch`."""
        path = self._path(ref)
        template, signature = await asyncio.to_thread(self._load, path, ref, held)
        if signature is not None:
            self._looks[template] = (path, signature)
        self._check_selector(ref, template)
        return template

    def confirms(self, held: Template) -> bool:
        """Return whether the template's file looks as it did when it was read."""
        look = self._looks.get(held)
        if look is None:
            return False
        path, signature = look
        # One `stat` of a local file takes microseconds: less than handing it to a thread would.
        try:
            return sign(os.stat(path)) == signature
        except OSError:
            return False

    async def list_prompts(
        self, query: ListQuery, *, caller_key: str | None = None
    ) -> TemplatePage:
        """Return a page of the prompts, by their ids unless asked otherwise."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._lister, lambda: self._index.page(self._find_root(), query)
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
        return os.path.join(self._root, *segments[:-1], segments[-1] + ENDING)

    def _load_for_list(self, prompt_id: str) -> Template:
        ref = PromptRef(id=prompt_id)
        return self._load(self._path(ref), ref, None)[0]

    def _load(
        self, path: str, ref: PromptRef, held: Template | None
    ) -> tuple[Template, Signature | None]:
        file = self._read(path, ref)
        digest = hashlib.sha256(file.content).hexdigest()
        if held is not None and held.content_sha256 == digest:
            return held, file.signature
        return self._parse(file, ref, digest), file.signature

    def _read(self, path: str, ref: PromptRef) -> _File:
        """Read a file below the root, and nothing else."""
        try:
            try:
                descriptor = self._open(path, ref)
            except FileNotFoundError:
                # Kubernetes removes what a volume held before as soon as its links lead to what it
                # holds now. Who was on the way there looks again.
                descriptor = self._open(path, ref)
            with open(descriptor, "rb") as stream:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    raise prompt_not_found(ref, store=self._name)
                content = stream.read(MAX_BYTES + 1)
        except OSError as error:
            if error.errno in _ABSENT:
                hint = f": ids go without {ENDING!r}" if ref.id.endswith(ENDING) else ""
                raise prompt_not_found(ref, store=self._name, hint=hint) from None
            raise StoreError(
                Reason.STORE_UNAVAILABLE,
                f"store {self._name!r} cannot read the file of {ref.id!r}: {error.strerror}",
                metadata={"store": self._name},
            ) from None
        signature = sign(status) if is_settled(status) else None
        return _File(content, _moment(status.st_mtime), signature)

    def _open(self, path: str, ref: PromptRef) -> int:
        root = self._find_root()
        target = os.path.realpath(path, strict=True)
        if os.path.commonpath((root, target)) != root:
            raise prompt_not_found(ref, store=self._name)
        # Not to follow a link that has just taken the file's place, nor to wait for a pipe.
        return os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)

    def _find_root(self) -> str:
        """Return where the root is. A volume that is not mounted has no prompts to be missed."""
        try:
            root = os.path.realpath(self._root, strict=True)
            os.stat(os.path.join(root, os.curdir))
        except OSError:
            raise StoreError(
                Reason.STORE_UNAVAILABLE,
                f"store {self._name!r}: its directory is not there",
                metadata={"store": self._name},
            ) from None
        return root

    def _parse(self, read: _File, ref: PromptRef, digest: str) -> Template:
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
            created_at=read.modified_at,
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
