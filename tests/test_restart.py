"""A service that is killed, or new, serves what it can while its store is down."""

import asyncio
import itertools
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from prompt_resolver import AsyncPromptResolverClient, PromptResolverError
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from tests.support.calls import failure
from tests.support.humanloop import KEY, HumanloopApi, running_humanloop, send
from tests.support.prompts import write_prompt
from tests.support.service import RunningService, running_process, running_service
from tests.support.small_disk import fill_disk, small_disk
from tests.support.upstream import Exchange

PROMPTS = [f"pr_{number}" for number in range(20)]
FALLBACK = pb.CACHE_RESULT_FALLBACK
AS_CALLER = {"x-prompt-store-key": KEY}


@pytest.fixture
async def api() -> AsyncIterator[HumanloopApi]:
    async with running_humanloop() as api:
        yield api


def publish(api: HumanloopApi, version: str) -> None:
    for prompt_id in PROMPTS:
        template = [{"role": "user", "content": f"{prompt_id} {version} " + "text " * 500}]
        api.put(f"at/{prompt_id}", prompt_id=prompt_id, version=version, template=template)


def configure(api: HumanloopApi, *, ttl_s: float = 0.05) -> str:
    return f"""
server: {{state_dir: state}}
stores:
  hl: {{type: humanloop, base_url: '{api.url}', api_key: {KEY}, ttl_s: {ttl_s}, timeout_s: 0.5}}
prefetch: {PROMPTS}
"""


async def down(exchange: Exchange) -> None:
    await send(exchange, {"detail": "oops"}, status="500 Internal Server Error")


