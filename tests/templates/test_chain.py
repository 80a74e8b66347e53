"""Of several stores in order, the first one that can serve does."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from prompt_resolver_server.catalogue import Catalogue
from prompt_resolver_server.domain.answers import Credentials
from prompt_resolver_server.domain.errors import (
    Blame,
    CallError,
    Reason,
    ResolverError,
    ServerError,
    StoreError,
    TemplateError,
)
from prompt_resolver_server.domain.prompts import PromptRef, ServedTemplate
from prompt_resolver_server.metrics import Metrics
from prompt_resolver_server.templates.cache.cache import TemplateCache
from prompt_resolver_server.templates.cache.source import Source
from prompt_resolver_server.templates.listing import ListQuery, TemplatePage
from prompt_resolver_server.templates.prompt_stores import PromptStores
from prompt_resolver_server.templates.store import version_not_found
from tests.support.service import run_cli
from tests.support.stores import (
    Clock,
    ToldStore,
    absent,
    forbidden,
    make_template,
    no_jitter,
    unavailable,
)

TTL_S = 60.0
LIVE, BAKED = make_template("p", "live"), make_template("p", "baked")
BROKEN = TemplateError(Reason.TEMPLATE_INVALID, "expected a prompt", metadata={"store": "live"})
NO_VERSION = version_not_found(PromptRef(id="p", version="9"), store="live", known="none")
BAD_ID = CallError(Reason.PROMPT_ID_INVALID, "prompt.id: expected an id")
BAD_SELECTOR = CallError(Reason.SELECTOR_INVALID, "prompt.version: expected a number")
REFUSED_CALLER = StoreError(Reason.STORE_AUTH, "refuses the caller's key", blame=Blame.CALLER)


class Scene:
    """A chain of `live`, a remote store, and `baked`, which is none; `both` is its name."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.live, self.baked, self.third = ToldStore(LIVE), ToldStore(BAKED), ToldStore(LIVE)
        self.metrics = Metrics(CollectorRegistry(), version="test")
        self.cache = TemplateCache(
            sources={
                "live": Source(self.live, TTL_S),
                "baked": Source(self.baked, 0, is_remote=False),
                "third": Source(self.third, TTL_S),
            },
            default_store="both",
            metrics=self.metrics,
            clock=self.clock,
            draw=no_jitter,
        )
        self.stores = PromptStores(
            self.cache,
            {"both": ("live", "baked"), "remotes": ("baked", "third", "live")},
            default_store="both",
        )

    async def get(
        self,
        *,
        store: str | None = None,
        refresh: bool = False,
        caller_key: str | None = None,
        within_s: float = 10.0,
    ) -> ServedTemplate:
        return await self.stores.get(
            PromptRef(id="p", store=store),
            refresh=refresh,
            deadline=asyncio.get_running_loop().time() + within_s,
            caller_key=caller_key,
        )

    async def fails(self, *, within_s: float = 10.0) -> ResolverError:
        with pytest.raises(ResolverError) as caught:
            await self.get(within_s=within_s)
        return caught.value

    async def settle(self) -> None:
        flights = list(self.cache._flights._running.values())
        await asyncio.gather(*[flight.task for flight in flights])


def told(served: ServedTemplate) -> tuple[str, str, str, str, bool]:
    return served.template.version, served.store, served.cache, served.reason, served.stale


async def test_first_that_has_it() -> None:
    """The first member serves what it has, as it would alone, and no other one is asked."""
    scene = Scene()

    assert told(await scene.get()) == ("live", "live", "miss", "deployed", False)
    assert told(await scene.get()) == ("live", "live", "hit", "deployed", False)
    assert scene.baked.fetches == []
    assert told(await scene.get(store="baked")) == ("baked", "baked", "miss", "deployed", False)


