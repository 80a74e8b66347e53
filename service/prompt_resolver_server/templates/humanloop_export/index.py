"""Which files an export has, and where they were in Humanloop.

    <export>/files/<file id>/file.json    what the file is
    <export>/files/<file id>/.done        written last; without it the export was interrupted

A file is read once, and again when it looks different. Everything here waits for the disk.
"""

import os
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from ...domain.parameters import Json
from ..files import Look, Root, find_status, is_folder, look_at
from ..formats.answers import AnswerError, read_moment, read_required, read_shown
from .reading import Reading

FILES = "files"
"""The folder of an export that has its files in it."""

RECORD = "file.json"
"""What says what a file is, as the API listed it."""

_DONE = ".done"
_ID = re.compile(r"[A-Za-z0-9_.-]+")
_PROMPT_PREFIX = "pr_"

# So many interrupted files are looked at to see whether the export has gone on.
_MAX_WITNESSES = 8


class Record(NamedTuple):
    """What `file.json` says of a file. `version` is the version that it was listed in."""

    type: str
    path: str
    name: str
    tool_type: str
    version: str
    created_at: datetime | None
    updated_at: datetime | None


class ExportedFile(NamedTuple):
    """A file of an export: its id, its folder, and what `file.json` says or is wrong with it.

    `looks` are of the folder and of `file.json`. Of what is not readable nobody knows what it is,
    nor that it was interrupted.
    """

    id: str
    folder: str
    looks: tuple[Look, ...]
    is_done: bool
    record: Record | None
    problem: str = ""
    is_readable: bool = True

    @property
    def is_prompt(self) -> bool:
        """Whether it is a prompt, as far as is known."""
        return self.record is not None and self.record.type == "prompt"

    @property
    def is_current(self) -> bool:
        """Whether it certainly is still what it was."""
        return self.is_readable and all(look.holds() for look in self.looks)


class ExportIndex:
    """The files of one export. `looks` are of what tells that they are still the same files."""

    def __init__(self, files: Mapping[str, ExportedFile], look: Look) -> None:
        self.files = files
        unfinished = [file for file in files.values() if not file.is_done]
        self.looks = (look, *(file.looks[0] for file in unfinished[:_MAX_WITNESSES]))
        self.is_whole = bool(files) and not unfinished
        self.is_begun = len(unfinished) < len(files)
        self._hides = not all(file.is_readable for file in files.values())
        self._by_path: dict[str, list[ExportedFile]] = {}
        self._snippet_tools: dict[str, list[ExportedFile]] = {}
        for file in files.values():
            if (record := file.record) is None:
                continue
            self._by_path.setdefault(record.path, []).append(file)
            if (record.type, record.tool_type) == ("tool", "snippet"):
                self._snippet_tools.setdefault(record.name, []).append(file)

    def find(self, prompt_id: str) -> Sequence[ExportedFile]:
        """Return the files that an id means: one by its id, or those that have it for a path.

        Among those with the same path the prompts go first, and finished ones before all others.
        """
        if (file := self.files.get(prompt_id)) is not None:
            return (file,)
        if _is_id(prompt_id):
            return ()
        files = self._by_path.get(prompt_id, ())
        prompts = [file for file in files if file.is_prompt]
        return [file for file in prompts if file.is_done] or prompts or files

    def may_hide(self, name: str) -> bool:
        """Tell whether what is not found by its path or name may be what is not readable."""
        return self._hides and not _is_id(name)

    def snippet_tools(self, name: str) -> Sequence[ExportedFile]:
        """Return the snippet tools of a name."""
        return self._snippet_tools.get(name, ())

    def prompts(self) -> list[tuple[ExportedFile, Record]]:
        """Return the prompts whose export was not interrupted, ordered by path."""
        found = [
            (file, file.record)
            for file in self.files.values()
            if file.is_done and file.record is not None and file.record.type == "prompt"
        ]
        return sorted(found, key=lambda each: (each[1].path, each[0].id))

    def broken(self) -> int:
        """Return how many files cannot be told apart from prompts that are broken."""
        return sum(file.is_done and file.record is None for file in self.files.values())


def read_index(root: Root, export: str, before: ExportIndex | None) -> ExportIndex:
    """Return the index of the export in a folder; `before` is what it was when last read.

    Raises `OSError`, and STORE_UNAVAILABLE where the root is not there.
    """
    folder = os.path.join(export, FILES)
    # First, so that whatever comes while the others are looked at makes a difference.
    look = look_at(folder)
    known = before.files if before is not None else {}
    files = {}
    for name in root.names(folder):
        # What is no id, no id can mean.
        if _ID.fullmatch(name) and is_folder(path := os.path.join(folder, name)):
            files[name] = _read_file(root, path, known.get(name))
    return ExportIndex(files, look)


def _read_file(root: Root, folder: str, known: ExportedFile | None) -> ExportedFile:
    path = os.path.join(folder, RECORD)
    looks = (look_at(folder), look_at(path))
    is_proof = all(look.signature for look in looks)
    if known is not None and known.is_readable and is_proof and known.looks == looks:
        return known
    file_id, is_done = os.path.basename(folder), True
    record, problem, is_readable = None, "", True
    try:
        is_done = find_status(os.path.join(folder, _DONE)) is not None
        record = _read_record(Reading(root).document(path), file_id)
    except AnswerError as error:
        problem = f"{RECORD}: {error}"
    except FileNotFoundError:
        problem = f"{RECORD}: expected a file"
    except OSError as error:
        problem, is_readable = f"{RECORD}: {error.strerror}", False
    return ExportedFile(file_id, folder, looks, is_done, record, problem, is_readable)


def _is_id(name: str) -> bool:
    """Tell whether a name is a prompt's id and no path."""
    return name.startswith(_PROMPT_PREFIX) and _ID.fullmatch(name) is not None


def _read_record(document: Mapping[str, Json], file_id: str) -> Record:
    if read_required(document, "id") != file_id:
        raise AnswerError(("id",), "expected the name of its folder")
    path = read_required(document, "path")
    return Record(
        type=read_required(document, "type"),
        path=path,
        name=read_shown(document, "name") or path.rpartition("/")[2],
        tool_type=read_shown(document, "tool_type"),
        version=read_shown(document, "version_id"),
        created_at=read_moment(document, "created_at"),
        updated_at=read_moment(document, "updated_at"),
    )
