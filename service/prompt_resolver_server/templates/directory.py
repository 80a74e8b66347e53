"""The `directory` store: a tree of Humanloop `.prompt` files.

A prompt's id is its path below the root, without the ending: `support/greeting` is
`<root>/support/greeting.prompt`. A file is read again once it has changed, so an edit is served by
the next call. The version is the beginning of the content's hash: there is always exactly one, and
pinning it refuses any other. Nothing outside of the root is ever opened, whatever links lead there;
links that stay inside, as Kubernetes makes them for a ConfigMap, are followed. Names that begin
with a dot are not part of the tree.
"""

import asyncio
import errno
import hashlib
import os
import stat
import time
from pathlib import Path
from weakref import WeakKeyDictionary

from ..errors import Reason, StoreError, TemplateError
from ..prompts import PromptRef, Template
from .promptfile import MAX_BYTES, PromptFileError, parse_prompt_file
from .store import check_path_id, prompt_not_found, version_not_found

_ENDING = ".prompt"
_VERSION_DIGITS = 12
_SETTLED_S = 0.1
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EISDIR)

_Signature = tuple[int, int, int, int, int]
# Where a file is, and what it looked like when it was read.
_Look = tuple[str, _Signature]


class DirectoryStore:
    """A `TemplateStore` over a directory. `name` is the store's own, for errors."""

    def __init__(self, *, name: str, root: Path) -> None:
        self._name = name
        self._root = root
        self._looks: WeakKeyDictionary[Template, _Look] = WeakKeyDictionary()

    async def fetch(
        self, ref: PromptRef, held: Template | None, *, caller_key: str | None = None
    ) -> Template:
        """Return the template of a file; see `TemplateStore.fetch`."""
        segments = check_path_id(ref.id, store=self._name)
        if any(segment.startswith(".") for segment in segments):
            raise prompt_not_found(ref, store=self._name)
        path = os.path.join(self._root, *segments[:-1], segments[-1] + _ENDING)
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
            return _signature(os.stat(path)) == signature
        except OSError:
            return False

    async def aclose(self) -> None:
        """Hold nothing, release nothing."""

    def _load(
        self, path: str, ref: PromptRef, held: Template | None
    ) -> tuple[Template, _Signature | None]:
        content, signature = self._read(path, ref)
        digest = hashlib.sha256(content).hexdigest()
        if held is not None and held.content_sha256 == digest:
            return held, signature
        return self._parse(content, ref, digest), signature

    def _read(self, path: str, ref: PromptRef) -> tuple[bytes, _Signature | None]:
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
                hint = f": ids go without {_ENDING!r}" if ref.id.endswith(_ENDING) else ""
                raise prompt_not_found(ref, store=self._name, hint=hint) from None
            raise StoreError(
                Reason.STORE_UNAVAILABLE,
                f"store {self._name!r} cannot read the file of {ref.id!r}: {error.strerror}",
                metadata={"store": self._name},
            ) from None
        # A file that is written twice within one tick of its clock looks the same both times, so
        # the look of a file that has just been written proves nothing.
        settled = abs(time.time() - status.st_mtime) > _SETTLED_S
        return content, _signature(status) if settled else None

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

    def _parse(self, content: bytes, ref: PromptRef, digest: str) -> Template:
        location = ref.id + _ENDING
        try:
            file = parse_prompt_file(content)
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
            size=len(content),
            location=location,
            language=file.language,
            messages=file.messages,
            model=file.model,
            provider=file.provider,
            parameters=file.parameters,
            tools=file.tools,
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


def _signature(status: os.stat_result) -> _Signature:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