@pytest.mark.parametrize(
    "error",
    [absent(), NO_VERSION, unavailable(), forbidden(), BROKEN, BAD_ID, BAD_SELECTOR],
    ids=lambda error: str(error.reason),
)
async def test_fallback(error: ResolverError) -> None:
    """Where the first member has nothing to serve, the next one does, and it is told."""
    scene = Scene()
    scene.live.says = error

    assert told(await scene.get()) == ("baked", "baked", "fallback", "fallback", False)
    name = "prompt_resolver_template_cache_requests_total"
    labels = {"store": "baked", "result": "fallback"}
    assert scene.metrics.registry.get_sample_value(name, labels) == 1


async def test_what_is_held_comes_before_a_fallback() -> None:
    """A first member that is down serves what it holds, however old that is."""
    scene = Scene()
    await scene.get()
    scene.live.says = unavailable()
    scene.clock.now += 3600
    await scene.get()
    await scene.settle()

    for refresh in (False, True):
        assert told(await scene.get(refresh=refresh)) == (
            "live",
            "live",
            "stale",
            "deployed",
            True,
        )
    assert scene.baked.fetches == []


async def test_return_of_the_first() -> None:
    """While a fallback serves, the first member is tried, and serves within 2 s of its return."""
    scene = Scene()
    scene.live.says = unavailable()
    for _ in range(600):
        assert (await scene.get()).store == "baked"
        await scene.settle()
        scene.clock.now += 0.5
    assert 200 <= len(scene.live.fetches) <= 260

    scene.live.says = LIVE
    waited_s = 0.0
    while (await scene.get()).store == "baked":
        await scene.settle()
        scene.clock.now += 0.05
        waited_s += 0.05
    assert waited_s <= 2


async def test_store_that_is_down_is_not_waited_for() -> None:
    """A store that is known to be down holds up nobody: it is asked in the background."""
    scene = Scene()
    scene.live.says = unavailable()
    await scene.get()
    scene.clock.now += 2
    scene.live.may.clear()

    assert (await scene.get(within_s=1e6)).store == "baked"
    assert scene.live.running == 1
    scene.live.says = LIVE
    scene.live.may.set()
    await scene.settle()
    assert (await scene.get()).store == "live"


async def test_store_that_is_down_is_waited_for_where_no_other_serves() -> None:
    """If no other member has the prompt, the one that was not waited for is."""
    scene = Scene()
    scene.live.says = unavailable()
    await scene.get()
    scene.clock.now += 2
    scene.live.says, scene.baked.says = LIVE, absent()
    scene.live.may.clear()
    asyncio.get_running_loop().call_later(0.01, scene.live.may.set)

    assert told(await scene.get()) == ("live", "live", "miss", "deployed", False)


async def test_prompt_that_fails_alone() -> None:
    """A prompt that its store fails for takes no other one from that store."""
    scene = Scene()
    scene.live.says = unavailable()
    deadline = asyncio.get_running_loop().time() + 10
    sick = await scene.stores.get(PromptRef(id="sick"), refresh=False, deadline=deadline)
    assert sick.store == "baked"
    scene.live.says = LIVE
    scene.live.may.clear()
    asyncio.get_running_loop().call_later(0.01, scene.live.may.set)

    assert told(await scene.get()) == ("live", "live", "miss", "deployed", False)


async def test_store_that_is_down_has_a_moment() -> None:
    """For a prompt that it has not failed for, a store that is down is waited for a moment."""
    scene = Scene()
    scene.live.says = unavailable()
    loop = asyncio.get_running_loop()
    await scene.stores.get(PromptRef(id="other"), refresh=False, deadline=loop.time() + 10)
    scene.live.may.clear()

    began = loop.time()
    assert (await scene.get(within_s=1e6)).store == "baked"
    assert 0.4 < loop.time() - began < 10
    scene.live.may.set()
    await scene.settle()


