"""What a pull remembers in the directory that it writes to.

`.pull.json` has every prompt that was copied: which versions, and the hashes of its files, by which
a file that somebody has edited is known. `.pull.journal` is there while a run is, and for as long
as one has not come to its end: a line for each prompt before its files are written, and one after.
The next run reads what a torn one has left, and goes on from there.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
from msgspec import field

from prompt_resolver.arguments import UsageError

from ...domain.values import Value
from ...templates.directory.layout import IDS

MANIFEST = ".pull.json"
JOURNAL = ".pull.journal"

# A store may have changed since, and not every change shows in a list.
_RESUMABLE = timedelta(hours=1)


class Entry(Value, frozen=True, kw_only=True):
    """A prompt that was copied: whose it is, and what it consists of.

    `versions` has the hash of each version's content, `files` that of each file's bytes, by its
    path below the root.
    """

    shown = ("store", "id")

    store: str
    id: str
    versions: Mapping[str, str]
    files: Mapping[str, str]


class _Manifest(Value, frozen=True, kw_only=True):
    format: Literal[1] = 1
    prompts: Mapping[str, Entry] = field(default_factory=dict)
    ids: str | None = None


class _Begun(Value, frozen=True, kw_only=True, tag="begun"):
    at: datetime
    task: str


class _Writing(Value, frozen=True, kw_only=True, tag="writing"):
    files: Mapping[str, str]


class _Done(Value, frozen=True, kw_only=True, tag="done"):
    path: str
    listed: str
    entry: Entry
    moved_from: str | None = None
    environments: tuple[str, ...] = ()


class _Ids(Value, frozen=True, kw_only=True, tag="ids"):
    sha256: str | None


_Line: TypeAlias = _Begun | _Writing | _Done | _Ids

_ENCODER = msgspec.json.Encoder(order="deterministic")
_LINES: msgspec.json.Decoder[_Line] = msgspec.json.Decoder(_Line)
_MANIFESTS = msgspec.json.Decoder(_Manifest)


class Journal:
    """The memory of one run, which is `task`, in the directory `root`; read when it is made.

    Raises `UsageError` for a manifest that is none.
    """

    def __init__(self, root: Path, *, task: str, now: datetime) -> None:
        self._root = root
        manifest = _read_manifest(root / MANIFEST)
        self.entries: dict[str, Entry] = dict(manifest.prompts)
        self.ids: str | None = None
        self.environments: set[str] = set()
        """What the prompts are deployed to that this run has copied, or the one that it goes on."""
        self._hashes: dict[str, set[str]] = {}
        self._done: dict[str, str] = {}
        self._paths = {(each.store, each.id): path for path, each in self.entries.items()}
        for entry in self.entries.values():
            self._know(entry.files)
        self._take(_Ids(sha256=manifest.ids))
        lines = _read_lines(root / JOURNAL)
        for line in lines:
            self._take(line)
        begun = lines[0] if lines and isinstance(lines[0], _Begun) else None
        if begun is None or begun.task != task or not _is_recent(begun.at, now):
            self._done.clear()
            self.environments.clear()
            begun = _Begun(at=now, task=task)
        if lines:
            self._save()
        kept = [line for line in lines if self._is_kept(line)]
        write_file(root / JOURNAL, b"".join(map(_write_line, [begun, *kept])))

    def is_known(self, path: str, sha256: str) -> bool:
        """Tell whether a file's content is what a pull has put there, or was about to."""
        return sha256 in self._hashes.get(path, ())

    def has_done(self, path: str, listed: str) -> bool:
        """Tell whether the torn run that goes on has copied a prompt as the store lists it."""
        return bool(listed) and self._done.get(path) == listed

    def begin_writing(self, files: Mapping[str, str]) -> None:
        """Remember what is about to be written: the hashes of files by their paths."""
        self._add(_Writing(files=files))

    def end_writing(
        self,
        path: str,
        entry: Entry,
        *,
        listed: str,
        moved_from: str | None = None,
        environments: tuple[str, ...] = (),
    ) -> None:
        """Remember a prompt that has been copied.

        That is how it is listed, where it was before, and what it is deployed to.
        """
        self._add(
            _Done(
                path=path,
                entry=entry,
                listed=listed,
                moved_from=moved_from,
                environments=environments,
            )
        )

    def path_of(self, store: str, prompt_id: str) -> str | None:
        """Return where a store's prompt is, if it has been copied."""
        return self._paths.get((store, prompt_id))

    def write_ids(self, sha256: str | None) -> None:
        """Remember the hash of the file of further ids; None: there is none."""
        self._add(_Ids(sha256=sha256))

    def finish(self) -> None:
        """End the run: all that there was to do is done."""
        self._save()
        os.unlink(self._root / JOURNAL)

    def _add(self, line: _Line) -> None:
        with (self._root / JOURNAL).open("ab") as stream:
            stream.write(_write_line(line))
        self._take(line)

    def _take(self, line: _Line) -> None:
        match line:
            case _Writing():
                self._know(line.files)
            case _Done():
                if (replaced := self.entries.get(line.path)) is not None:
                    # Where that one is now, its own line will tell.
                    self._paths.pop((replaced.store, replaced.id), None)
                if line.moved_from is not None:
                    self.entries.pop(line.moved_from, None)
                self.entries[line.path] = line.entry
                self._paths[line.entry.store, line.entry.id] = line.path
                self._done[line.path] = line.listed
                self.environments.update(line.environments)
                self._know(line.entry.files)
            case _Ids():
                self.ids = line.sha256
                if line.sha256 is not None:
                    self._know({IDS: line.sha256})

    def _know(self, files: Mapping[str, str]) -> None:
        for path, sha256 in files.items():
            self._hashes.setdefault(path, set()).add(sha256)

    def _is_kept(self, line: _Line) -> bool:
        """Tell whether a line of a torn run is of use: the manifest has the rest by now."""
        return isinstance(line, _Writing) or (isinstance(line, _Done) and line.path in self._done)

    def _save(self) -> None:
        manifest = _Manifest(prompts=self.entries, ids=self.ids)
        text = msgspec.json.format(_ENCODER.encode(manifest), indent=1) + b"\n"
        write_file(self._root / MANIFEST, text)


def write_file(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or, after whatever may happen, as it was."""
    new = path.with_name(path.name + ".new")
    # What somebody has put there may be a link to anything.
    new.unlink(missing_ok=True)
    with new.open("xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(new, path)


def _is_recent(moment: datetime, now: datetime) -> bool:
    return timedelta(0) <= now - moment < _RESUMABLE


def _write_line(line: _Line) -> bytes:
    return _ENCODER.encode(line) + b"\n"


def _read_lines(path: Path) -> list[_Line]:
    """Return the lines of a journal. What a crash has left of the last one is passed over."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    lines = []
    for line in content.split(b"\n"):
        with suppress(msgspec.DecodeError):
            lines.append(_LINES.decode(line))
    return lines


def _read_manifest(path: Path) -> _Manifest:
    try:
        return _MANIFESTS.decode(path.read_bytes())
    except FileNotFoundError:
        return _Manifest()
    except (msgspec.DecodeError, RecursionError):
        raise UsageError(
            f"{path}: expected what a pull has written; without it, all is new"
        ) from None
