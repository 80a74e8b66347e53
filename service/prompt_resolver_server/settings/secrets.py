"""Secrets: values that are shown to those who use them, and to nobody else."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from typing_extensions import override

from .files import Look, look_at


class Secret(ABC):
    """A secret, which may be replaced while the service runs.

    Two are equal that come from the same place, or are the same value.
    """

    @abstractmethod
    def reveal(self) -> str | None:
        """Return the secret as it is now, or None where there is none."""


class FixedSecret(Secret):
    """A secret that was given as a value."""

    def __init__(self, value: str) -> None:
        self._value = value

    @override
    def reveal(self) -> str | None:
        """Return the value."""
        return self._value

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, FixedSecret) and other._value == self._value

    @override
    def __hash__(self) -> int:
        return hash(self._value)

    @override
    def __repr__(self) -> str:
        return "FixedSecret(…)"


class FileSecret(Secret):
    """A secret in a file, read again whenever the file changes.

    While the file cannot be read or is empty, the last value stays: a rotation in progress fails no
    call.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._value: str | None = None
        self._seen: Look | None = None
        self.reveal()

    @override
    def reveal(self) -> str | None:
        """Return the file's content without the white space around it, and a mark of UTF-8."""
        try:
            seen = look_at(self._path)
            if seen != self._seen:
                self._value = self._path.read_text("utf-8-sig").strip() or self._value
                self._seen = seen
        except (OSError, UnicodeDecodeError):
            pass
        return self._value

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, FileSecret) and other._path == self._path

    @override
    def __hash__(self) -> int:
        return hash(self._path)

    @override
    def __repr__(self) -> str:
        return f"FileSecret({str(self._path)!r})"


class EnvironmentSecret(Secret):
    """A secret in the first of several variables that is set. Empty counts as not set."""

    def __init__(self, environ: Mapping[str, str], names: tuple[str, ...]) -> None:
        self._environ = environ
        self._names = names

    @override
    def reveal(self) -> str | None:
        """Return the variable's value."""
        return next((value for name in self._names if (value := self._environ.get(name))), None)

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, EnvironmentSecret) and other._key() == self._key()

    @override
    def __hash__(self) -> int:
        return hash(self._names)

    def _key(self) -> tuple[object, ...]:
        return self._names, self.reveal()

    @override
    def __repr__(self) -> str:
        return f"EnvironmentSecret({', '.join(self._names)})"
