"""Prompt files that are linted for a test."""

from pathlib import Path

from prompt_resolver_server.commands.lint.command import check_paths
from prompt_resolver_server.commands.lint.findings import Finding
from prompt_resolver_server.templates.formats.format_rule import BY_SIGNS, FormatRule


async def lint(
    *paths: Path, root: Path | None = None, rule: FormatRule = BY_SIGNS
) -> tuple[Finding, ...]:
    return (await check_paths(paths, root=root, rule=rule)).findings


def codes(findings: tuple[Finding, ...]) -> list[tuple[str, int | None, int | None]]:
    return [(each.code, each.line, each.column) for each in findings]
