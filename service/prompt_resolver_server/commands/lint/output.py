"""Findings, written down: for people, for programs, and for GitHub's annotations."""

from collections.abc import Callable, Iterator, Mapping

import msgspec

from .findings import Finding, Report, Severity

_GITHUB: Mapping[Severity, str] = {"error": "error", "warning": "warning", "note": "notice"}


def write_text(report: Report) -> str:
    """Return a line for each finding, as compilers write it, and one that sums them up."""
    lines = [
        f"{_where(each)}: {each.severity}: {each.message} [{each.code}]" for each in report.findings
    ]
    return "\n".join([*lines, summary(report)])


def write_json(report: Report) -> str:
    """Return a JSON object: how many files and findings there are, and the findings."""
    document = {
        "files": report.files,
        **{f"{severity}s": report.count(severity) for severity in _GITHUB},
        "findings": report.findings,
    }
    return msgspec.json.format(msgspec.json.encode(document)).decode()


def write_github(report: Report) -> str:
    """Return the commands that make annotations of a workflow's output."""
    return "\n".join([*map(_annotation, report.findings), summary(report)])


OUTPUTS: Mapping[str, Callable[[Report], str]] = {
    "text": write_text,
    "json": write_json,
    "github": write_github,
}


def summary(report: Report) -> str:
    """Return one line on the whole."""
    return f"{_number(report.files, 'file')}: {', '.join(_counts(report)) or 'nothing found'}"


def _counts(report: Report) -> Iterator[str]:
    for severity in _GITHUB:
        if count := report.count(severity):
            yield _number(count, severity)


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _where(finding: Finding) -> str:
    places = (finding.path, finding.line, finding.column)
    return ":".join(str(place) for place in places if place is not None)


def _annotation(finding: Finding) -> str:
    properties = {
        "file": finding.path,
        "line": finding.line,
        "col": finding.column,
        "title": finding.code,
    }
    told = ",".join(
        f"{name}={_escape(str(value), ':,')}"
        for name, value in properties.items()
        if value is not None
    )
    return f"::{_GITHUB[finding.severity]} {told}::{_escape(finding.message)}"


def _escape(text: str, more: str = "") -> str:
    return "".join(
        f"%{ord(character):02X}" if character in f"%\r\n{more}" else character for character in text
    )
