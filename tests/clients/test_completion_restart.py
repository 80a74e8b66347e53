"""`completion` through a service that is started, or restarted, while it is called."""

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from prompt_resolver import acompletion, process
from tests.support.conformance import GREETED, running_scene
from tests.support.ports import find_port
from tests.support.unreachable import refusing_server

RESTARTS = 3
CALLS = 20


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where `completion` calls, and nobody listens yet."""
    address = f"127.0.0.1:{find_port()}"
    monkeypatch.setenv("PROMPT_RESOLVER_ADDRESS", address)
    process._process.close()
    yield address
    process._process.close()


async def ask() -> str | None:
    answer = await acompletion("fake/m", prompt_id="greet", prompt_variables=GREETED)
    return answer.choices[0].message.content


async def stream() -> str | None:
    chunks = await acompletion("fake/m", prompt_id="greet", prompt_variables=GREETED, stream=True)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])


async def test_a_service_that_is_not_there_yet(tmp_path: Path, address: str) -> None:
    """Calls wait for a service that is being started, whole ones and streams."""
    calls = [asyncio.ensure_future(ask()), asyncio.ensure_future(stream())]
    done, _ = await asyncio.wait(calls, timeout=0.3)
    async with running_scene(tmp_path, environ={"PROMPT_RESOLVER_GRPC_ADDRESS": address}):
        said = await asyncio.gather(*calls)

    assert not done
    assert said == ["Hello", "Hello"]


@pytest.mark.timed
async def test_a_service_that_restarts(tmp_path: Path, address: str) -> None:
    """No call fails while the service is stopped and started anew, three times."""
    environ = {"PROMPT_RESOLVER_GRPC_ADDRESS": address}
    ended = False
    said: list[str | None] = []

    async def repeat() -> None:
        while not ended:
            said.extend([await ask(), await stream()])

    async with running_scene(tmp_path, settings="server: {drain_s: 1}", environ=environ) as scene:
        callers = [asyncio.ensure_future(repeat()) for _ in range(2)]
        for _ in range(RESTARTS):
            await scene.sent("Complete", CALLS)
            await scene.restart()
        await scene.sent("Complete", CALLS)
        ended = True
        await asyncio.gather(*callers)

    assert set(said) == {"Hello"}
    assert len(said) > RESTARTS * CALLS


FORK = """
import os, signal, sys, threading
from prompt_resolver import completion

def call():
    variables = {"language": "French", "name": "Ada"}
    answer = completion("fake/m", prompt_id="greet", prompt_variables=variables)
    return answer.choices[0].message.content

waiting = threading.Thread(target=lambda: print(call(), flush=True))
waiting.start()
sys.stdin.readline()
if os.fork() == 0:
    signal.alarm(15)
    try:
        print(call(), flush=True)
    except Exception as error:
        print(error, flush=True)
    os._exit(0)
print(os.wait()[1], flush=True)
waiting.join()
"""


async def test_a_fork_while_a_call_waits(tmp_path: Path, address: str) -> None:
    """What is forked while a call waits is told that it cannot call, and the call goes on."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", FORK),
        # Otherwise what gRPC does about forks may crash either process.
        env={**os.environ, "GRPC_ENABLE_FORK_SUPPORT": "0"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    async with asyncio.timeout(60):
        async with refusing_server(address) as refused:
            await refused.acquire()
            program.stdin.write(b"\n")
            told, status = [(await program.stdout.readline()).decode() for _ in range(2)]
        async with running_scene(tmp_path, environ={"PROMPT_RESOLVER_GRPC_ADDRESS": address}):
            said, _ = await program.communicate()

    assert told.startswith("FAILED_PRECONDITION: this process was forked")
    assert (status, said) == ("0\n", b"Hello\n")
