"""Which prompts a directory has, for its lists.

A file is read once, to see whether it is a prompt, and again when it has changed or is on the page
that is asked for. Everything here waits for the disk, so it belongs in a thread, and in one alone.
"""

import logging
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ...errors import ResolverError
from ...prompts import Template
from ..files import Signature, is_settled, sign
from ..listing import ListQuery, TemplatePage

ENDING = ".prompt"
"""What the name of a prompt's file ends in."""

MAX_PROMPTS = 10_000
"""How many files are listed; more are served, but in no list."""

_log = logging.getLogger(__name__)


class _File(NamedTuple):
    """A file: its prompt's id, when it was written, and what it looks like, if that proves it."""

    prompt_id: str
    modified_at: float
    signature: Signature | None


class DirectoryIndex:
    """The prompts of one store. `load` reads one by its id, and raises `ResolverError`."""

    def __init__(self, *, name: str, load: Callable[[str], Template]) -> None:
        self._name = name
        self._load = load
        self._verdicts: dict[str, tuple[Signature | None, bool]] = {}

    def page(self, root: str, query: ListQuery) -> TemplatePage:
        """Return a page of the prompts below a directory that are not broken."""
        files = self._readable(root)
        if query.name is not None:
            part = query.name.casefold()
            files = [file for file in files if part in _name(file).casefold()]
        match query.sort_by:
            case "name":
                files.sort(key=_name)
            case "created_at" | "updated_at":
                files.sort(key=lambda file: file.modified_at)
        if query.order == "desc":
            files.reverse()
        templates: list[Template] = []
        position = (query.page - 1) * query.size
        # One that has been broken or removed this very moment gives its place to the next.
        while len(templates) < query.size and position < len(files):
            template = self._try_load(files[position].prompt_id)
            if template is not None:
                templates.append(template)
            position += 1
        return TemplatePage(templates=tuple(templates), total=len(files))

    def _readable(self, root: str) -> list[_File]:
        """Return the files that are prompts, ordered by id."""
        known, self._verdicts = self._verdicts, {}
        readable, news = [], False
        for file in _find(root):
            if len(self._verdicts) == MAX_PROMPTS:
                _log.warning(
                    "a directory has more prompts than are listed",
                    extra={"store": self._name, "listed": MAX_PROMPTS},
                )
                break
            signature, good = known.get(file.prompt_id, (None, False))
            if signature is None or signature != file.signature:
                good = self._try_load(file.prompt_id) is not None
                news = news or not good
            self._verdicts[file.prompt_id] = (file.signature, good)
            if good:
                readable.append(file)
        if news:
            # Told once, and again when the files have changed.
            broken = len(self._verdicts) - len(readable)
            _log.warning(
                "prompts are broken, the others are listed",
                extra={"store": self._name, "broken": broken, "listed": len(readable)},
            )
        return sorted(readable, key=lambda file: file.prompt_id)

    def _try_load(self, prompt_id: str) -> Template | None:
        try:
            return self._load(prompt_id)
        except ResolverError:
            return None


def _name(file: _File) -> str:
    return file.prompt_id.rpartition("/")[2]


def _find(root: str) -> Iterator[_File]:
    """Find the files below a directory whose names are those of prompts."""
    # Each folder is looked into once, whatever links lead to it.
    seen = {root}
    for folder, folders, names in os.walk(root, followlinks=True):
        within = os.path.relpath(folder, root)
        prefix = "" if within == os.curdir else f"{within}/"
        folders[:] = [
            name
            for name in sorted(folders)
            if not name.startswith(".") and _is_new(os.path.join(folder, name), root, seen)
        ]
        for name in sorted(names):
            if name.startswith(".") or not name.endswith(ENDING) or not _is_unicode(prefix + name):
                continue
            try:
                status = os.stat(os.path.join(folder, name))
            except OSError:
                continue
            signature = sign(status) if is_settled(status) else None
            yield _File(prefix + name.removesuffix(ENDING), status.st_mtime, signature)


def _is_new(folder: str, root: str, seen: set[str]) -> bool:
    target = os.path.realpath(folder)
    if target in seen or os.path.commonpath((root, target)) != root:
        return False
    seen.add(target)
    return True


def _is_unicode(path: str) -> bool:
    """Tell whether a path is text, which a name on a disk need not be."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
