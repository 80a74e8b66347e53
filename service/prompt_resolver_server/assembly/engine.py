"""Builds the engine behind all doors: stores, cache, providers and aliases become a `Resolver`."""

import logging
import random
import ssl
from contextlib import AsyncExitStack

from ..dispatch.dispatcher import Dispatcher
from ..dispatch.notation import Notation
from ..metrics import Metrics
from ..pricing import build_prices
from ..providers.transport.direct import DirectTransport
from ..providers.transport.proxied import AiohttpTransport
from ..providers.transport.routed import RoutedTransport
from ..providers.transport.traced import TracedTransport
from ..providers.transport.transport import Transport
from ..rendering import Renderer, WorkerPool
from ..resolver import Resolver
from ..settings import Loaded
from ..templates.cache.cache import TemplateCache
from ..templates.cache.ledger import CacheLimits
from ..templates.chain import Chains
from .endpoints import Endpoints
from .model_list import (
    build_alias_providers,
    build_aliases,
    build_default_fallbacks,
    build_terms,
    list_unserved,
)
from .providers import ProviderFactory, build_limits
from .shared_cache import build_shared_cache
from .state import keep_copies, open_state
from .stores import build_stores

_log = logging.getLogger(__name__)


async def build_resolver(
    loaded: Loaded, metrics: Metrics, stack: AsyncExitStack, *, trace_requests: bool = False
) -> Resolver:
    """Return the resolver of a configuration, with what was served before this process began.

    What it holds open is closed with the stack. `trace_requests` has every request to a provider
    written to the log of requests, prompts and all. Raises `ConfigError` for what cannot be built.
    """
    tls = build_tls(loaded)
    stores = build_stores(loaded, tls)
    cache = loaded.settings.cache
    state = open_state(loaded)
    shared_cache = build_shared_cache(loaded, stores.sources, metrics, tls)
    held = TemplateCache(
        sources=stores.sources,
        default_store=stores.default,
        metrics=metrics,
        limits=CacheLimits(
            max_entries=cache.max_entries,
            max_bytes=cache.max_bytes,
            negative_ttl_s=cache.negative_ttl_s,
        ),
        salt=state.salt if state is not None else None,
        peers=shared_cache,
    )
    stack.push_async_callback(held.aclose)
    if state is not None:
        await keep_copies(state, held, cache, metrics, stack)
    if shared_cache is not None:
        shared_cache.join(held)
    find_proxy = loaded.environment.proxy_for
    transport: Transport = RoutedTransport(
        direct=DirectTransport(tls=tls),
        proxied=AiohttpTransport(tls=tls, find_proxy=find_proxy),
        find_proxy=find_proxy,
    )
    if trace_requests:
        transport = TracedTransport(transport)
    stack.push_async_callback(transport.aclose)
    factory = ProviderFactory(Endpoints(loaded), transport)
    providers = factory.make_all()
    notation = Notation(stores=stores.names, providers=providers)
    aliases = build_aliases(loaded, notation)
    for row, provider in list_unserved(aliases, notation):
        _log.warning(
            "an alias' provider is not known",
            extra={"setting": f"model_list.{row}.litellm_params", "provider": provider},
        )
    rendering = loaded.settings.rendering
    renderer = Renderer(WorkerPool(size=rendering.workers, time_limit_s=rendering.time_limit_s))
    stack.push_async_callback(renderer.aclose)
    return Resolver(
        templates=Chains(held, stores.chains, default_store=stores.default),
        renderer=renderer,
        notation=notation,
        aliases=aliases,
        terms=build_terms(loaded.settings),
        fallbacks=build_default_fallbacks(loaded, aliases),
        dispatcher=Dispatcher(
            providers=providers,
            alias_providers=build_alias_providers(loaded, notation, aliases, factory),
            limits=build_limits(loaded.settings),
            metrics=metrics.upstream,
            prices=build_prices(),
        ),
        metrics=metrics,
        draw=random.random,
    )


def build_tls(loaded: Loaded) -> ssl.SSLContext:
    """Return how outgoing calls know whom they talk to. Raises `ConfigError`."""
    ca_file = loaded.settings.server.ca_file
    try:
        return ssl.create_default_context(cafile=loaded.folder / ca_file if ca_file else None)
    except OSError:
        raise loaded.fault(
            ("server", "ca_file"), "expected a readable file of certificates"
        ) from None
