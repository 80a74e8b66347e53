"""Reloads under load fail no call, and leave nothing behind.

`make test ARGS="tests/test_reloading_load.py -s --reloads 1000"` takes longer, and prints what was
used.
"""

import asyncio
import gc
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from prompt_resolver import AsyncPromptResolverClient, PromptResolverError
from tests.support.callers import Callers
from tests.support.calls import VARIABLES
from tests.support.humanloop import HumanloopApi, running_humanloop
from tests.support.prompts import replace_file
from tests.support.reloads import OK, REFUSED, reload
from tests.support.scene import faults_in
from tests.support.service import RunningService, running_process, running_service, serving_file
from tests.support.upstream import Upstream
from tests.support.vitals import Vitals, vitals
from tests.support.volume import Volume

TOKEN = "token-of-the-load"
IN_USE_S = 5.0
COUNTED = ("prompt_resolver", "grpc", "aiohttp", "httpx", "httpcore", "_asyncio", "asyncio")


@pytest.fixture
async def remote() -> AsyncIterator[HumanloopApi]:
    """A store with a prompt, which two keys open."""
    async with running_humanloop() as api:
        api.keys = ("key-1", "key-2")
        api.put("a", prompt_id="pr_a", template=[{"role": "user", "content": "x"}])
        yield api


def variant(number: int, prompts: Path, upstream: Upstream, remote: HumanloopApi) -> str:
    """Return one of many configurations, in each of which the same calls succeed."""
    rows = "".join(
        f"  - {{model_name: a{row}, litellm_params: {{model: fake/m, api_key: key-{number}}}}}\n"
        for row in range(number % 4 * 10)
    )
    authority = f"ca_file: {prompts.parent}/ca{number % 3}.pem"
    return f"""
server: {{{authority}, max_resolves: {1000 + number}, default_deadline_s: {20 + number % 3}}}
stores:
  local: {{type: directory, path: {prompts}, ttl_s: {number % 2}}}
  hl:
    type: humanloop
    base_url: '{remote.url}'
    api_key: key-{1 + number % 2}
    ttl_s: {30 + number % 4}
  more{number % 3}: {{type: directory, path: {prompts}}}
cache: {{max_entries: {100 + number % 2}}}
prefetch: [greet{", {id: pr_a, store: hl}" if number % 2 else ""}]
rendering: {{workers: {1 + number % 2}}}
callers: {{me: {{token: {TOKEN}}}, you{number}: {{token: token-{number}}}}}
providers:
  fake: {{dialect: openai, base_url: '{upstream.url}', api_key: key-{number}}}
{"model_list:" if rows else ""}
{rows}
"""


def write_authorities(folder: Path) -> None:
    for number in range(3):
        trustme.CA().cert_pem.write_to_path(str(folder / f"ca{number}.pem"))


FAULTY = ("stores: [", "x: 1", "stores: {local: {type: directory, path: nowhere}}")
FIXED = ("server: {reflection: true}", "tracing: {sample_ratio: 0.5}")


