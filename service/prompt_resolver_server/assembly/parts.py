"""What is made of one configuration. What would be the same as before is the very same thing."""

import asyncio
import logging
import random
from contextlib import AsyncExitStack
from dataclasses import dataclass

from ..dispatch.dispatcher import Dispatcher
from ..dispatch.notation import Notation
from ..metrics import Metrics
from ..pricing import Prices
from ..providers.transport.direct import DirectTransport
from ..providers.transport.proxied import AiohttpTransport
from ..providers.transport.routed import RoutedTransport
from ..providers.transport.traced import TracedTransport
from ..providers.transport.transport import Transport
from ..rendering import Renderer, WorkerPool
from ..resolving.resolver import Resolver
from ..runtime.turns import Turns
from ..settings import Loaded
from ..templates.cache.cache import TemplateCache
from ..templates.prompt_stores import PromptStores
from .endpoints import Endpoints
from .model_list import (
    build_alias_providers,
    build_aliases,
    build_default_fallbacks,
    build_terms,
    identify_rows,
    list_unserved,
)
from .providers import ProviderFactory, build_limits
from .stores import Stores, build_stores
from .trust import Trust, build_trust

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of an engine. `trust` and `stores` come first: a cache is built on them."""

    loaded: Loaded
    trust: Trust
    stores: Stores
    transport: Transport
    renderer: Renderer
    dispatcher: Dispatcher
    resolver: Resolver

    async def aclose(self, *, but: "Parts | None" = None) -> None:
        """Close what other parts do not have. Stores are the cache's matter."""
        # Of a stack, what one of them fails at keeps none open.
        async with AsyncExitStack() as stack:
            if but is None or self.transport is not but.transport:
                stack.push_async_callback(self.transport.aclose)
            if but is None or self.renderer is not but.renderer:
                stack.push_async_callback(self.renderer.aclose)


class Workshop:
    """Makes the parts of configurations, for one cache. Lives on one event loop.

    `trace_requests` has every request to a provider written to the log of requests, prompts and
    all.
    """

    def __init__(
        self,
        cache: TemplateCache,
        metrics: Metrics,
        prices: Prices,
        *,
        turns: Turns,
        trace_requests: bool,
    ) -> None:
        self._cache = cache
        self._metrics = metrics
        self._prices = prices
        self._turns = turns
        self._trace_requests = trace_requests

    async def make(
        self, loaded: Loaded, trust: Trust, stores: Stores, *, before: Parts | None = None
    ) -> Parts:
        """Return the parts of a configuration. Raises `ConfigError`, and then has made nothing."""
        transport = self._make_transport(loaded, trust, before)
        renderer = _make_renderer(loaded, before)
        try:
            # Of a long list of models this takes as long as many calls do.
            models = await asyncio.to_thread(_Models, loaded, stores, transport)
        except BaseException:
            if before is None or transport is not before.transport:
                await transport.aclose()
            raise
        dispatcher = Dispatcher(
            providers=models.providers,
            alias_providers=models.alias_providers,
            limits=build_limits(loaded.settings),
            rows=models.rows,
            metrics=self._metrics.upstream,
            prices=self._prices,
        )
        resolver = Resolver(
            stores=PromptStores(
                self._cache, stores.chains, default_store=stores.default, sources=stores.sources
            ),
            renderer=renderer,
            notation=models.notation,
            aliases=models.aliases,
            terms=build_terms(loaded.settings),
            fallbacks=models.fallbacks,
            dispatcher=dispatcher,
            metrics=self._metrics,
            draw=random.random,
        )
        return Parts(
            loaded=loaded,
            trust=trust,
            stores=stores,
            transport=transport,
            renderer=renderer,
            dispatcher=dispatcher,
            resolver=resolver,
        )

    def _make_transport(self, loaded: Loaded, trust: Trust, before: Parts | None) -> Transport:
        """Return what sends requests; by other certificates or other proxies, it is a new one."""
        if (
            before is not None
            and before.trust is trust
            and before.loaded.environment == loaded.environment
        ):
            return before.transport
        find_proxy = loaded.environment.proxy_for
        transport: Transport = RoutedTransport(
            direct=DirectTransport(tls=trust.tls, turns=self._turns),
            proxied=AiohttpTransport(tls=trust.tls, find_proxy=find_proxy),
            find_proxy=find_proxy,
        )
        return TracedTransport(transport) if self._trace_requests else transport


def build_base(loaded: Loaded, *, before: Parts | None = None) -> tuple[Trust, Stores]:
    """Return what the parts of a configuration are built on. Raises `ConfigError`."""
    trust = build_trust(loaded, before=before.trust if before is not None else None)
    stores = build_stores(loaded, trust.tls, before=before.stores if before is not None else None)
    return trust, stores


def _make_renderer(loaded: Loaded, before: Parts | None) -> Renderer:
    settings = loaded.settings.rendering
    if before is not None and before.loaded.settings.rendering == settings:
        return before.renderer
    return Renderer(WorkerPool(size=settings.workers, time_limit_s=settings.time_limit_s))


class _Models:
    """The models of a configuration: who has them, and by which names. Raises `ConfigError`."""

    def __init__(self, loaded: Loaded, stores: Stores, transport: Transport) -> None:
        factory = ProviderFactory(Endpoints(loaded), transport)
        self.providers = factory.make_all()
        self.notation = Notation(stores=stores.names, providers=self.providers)
        self.aliases = build_aliases(loaded, self.notation)
        for row, provider in list_unserved(self.aliases, self.notation):
            _log.warning(
                "an alias' provider is not known",
                extra={"setting": f"model_list.{row}.litellm_params", "provider": provider},
            )
        self.alias_providers = build_alias_providers(loaded, self.notation, self.aliases, factory)
        self.rows = identify_rows(self.notation, self.aliases, self.providers, self.alias_providers)
        self.fallbacks = build_default_fallbacks(loaded, self.aliases)
