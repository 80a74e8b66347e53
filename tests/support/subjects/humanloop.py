"""A `humanloop` store for the contract suite, over a stand-in for the API."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from prompt_resolver_server.templates.humanloop.store import HumanloopStore
from prompt_resolver_server.templates.web import WebClient
from tests.support.humanloop import KEY, HumanloopApi, running_humanloop
from tests.support.subjects.subject import Subject


def make_store(api: HumanloopApi) -> HumanloopStore:
    """Return a store that asks the stand-in."""
    tls = ssl.create_default_context()
    client = WebClient(name="subject", base_url=api.url, timeout_s=5, tls=tls)
    return HumanloopStore(
        name="subject", client=client, timeout_s=5, find_key=lambda: KEY, key_hint="the key"
    )


@asynccontextmanager
async def humanloop(_: Path) -> AsyncIterator[Subject]:
    async with running_humanloop() as api:

        def say(text: str, **fields: int) -> None:
            version = f"prv_{text}"
            prompt = api.put("team/hello", prompt_id="pr_1", version=version, template=text)
            prompt.versions[version] |= fields

        say("one")
        store = make_store(api)
        yield Subject(
            store=store,
            prompt_id="pr_1",
            say=say,
            break_it=lambda: say("one", max_tokens=0),
            remove=api.prompts.clear,
        )
        await store.aclose()
