"""`prompt-resolver lint`: tells what is wrong with prompt files, offline.

Exit codes: 0 where nothing is wrong, 1 where something is, 2 where that cannot be told.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from prompt_resolver.arguments import ArgumentParser, UsageError
from prompt_resolver.endings import run_to_end

from ...templates.formats.format_rule import BY_SIGNS, FormatRule, PromptFormat
from ..prompt_path import locate
from .findings import Finding, Findings, Report
from .linter import Linter, find_files, is_checked
from .output import OUTPUTS

_FOUND = 1


def main(argv: Sequence[str]) -> int:
    """Print what is wrong with files; return the exit code."""
    arguments = _parser().parse_args(argv)

    def lint() -> int:
        report = asyncio.run(
            check_paths(
                arguments.paths, root=arguments.root, rule=FormatRule(arguments.prompt_format)
            )
        )
        print(OUTPUTS[arguments.output](report))
        counted = report.count("error") + (report.count("warning") if arguments.strict else 0)
        return _FOUND if counted else 0

    return run_to_end("lint", lint)


async def check_paths(
    paths: Sequence[Path], *, root: Path | None = None, rule: FormatRule = BY_SIGNS
) -> Report:
    """Check files, and all prompts below directories. Raises `UsageError`.

    The prompts' ids start at `root`, by default at the directory, or at the folder of the file.
    `rule` tells the formats of `.prompt` files.
    """
    linters: dict[Path, Linter] = {}
    found: list[Finding] = []
    try:
        files = {path: base for given in paths for path, base in _spread(given, root)}
        for path, base in files.items():
            findings = Findings(str(path))
            if base not in linters:
                linters[base] = Linter(base, rule=rule)
            await linters[base].check(path, findings)
            found += findings
    finally:
        for linter in linters.values():
            await linter.aclose()
    return Report(files=len(files), findings=tuple(found))


def _spread(given: Path, root: Path | None) -> list[tuple[Path, Path]]:
    """Return the files that are meant, each with where its prompt's id starts."""
    if root is not None and not given.resolve().is_relative_to(root.resolve()):
        raise UsageError(f"{given}: expected a path below {root}")
    try:
        given.stat()
        if given.is_dir():
            found = [(path, root or given) for path in find_files(given)]
            if not found:
                raise UsageError(f"{given}: expected prompts below it")
            return found
    except OSError as error:
        raise UsageError(f"{given}: expected a readable path: {error.strerror}") from None
    base = root or _folder(given)
    if not is_checked(given, base):
        raise UsageError(
            f"{given}: expected a name that ends in .prompt, .prompt.json or .deployments.yaml"
        )
    return [(given, base)]


def _folder(path: Path) -> Path:
    located = locate(path)
    return located.root if located is not None else path.parent


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="prompt-resolver lint",
        description="Tell what is wrong with prompt files: what the service would refuse, and what"
        " it would serve but nobody can have meant. Offline. Exits with 1 if it finds an error.",
        allow_abbrev=False,
    )
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="a file or a directory")
    parser.add_argument("--output", choices=tuple(OUTPUTS), default="text", help="in which form")
    parser.add_argument("--strict", action="store_true", help="exit with 1 for warnings, too")
    parser.add_argument(
        "--prompt-format",
        choices=get_args(PromptFormat),
        help="the format of all .prompt files (the one that each file's signs tell)",
    )
    parser.add_argument(
        "--root",
        type=Path,
        metavar="DIR",
        help="where the prompts' ids start, and partials are (PATH, or the folder of a file)",
    )
    return parser