@pytest.mark.foreign
async def test_disk_that_is_full_from_the_start(
    tmp_path: Path, api: HumanloopApi, require_all: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A service whose disk is full when it first starts serves from memory, and says so."""
    publish(api, "v1")
    with small_disk(tmp_path / "state", require_all=require_all):
        fill_disk(tmp_path / "state")
        async with running_service(tmp_path, configure(api)) as service:
            held = await service.client.resolve(PROMPTS[0])
            own = await service.client.resolve(PROMPTS[0], credentials=AS_CALLER)
            api.fail = down
            stale = await service.client.resolve(PROMPTS[0])
        assert [each.name for each in (tmp_path / "state").glob(".*")] == []

    assert held.prompt.version == own.prompt.version == stale.prompt.version
    [line] = [each for each in caplog.records if "the disk is full" in each.message]
    assert (line.levelname, vars(line)["setting"]) == ("ERROR", "server.state_dir")


class Ledger:
    """Says when the store answered for which prompt, in Unix time, and with which version."""

    def __init__(self, api: HumanloopApi) -> None:
        self._api = api
        self._answers: dict[str, list[tuple[float, str]]] = defaultdict(list)
        self.version = ""

    async def answer(self, exchange: Exchange) -> None:
        prompt_id = exchange.path.rpartition("/")[2].partition("?")[0]
        self._answers[prompt_id].append((time.time(), self.version))
        self._api.fail = None
        await self._api.answer(exchange)
        self._api.fail = self.answer

    def has(self, info: pb.PromptInfo) -> bool:
        """Tell whether the store said what is served, and when it is said to have."""
        confirmed_at = time.time() - info.age.ToTimedelta().total_seconds()
        return any(
            version == info.version and abs(at - confirmed_at) < 0.5
            for at, version in self._answers[info.id]
        )


async def load(client: AsyncPromptResolverClient, calls: int) -> None:
    """Make calls until so many were answered."""
    for prompt_id in itertools.islice(itertools.cycle(PROMPTS), calls):
        await client.resolve(prompt_id)


async def until_served(client: AsyncPromptResolverClient, version: str) -> None:
    """Make calls until all prompts are served in a version."""
    async with asyncio.timeout(20):
        for prompt_id in PROMPTS:
            while (await client.resolve(prompt_id)).prompt.version != version:
                pass


async def until_copied(folder: Path, client: AsyncPromptResolverClient) -> None:
    """Make calls until all prompts have copies on disk."""
    async with asyncio.timeout(20):
        while count_copies(folder) < len(PROMPTS):
            await load(client, 1)


def count_copies(folder: Path) -> int:
    return len(list(folder.glob("state/templates/[!.]*")))


@pytest.mark.timeout(600)
async def test_killed_under_load(
    tmp_path: Path,
    api: HumanloopApi,
    pytestconfig: pytest.Config,
    record_testsuite_property: Callable[[str, object], None],
) -> None:
    """Killed under load, it is ready again with every prompt, and true ages; the store is down."""
    ledger, seconds = Ledger(api), []
    for number in range(pytestconfig.getoption("--restarts")):
        ledger.version = f"prv_{number}"
        publish(api, ledger.version)
        api.fail = ledger.answer
        async with running_process(tmp_path, configure(api)) as (service, process):
            await until_served(service.client, ledger.version)
            await until_copied(tmp_path, service.client)
            loads = [asyncio.ensure_future(load(service.client, 10_000)) for _ in range(4)]
            await load(service.client, 50 + 13 * number)
            process.process.kill()
            await asyncio.gather(*loads, return_exceptions=True)
        api.fail = down
        began = time.time()
        async with running_process(tmp_path, configure(api)) as (service, process):
            await check_ready(service)
            seconds.append(time.time() - began)
            for prompt_id in PROMPTS:
                info = (await service.client.resolve(prompt_id)).prompt
                assert info.cache == FALLBACK
                assert ledger.has(info)
            name = 'prompt_resolver_state_entries_total{{outcome="{}"}}'
            assert await service.metric(name.format("restored")) == len(PROMPTS)
            assert await service.metric(name.format("corrupt")) == 0
    record_testsuite_property("ready_s", " ".join(f"{each:.2f}" for each in sorted(seconds)))


async def check_ready(service: RunningService) -> None:
    """Check that the service says that it is ready, as all that it must have has been there."""
    async with asyncio.timeout(10):
        while await service.get("/readyz") != "ready\n":
            pass


async def test_callers_key_over_a_restart(tmp_path: Path, api: HumanloopApi) -> None:
    """What a caller's own key of the store opened is served to that key again, and to no other."""
    publish(api, "prv_1")
    config = configure(api, ttl_s=60).partition("prefetch")[0].replace(f"api_key: {KEY}, ", "")
    mine, other = {"x-prompt-store-key": KEY}, {"x-prompt-store-key": "key-of-another"}
    async with running_service(tmp_path, config) as service:
        await service.client.resolve("pr_0", credentials=mine)
    api.fail = down

    async with running_service(tmp_path, config) as service:
        info = (await service.client.resolve("pr_0", credentials=mine)).prompt
        assert (info.cache, info.version) == (FALLBACK, "prv_1")
        error = await failure(service.client.resolve("pr_0", credentials=other))
        assert error.reason == "STORE_UNAVAILABLE"
        assert (await failure(service.client.resolve("pr_0"))).reason == "STORE_AUTH"


async def test_new_pod_while_the_store_is_down(tmp_path: Path, api: HumanloopApi) -> None:
    """A pod without any copy serves what is baked into it, and the store's own once it is back."""
    publish(api, "prv_1")
    write_prompt(tmp_path, "at/pr_0", "<user>\nbaked\n</user>")
    config = f"""
stores:
  both: {{type: chain, stores: [hl, baked]}}
  hl: {{type: humanloop, base_url: '{api.url}', api_key: {KEY}, timeout_s: 0.5}}
  baked: {{type: directory, path: .}}
"""
    api.fail = down
    async with running_service(tmp_path, config) as service:
        for _ in range(3):
            response = await service.client.resolve("at/pr_0")
            assert response.messages[0].content[0].text == "baked"
            info = response.prompt
            assert (info.store, info.cache, info.reason) == ("baked", FALLBACK, "fallback")
        api.fail = None
        loop = asyncio.get_running_loop()
        back = loop.time()
        async with asyncio.timeout(10):
            while info.store != "hl":
                with suppress(PromptResolverError):
                    info = (await service.client.resolve("at/pr_0")).prompt
        assert loop.time() - back < 2.5
