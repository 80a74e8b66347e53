"""A `litellm_generic` store for the contract suite, over a stand-in for a server of the API."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from prompt_resolver_server.templates.litellm_generic import (
    LiteLLMGenericSettings,
    LiteLLMGenericStore,
)
from prompt_resolver_server.templates.web import WebClient
from tests.support.litellm_generic import running_generic
from tests.support.subjects.subject import Subject


@asynccontextmanager
async def litellm_generic(_: Path) -> AsyncIterator[Subject]:
    async with running_generic() as api:
        api.key = None

        def say(text: str, **parameters: int) -> None:
            message = {"role": "user", "content": text}
            api.put("team/hello", message, optional_params=parameters)

        say("one")
        client = WebClient(
            name="subject", base_url=api.url, timeout_s=5, tls=ssl.create_default_context()
        )
        settings = LiteLLMGenericSettings(api_base=api.url, label_parameter="label")
        store = LiteLLMGenericStore(settings, name="subject", client=client)
        yield Subject(
            store=store,
            prompt_id="team/hello",
            say=say,
            break_it=lambda: say("one", max_tokens=0),
            remove=api.prompts.clear,
            lists=False,
        )
        await store.aclose()
