"""Compares what a directory serves with what its prompts were copied from."""

from collections.abc import Iterable, Iterator
from contextlib import aclosing
from pathlib import Path

from ...domain.errors import Reason, ResolverError
from ...domain.prompts import PromptRef, Template
from ...templates.directory.store import DirectoryStore
from .collected import Collected

_SAME = (
    *("version", "name", "language", "messages", "placeholders", "model", "provider"),
    *("parameters", "tools", "tool_choice", "defaults", "schema", "partials", "snippets"),
    "as_text",
)
"""What has to be the same. Where a template is found, how large it is, when it was written and what
the hash of its file is, the store and the directory each have of their own."""


class DifferenceError(Exception):
    """A directory that does not serve what the store does: which version, and what differs."""


async def verify(root: Path, prompt: Collected) -> None:
    """Check that a directory serves all of a prompt as its store does.

    Raises `DifferenceError`.
    """
    async with aclosing(DirectoryStore(name="directory", root=root)) as store:
        for ref, expected, environment in _expectations(prompt):
            which = ref.version or ref.environment or "without a selector"
            try:
                served = await store.fetch(ref, None)
            except ResolverError as error:
                raise DifferenceError(f"{which}: {error.reason}: {error.message}") from None
            differs = [name for name in _SAME if getattr(served, name) != getattr(expected, name)]
            if environment is not None and served.environment != environment:
                differs.append("environment")
            if differs:
                raise DifferenceError(f"{which}: {', '.join(differs)} would not be the same")


async def verify_ids(root: Path, prompt_ids: Iterable[str]) -> None:
    """Check that a directory serves prompts by their further ids, too. Raises `DifferenceError`."""
    async with aclosing(DirectoryStore(name="directory", root=root)) as store:
        for prompt_id in prompt_ids:
            try:
                await store.fetch(PromptRef(id=prompt_id), None)
            except ResolverError as error:
                # Without a selector there may be nothing to serve.
                if error.reason is not Reason.VERSION_NOT_FOUND:
                    raise DifferenceError(f"{prompt_id}: {error.reason}: {error.message}") from None


def _expectations(prompt: Collected) -> Iterator[tuple[PromptRef, Template, str | None]]:
    """Yield what may be asked, and what template of which environment has to come."""
    for version, template in prompt.versions.items():
        yield PromptRef(id=prompt.path, version=version), template, None
    for name, version in prompt.environments.items():
        yield PromptRef(id=prompt.path, environment=name), prompt.versions[version], name
    if prompt.served is not None:
        environment = prompt.default or prompt.served.environment
        yield PromptRef(id=prompt.path), prompt.served, environment
