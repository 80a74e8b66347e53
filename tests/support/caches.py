"""A cache over one store, and somebody who follows it."""

import asyncio
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from prompt_resolver_server.domain.prompts import PromptRef, ServedTemplate
from prompt_resolver_server.metrics import Metrics
from prompt_resolver_server.templates.cache.cache import TemplateCache
from prompt_resolver_server.templates.cache.copies import Copies
from prompt_resolver_server.templates.cache.entries import Held, Key
from prompt_resolver_server.templates.cache.peers import Copy
from prompt_resolver_server.templates.cache.source import Source
from tests.support.stores import Clock, ToldStore, make_template, no_jitter

TTL_S = 60.0
ONE, TWO = make_template("p", "1"), make_template("p", "2")
P = PromptRef(id="p")


@dataclass
class ToldListener:
    """A listener that notes what it is told."""

    events: list[str] = field(default_factory=list)

    def confirmed(self, key: Key, held: Held, *, changed: bool) -> None:
        self.events.append(f"confirmed {key.id} {held.template.version} {changed}")

    def recalled(self, key: Key, held: Held) -> None:
        self.events.append(f"recalled {key.id} {held.template.version}")

    def failing(self, key: Key, held: Held) -> None:
        self.events.append(f"failing {key.id} {held.template.version}")

    def dropped(self, key: Key) -> None:
        self.events.append(f"dropped {key.id}")


@dataclass
class KeptCopies(ToldListener):
    """Copies of all prompts, or none, which count how often one was looked for."""

    copy: Copy | None = None
    finds: int = 0

    async def find(self, key: Key) -> Copy | None:
        self.finds += 1
        return self.copy


class FollowedCache:
    """A cache over one store by two names, `told` and `other`, which a listener follows."""

    def __init__(self, ttl_s: float = TTL_S, copies: Copies | None = None) -> None:
        self.store, self.clock, self.told = ToldStore(ONE), Clock(), ToldListener()
        self.metrics = Metrics(CollectorRegistry(), version="test")
        self.cache = TemplateCache(
            sources={"told": Source(self.store, ttl_s), "other": Source(self.store, ttl_s)},
            default_store="told",
            metrics=self.metrics,
            clock=self.clock,
            draw=no_jitter,
            copies=copies,
        )
        self.cache.listen(self.told)
        self.deadline = asyncio.get_running_loop().time() + 10

    async def get(self, ref: PromptRef = P, caller_key: str | None = None) -> ServedTemplate:
        return await self.cache.get(
            ref, refresh=False, deadline=self.deadline, caller_key=caller_key
        )

    async def renew(self, ref: PromptRef = P) -> None:
        await self.cache.renew(ref, deadline=self.deadline)

    @property
    def fetches(self) -> int:
        return len(self.store.fetches)

    def look(self, ref: PromptRef = P) -> ServedTemplate | None:
        return self.cache.inventory.look(self.cache.key(ref))
