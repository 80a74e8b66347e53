"""Builds the engine behind all doors: stores, cache, providers and aliases become a `Resolver`.

Its configuration may be replaced while it answers: a draft is made beside what serves, and takes
its place in one step. What is held of the stores stays, wherever they do.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, AsyncExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ..metrics import Metrics
from ..pricing import build_prices
from ..resolving.resolver import Resolver
from ..runtime.threads import Threads
from ..runtime.turns import Turns
from ..settings import Loaded
from ..settings.model import CacheSettings
from ..templates.cache.cache import TemplateCache
from ..templates.cache.ledger import CacheLimits
from ..templates.cache.sources import Replacement
from .parts import Parts, Workshop, build_base
from .shared_cache import build_shared_cache, find_accounts
from .state import build_copies, find_places, open_state, restore_copies
from .stores import Stores
from .trust import Trust

if TYPE_CHECKING:
    from ..templates.cache.disk import DiskCopies
    from ..templates.cache.shared.shared_cache import SharedCache

# How long a reload waits for the copies on disk, and for the folders of stores. Then it is refused,
# and tried again.
_RESTORED_S = 10.0
_FOLDERS_S = 10.0


@dataclass(frozen=True, slots=True)
class Retired:
    """What served before a configuration was replaced, and goes on to for the calls that run."""

    parts: Parts
    successor: Parts
    replacement: Replacement

    @property
    def lost(self) -> frozenset[str]:
        """The names of the stores whose templates are no longer there; see `Replacement`."""
        return self.replacement.lost


class Engine:
    """What is behind the doors. `build_engine` makes it."""

    def __init__(
        self,
        parts: Parts,
        workshop: Workshop,
        cache: TemplateCache,
        *,
        turns: Turns,
        copies: "DiskCopies | None",
        shared_cache: "SharedCache | None",
    ) -> None:
        self.turns = turns
        """When the answers of providers are taken."""
        self._parts = parts
        self._workshop = workshop
        self._cache = cache
        self._copies = copies
        self._shared_cache = shared_cache

    @property
    def resolver(self) -> Resolver:
        """What answers calls that begin now."""
        return self._parts.resolver

    async def draft(self, loaded: Loaded) -> Parts:
        """Return the parts of another configuration. Raises `ConfigError`. Nothing is changed."""
        before = self._parts
        if self._copies is not None:
            # What comes late from the disk is of the stores that there were at the start.
            try:
                await asyncio.wait_for(self._copies.restored.wait(), _RESTORED_S)
            except TimeoutError:
                problem = "expected a disk that answers: what is there has not been read yet"
                raise loaded.fault(("server", "state_dir"), problem) from None
        trust, stores = await _build_base(loaded, before)
        try:
            return await self._workshop.make(loaded, trust, stores, before=before)
        except BaseException:
            for name, source in stores.sources.items():
                if before.stores.sources.get(name) is not source:
                    await source.store.aclose()
            raise

    def adopt(self, draft: Parts) -> Retired:
        """Answer by a draft from now on, in one step. What it replaces is to be released."""
        before, self._parts = self._parts, draft
        cache, sources = draft.loaded.settings.cache, draft.stores.sources
        replacement = self._cache.adopt(
            sources, default_store=draft.stores.default, limits=_limits(cache)
        )
        if self._copies is not None:
            self._copies.adopt(
                find_places(sources),
                lost=replacement.lost,
                max_entries=cache.max_entries,
                max_bytes=cache.max_bytes,
            )
        if self._shared_cache is not None:
            accounts, tls = find_accounts(sources), draft.trust.tls
            self._shared_cache.adopt(accounts, lost=replacement.lost, tls=tls)
        draft.dispatcher.take_over(before.dispatcher)
        return Retired(before, draft, replacement)

    async def release(self, retired: Retired) -> None:
        """Close what served before, once all calls have ended that ran by then."""
        await self._cache.release(retired.replacement)
        await retired.parts.aclose(but=retired.successor)

    async def aclose(self) -> None:
        """Close all connections to providers, and end the workers."""
        await self._parts.aclose()


async def build_engine(
    loaded: Loaded,
    metrics: Metrics,
    stack: AsyncExitStack,
    *,
    trace_requests: bool = False,
    importing: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Engine:
    """Return the engine of a configuration, with what was served before this process began.

    What it holds open is closed with the stack. `trace_requests` is for `Workshop`, and `importing`
    for `build_prices`. Raises `ConfigError` for what cannot be built.
    """
    trust, stores = build_base(loaded)
    cache = loaded.settings.cache
    state = open_state(loaded)
    shared_cache = build_shared_cache(loaded, stores.sources, metrics, trust.tls)
    copies = None
    if state is not None:
        copies = build_copies(state, stores.sources, cache, metrics)
    held = TemplateCache(
        sources=stores.sources,
        default_store=stores.default,
        metrics=metrics,
        limits=_limits(cache),
        salt=state.salt if state is not None else None,
        peers=shared_cache,
        copies=copies,
    )
    stack.push_async_callback(held.aclose)
    if copies is not None:
        await restore_copies(copies, held, stack)
    if shared_cache is not None:
        shared_cache.join(held.invalidation)
    turns = Turns(asyncio.get_running_loop())
    prices = build_prices(importing)
    workshop = Workshop(held, metrics, prices, turns=turns, trace_requests=trace_requests)
    parts = await workshop.make(loaded, trust, stores)
    engine = Engine(parts, workshop, held, turns=turns, copies=copies, shared_cache=shared_cache)
    stack.push_async_callback(engine.aclose)
    return engine


async def build_resolver(
    loaded: Loaded,
    metrics: Metrics,
    stack: AsyncExitStack,
    *,
    trace_requests: bool = False,
    importing: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Resolver:
    """Return the resolver of a configuration that is never replaced; see `build_engine`."""
    engine = await build_engine(
        loaded, metrics, stack, trace_requests=trace_requests, importing=importing
    )
    return engine.resolver


def _limits(settings: CacheSettings) -> CacheLimits:
    return CacheLimits(
        max_entries=settings.max_entries,
        max_bytes=settings.max_bytes,
        negative_ttl_s=settings.negative_ttl_s,
    )


async def _build_base(loaded: Loaded, before: Parts) -> tuple[Trust, Stores]:
    """Return what is built first, by a thread of its own: a folder's volume may hang."""
    threads = Threads(1, "build")
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_FOLDERS_S):
            return await loop.run_in_executor(threads, partial(build_base, loaded, before=before))
    except TimeoutError:
        raise loaded.fault(("stores",), "expected folders on volumes that answer") from None
    finally:
        threads.shutdown(wait=False)
