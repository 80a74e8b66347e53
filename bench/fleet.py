"""Runs several instances beside one store, with and without Redis; see README.md beside this file.

python -m bench.fleet [--pods N,N] [--prompts N] [--ttl S] [--seconds S] [--output FILE]
"""

import argparse
import asyncio
import json
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import uvloop
from redis.asyncio import Redis

from prompt_resolver import AsyncPromptResolverClient, PromptResolverError

from .fleet_model import Figures, Fleet, format_model, predict
from .machine import describe_machine
from .processes import Process, StartError, running

_RESULTS = Path(__file__).parent / "results" / "fleet.json"
_ASKED_PER_TTL = 4
"""How often each prompt is asked for within a time to live, of each instance."""
_EDIT_S = 60.0
_PAUSE_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one fleet did, by itself and to its store and its Redis, in a second.

    `edit_s` is until the last instance served an edit; `new_pod` whether an instance that was
    started while the store was down served what it had never seen.
    """

    pods: int
    redis: bool
    calls: float
    errors: int
    store_requests: float
    redis_commands: float
    redis_kb: float
    cpu_ms_per_pod: float
    pss_mb_per_pod: float
    edit_s: float
    errors_in_outage: int
    new_pod: bool


def main(argv: Sequence[str] | None = None) -> int:
    """Run the fleets, and print what they did and what larger ones would do."""
    arguments = _parser().parse_args(argv)
    if shutil.which("redis-server") is None:
        print("bench: expected redis-server to be installed", file=sys.stderr)
        return 1
    try:
        uvloop.run(_run(arguments))
    except StartError as error:
        print(f"bench: a server did not start: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench-fleet", description="Measure fleets.")
    parser.add_argument("--pods", default="1,2,4,8", help="how many instances each fleet has")
    parser.add_argument("--prompts", type=int, default=40, help="how many prompts are asked for")
    parser.add_argument("--ttl", type=float, default=2.0, help="their time to live, in seconds")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each is measured")
    parser.add_argument("--output", type=Path, default=_RESULTS, help="where the JSON goes")
    return parser


async def _run(arguments: argparse.Namespace) -> None:
    sizes = [int(each) for each in arguments.pods.split(",")]
    seen = [await _visit(size, arguments, redis=redis) for redis in (False, True) for size in sizes]
    figures = [
        Figures(
            Fleet(pods=each.pods, prompts=arguments.prompts, ttl_s=arguments.ttl, redis=each.redis),
            store_requests=each.store_requests,
            redis_commands=each.redis_commands,
        )
        for each in seen
    ]
    model = predict(figures)
    result = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "prompts": arguments.prompts,
        "ttl_s": arguments.ttl,
        "seconds": arguments.seconds,
        "fleets": [asdict(each) for each in seen],
        "model": model,
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    print(_format(seen))
    print()
    print(format_model(model))


async def _visit(pods: int, arguments: argparse.Namespace, *, redis: bool) -> Seen:
    """Run one fleet through a steady time, an edit, and an outage of its store."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        outage = await stack.enter_async_context(AsyncExitStack())
        store = await outage.enter_async_context(running(sys.executable, "-m", "bench.store"))
        shared = await stack.enter_async_context(_running_redis()) if redis else None
        config = folder / "config.yaml"
        config.write_text(_config(store, arguments.ttl, shared))
        command = (sys.executable, "-m", "prompt_resolver.cli", "serve", "--config", str(config))
        processes = await asyncio.gather(
            *(stack.enter_async_context(running(*command)) for _ in range(pods + 1))
        )
        # One of them is new to everything until the store is down.
        *crowd, newcomer = [
            await stack.enter_async_context(AsyncPromptResolverClient(each.address))
            for each in processes
        ]
        ids = [f"prompt-{number}" for number in range(arguments.prompts)]
        pause_s = arguments.ttl / _ASKED_PER_TTL
        await asyncio.gather(*(_ask(pod, ids, pause_s, arguments.ttl) for pod in crowd))
        before = await _count(http, store, shared), _cpu_s(processes[:-1])
        loads = await asyncio.gather(*(_ask(pod, ids, pause_s, arguments.seconds) for pod in crowd))
        after = await _count(http, store, shared), _cpu_s(processes[:-1])
        # In the middle of what the store's last answers are good for.
        await asyncio.gather(*(_ask(pod, ids, pause_s, arguments.ttl / 2) for pod in crowd))
        async with http.post(f"http://{store.address}/edit"):
            pass
        edit_s = await _until_edited(crowd, ids)
        memory = [each.memory_mb()["pss"] for each in processes[:-1]]
        kilobytes = await shared.kilobytes() if shared is not None else 0.0
        await outage.aclose()
        outages = await asyncio.gather(
            *(_ask(pod, ids, pause_s, 2 * arguments.ttl) for pod in crowd)
        )
        seconds = arguments.seconds
        return Seen(
            pods=pods,
            redis=redis,
            calls=round(sum(calls for calls, _ in loads) / seconds, 1),
            errors=sum(errors for _, errors in loads),
            store_requests=round((after[0][0] - before[0][0]) / seconds, 2),
            redis_commands=round((after[0][1] - before[0][1]) / seconds, 1),
            redis_kb=round(kilobytes, 1),
            cpu_ms_per_pod=round((after[1] - before[1]) * 1000 / seconds / pods, 2),
            pss_mb_per_pod=round(sum(memory) / pods, 1),
            edit_s=round(edit_s, 2),
            errors_in_outage=sum(errors for _, errors in outages),
            new_pod=await _serves(newcomer, ids[0]),
        )