async def test_slow_store_leaves_time_for_the_others() -> None:
    """A member that is slow and not the last has half of the time, and goes on afterwards."""
    scene = Scene()
    scene.live.may.clear()
    began = asyncio.get_running_loop().time()

    assert (await scene.get(within_s=0.2)).store == "baked"
    # The clock counts whole milliseconds.
    assert round(asyncio.get_running_loop().time() - began, 3) >= 0.1
    scene.live.may.set()
    await scene.settle()
    assert (await scene.get()).store == "live"


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        (absent(), absent(), Reason.PROMPT_NOT_FOUND),
        (absent(), NO_VERSION, Reason.VERSION_NOT_FOUND),
        (unavailable(), absent(), Reason.STORE_UNAVAILABLE),
        (absent(), unavailable(), Reason.STORE_UNAVAILABLE),
        (forbidden(), absent(), Reason.STORE_AUTH),
        (BROKEN, absent(), Reason.TEMPLATE_INVALID),
        (BAD_ID, BAD_ID, Reason.PROMPT_ID_INVALID),
        (BAD_ID, absent(), Reason.PROMPT_NOT_FOUND),
        (BAD_SELECTOR, BAD_ID, Reason.SELECTOR_INVALID),
    ],
)
async def test_nobody_serves(first: Exception, second: Exception, reason: Reason) -> None:
    """If no member serves, the error is the one that leaves most open."""
    scene = Scene()
    scene.live.says, scene.baked.says = first, second

    assert (await scene.fails()).reason == reason


async def test_deadline() -> None:
    """If all are slow, the deadline ends the call."""
    scene = Scene()
    scene.live.may.clear()
    scene.baked.may.clear()

    assert (await scene.fails(within_s=0.05)).reason == Reason.DEADLINE
    await scene.cache.aclose()


async def test_fault_of_ours_is_told() -> None:
    """An exception that nobody foresaw is no reason to serve something else."""
    scene = Scene()
    scene.live.says = RuntimeError("a fault of ours")

    with pytest.raises(RuntimeError):
        await scene.get()


async def test_refresh() -> None:
    """A refresh asks the first member anew, and falls back if that has nothing."""
    scene = Scene()
    await scene.get()
    assert told(await scene.get(refresh=True))[1:3] == ("live", "bypass")
    scene.live.says = absent()
    assert told(await scene.get(refresh=True))[1:3] == ("baked", "fallback")


async def test_callers_key_goes_to_one_store() -> None:
    """A caller's own key is for the first remote member: no other one sees it."""
    scene = Scene()
    scene.live.says = unavailable()
    await scene.get(caller_key="key-of-caller")
    assert [key for _, key in scene.live.fetches] == ["key-of-caller"]
    assert [key for _, key in scene.baked.fetches] == [None]

    scene.baked.says = scene.third.says = absent()
    with pytest.raises(ResolverError):
        await scene.get(store="remotes", caller_key="key-of-caller")
    assert [key for _, key in scene.third.fetches] == ["key-of-caller"]
    assert scene.live.fetches[-1][1] is None


async def test_callers_key_that_is_refused() -> None:
    """A caller whose own key is refused is told, and served nothing in its place."""
    scene = Scene()
    scene.live.says = REFUSED_CALLER
    with pytest.raises(StoreError) as caught:
        await scene.get(caller_key="key-of-caller")

    assert caught.value.reason == Reason.STORE_AUTH
    assert scene.baked.fetches == []


class ListedStore(ToldStore):
    """A store that lists what it says."""

    async def list_prompts(
        self, query: ListQuery, *, caller_key: str | None = None
    ) -> TemplatePage:
        template = await self.fetch(PromptRef(id="list"), None, caller_key=caller_key)
        return TemplatePage(templates=(template,), total=1)

    list_versions: Callable[..., object] = list_prompts
    list_environments: Callable[..., object] = list_prompts


