"""Finds the files of prompts below a directory, and has each of them checked.

Each is read as the `directory` store reads it, by that store, and rendered once with sample values.
"""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

from ...domain.errors import Reason, ResolverError, ServerError
from ...domain.prompts import PromptRef, Template
from ...rendering import Renderer
from ...rendering.problems import TextError
from ...rendering.variables import jinja_texts_of
from ...templates.directory.layout import ENDING, IDS, deployments_of, find_place
from ...templates.directory.store import DirectoryStore
from ...templates.files import Root
from ...templates.formats.format_rule import BY_SIGNS, FormatRule
from ...templates.formats.prompt_file import MAX_BYTES
from ..prompt_path import locate
from .findings import NOWHERE, Findings, Place
from .key_checks import check_keys
from .prompt_checks import check_prompt, check_secrets
from .source import Source
from .tree_checks import check_deployments, check_ids
from .trial import find_fault

_DEPLOYMENTS = deployments_of("")
_CODES = {
    Reason.PROMPT_ID_INVALID: "name-invalid",
    Reason.TEMPLATE_FORBIDDEN: "template-forbidden",
    Reason.TEMPLATE_BUDGET: "template-budget",
    Reason.TEMPLATE_INVALID: "template-invalid",
}


def find_files(root: Path) -> Iterator[Path]:
    """Find the files below a directory that the `directory` store would look at, in order."""
    top = os.path.realpath(root)
    seen = {top}
    for folder, folders, names in os.walk(root, followlinks=True):
        folders[:] = [
            name
            for name in sorted(folders)
            if not name.startswith(".") and _is_new(os.path.join(folder, name), top, seen)
        ]
        for name in sorted(names):
            path = Path(folder, name)
            if not name.startswith(".") and is_checked(path, root):
                yield path


def is_checked(path: Path, root: Path) -> bool:
    """Tell whether a file is a prompt's, by its name."""
    if path.name == IDS:
        return path.parent == root
    return path.name.endswith(_DEPLOYMENTS) or locate(path, root) is not None


def _is_new(folder: str, top: str, seen: set[str]) -> bool:
    # Each folder is looked into once, whatever links lead to it, and none outside.
    target = os.path.realpath(folder)
    if target in seen or os.path.commonpath((top, target)) != top:
        return False
    seen.add(target)
    return True


class Linter:
    """Checks the files of one directory, which is where the prompts' ids start."""

    def __init__(self, root: Path, *, rule: FormatRule = BY_SIGNS) -> None:
        self._root = root
        self._files = Root(root, store="lint")
        self._store = DirectoryStore(name="lint", root=root, rule=rule)
        self._rule = rule
        self._renderer = Renderer()

    async def check(self, path: Path, findings: Findings) -> None:
        """Check one file. What goes wrong with that is a finding of it, and stops no other's."""
        try:
            await self._check(path, findings)
        except ServerError as error:
            findings.add("check-failed", f"it could not be tried: {error.message}")
        except Exception as error:  # noqa: BLE001  # whatever a file brings about, others have not
            findings.add("check-failed", f"a fault of lint's own: {type(error).__name__}")

    async def _check(self, path: Path, findings: Findings) -> None:
        try:
            path.relative_to(self._root).as_posix().encode()
        except UnicodeEncodeError:
            findings.add("name-invalid", "expected a name in UTF-8, as ids are text")
            return
        try:
            source = Source(await asyncio.to_thread(self._read, path))
        except OSError as error:
            findings.add("file-unreadable", f"expected a readable file: {error.strerror}")
            return
        if path.name == IDS:
            await check_ids(source, self._store, findings)
        elif path.name.endswith(_DEPLOYMENTS):
            prompt_id = path.relative_to(self._root).as_posix().removesuffix(_DEPLOYMENTS)
            await check_deployments(source, prompt_id, self._store, findings)
        elif located := locate(path, self._root):
            await self._check_prompt(path, source, located.ref, findings)

    def _read(self, path: Path) -> bytes:
        """Return a file, as much of it as the store would read."""
        return self._files.read(os.fspath(path), max_bytes=MAX_BYTES).content

    async def aclose(self) -> None:
        """Release what the store and the renderer hold."""
        await self._store.aclose()
        await self._renderer.aclose()

    async def _check_prompt(
        self, path: Path, source: Source, ref: PromptRef, findings: Findings
    ) -> None:
        check_secrets(source, findings)
        try:
            if find_place(ref.id, store="lint") is None:
                # A partial is tried with the prompts that include it.
                return
            template = await self._store.fetch(ref, None)
        except ResolverError as error:
            _add_error(error, findings)
            return
        check_prompt(template, source, findings)
        if path.name.endswith(ENDING):
            check_keys(source.content, self._rule, findings)
        await self._try_rendering(template, source, findings)

    async def _try_rendering(self, template: Template, source: Source, findings: Findings) -> None:
        """Find what shows only when a template is rendered."""
        fault = await find_fault(template, self._renderer)
        if fault is not None:
            problem = fault.message.removeprefix(f"{template.location}: ")
            place = NOWHERE
            if isinstance(fault, TextError) and fault.text is not None and fault.line is not None:
                text = jinja_texts_of(template)[fault.text]
                place = source.find_line(text, fault.line)
                problem = fault.expected
            findings.add(_CODES[fault.reason], problem, place)


def _add_error(error: ResolverError, findings: Findings) -> None:
    """Add what the service would say of a file."""
    line = error.metadata.get("line", "")
    place = Place(int(line)) if line.isdecimal() else NOWHERE
    _, told, problem = error.message.partition(f", line {line}: ")
    findings.add(
        _CODES.get(error.reason, "file-unreadable"), problem if told else error.message, place
    )
