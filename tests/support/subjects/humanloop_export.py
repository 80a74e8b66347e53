"""A `humanloop_export` store for the contract suite."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from prompt_resolver_server.templates.humanloop_export.store import HumanloopExportStore
from tests.support.humanloop import HumanloopApi
from tests.support.humanloop_export import write_export
from tests.support.subjects.subject import Subject, version_of


@asynccontextmanager
async def humanloop_export(folder: Path) -> AsyncIterator[Subject]:
    api = HumanloopApi()

    def say(text: str, **fields: int) -> None:
        version = f"prv_{version_of(text)}"
        prompt = api.put("team/hello", prompt_id="pr_1", version=version, template=text)
        prompt.versions[version] |= fields
        write_export(folder, api.prompts.values())

    say("one")
    store = HumanloopExportStore(name="subject", path=folder)
    yield Subject(
        store=store,
        prompt_id="pr_1",
        say=say,
        break_it=lambda: say("one", max_tokens=0),
        remove=lambda: shutil.rmtree(folder / "files" / "pr_1"),
    )
    await store.aclose()
