"""Two replicas, and all that may happen to them, to their store, to their disk and to their Redis.

`seed` decides what happens and when; what comes of it is written down as a `History`.
"""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from prompt_resolver.v1 import admin_pb2, admin_pb2_grpc
from tests.support.history import History, Trouble
from tests.support.prompts import replace_file, write_prompt
from tests.support.raw import open_channel
from tests.support.recorded_store import (
    Mood,
    RecordedStore,
    babble,
    cut,
    deny,
    fail,
    hang,
    limit,
    refuse,
    running_store,
    vanish,
)
from tests.support.redis import RedisProcess
from tests.support.replica import (
    ALWAYS,
    CALLERS,
    KEYS,
    OURS,
    PROMPTS,
    ROOM,
    TIMEOUT_S,
    TTL_S,
    Replica,
    configure,
)
from tests.support.watching import refs

if TYPE_CHECKING:
    from prompt_resolver.v1.admin_pb2_grpc import PromptResolverAdminAsyncStub


CALM_S = 2 + TIMEOUT_S + 1
"""After how long without trouble nothing may tell of it any more."""
LONG_CALM_S = CALM_S + 5 + 1
"""After how long what somebody who was killed had claimed is fresh again, too."""


class Ordeal:
    """What the replicas go through."""

    def __init__(
        self, folder: Path, history: History, store: RecordedStore, redis: RedisProcess, seed: int
    ) -> None:
        self.history = history
        self.store = store
        self.redis = redis
        self.seed = seed
        self.key_file = folder / "key"
        self.versions = 0
        self.outcomes: Counter[str] = Counter()
        self.news = asyncio.Condition()
        self.replicas = []
        for name, room in ROOM.items():
            path = folder / f"{name}.yaml"
            path.write_text(configure(store, redis, folder, room))
            self.replicas.append(Replica(name, path, history, seed, self.outcomes, self.news))

    # What is done to it.

    def publish(self, draw: random.Random) -> None:
        """Deploy a new version, or go back to one from before."""
        account, prompt = draw.choice((OURS, OURS, CALLERS)), draw.choice([*PROMPTS, ALWAYS])
        stored = self.store.prompts[account].get(prompt)
        self.versions += 1
        version = f"prv_{self.versions}"
        if stored is not None and draw.random() < 0.2:
            version = draw.choice(list(stored.versions))
        self.store.publish(account, prompt, version)

    @contextmanager
    def trouble(
        self, prompt: str | None = None, life: str | None = None, *, is_down: bool = False
    ) -> Iterator[None]:
        trouble = Trouble(time.monotonic(), prompt, life, is_down)
        self.history.troubles.append(trouble)
        try:
            yield
        finally:
            trouble.ended_at = time.monotonic()

    async def vex_store(self, draw: random.Random) -> None:
        """Have the store fail for a while, for all prompts or for one."""
        for_all: list[Mood] = [fail, hang, vanish, cut, limit]
        for_one: list[Mood] = [babble, deny, refuse, hang, fail]
        mood = draw.choice(for_all if draw.random() < 0.6 else for_one)
        prompt = "" if mood in for_all and draw.random() < 0.8 else draw.choice(PROMPTS)
        self.outcomes[f"{mood.__name__} for {'all' if not prompt else 'one'}"] += 1
        is_down = not prompt and mood in (fail, hang, vanish)
        with self.trouble(prompt or None, is_down=is_down):
            self.store.moods[prompt] = mood
            await asyncio.sleep(draw.uniform(0.3, 2.0))
            del self.store.moods[prompt]
            # What hangs goes on hanging, and who was asked to wait waits.
            echoes: dict[Mood, float] = {hang: TIMEOUT_S, limit: 1.0}
            await asyncio.sleep(echoes.get(mood, 0.0))
        await asyncio.sleep(draw.uniform(0.0, 0.5))

    async def vex_redis(self, draw: random.Random) -> None:
        """Have Redis answer nothing for a while, or crash."""
        await asyncio.sleep(draw.uniform(0.2, 1.0))
        if draw.random() < 0.6:
            self.outcomes["redis frozen"] += 1
            self.redis.freeze()
            await asyncio.sleep(draw.uniform(0.1, 1.5))
            self.redis.thaw()
        else:
            self.outcomes["redis killed"] += 1
            await self.redis.kill()
            await asyncio.sleep(draw.uniform(0.0, 1.0))
            await self.redis.start()
        self.history.forgotten.append(time.monotonic())

    async def vex_replica(self, draw: random.Random) -> None:
        """Stop or kill a replica, give the store another key, or have prompts forgotten."""
        await asyncio.sleep(draw.uniform(0.1, 0.6))
        replica = draw.choice(self.replicas)
        kind = draw.choice(("stop", "kill", "forget", "forget", "rotate"))
        self.outcomes[kind] += 1
        self.history.forgotten.append(time.monotonic())
        if kind == "stop":
            with self.trouble(life=replica.life):
                replica.running.process.send_signal(signal.SIGSTOP)
                await asyncio.sleep(draw.uniform(0.1, 1.5))
                replica.running.process.send_signal(signal.SIGCONT)
        elif kind == "kill":
            with self.trouble(life=replica.life):
                await replica.end(crashes=True)
                await replica.start()
        elif kind == "rotate":
            # As a kubelet or an editor would: for a moment it is not there at all.
            self.key_file.unlink()
            await asyncio.sleep(draw.uniform(0.0, 0.2))
            replace_file(self.key_file, draw.choice(["key-of-ours", "key-of-ours-anew"]))
        else:
            address = replica.running.door("admin_grpc")
            async with open_channel(address) as channel:
                admin: PromptResolverAdminAsyncStub = admin_pb2_grpc.PromptResolverAdminStub(
                    channel
                )
                prompts = refs(*draw.sample(PROMPTS, 2))
                await admin.InvalidatePrompts(admin_pb2.InvalidatePromptsRequest(prompts=prompts))
                await admin.PrefetchPrompts(admin_pb2.PrefetchPromptsRequest(prompts=prompts))
            self.history.forgotten.append(time.monotonic())

    async def chaos(self, seconds: float, number: int) -> None:
        """Let everything happen at once for a while."""
        until = time.monotonic() + seconds

        async def keep(act: Callable[[random.Random], Awaitable[object]], salt: int) -> None:
            draw = random.Random(self.seed * 1000 + number * 10 + salt)
            while time.monotonic() < until:
                await act(draw)

        acts = (self.vex_store, self.vex_redis, self.vex_replica)
        await asyncio.gather(*(keep(act, salt) for salt, act in enumerate(acts)))

    async def edit(self) -> None:
        """Publish all the time."""
        draw = random.Random(self.seed)
        while True:
            self.publish(draw)
            await asyncio.sleep(draw.uniform(0.02, 0.1))

    async def until_told(self, version: str) -> None:
        """Publish a last version of everything, and wait until all who watch were told of it."""
        for account in (OURS, CALLERS):
            for prompt in PROMPTS:
                self.store.publish(account, prompt, f"{version}_{account}")
        watches = [(replica, key) for replica in self.replicas for key in ("", "key-of-caller")]
        async with asyncio.timeout(20), self.news:
            await self.news.wait_for(
                lambda: all(
                    replica.last[key]
                    == dict.fromkeys(replica.watched, f"{version}_{CALLERS if key else OURS}")
                    for replica, key in watches
                )
            )


@asynccontextmanager
async def running_ordeal(folder: Path, redis: RedisProcess, seed: int) -> AsyncIterator[Ordeal]:
    """Run the replicas over a store that has all prompts, and callers and watchers of theirs."""
    history = History(
        ttl_s=TTL_S,
        timeout_s=TIMEOUT_S,
        lives=2,
        fallbacks=frozenset({"baked"}),
        always=frozenset({ALWAYS}),
    )
    (folder / "key").write_text("key-of-ours")
    for prompt in PROMPTS:
        write_prompt(folder / "baked", prompt, f"<user>\nbaked {prompt}\n</user>")
    async with running_store(history, KEYS) as store:
        ordeal = Ordeal(folder, history, store, redis, seed)
        for account in (OURS, CALLERS):
            for prompt in [*PROMPTS, ALWAYS]:
                store.publish(account, prompt, "prv_0")
        for replica in ordeal.replicas:
            await replica.start()
        try:
            yield ordeal
        finally:
            for replica in ordeal.replicas:
                await replica.end()
