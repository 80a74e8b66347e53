"""Callers of every kind, and providers in every mood, whose doings go to one ledger."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from prompt_resolver import AsyncPromptResolverClient, CompleteOptions, PromptResolverError
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from tests.support.ledger import Attempt, Call, Ledger
from tests.support.prompts import write_prompt
from tests.support.service import RunningService, running_service
from tests.support.tempers import Temperamental, mark, running_temperamental

PATIENCE_S = 1.5
"""How long the service lets a call take, whatever its caller would."""
SLOTS = 6
MODELS = ("one/m1", "two/m3", "claude/c1")
"""What can be asked without an alias."""

_CHANNELS = 4
_AT_ONCE = 40
_PER_SECOND = 150
_LOOK_S = 0.01
_KEYS = {
    "one": {"m1": "key-of-one", "m2": "key-of-row"},
    "two": {"m3": "key-of-two"},
    "claude": {"c1": "key-of-claude"},
}


class Crowd:
    """The callers of one service. `seed` decides who calls when, and which mood comes next."""

    def __init__(
        self,
        service: RunningService,
        providers: Mapping[str, Temperamental],
        ledger: Ledger,
        seed: int,
    ) -> None:
        self.service = service
        self.providers = providers
        self.ledger = ledger
        self.outcomes: Counter[str] = Counter()
        self._draw = random.Random(seed)
        self._clients: list[AsyncPromptResolverClient] = []

    async def chaos(self, seconds: float) -> None:
        """Call all the time, while providers change their moods, until all calls have ended."""
        async with AsyncExitStack() as stack:
            for _ in range(_CHANNELS):
                client = AsyncPromptResolverClient(self.service.address, wait_for_ready=False)
                self._clients.append(await stack.enter_async_context(client))
            others = [
                asyncio.ensure_future(self._note_lateness()),
                *(asyncio.ensure_future(self._vex(each)) for each in self.providers.values()),
            ]
            calls = set()
            room = asyncio.Semaphore(_AT_ONCE)
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                await room.acquire()
                call = asyncio.ensure_future(self._call_somehow())
                calls.add(call)
                call.add_done_callback(lambda _: room.release())
                await asyncio.sleep(self._draw.expovariate(_PER_SECOND))
            await asyncio.gather(*calls)
            for each in others:
                each.cancel()
            self._clients.clear()

    def calm_down(self) -> None:
        """Have every provider answer as it should from now on."""
        for provider in self.providers.values():
            provider.change("ok")

    async def sum(self, name: str, label: str = "") -> float:
        """Return the sum of a metric's samples, of those with a label if it is given."""
        page = await self.service.metrics()
        lines = [
            line
            for line in page.splitlines()
            if line.startswith(f"prompt_resolver_{name}{{") and label in line
        ]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    async def call(
        self,
        client: AsyncPromptResolverClient,
        *,
        alias: str = "",
        model: str = "",
        is_stream: bool = False,
        keys: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
        stays_s: float = 60.0,
    ) -> Call:
        """Make a call, and note what comes of it. The caller leaves after a while."""
        now = time.monotonic()
        call = Call(
            number=len(self.ledger.calls),
            keys=keys or {},
            is_stream=is_stream,
            at=now,
            over_at=now + min(timeout_s, PATIENCE_S, stays_s),
        )
        self.ledger.calls.append(call)
        asking = asyncio.ensure_future(self._ask(client, call, alias, model, timeout_s))
        await asyncio.wait({asking}, timeout=stays_s)
        if not asking.done():
            call.over_at = time.monotonic()
            asking.cancel()
            await asyncio.wait({asking})
        call.ended_at = time.monotonic()
        if asking.cancelled():
            call.reason = "LEFT"
        elif (error := asking.exception()) is not None:
            assert isinstance(error, PromptResolverError)
            call.reason = error.reason or error.code.name
            # Who ends a stream that is not read does not know what was asked for it.
            if error.reason and error.metadata.get("phase") != "send":
                call.told = int(error.metadata.get("attempts", "1"))
        self.outcomes[call.reason or "OK"] += 1
        return call

    async def _ask(
        self,
        client: AsyncPromptResolverClient,
        call: Call,
        alias: str,
        model: str,
        timeout_s: float,
    ) -> None:
        options: CompleteOptions = {
            "variables": {"mark": mark(call.number)},
            "credentials": {f"x-provider-key-{name}": key for name, key in call.keys.items()},
            "timeout_s": timeout_s,
        }
        if alias:
            options["alias"] = alias
        if model:
            options["model"] = model
        if not call.is_stream:
            answer = await client.complete("say", **options)
            call.text = answer.message.content[0].text
            call.provider = answer.provider
            call.attempts = [_read(each) for each in answer.attempts]
            return
        async for event in client.complete_stream("say", **options):
            call.kinds.append(event.WhichOneof("event"))
            call.text += event.text_delta
            call.provider = event.started.provider or call.provider
            call.attempts += [_read(each) for each in event.finished.attempts]

    async def _call_somehow(self) -> None:
        draw = self._draw
        named = draw.random() < 0.4
        owned = {name: f"key-of-caller-for-{name}" for name in _KEYS if draw.random() < 0.2}
        await self.call(
            draw.choice(self._clients),
            alias="" if named else "chat",
            model=draw.choice(MODELS) if named else "",
            is_stream=draw.random() < 0.5,
            keys=owned if draw.random() < 0.3 else {},
            timeout_s=draw.uniform(0.01, PATIENCE_S) if draw.random() < 0.3 else 60.0,
            stays_s=draw.uniform(0.0, 0.3) if draw.random() < 0.15 else 60.0,
        )

    async def _vex(self, provider: Temperamental) -> None:
        while True:
            await asyncio.sleep(self._draw.uniform(0.05, 0.5))
            provider.change()

    async def _note_lateness(self) -> None:
        while True:
            due = time.monotonic() + _LOOK_S
            await asyncio.sleep(_LOOK_S)
            self.ledger.late_s = max(self.ledger.late_s, time.monotonic() - due)


