"""A replica as a process of its own, over its lives, with those who call and watch there."""

import asyncio
import random
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from prompt_resolver import AsyncPromptResolverClient, PromptResolverError
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from tests.support.history import History, Served, Told
from tests.support.operator import ADMIN_DOOR
from tests.support.recorded_store import RecordedStore
from tests.support.redis import RedisProcess
from tests.support.scene import faults_in
from tests.support.service import ServiceProcess, service_process
from tests.support.watching import refs, watching

TTL_S, TIMEOUT_S = 0.3, 1.0
PROMPTS = [f"pr_{number}" for number in range(8)]
# The store is asked for it with each call.
ALWAYS = "pr_always"
OURS, CALLERS = "ours", "callers"
KEYS = {"key-of-ours": OURS, "key-of-ours-anew": OURS, "key-of-caller": CALLERS}
ROOM = {"roomy": 1000, "tight": 6}


def configure(store: RecordedStore, redis: RedisProcess, folder: Path, room: int) -> str:
    web = f"type: humanloop, base_url: '{store.url}', api_key: file:{folder / 'key'}"
    return f"""
server: {{state_dir: {folder / "state"}, drain_s: 2}}
default_store: both
stores:
  both: {{type: chain, stores: [hl, baked]}}
  hl: {{{web}, ttl_s: {TTL_S}, timeout_s: {TIMEOUT_S}}}
  always: {{{web}, ttl_s: 0, timeout_s: {TIMEOUT_S}}}
  baked: {{type: directory, path: {folder / "baked"}}}
cache: {{max_entries: {room}, negative_ttl_s: 0.5, redis: {{url: '{redis.url}'}}}}
"""


@dataclass
class Replica:
    """One of the two, over its lives; `tasks` are its callers and watchers in this life.

    `outcomes` counts what became of calls, and `broken` has what no rule of the history is for.
    There are `news` when a watch is told something.
    """

    name: str
    config: Path
    history: History
    seed: int
    outcomes: Counter[str]
    news: asyncio.Condition
    broken: list[str] = field(default_factory=list)
    number: int = 0
    process: ServiceProcess | None = None
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    # What each watch was told last, by prompt.
    last: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def life(self) -> str:
        return f"{self.name} {self.number}"

    @property
    def watched(self) -> list[str]:
        """The prompts that its watches name: as many as there may be."""
        return PROMPTS if self.name == "roomy" else PROMPTS[:2]

    @property
    def running(self) -> ServiceProcess:
        assert self.process is not None
        return self.process

    async def start(self) -> None:
        """Begin a life, with three who call and two who watch."""
        self.number += 1
        context = service_process("--config", str(self.config), environ=ADMIN_DOOR)
        self.process = await asyncio.to_thread(context.__enter__)
        self.stack = AsyncExitStack()
        self.stack.push(context.__exit__)
        address = self.running.address
        client = await self.stack.enter_async_context(
            AsyncPromptResolverClient(address, wait_for_ready=False)
        )
        work = [self.call(client, random.Random(self.seed + each)) for each in range(3)]
        work += [self.watch(key) for key in ("", "key-of-caller")]
        self.tasks = [asyncio.ensure_future(each) for each in work]

    async def end(self, *, crashes: bool = False) -> None:
        """End a life, and keep what its log and its callers tell that should not be."""
        if crashes:
            self.running.process.kill()
        for task in self.tasks:
            task.cancel()
        ends = await asyncio.gather(*self.tasks, return_exceptions=True)
        if not crashes:
            self.broken += [repr(each) for each in ends if isinstance(each, Exception)]
            code, _ = await asyncio.to_thread(self.running.stop)
            self.broken += [f"{self.life} ended with {code}"] if code else []
        self.broken += faults_in(self.running.log_file.read_text())
        await self.stack.aclose()

    async def call(self, client: AsyncPromptResolverClient, draw: random.Random) -> None:
        while True:
            await self.resolve(client, draw)
            # Not to wait for anything, but to leave the machine to others.
            await asyncio.sleep(0.01)

    async def resolve(self, client: AsyncPromptResolverClient, draw: random.Random) -> None:
        asked = draw.choices(("both", "hl", "always"), (5, 3, 1))[0]
        prompt = ALWAYS if asked == "always" else draw.choice(PROMPTS)
        own = draw.random() < 0.2
        refresh = draw.random() < 0.03
        began_at, life = time.monotonic(), self.life
        reason, info = "", pb.PromptInfo()
        try:
            response = await client.resolve(
                prompt,
                store=asked,
                refresh=refresh,
                timeout_s=2.0,
                credentials={"x-prompt-store-key": "key-of-caller"} if own else {},
            )
            info = response.prompt
        except PromptResolverError as error:
            reason = error.reason or error.code.name
        self.outcomes[reason or "OK"] += 1
        self.history.served.append(
            Served(
                life=life,
                asked=asked,
                prompt=prompt,
                key=CALLERS if own else OURS,
                began_at=began_at,
                at=time.monotonic(),
                refresh=refresh,
                store=info.store,
                version=info.version,
                cache=pb.CacheResult.Name(info.cache).removeprefix("CACHE_RESULT_"),
                age_s=info.age.ToTimedelta().total_seconds(),
                stale=info.stale,
                reason=reason,
            )
        )

    async def watch(self, key: str) -> None:
        watcher = f"{self.life} {key}"
        last = self.last[key] = {}
        keys = (("x-prompt-store-key", key),) if key else ()
        prompts = refs(*self.watched)
        async with watching(self.running.address, prompts, keys=keys) as watch:
            while True:
                event = await watch.next(within_s=None)
                prompt, change = event.ref.id, pb.Change.Name(event.change)
                last[prompt] = event.prompt.version
                async with self.news:
                    self.news.notify_all()
                self.history.told.append(
                    Told(
                        watcher=watcher,
                        prompt=prompt,
                        key=CALLERS if key else OURS,
                        at=time.monotonic(),
                        change=change.removeprefix("CHANGE_"),
                        store=event.prompt.store,
                        version=event.prompt.version,
                    )
                )
