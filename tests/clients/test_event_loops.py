"""The client for asyncio, and the event loops of a program."""

import pytest

from tests.support.completion import Scene

PROGRAM = """
import asyncio
from prompt_resolver import AsyncPromptResolverClient

client = AsyncPromptResolverClient()
WHAT = {"variables": {"user_message": "x"}, "model": "humanloop/gpt-3.5-turbo"}

async def call():
    print((await client.resolve("test-chat-prompt", **WHAT)).prompt.id)
    print((await client.complete("test-chat-prompt", **WHAT)).message.content[0].text)
    async for event in client.complete_stream("test-chat-prompt", **WHAT):
        last = event
    print(last.WhichOneof("event"))

asyncio.run(call())
try:
    asyncio.run(call())
except RuntimeError as error:
    print(error)
asyncio.run(client.close())
"""


@pytest.mark.parametrize("scene", ["sidecar"], indirect=True)
async def test_made_by_a_module(scene: Scene) -> None:
    """A client may be made before any loop runs, and says so where it is used in a second one."""
    *said, error = (await scene.output(PROGRAM)).split("\n")

    assert said == ["pr_page", "Hello", "finished"]
    assert error.startswith("expected to be used in one event loop, that of the client's first")


@pytest.mark.parametrize("scene", ["sidecar"], indirect=True)
async def test_never_used(scene: Scene) -> None:
    """One that makes no call opens nothing, and can be closed."""
    program = PROGRAM.partition("WHAT")[0] + "asyncio.run(client.close())"

    assert await scene.output(program) == ""
