"""What is looked after for watches is bounded."""

import pytest
from prometheus_client import CollectorRegistry

from prompt_resolver_server.domain.errors import ServerError
from prompt_resolver_server.metrics import Metrics
from prompt_resolver_server.templates.cache.cache import TemplateCache
from prompt_resolver_server.templates.cache.entries import Key
from prompt_resolver_server.templates.cache.source import Source
from prompt_resolver_server.watching.journal import Journal
from prompt_resolver_server.watching.keeper import MAX_NAMES, Keeper
from tests.support.stores import ToldStore, make_template

PER_WATCH = 1_000


async def test_names_of_all_watches() -> None:
    """However often the same prompts are named, there is a limit, and who leaves makes room."""
    cache = TemplateCache(
        sources={"told": Source(ToldStore(make_template("p", "1")), 60)},
        default_store="told",
        metrics=Metrics(CollectorRegistry(), version="test"),
    )
    keeper = Keeper(cache, Journal(cache.inventory, capacity=PER_WATCH), most=PER_WATCH)
    names = {Key("told", str(number), None, None, b""): None for number in range(PER_WATCH)}
    for _ in range(MAX_NAMES // PER_WATCH):
        keeper.add(names)

    with pytest.raises(ServerError) as caught:
        keeper.add(names)
    assert caught.value.reason == "OVERLOADED"

    keeper.remove(names)
    keeper.add(names)
    await keeper.aclose()
    await cache.aclose()


async def test_prompts_that_change_again_and_again() -> None:
    """What is remembered of when to look grows with the prompts, and not with their changes."""
    template = make_template("p", "1")
    cache = TemplateCache(
        sources={"told": Source(ToldStore(template), 3600)},
        default_store="told",
        metrics=Metrics(CollectorRegistry(), version="test"),
    )
    keeper = Keeper(cache, Journal(cache.inventory, capacity=PER_WATCH), most=PER_WATCH)
    names = {Key("told", str(number), None, None, b""): None for number in range(10)}
    keeper.add(names)

    for _ in range(1_000):
        for key in names:
            keeper.lost(key)

    assert len(keeper._due) <= 2 * len(names) + 64
    await keeper.aclose()
    await cache.aclose()