async def test_lists() -> None:
    """Lists are those of the first member that answers."""
    scene = Scene()
    stores: dict[str, ToldStore] = {
        "plain": ToldStore(LIVE),
        "down": ListedStore(unavailable()),
        "baked": ListedStore(BAKED),
    }
    sources = {name: Source(store, TTL_S) for name, store in stores.items()}
    cache = TemplateCache(sources=sources, default_store="all", metrics=scene.metrics)
    catalogue = Catalogue(PromptStores(cache, {"all": tuple(stores)}, default_store="all"))
    deadline = asyncio.get_running_loop().time() + 10

    page = await catalogue.list_prompts(
        ListQuery(), deadline=deadline, credentials=Credentials(store_key="key-of-caller")
    )
    assert page.templates == (BAKED,)
    assert [key for _, key in stores["baked"].fetches] == [None]

    stores["baked"].says = unavailable()
    with pytest.raises(ServerError) as caught:
        await catalogue.list_prompts(ListQuery(), deadline=deadline, credentials=Credentials())
    assert caught.value.reason == Reason.NOT_IMPLEMENTED


@pytest.mark.parametrize(
    ("stores", "problem"),
    [
        ("[]", "stores.both.stores: expected some of a, b, humanloop, langfuse, got none"),
        ("[a, a]", "stores.both.stores.1: expected each store once, got 'a' again"),
        (
            "[a, c]",
            "stores.both.stores.1: expected one of a, b, humanloop, langfuse, got a store that",
        ),
        (
            "[a, both]",
            "stores.both.stores.1: expected one of a, b, humanloop, langfuse, got a chain: 'both'",
        ),
        ("a", "stores.both.stores: expected a list, got text"),
    ],
)
def test_configuration_that_is_refused(tmp_path: Path, stores: str, problem: str) -> None:
    """A chain of what is no store, of one twice, of a chain or of nothing stops the start."""
    path = tmp_path / "c.yaml"
    path.write_text(
        f"stores:\n  a: {{type: directory, path: .}}\n  b: {{type: directory, path: .}}\n"
        f"  both: {{type: chain, stores: {stores}}}\n"
    )
    done = run_cli("config", "check", str(path))

    assert done.returncode == 2
    assert f"c.yaml:4: {problem}" in done.stderr


def test_chain_has_no_time_to_live(tmp_path: Path) -> None:
    """How long what is held is fresh is a member's own matter."""
    path = tmp_path / "c.yaml"
    path.write_text(
        "stores:\n  a: {type: directory, path: .}\n  b: {type: chain, stores: [a], ttl_s: 1}\n"
    )
    done = run_cli("config", "check", str(path))

    assert "stores.b.ttl_s: unknown key" in done.stderr


def test_configuration_tells_of_chains(tmp_path: Path) -> None:
    """`config check` tells in which order stores are asked, and a chain may be the default."""
    path = tmp_path / "c.yaml"
    path.write_text(
        "stores:\n  both: {type: chain, stores: [humanloop, a]}\n  a: {type: directory, path: .}\n"
    )
    done = run_cli("config", "check", str(path))

    assert (done.returncode, done.stderr) == (0, "")
    assert (
        "stores: a, humanloop, langfuse; by default both\nchain both: humanloop, then a\n"
        in done.stdout
    )


async def test_what_is_passed_over_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """A member that cannot serve what it may have is logged once, until it has served again."""
    scene = Scene()
    for says in (absent(), forbidden(), unavailable(), LIVE, forbidden()):
        scene.live.says = says
        for _ in range(2):
            scene.clock.now += 2 * TTL_S
            await scene.get(refresh=True)

    assert [(each.__dict__["store"], each.__dict__["reason"]) for each in caplog.records] == [
        ("live", "STORE_AUTH"),
        ("live", "STORE_AUTH"),
    ]


async def test_refresh_after_an_outage() -> None:
    """Who asks for a refresh has the first store itself asked, also where it was down."""
    scene = Scene()
    await scene.get()
    scene.live.says = unavailable()
    await scene.get(refresh=True)
    scene.live.says = make_template("p", "edited")
    scene.live.asked.clear()
    scene.live.may.clear()
    call = asyncio.ensure_future(scene.get(refresh=True))
    await scene.live.asked.wait()
    await asyncio.sleep(0)
    scene.live.may.set()

    assert told(await call) == ("edited", "live", "bypass", "deployed", False)
