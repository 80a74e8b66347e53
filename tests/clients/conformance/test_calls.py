"""Every client passes what gRPC's interoperability tests ask: sizes, deadlines, leaving, metadata.

https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md has the list.
"""

import asyncio
from pathlib import Path

import pytest

from tests.support.conformance import GREETED, Scene, running_scene
from tests.support.driver import Driver, text_of
from tests.support.faulty import FaultyServer
from tests.support.prompts import write_prompt
from tests.support.upstream import Exchange, openai_events
from tests.support.waiting import WaitingProvider

LARGE = "é" * (3 * 1024 * 1024 // 2)
HUGE = "é" * (4 * 1024 * 1024)
TOO_LARGE = "x" * (5 * 1024 * 1024)
COMPLETIONS = pytest.mark.parametrize("op", ["complete", "complete_stream"])
WITHIN_S = 20
"""How long what must come at once may take on a busy machine: far less than a default deadline."""


async def test_empty(driver: Driver) -> None:
    """A call may say next to nothing."""
    plain = (await driver.do("resolve", prompt="plain")).resolved
    nothing = (await driver.do("resolve", prompt="", variables={})).failure

    assert text_of(plain.messages) == ["Hello"]
    assert (nothing.code, nothing.reason) == ("INVALID_ARGUMENT", "PROMPT_ID_INVALID")


async def test_large(driver: Driver, scene: Scene) -> None:
    """Three megabytes pass both ways."""
    write_prompt(scene.prompts, "large", "<user>\n{{text}}\n</user>")

    resolved = (await driver.do("resolve", prompt="large", variables={"text": LARGE})).resolved

    assert text_of(resolved.messages) == [LARGE]


async def test_too_large(driver: Driver) -> None:
    """What is larger than a message may be is refused by gRPC itself, which gives no reason."""
    failure = (await driver.do("resolve", prompt="greet", variables={"name": TOO_LARGE})).failure

    assert failure.code == "RESOURCE_EXHAUSTED"
    assert (failure.reason, failure.domain) == ("", "")


async def test_large_answer(driver: Driver, tmp_path: Path) -> None:
    """Where the server's limit is raised, so is the client's: it takes what the server sends."""
    async with running_scene(tmp_path, settings=f"server: {{max_message_bytes: {2**26}}}") as scene:
        write_prompt(scene.prompts, "large", "<user>\n{{text}}\n</user>")
        await driver.connect(scene.address)
        resolved = (await driver.do("resolve", prompt="large", variables={"text": HUGE})).resolved

    assert text_of(resolved.messages) == [HUGE]


async def test_default_deadlines(driver: Driver) -> None:
    """A call has a deadline also where its caller does not say one; a watch has none."""
    server = FaultyServer()
    with server.serve() as address:
        await driver.connect(address)
        for op in ("resolve", "complete", "complete_stream"):
            await driver.do(op, prompt="x")
        await driver.do("watch", prompts=["x"], messages=1)

    # On the wire a time is rounded up.
    assert 5 < server.remaining_s["Resolve"] <= 11
    assert 60 < server.remaining_s["Complete"] <= 121
    assert 60 < server.remaining_s["CompleteStream"] <= 121
    # Some languages' way to say that there is none.
    assert server.remaining_s["WatchPrompts"] > 10**8


@COMPLETIONS
async def test_deadline(driver: Driver, scene: Scene, op: str) -> None:
    """A call that takes too long ends with its deadline, and so does the model's work."""
    provider = WaitingProvider(streamed=True)
    scene.upstream.answer = provider.answer

    async with asyncio.timeout(WITHIN_S):
        answer = await driver.do(op, prompt="greet", variables=GREETED, timeout_ms=1000)
        await provider.closed.get()

    assert answer.failure.code == "DEADLINE_EXCEEDED"


@COMPLETIONS
async def test_leaving_at_once(driver: Driver, op: str) -> None:
    """A call that is left as soon as it was begun is cancelled."""
    async with asyncio.timeout(WITHIN_S):
        answer = await driver.do(op, prompt="greet", variables=GREETED, cancel_after_ms=0)

    assert answer.failure.code == "CANCELLED"


@COMPLETIONS
async def test_leaving_before_the_answer(driver: Driver, scene: Scene, op: str) -> None:
    """A caller that leaves before the first message takes the call to the provider with it."""
    provider = WaitingProvider(streamed=True)
    scene.upstream.answer = provider.answer

    async with asyncio.timeout(WITHIN_S):
        answer = await driver.do(op, prompt="greet", variables=GREETED, cancel_after_ms=2000)
        await provider.closed.get()

    assert answer.failure.code == "CANCELLED"
    assert answer.events == []


async def test_leaving_in_the_answer(driver: Driver, scene: Scene) -> None:
    """A caller that leaves after the first message takes the call to the provider with it."""
    provider = WaitingProvider(*openai_events("Hello")[:2], streamed=True)
    scene.upstream.answer = provider.answer

    async with asyncio.timeout(WITHIN_S):
        answer = await driver.do(
            "complete_stream", prompt="greet", variables=GREETED, cancel_after_messages=1
        )
        await provider.closed.get()

    assert answer.failure.code == "CANCELLED"
    assert [event.WhichOneof("event") for event in answer.streamed] == ["started"]


@pytest.mark.parametrize("op", ["resolve", "complete", "complete_stream"])
async def test_request_id(driver: Driver, scene: Scene, op: str) -> None:
    """A call's own id is in the server's log."""
    request_id = f"{op}-of-{id(driver)}"

    await driver.do(op, prompt="nothing", metadata={"x-request-id": request_id})

    assert f'"request_id":"{request_id}"' in scene.log.replace('": "', '":"')


@COMPLETIONS
async def test_keys(driver: Driver, scene: Scene, op: str) -> None:
    """A caller's key of a provider reaches that provider, and no other."""
    metadata = {"x-provider-key-fake": "key-of-caller"}

    for model in ("fake/m", "other/m"):
        answer = await driver.do(
            op, prompt="greet", variables=GREETED, model=model, metadata=metadata
        )
        answer.check()

    keys = [exchange.headers["authorization"] for exchange in scene.upstream.exchanges]
    assert keys == ["Bearer key-of-caller", "Bearer key-of-other"]


@COMPLETIONS
@pytest.mark.parametrize("key", ["sk-secret\n", "sk-secret\r\nx: y", "sk-secret-é"])
async def test_keys_that_cannot_be_sent(driver: Driver, scene: Scene, op: str, key: str) -> None:
    """A key that no header can carry is refused, and not shown: nobody else pays for the call."""
    metadata = {"x-provider-key-fake": key}

    answer = await driver.do(op, prompt="greet", variables=GREETED, metadata=metadata)

    assert answer.failure.code == "INVALID_ARGUMENT"
    assert "x-provider-key-fake" in answer.failure.message
    assert "sk-secret" not in answer.failure.message + driver.log
    assert scene.upstream.exchanges == []


@COMPLETIONS
async def test_rate_limit(driver: Driver, scene: Scene, op: str) -> None:
    """A provider's rate limit comes with its reason, and with the time to wait."""

    async def refuse(exchange: Exchange) -> None:
        status = "429 Too Many Requests"
        await exchange.send_response(b"{}", status=status, headers="Retry-After: 7\r\n")

    scene.upstream.answer = refuse

    failure = (await driver.do(op, prompt="greet", variables=GREETED)).failure

    assert failure.code == "RESOURCE_EXHAUSTED"
    assert (failure.reason, failure.domain) == ("UPSTREAM_RATE_LIMITED", "prompt-resolver")
    assert failure.metadata["provider"] == "fake"
    assert failure.retry_after_ms == 7000
    assert failure.violations == []
    # No client tries again by itself.
    assert len(scene.upstream.exchanges) == 1


async def test_unknown_method(driver: Driver) -> None:
    """A method that the server does not have is UNIMPLEMENTED."""
    failure = (await driver.do("unimplemented")).failure

    assert failure.code == "UNIMPLEMENTED"
    assert failure.reason == ""