@pytest.mark.timeout(1800)
async def test_reloads_under_load(
    tmp_path: Path,
    prompts: Path,
    upstream: Upstream,
    remote: HumanloopApi,
    pytestconfig: pytest.Config,
) -> None:
    """Whatever is reloaded or refused, no call fails, and files, threads and memory do not grow."""
    times = pytestconfig.getoption("--reloads")
    write_authorities(tmp_path)
    path, used = tmp_path / "config.yaml", list[Vitals]()
    first = variant(0, prompts, upstream, remote)
    async with running_process(tmp_path, first) as (service, process):
        pid = process.process.pid
        async with Callers(service, lambda: TOKEN, remote="pr_a") as callers:
            for number in range(1, times + 1):
                await reload(service, path, variant(number, prompts, upstream, remote), pid=pid)
                if number % 5 == 0:
                    bad = (*FAULTY, *FIXED)[number // 5 % 5]
                    await reload(service, path, bad, pid=pid, sample=REFUSED)
                await callers.every_kind()
                if number % max(1, times // 10) == 0:
                    upstream.exchanges.clear()
                    remote.exchanges.clear()
                    used.append(vitals(pid))
                    print(f"after {number} reloads: {used[-1]}")
        assert await service.metric(OK) >= times
        code, log = await asyncio.to_thread(process.stop)

    print(callers.calls)
    assert callers.faults == []
    refused = [line for line in faults_in(log) if "is not reloaded" not in line]
    assert refused == []
    assert code == 0
    # By then everything has been replaced many times.
    before, last = used[len(used) // 3], used[-1]
    assert last.files <= before.files + 4
    assert last.threads <= before.threads + 4
    assert last.memory_kib <= before.memory_kib * 1.05


async def test_nothing_is_left_behind(
    tmp_path: Path,
    prompts: Path,
    upstream: Upstream,
    remote: HumanloopApi,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What was replaced is gone once its calls have ended: no task and no object of it is left."""
    caplog.set_level(logging.ERROR)
    write_authorities(tmp_path)
    counts: list[Counter[str]] = []
    tasks: list[int] = []
    async with running_service(tmp_path, variant(0, prompts, upstream, remote)) as service:
        for round_ in range(3):
            # After each twelve everything is as it was before.
            for number in range(12 * round_ + 1, 12 * round_ + 13):
                config = variant(number, prompts, upstream, remote)
                await reload(service, tmp_path / "config.yaml", config)
                async with Callers(service, lambda: TOKEN, remote="pr_a") as callers:
                    await callers.every_kind()
                assert callers.faults == []
            upstream.exchanges.clear()
            remote.exchanges.clear()
            tasks.append(len(asyncio.all_tasks()))
            counts.append(objects())

    assert tasks[2] <= tasks[1] + 3
    grown = counts[2] - counts[1]
    assert grown.total() < 60, grown


def objects() -> Counter[str]:
    """Count the objects of the service, by the names of their types."""
    gc.collect()
    types = map(type, gc.get_objects())
    return Counter(
        f"{each.__module__}.{each.__qualname__}"
        for each in types
        if str(each.__module__).startswith(COUNTED)
    )


async def test_rotation_under_load(
    tmp_path: Path, prompts: Path, upstream: Upstream, remote: HumanloopApi
) -> None:
    """Keys and tokens are rotated in a volume: no call fails, and within five seconds all is new.

    A token that was removed lets nobody in any more.
    """
    token = tmp_path / "token"
    replace_file(token, "token-1")
    volume = Volume(tmp_path / "volume", {})

    def mount(key: int, *tokens: int) -> None:
        volume.update(
            {
                "config.yaml": rotated(tmp_path, upstream, remote, key, tokens),
                "provider-key": f"key-{key}",
                **{f"token-{each}": f"token-{each}" for each in tokens},
            }
        )

    mount(1, 1)
    async with (
        serving_file(tmp_path / "volume" / "config.yaml") as service,
        Callers(service, token.read_text, remote="pr_a") as callers,
    ):
        await callers.every_kind()
        mount(2, 1, 2)
        await in_time(service, "token-2", "")
        replace_file(token, "token-2")
        await callers.every_kind()
        upstream.exchanges.clear()
        remote.exchanges.clear()
        mount(2, 2)
        await in_time(service, "token-1", "CALLER_TOKEN_INVALID")
        await callers.every_kind()

    assert callers.faults == []
    assert {each.headers["authorization"] for each in upstream.exchanges} == {"Bearer key-2"}
    assert {each.headers["x-api-key"] for each in remote.exchanges} == {"key-2"}


def rotated(
    folder: Path, upstream: Upstream, remote: HumanloopApi, key: int, tokens: tuple[int, ...]
) -> str:
    """Return a configuration whose provider's key and tokens are files, and the store's a text."""
    volume = folder / "volume"
    callers = (f"me{each}: {{token: 'file:{volume}/token-{each}'}}" for each in tokens)
    return f"""
stores:
  local: {{type: directory, path: {folder}/prompts}}
  hl: {{type: humanloop, base_url: '{remote.url}', api_key: key-{key}}}
callers: {{{", ".join(callers)}}}
providers:
  fake: {{dialect: openai, base_url: '{upstream.url}', api_key: 'file:{volume}/provider-key'}}
"""


async def in_time(service: RunningService, token: str, reason: str) -> None:
    """Check that calls with a token soon end in a reason, empty for success."""
    began = time.monotonic()
    async with AsyncPromptResolverClient(service.address, token=token) as client:
        async with asyncio.timeout(30):
            while await outcome(client) != reason:
                pass
    assert time.monotonic() - began < IN_USE_S


async def outcome(client: AsyncPromptResolverClient) -> str:
    try:
        await client.resolve("greet", variables=VARIABLES)
    except PromptResolverError as error:
        return error.reason
    return ""
