"""What stands behind a door, for tests that have no configuration."""

from contextlib import AsyncExitStack

from prometheus_client import CollectorRegistry

from prompt_resolver_server.dispatch.dispatcher import Dispatcher
from prompt_resolver_server.dispatch.notation import Notation
from prompt_resolver_server.domain.aliases import Terms
from prompt_resolver_server.domain.prompts import Template
from prompt_resolver_server.entry.access import Access
from prompt_resolver_server.entry.deadlines import Deadlines
from prompt_resolver_server.entry.serving import Serving
from prompt_resolver_server.metrics import Metrics
from prompt_resolver_server.providers.echo import EchoProvider
from prompt_resolver_server.rendering import Renderer
from prompt_resolver_server.resolving.resolver import Resolver
from prompt_resolver_server.templates.cache.cache import TemplateCache
from prompt_resolver_server.templates.cache.source import Source
from prompt_resolver_server.templates.prompt_stores import PromptStores
from tests.support.stores import ToldStore, make_template


def make_serving(stack: AsyncExitStack, template: Template | None = None) -> Serving:
    """Return what serves this template alone, to anybody, and its own text as the answer."""
    metrics = Metrics(CollectorRegistry(), version="test")
    store = ToldStore(template or make_template("p", "1"))
    sources, providers = {"told": Source(store, 60)}, {"echo": EchoProvider()}
    cache = TemplateCache(sources=sources, default_store="told", metrics=metrics)
    stack.push_async_callback(cache.aclose)
    renderer = Renderer()
    stack.push_async_callback(renderer.aclose)
    resolver = Resolver(
        stores=PromptStores(cache, {}),
        renderer=renderer,
        notation=Notation(stores=sources, providers=providers),
        aliases={},
        terms=Terms(),
        dispatcher=Dispatcher(providers=providers, alias_providers={}, metrics=metrics.upstream),
        metrics=metrics,
        draw=lambda: 0.0,
    )
    return Serving(
        resolver=resolver,
        access=Access(master_key=None),
        deadlines=Deadlines(default_s=5, longest_s=5),
    )
