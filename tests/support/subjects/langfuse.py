"""A `langfuse` store for the contract suite, over a stand-in for the API."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from prompt_resolver_server.templates.langfuse.store import LangfuseStore
from prompt_resolver_server.templates.web import WebClient
from tests.support.langfuse import KEY, running_langfuse
from tests.support.subjects.subject import Subject


@asynccontextmanager
async def langfuse(_: Path) -> AsyncIterator[Subject]:
    async with running_langfuse() as api:

        def say(text: str, **config: int) -> None:
            api.put("team/hello", prompt=text, config=config)

        say("one")
        tls = ssl.create_default_context()
        client = WebClient(name="subject", base_url=api.url, timeout_s=5, tls=tls)
        store = LangfuseStore(
            name="subject", client=client, timeout_s=5, find_key=lambda: KEY, key_hint="the key"
        )
        yield Subject(
            store=store,
            prompt_id="team/hello",
            say=say,
            break_it=lambda: say("one", max_tokens=0),
            remove=api.prompts.clear,
            unknown_version="99",
        )
        await store.aclose()