def _read(attempt: pb.Attempt) -> Attempt:
    is_asked = attempt.HasField("duration")
    return Attempt(attempt.provider, attempt.model, attempt.outcome, is_asked)


@asynccontextmanager
async def running_crowd(folder: Path, seed: int) -> AsyncIterator[Crowd]:
    """Run a service with an alias `chat` of three rows and a fallback, and its providers."""
    write_prompt(folder / "prompts", "say", "<user>\n{{mark}}\n</user>")
    ledger = Ledger(keys=_KEYS, slots={"two": SLOTS})
    draw = random.Random(seed)
    async with AsyncExitStack() as stack:
        providers = {
            name: await stack.enter_async_context(
                running_temperamental(
                    name, "anthropic" if name == "claude" else "openai", ledger, draw
                )
            )
            for name in _KEYS
        }
        one, two, claude = (each.upstream.url for each in providers.values())
        for provider, elsewhere in zip(providers.values(), (two, claude, one), strict=True):
            provider.elsewhere = elsewhere
        patience = "connect_timeout_s: 1, first_byte_timeout_s: 0.3, idle_timeout_s: 0.3"
        config = f"""
server: {{max_deadline_s: {PATIENCE_S}}}
stores: {{local: {{type: directory, path: prompts}}}}
providers:
  one: {{dialect: openai, base_url: '{one}', api_key: key-of-one, {patience}}}
  two:
    dialect: openai
    base_url: '{two}'
    api_key: key-of-two
    stream_completions: false
    max_concurrency: {SLOTS}
    max_queue_s: 0.1
    {patience.replace(", ", f"{chr(10)}    ")}
  claude:
    dialect: anthropic
    base_url: '{claude.removesuffix("/v1")}'
    api_key: key-of-claude
    {patience.replace(", ", f"{chr(10)}    ")}
model_list:
  - {{model_name: chat, litellm_params: {{model: one/m1, weight: 2}}}}
  - {{model_name: chat, litellm_params: {{model: one/m2, api_key: key-of-row}}}}
  - {{model_name: chat, litellm_params: {{model: two/m3}}}}
  - {{model_name: spare, litellm_params: {{model: claude/c1}}}}
router_settings: {{num_retries: 2, fallbacks: [{{chat: [spare]}}]}}
"""
        service = await stack.enter_async_context(running_service(folder, config))
        yield Crowd(service, providers, ledger, seed)
