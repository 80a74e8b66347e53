"""After whatever went wrong, connections serve on where they can, and none is left."""

import asyncio
import itertools
import os

from tests.providers.test_remote import (
    REQUEST,
    AnyTransport,
    failure_of,
    make_transport,
    provider_at,
    transport,
)
from tests.support.lies import lies
from tests.support.unreachable import until
from tests.support.upstream import Exchange, Upstream, answer_openai

__all__ = ["make_transport", "transport"]

CALLS = 1000


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_faults_leave_nothing(transport: AnyTransport, upstream: Upstream) -> None:
    """A thousand faults of all kinds leave neither a task nor a socket, and nobody is confused.

    Whatever is left of one answer is not taken for the next, which comes right after it.
    """
    provider = provider_at(upstream.url, transport)
    await provider.complete(REQUEST, caller_key=None)
    tasks, files = len(asyncio.all_tasks()), open_files()
    faults = itertools.islice(itertools.cycle(lies().values()), CALLS)

    for number, (answer, _) in enumerate(faults):
        upstream.answer = answer
        await failure_of(provider, stream=number % 2 == 0)
        upstream.answer = answer_openai
        answered = await provider.complete(REQUEST, caller_key=None)
        assert answered.message.text == "Hello"

    await transport.aclose()
    await until(lambda: len(asyncio.all_tasks()) <= tasks and open_files() <= files)


async def test_errors_keep_the_connection(transport: AnyTransport, upstream: Upstream) -> None:
    """A provider that refuses calls does so on one connection."""

    async def answer(exchange: Exchange) -> None:
        status = next(statuses)
        await exchange.send_response(b'{"error": {}}', status=f"{status} X")

    statuses = itertools.cycle([429, 500, 502, 503, 504, 529, 400, 401, 404])
    upstream.answer = answer
    provider = provider_at(upstream.url, transport)

    for number in range(90):
        await failure_of(provider, stream=number % 2 == 0)

    assert (len(upstream.exchanges), upstream.connections) == (90, 1)
