"""Which path each prompt of a run takes, and whose copy gives way to it."""

from collections.abc import Iterator, Mapping

from .journal import Entry, Journal
from .names import NameRefusedError, fold
from .tree import ConflictError


class Claims:
    """The paths of the prompts that a run copies from the store `name`.

    `force` has a copy give way that may be another prompt's. Copies that are known to be of none
    that is there any more give way in any case.
    """

    def __init__(self, *, name: str, journal: Journal, force: bool) -> None:
        self._name = name
        self._journal = journal
        self._force = force
        self._folded = {fold(path): path for path in journal.entries}
        self._taken: set[str] = set()
        self._listed: Mapping[str, str] | None = None

    def expect(self, listed: Mapping[str, str]) -> None:
        """Remember the paths of all prompts that the store has, by their ids."""
        self._listed = listed

    def take(self, prompt_id: str, path: str) -> str | None:
        """Take a path for a prompt, and return the one that it has had before, if it has moved.

        Raises `NameRefusedError` and `ConflictError`.
        """
        earlier = self._journal.path_of(self._name, prompt_id)
        moved_from = None if earlier == path else earlier
        if moved_from is not None and self._folded.get(fold(moved_from)) == moved_from:
            del self._folded[fold(moved_from)]
        there = self._folded.setdefault(fold(path), path)
        if there != path:
            raise NameRefusedError(f"expected a path that differs from {there!r} in more than case")
        entry = self._journal.entries.get(path)
        if entry is not None and (entry.store, entry.id) != (self._name, prompt_id):
            self._check_gone(entry, path)
        self._taken.add(path)
        return moved_from

    def gone(self) -> Iterator[str]:
        """Return the paths of copies of what the store lists no more, and has nothing else at."""
        listed = self._listed or {}
        paths = frozenset(listed.values())
        for path, entry in sorted(self._journal.entries.items()):
            if entry.store == self._name and entry.id not in listed and path not in paths:
                yield path

    def _check_gone(self, entry: Entry, path: str) -> None:
        """Raise `ConflictError` unless the copy at a path may give way."""
        is_ours = entry.store == self._name
        if path in self._taken or (is_ours and (self._listed or {}).get(entry.id) == path):
            raise ConflictError(f"the store has {entry.id!r} there, too")
        if not self._force and (not is_ours or self._listed is None):
            raise ConflictError(
                f"the copy of {entry.id!r} of store {entry.store!r} is there; --force replaces it"
            )
