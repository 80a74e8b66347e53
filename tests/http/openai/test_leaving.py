"""A client that leaves the HTTP door takes the call to the provider with it."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.http.conftest import ALIASES
from tests.support.calls import VARIABLES
from tests.support.http import HttpDoor
from tests.support.scene import faults_in
from tests.support.service import RunningService, running_process, running_service
from tests.support.upstream import Exchange, Upstream, answer_openai, openai_answer, openai_events
from tests.support.waiting import UNARY_HEAD, EndlessProvider, WaitingProvider

pytestmark = pytest.mark.timed

LIMIT_S = 0.1
GREET = {"model": "greeter", "prompt_variables": VARIABLES}


@asynccontextmanager
async def asked(door: HttpDoor, *, stream: bool) -> AsyncIterator[asyncio.StreamReader]:
    """Send a request on a connection of its own, which is closed when the context ends."""
    parts = urlsplit(door.url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    body = json.dumps({**GREET, "stream": stream}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    try:
        yield reader
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.parametrize(
    ("sent", "streamed"),
    [
        ((), False),
        ((UNARY_HEAD, openai_answer()[:20]), False),
        ((), True),
        ((openai_events("Hello")[0],), True),
        (tuple(openai_events("Hello")[:2]), True),
    ],
    ids=["unary", "unary-in-body", "before-headers", "before-text", "in-stream"],
)
async def test_client_leaves(
    door: HttpDoor, upstream: Upstream, cancels: int, sent: tuple[bytes, ...], streamed: bool
) -> None:
    """Wherever the provider is with its answer, its connection closes at once, every time."""
    provider = WaitingProvider(*sent, streamed=streamed)
    upstream.answer = provider.answer
    late = []

    for _ in range(cancels):
        async with asked(door, stream=streamed) as reader:
            await provider.waiting.get()
            if streamed and sent:
                await reader.readuntil(b"data: ")
            left_at = time.perf_counter()
        closed_after_s = await asyncio.wait_for(provider.closed.get(), 5) - left_at
        if closed_after_s > LIMIT_S:
            late.append(closed_after_s)

    assert late == []


async def test_a_client_that_does_not_read(
    door: HttpDoor, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    """A client that does not read holds the provider back, and may leave: that is no fault."""
    provider = EndlessProvider()
    upstream.answer = provider.answer
    async with asked(door, stream=True) as reader:
        await reader.readuntil(b"data: ")
        await asyncio.wait_for(provider.blocked.wait(), 30)
        left_at = time.perf_counter()

    assert await asyncio.wait_for(provider.closed, 5) - left_at < 1
    assert [each.message for each in caplog.records if each.levelname == "ERROR"] == []


async def test_client_leaves_as_the_answer_begins(
    tmp_path: Path, prompts: Path, upstream: Upstream
) -> None:
    """A client that hangs up at the very moment when its answer begins is no fault, either."""
    arrived: asyncio.Queue[Exchange] = asyncio.Queue()

    async def answer(exchange: Exchange) -> None:
        await exchange.begin_stream()
        arrived.put_nowait(exchange)
        await exchange.wait_closed()

    upstream.answer = answer
    config = ALIASES.format(prompts=prompts, url=upstream.url)
    async with running_process(tmp_path, config) as (service, process):
        for _ in range(10):
            # While it is stopped, both happen, and it finds them together.
            async with asked(HttpDoor(service.http_url), stream=True):
                exchange = await arrived.get()
                process.process.send_signal(signal.SIGSTOP)
                await exchange.send(openai_events("Hello")[0])
            process.process.send_signal(signal.SIGCONT)
        code, log = await asyncio.to_thread(process.stop)

    assert (code, faults_in(log)) == (0, [])


async def test_left_calls_are_counted(
    door: HttpDoor, door_service: RunningService, upstream: Upstream
) -> None:
    """A call that its client left counts with the status 499, and as cancelled upstream."""
    provider = WaitingProvider(streamed=False)
    upstream.answer = provider.answer
    async with asked(door, stream=False):
        await provider.waiting.get()
    await asyncio.wait_for(provider.closed.get(), 5)

    left = 'prompt_resolver_http_requests_total{route="chat.completions",status="499"}'
    cancelled = (
        'prompt_resolver_upstream_request_duration_seconds_count{model="small",'
        'outcome="cancelled",provider="fake"}'
    )
    assert await door_service.metric(left) == 1
    assert await door_service.metric(cancelled) == 1
    assert await door_service.metric('prompt_resolver_upstream_inflight{provider="fake"}') == 0


@pytest.mark.parametrize(
    ("document", "headers"),
    [
        ({"timeout": 0.2}, {}),
        ({}, {"x_request_timeout_ms": "200"}),
        ({}, {"x_litellm_timeout": "0.2"}),
        ({}, {"x_request_timeout_ms": "60000", "x_litellm_timeout": "0.2"}),
        ({}, {"x_request_timeout_ms": "200", "x_litellm_timeout": "60"}),
    ],
)
async def test_a_deadline_ends_the_call(
    door: HttpDoor, upstream: Upstream, document: dict[str, object], headers: dict[str, str]
) -> None:
    """A deadline, however it is given, ends the call to the provider as well."""
    provider = WaitingProvider(streamed=False)
    upstream.answer = provider.answer

    async with asyncio.timeout(20):
        answer = await door.post("/v1/chat/completions", {**GREET, **document}, **headers)
    passed_at = time.perf_counter()

    assert (answer.status, answer.error["reason"]) == (504, "DEADLINE")
    assert await asyncio.wait_for(provider.closed.get(), 5) - passed_at < LIMIT_S


@pytest.mark.parametrize(
    ("document", "headers", "passes"),
    [
        ({"timeout": 60}, {}, False),
        ({}, {"x_litellm_timeout": "60"}, False),
        ({}, {}, True),
        ({"timeout": 60}, {"x_litellm_timeout": "0.2"}, True),
    ],
)
async def test_more_time_than_calls_have(
    tmp_path: Path,
    prompts: Path,
    upstream: Upstream,
    document: dict[str, object],
    headers: dict[str, str],
    passes: bool,
) -> None:
    """A call may ask for more time than others have, in its body as in a header."""
    ended = asyncio.Event()
    config = ALIASES.format(prompts=prompts, url=upstream.url)
    environ = {"PROMPT_RESOLVER_DEFAULT_DEADLINE_S": "0.2"}

    async def answer(exchange: Exchange) -> None:
        await ended.wait()
        await answer_openai(exchange)

    upstream.answer = answer
    async with running_service(tmp_path, config, environ) as service:
        door = HttpDoor(service.http_url)
        asking = [
            asyncio.ensure_future(door.post("/v1/chat/completions", {**GREET, **each}, **headers))
            for each in (document, {"timeout": 0.5})
        ]
        # The other one ends later than a call that asks for no time.
        await asking[1]
        ended.set()
        answered = await asking[0]

    assert answered.status == (504 if passes else 200)


@pytest.mark.parametrize("text", ["0", "-1", "soon", "nan", "inf", ""])
async def test_a_deadline_that_is_none(door: HttpDoor, upstream: Upstream, text: str) -> None:
    """A deadline that is no number above 0 is refused."""
    answer = await door.post("/v1/chat/completions", GREET, x_request_timeout_ms=text)

    assert (answer.status, answer.error["reason"]) == (400, "REQUEST_INVALID")
    assert upstream.exchanges == []
