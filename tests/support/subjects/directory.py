"""A `directory` store for the contract suite."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from prompt_resolver_server.templates.directory.store import DirectoryStore
from tests.support.prompts import write_prompt
from tests.support.subjects.subject import Subject


@asynccontextmanager
async def directory(folder: Path) -> AsyncIterator[Subject]:
    path = write_prompt(folder, "team/hello", "<user>\none\n</user>")
    yield Subject(
        store=DirectoryStore(name="subject", root=folder),
        prompt_id="team/hello",
        say=lambda text: write_prompt(folder, "team/hello", f"<user>\n{text}\n</user>"),
        break_it=lambda: path.write_text("nonsense"),
        remove=path.unlink,
    )