def _config(store: Process, ttl_s: float, shared: "_Shared | None") -> str:
    config: dict[str, object] = {
        "server": {
            "grpc_address": "127.0.0.1:0",
            "http_address": "",
            "admin_address": "127.0.0.1:0",
        },
        "stores": {
            "store": {
                "type": "litellm_generic",
                "api_base": f"http://{store.address}",
                "ttl_s": ttl_s,
            }
        },
    }
    if shared is not None:
        config["cache"] = {"redis": {"url": shared.url}}
    return json.dumps(config)


async def _ask(
    pod: AsyncPromptResolverClient, ids: Sequence[str], pause_s: float, seconds: float
) -> tuple[int, int]:
    """Ask for every prompt once in each pause; return how many calls there were, and failed."""
    calls = errors = 0
    end = time.perf_counter() + seconds
    while (begun := time.perf_counter()) < end:
        answers = await asyncio.gather(*(pod.resolve(each) for each in ids), return_exceptions=True)
        calls += len(answers)
        errors += sum(isinstance(each, BaseException) for each in answers)
        await asyncio.sleep(max(0.0, pause_s - (time.perf_counter() - begun)))
    return calls, errors


async def _until_edited(crowd: Sequence[AsyncPromptResolverClient], ids: Sequence[str]) -> float:
    """Return how long it took until each instance served an edit of all prompts."""
    begun = time.perf_counter()

    async def wait(pod: AsyncPromptResolverClient, prompt: str) -> None:
        while True:
            answer = await pod.resolve(prompt)
            if "edit 1" in answer.messages[0].content[0].text:
                return
            await asyncio.sleep(_PAUSE_S)

    async with asyncio.timeout(_EDIT_S):
        await asyncio.gather(*(wait(pod, each) for pod in crowd for each in ids))
    return time.perf_counter() - begun


async def _serves(pod: AsyncPromptResolverClient, prompt: str) -> bool:
    try:
        await pod.resolve(prompt)
    except PromptResolverError:
        return False
    return True


def _cpu_s(processes: Sequence[Process]) -> float:
    return sum(each.cpu_seconds() for each in processes)


async def _count(
    http: aiohttp.ClientSession, store: Process, shared: "_Shared | None"
) -> tuple[int, int]:
    """Return how often the store was asked, and how many commands Redis has had."""
    async with http.get(f"http://{store.address}/state") as answer:
        requests = int((await answer.json())["requests"])
    return requests, await shared.commands() if shared is not None else 0


@dataclass(frozen=True, slots=True)
class _Shared:
    """A Redis that is there for one fleet."""

    url: str
    client: Redis

    async def commands(self) -> int:
        stats = await self.client.info("stats")
        return int(stats["total_commands_processed"])

    async def kilobytes(self) -> float:
        """Return the memory that its keys take."""
        sizes = [await self.client.memory_usage(key) or 0 async for key in self.client.scan_iter()]
        return sum(sizes) / 1000


@asynccontextmanager
async def _running_redis() -> AsyncIterator[_Shared]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = ("redis-server", "--port", str(port), "--save", "", "--bind", "127.0.0.1")
    async with running(*command, port=port):
        client = Redis(port=port)
        try:
            yield _Shared(f"redis://127.0.0.1:{port}", client)
        finally:
            await client.aclose()


def _format(seen: Sequence[Seen]) -> str:
    """Return what was seen as a table of Markdown."""
    heads = (
        "pods", "Redis", "calls/s", "errors", "store requests/s", "Redis commands/s", "Redis kB",
        "CPU ms/s per pod", "PSS MB per pod", "edit seen after s", "errors in an outage",
        "new pod in an outage",
    )  # fmt: skip
    rows = [[str(value) for value in asdict(each).values()] for each in seen]
    lines = [list(heads), ["-"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
