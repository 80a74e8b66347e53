"""A process that may open no more files serves what it holds, tells why not, and recovers."""

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path

import grpc
import pytest

from prompt_resolver import PromptResolverError
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from tests.support.calls import VARIABLES, collect, failure, status_of
from tests.support.humanloop import KEY, running_humanloop
from tests.support.prompts import write_prompt
from tests.support.service import RunningService, running_process
from tests.support.upstream import Exchange, Upstream, answer_openai

_SPARE = 8
_FEW_FILES = 64


@pytest.mark.parametrize("door", ["grpc", "http"])
async def test_files_that_run_out(
    tmp_path: Path, prompts: Path, upstream: Upstream, door: str
) -> None:
    """Idle connections that take all files cost no call what is held, and nothing once they go."""
    async with running_humanloop() as api:
        api.put("a/b", prompt_id="pr_1")
        config = f"""
default_store: local
stores:
  local: {{type: directory, path: {prompts}}}
  hl: {{type: humanloop, base_url: '{api.url}', api_key: {KEY}}}
providers: {{fake: {{dialect: openai, base_url: '{upstream.url}', api_key: key-of-fake}}}}
"""
        async with running_process(tmp_path, config) as (service, running):
            client = service.client
            await client.resolve("greet", variables=VARIABLES)
            await client.resolve("pr_1", store="hl")
            _limit_files(running.process.pid)

            async with idle_connections(running.door(door)):
                errors = [await _until_files_run_out(service, prompts)]
                errors.append(await failure(client.complete("greet", variables=VARIABLES)))
                greeted = await client.resolve("greet", variables=VARIABLES)
                held = await client.resolve("pr_1", store="hl")
            write_prompt(prompts, "other", "<user>\nHi\n</user>")
            found = await _until_there_are_files(service)
            answer = await client.complete("greet", variables=VARIABLES)
            alive = await service.get("/healthz")
            code, log = running.stop()

    assert [status_of(error) for error in errors] == [
        (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE"),
        (grpc.StatusCode.UNAVAILABLE, "UPSTREAM_UNAVAILABLE"),
    ]
    assert greeted.messages
    assert held.prompt.version == "prv_1"
    assert found.messages
    assert answer.message.content[0].text == "Hello"
    assert alive
    assert code == 0
    assert '"level": "error"' not in log


async def test_more_calls_than_files_at_first(
    tmp_path: Path, prompts: Path, upstream: Upstream
) -> None:
    """The files that a process may have at first are not all: the system's own limit counts."""
    arrived, may = asyncio.Semaphore(0), asyncio.Event()

    async def hold(exchange: Exchange) -> None:
        arrived.release()
        await may.wait()
        await answer_openai(exchange)

    upstream.answer = hold
    config = f"""
stores: {{local: {{type: directory, path: {prompts}}}}}
providers: {{fake: {{dialect: openai, base_url: '{upstream.url}', api_key: key-of-fake}}}}
"""
    below = ("sh", "-c", f'ulimit -S -n {_FEW_FILES} && exec "$@"', "sh")
    async with running_process(tmp_path, config, below=below) as (service, _):
        calls = [asyncio.ensure_future(collect(service.client)) for _ in range(2 * _FEW_FILES)]
        async with asyncio.timeout(30):
            for _ in calls:
                await arrived.acquire()
        alive = await service.get("/healthz")
        may.set()
        answers = await asyncio.gather(*calls)

    assert alive
    assert {answer.text for answer in answers} == {"Hello"}


@asynccontextmanager
async def idle_connections(address: str) -> AsyncIterator[None]:
    """Hold more connections than there are files left, on which nothing is ever said."""
    host, _, port = address.rpartition(":")
    writers = [(await asyncio.open_connection(host, int(port)))[1] for _ in range(5 * _SPARE)]
    try:
        yield
    finally:
        for writer in writers:
            writer.close()


def _limit_files(pid: int) -> None:
    """Let a process open a few more files than it has open."""
    highest = max(int(each.name) for each in (Path("/proc") / str(pid) / "fd").iterdir())
    _, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + _SPARE, most))


async def _until_files_run_out(service: RunningService, prompts: Path) -> PromptResolverError:
    """Resolve prompts that were never read, until one cannot be."""
    async with asyncio.timeout(20):
        for number in count():
            write_prompt(prompts, f"new-{number}", "<user>\nHi\n</user>")
            try:
                await service.client.resolve(f"new-{number}")
            except PromptResolverError as error:
                return error
    raise AssertionError


async def _until_there_are_files(service: RunningService) -> pb.ResolveResponse:
    async with asyncio.timeout(20):
        while True:
            with suppress(PromptResolverError):
                return await service.client.resolve("other")
