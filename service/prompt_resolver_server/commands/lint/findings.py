"""What there is to be found in prompt files."""

from collections.abc import Iterator, Mapping
from typing import Literal

from ...domain.values import Value

Severity = Literal["error", "warning", "note"]

CODES: Mapping[str, Severity] = {
    # The file, as the service reads it.
    "file-unreadable": "error",
    "check-failed": "error",
    "name-invalid": "error",
    "template-invalid": "error",
    "template-forbidden": "error",
    "template-budget": "error",
    "key-unknown": "warning",
    # Its variables.
    "variable-undeclared": "error",
    "variable-unused": "warning",
    "variable-literal": "warning",
    # Its messages, its tools and its model.
    "message-missing": "warning",
    "role-literal": "warning",
    "arguments-invalid": "error",
    "tool-call-missing": "error",
    "snippet-missing": "error",
    "tool-duplicate": "error",
    "tool-choice-invalid": "error",
    "model-missing": "note",
    # What belongs into no file.
    "secret-suspected": "warning",
    # The files beside it.
    "deployments-invalid": "error",
    "deployment-missing": "error",
    "ids-invalid": "error",
    "id-dangling": "error",
}
"""Every code that a finding may have, and how bad that is. Codes stay as they are."""


class Place(Value, frozen=True):
    """A place in a file: its line and column, from 1; None where that is not known."""

    shown = ("line", "column")

    line: int | None = None
    column: int | None = None


NOWHERE = Place()


class Finding(Value, frozen=True, kw_only=True):
    """Something that is wrong with a file: where, how bad, and what was expected and came."""

    shown = ("path", "code")

    path: str
    line: int | None
    column: int | None
    severity: Severity
    code: str
    message: str


class Findings:
    """The findings of one file, by its path."""

    def __init__(self, path: str) -> None:
        self._path = _shown(path)
        self._found: list[Finding] = []

    def add(self, code: str, message: str, place: Place = NOWHERE) -> None:
        """Add a finding of one of the `CODES`."""
        self._found.append(
            Finding(
                path=self._path,
                line=place.line,
                column=place.column,
                severity=CODES[code],
                code=code,
                message=_shown(message),
            )
        )

    def __iter__(self) -> Iterator[Finding]:
        return iter(sorted(self._found, key=lambda each: (each.line or 0, each.column or 0)))


def _shown(text: str) -> str:
    """Keep what a file says, or is called, from talking to the terminal."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


class Report(Value, frozen=True, kw_only=True):
    """What was found in how many files."""

    files: int
    findings: tuple[Finding, ...]

    def count(self, severity: Severity) -> int:
        """Return how many findings are as bad as this."""
        return sum(each.severity == severity for each in self.findings)
