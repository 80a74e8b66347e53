"""The file that a configuration is written in, and where something stands in it."""

from pathlib import Path

from ..strict_yaml import Document, YamlError, parse
from .faults import ConfigError, Place
from .files import Look, read_whole


class Source:
    """A file's content, for telling where something stands in it; without a path there is none.

    `look` is what the file looked like when it was read. Raises `ConfigError` for a file that
    cannot be.
    """

    def __init__(self, path: Path | None) -> None:
        self._name = str(path) if path is not None else "defaults"
        self._overlaid: dict[Place, str] = {}
        self.document = Document({}, {})
        self.look: Look | None = None
        if path is None:
            return
        try:
            text, self.look = read_whole(path)
        except UnicodeDecodeError:
            raise ConfigError(f"{path}: expected UTF-8") from None
        except OSError as error:
            raise ConfigError(f"{path}: expected a readable file: {error.strerror}") from None
        try:
            self.document = parse(text, aliases=True)
        except YamlError as error:
            raise ConfigError(f"{path}:{error.line}: {error.message}") from None

    def overlay(self, place: Place, origin: str) -> None:
        """Note that the value at a place does not come from the file."""
        self._overlaid[place] = origin

    def at(self, place: Place, problem: str) -> str:
        """Return a line about a place: where it is, and what is wrong."""
        path = ".".join(map(str, place))
        if origin := self._overlaid.get(place[:2]):
            return f"{origin}: {problem}"
        if not self.document.lines:
            return f"{path}: {problem}"
        return f"{self._name}:{self.document.line(place)}: {path}: {problem}".replace(": : ", ": ")
