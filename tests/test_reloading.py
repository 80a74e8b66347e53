"""A configuration that is replaced while the service runs: all of it, or nothing."""

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme

from prompt_resolver import AsyncPromptResolverClient
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver_server.assembly import engine
from prompt_resolver_server.assembly.configuration import load_configuration
from prompt_resolver_server.templates.cache.state import StateDir, StateFile
from tests.support.calls import VARIABLES, collect, failure
from tests.support.http import HttpDoor
from tests.support.humanloop import KEY, HumanloopApi, running_humanloop, send
from tests.support.prompts import replace_file, write_prompt
from tests.support.reloads import OK, SUCCESSFUL, refuse, reload
from tests.support.service import FREE_PORTS, running_service, serving, serving_file
from tests.support.upstream import Exchange, Upstream, openai_events, running_upstream
from tests.support.volume import Volume
from tests.support.watching import refs, watching

IN_USE_S = 5.0
"""How soon a file's new content is in use."""
WRITTEN_S = 3.0
"""For how long a file is being written; it is looked at every second."""
EXAMPLE = {"company": "J", "customer_name": "A", "order_id": "1", "message": "Where is it?"}
READY_AT = "prompt_resolver_config_last_reload_success_timestamp_seconds"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of the configuration."""
    return tmp_path / "config.yaml"


@pytest.fixture
async def api() -> AsyncIterator[HumanloopApi]:
    async with running_humanloop() as api:
        for prompt in ("a", "b"):
            api.put(prompt, prompt_id=f"pr_{prompt}", template=[{"role": "user", "content": "x"}])
        yield api


def store(api: HumanloopApi, *, name: str = "hl", key: str = KEY, ttl_s: float = 60) -> str:
    """Return a configuration with a store, whose templates are kept on disk."""
    url = f"base_url: '{api.url}', timeout_s: 0.5"
    return f"""
server: {{state_dir: state}}
stores: {{{name}: {{type: humanloop, {url}, api_key: {key}, ttl_s: {ttl_s}}}}}
"""


def provider(upstream: Upstream, **settings: object) -> str:
    """Return a configuration with the directory `prompts`, and the provider `fake`."""
    more = "".join(f", {name}: {value}" for name, value in settings.items())
    return f"""
stores: {{local: {{type: directory, path: prompts}}}}
providers: {{fake: {{dialect: openai, base_url: '{upstream.url}'{more}}}}}
"""


async def down(exchange: Exchange) -> None:
    await send(exchange, {"detail": "oops"}, status="500 Internal Server Error")


def faults(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged of configurations that were refused."""
    return [record.fault for record in caplog.records if hasattr(record, "fault")]


async def test_what_is_new_is_used(
    tmp_path: Path, prompts: Path, path: Path, upstream: Upstream
) -> None:
    """Stores, aliases, providers and limits that are new are there with the next call."""
    write_prompt(tmp_path / "others", "bye", "<user>\nBye\n</user>")
    async with running_service(tmp_path, provider(upstream)) as service:
        assert (await failure(service.client.resolve("bye"))).reason == "PROMPT_NOT_FOUND"
        config = f"""
server: {{default_deadline_s: 7, max_resolves: 1}}
default_store: more
stores:
  local: {{type: directory, path: prompts}}
  more: {{type: directory, path: others}}
providers: {{other: {{dialect: openai, base_url: '{upstream.url}', api_key: key-of-other}}}}
model_list: [{{model_name: chat, litellm_params: {{model: other/m, prompt_id: bye}}}}]
"""
        await reload(service, path, config)

        assert (await service.client.resolve("bye")).prompt.store == "more"
        answer = await service.client.complete(alias="chat")
        assert (answer.provider, answer.prompt.id) == ("other", "bye")
        assert upstream.exchanges[-1].headers["authorization"] == "Bearer key-of-other"
        models: Any = (await HttpDoor(service.http_url).get("/v1/models")).value
        assert [each["id"] for each in models["data"]] == ["chat"]
        assert (await failure(service.client.complete("greet", variables=VARIABLES))).reason == (
            "PROMPT_NOT_FOUND"
        )


async def test_what_is_wrong_is_refused_as_a_whole(
    tmp_path: Path, path: Path, prompts: Path, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    """Faults are told with their places, once, and all stays as it was until they are mended."""
    good = provider(upstream, api_key="key-1")
    async with running_service(tmp_path, good) as service:
        ready_at = await service.metric(READY_AT)
        assert await service.metric(SUCCESSFUL) == 1
        bad = f"{good}callers: {{me: {{token: let-me-in}}}}\ncache: {{max_entries: none}}\nx: 1\n"
        await refuse(service, path, bad)
        await refuse(service, path, bad)

        assert await service.metric(SUCCESSFUL) == 0
        assert await service.metric(READY_AT) == ready_at
        await service.client.complete("greet", variables=VARIABLES)
        assert upstream.exchanges[-1].headers["authorization"] == "Bearer key-1"
        assert faults(caplog) == [
            f"{path}:5: cache.max_entries: expected a whole number, got text",
            f"{path}:6: x: unknown key; expected one of {known_blocks(caplog)}",
        ]

        await reload(service, path, good)
        assert await service.metric(SUCCESSFUL) == 1
        assert await service.metric(READY_AT) > ready_at


def known_blocks(caplog: pytest.LogCaptureFixture) -> str:
    return faults(caplog)[-1].rpartition("one of ")[2]


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ("stores: {local: {type: directory, path: nowhere}}", ":1: stores.local.path: expected a"),
        ("default_store: b", ":1: default_store: expected one of examples"),
        ("providers: {a: {}}", ":1: providers.a.dialect: expected one of openai"),
        ("server: {ca_file: nowhere}", ":1: server.ca_file: expected a readable file"),
        (
            "model_list: [{model_name: a, litellm_params: {model: humanloop/auto, api_key: k}}]",
            ":1: model_list.0.litellm_params",
        ),
        ("stores: {a: {type: directory", ":1: "),
        ("providers: {openai: {api_key: os.environ/NOT_SET_AT_ALL}}", ":1: providers.openai"),
    ],
)
async def test_each_kind_of_fault(
    tmp_path: Path, path: Path, caplog: pytest.LogCaptureFixture, config: str, problem: str
) -> None:
    """Whatever would stop the start is refused, wherever it is found."""
    async with running_service(tmp_path) as service:
        await refuse(service, path, config)

        assert await service.metric(SUCCESSFUL) == 0
        [fault] = faults(caplog)
        assert fault.startswith(f"{path}{problem}")
        assert (
            await service.client.resolve("support/reply", variables=EXAMPLE)
        ).prompt.store == "examples"


@pytest.mark.parametrize(
    ("block", "settings"),
    [
        (
            "server: {max_message_bytes: 2048, reflection: true, yielding_threads: false}",
            ("server.reflection", "server.yielding_threads", "server.max_message_bytes"),
        ),
        (
            "server: {state_dir: state, unix_socket_mode: '0600'}",
            ("server.state_dir", "server.unix_socket_mode"),
        ),
        ("cache: {redis: {url: 'redis://127.0.0.1:1/0'}}", ("cache.redis",)),
        ("tracing: {sample_ratio: 0.5}", ("tracing",)),
    ],
)
async def test_what_needs_a_restart(
    tmp_path: Path,
    path: Path,
    caplog: pytest.LogCaptureFixture,
    block: str,
    settings: tuple[str, ...],
) -> None:
    """Settings of what is opened once are named, and nothing else of that file is used either."""
    write_prompt(tmp_path / "prompts", "p", "<user>\nx\n</user>")
    async with running_service(tmp_path) as service:
        config = f"{block}\nstores: {{local: {{type: directory, path: prompts}}}}"
        await refuse(service, path, config)

        told = "expected no change without a restart"
        assert faults(caplog) == [f"{path}:1: {setting}: {told}" for setting in settings]
        assert (await failure(service.client.resolve("p"))).reason == "PROMPT_NOT_FOUND"


async def test_addresses_need_a_restart(tmp_path: Path, path: Path) -> None:
    """An address that the file changes is refused; one that the environment overrides is not."""
    environ = {"PROMPT_RESOLVER_HTTP_ADDRESS": ""}
    async with running_service(tmp_path, "", environ) as service:
        await reload(service, path, "server: {http_address: '127.0.0.1:1'}")


async def test_door_stays_protected(
    tmp_path: Path, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A door beyond loopback does not lose what tells callers apart."""
    environ = {"PROMPT_RESOLVER_GRPC_ADDRESS": "0.0.0.0:0"}
    async with running_service(tmp_path, "callers: {me: {token: let-me-in}}", environ) as service:
        await refuse(service, path, "server: {insecure: false}")

        [fault] = faults(caplog)
        assert fault.startswith("variable PROMPT_RESOLVER_GRPC_ADDRESS: expected general_settings")
        refused = service.client.resolve("support/reply", variables=EXAMPLE)
        assert (await failure(refused)).reason == "CALLER_TOKEN_MISSING"
        await reload(service, path, "server: {insecure: true}")
        await service.client.resolve("support/reply", variables=EXAMPLE)


async def test_door_on_loopback_stays_protected(
    tmp_path: Path, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor does one on loopback, where a proxy may stand before it."""
    async with running_service(tmp_path, "general_settings: {master_key: let-me-in}") as service:
        await refuse(service, path, "server: {drain_s: 3}")

        [fault] = faults(caplog)
        assert "general_settings.master_key: expected one, or callers" in fault
        refused = service.client.resolve("support/reply", variables=EXAMPLE)
        assert (await failure(refused)).reason == "CALLER_TOKEN_MISSING"
        await reload(service, path, "server: {insecure: true}")
        await service.client.resolve("support/reply", variables=EXAMPLE)


async def test_tokens_are_replaced(tmp_path: Path, path: Path) -> None:
    """A token that was removed lets nobody in any more, at either door, and a new one does."""
    async with (
        running_service(tmp_path, "callers: {me: {token: token-1}}") as service,
        AsyncPromptResolverClient(service.address, token="token-1") as before,
        AsyncPromptResolverClient(service.address, token="token-2") as after,
    ):
        await before.resolve("support/reply", variables=EXAMPLE)
        await reload(service, path, "general_settings: {master_key: token-2}")

        refused = await failure(before.resolve("support/reply", variables=EXAMPLE))
        assert refused.reason == "CALLER_TOKEN_INVALID"
        await after.resolve("support/reply", variables=EXAMPLE)
        door = HttpDoor(service.http_url)
        assert (await door.get("/v1/models", authorization="Bearer token-1")).status == 401
        assert (await door.get("/v1/models", authorization="Bearer token-2")).status == 200

        await refuse(service, path, "callers: {}")
        await reload(service, path, "callers: {}\nserver: {insecure: true}")
        await before.resolve("support/reply", variables=EXAMPLE)


@pytest.mark.parametrize(
    ("caller", "answer"),
    [("shop: {token: key-of-shop}", b"x-model: new\r\n"), ("desk: {token: t}", b" 403 ")],
    ids=["still known", "gone"],
)
async def test_body_that_takes_its_time(
    tmp_path: Path, path: Path, caller: str, answer: bytes
) -> None:
    """A request whose body comes later goes by what is configured then, its caller too."""
    config = """
callers: {%s}
model_list: [{model_name: m, litellm_params: {model: echo/%s}}]
"""
    body = b'{"model": "m", "messages": [{"role": "user", "content": "x"}]}'
    async with running_service(tmp_path, config % ("shop: {token: key-of-shop}", "old")) as service:
        parts = urlsplit(service.http_url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            b"Expect: 100-continue\r\n"
            b"Authorization: Bearer key-of-shop\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        await reader.readuntil(b" 100 Continue\r\n\r\n")
        writer.write(body[:10])
        await reload(service, path, config % (caller, "new"))
        writer.write(body[10:])
        answered = await reader.read()
        writer.close()

    assert answer in answered


async def test_store_that_is_as_before(tmp_path: Path, path: Path, api: HumanloopApi) -> None:
    """What an unchanged store served is served on, with its age, while it is down."""
    async with running_service(tmp_path, store(api, ttl_s=0.001)) as service:
        await service.client.resolve("pr_a")
        api.fail = down
        stale = (await service.client.resolve("pr_a", refresh=True)).prompt
        asked = len(api.requests)
        await reload(service, path, store(api, ttl_s=0.001) + "callers: {}\n")

        served = (await service.client.resolve("pr_a")).prompt
        assert served.stale
        assert served.age.ToTimedelta() > stale.age.ToTimedelta()
        # It is known to be down, and left alone for a while.
        assert len(api.requests) - asked <= 1


async def test_key_of_a_store_is_rotated(tmp_path: Path, path: Path, api: HumanloopApi) -> None:
    """Another key or time to live empties nothing, also while the store is down; it is used."""
    async with running_service(tmp_path, store(api, key="key-before")) as service:
        keys = {"x-prompt-store-key": KEY}
        assert (await failure(service.client.resolve("pr_a"))).reason == "STORE_AUTH"
        await service.client.resolve("pr_b", credentials=keys)
        await reload(service, path, store(api))
        await service.client.resolve("pr_a")
        api.fail = down
        await reload(service, path, store(api, key="key-after", ttl_s=30))

        assert (await service.client.resolve("pr_a")).prompt.cache == pb.CACHE_RESULT_HIT
        mine = await service.client.resolve("pr_b", credentials=keys)
        assert mine.prompt.cache == pb.CACHE_RESULT_HIT
        async with asyncio.timeout(10):
            while api.exchanges[-1].headers["x-api-key"] != "key-after":
                await service.client.resolve("pr_a")


async def test_store_that_moves(tmp_path: Path, path: Path, api: HumanloopApi) -> None:
    """A store elsewhere serves nothing of the one before, from memory or, later, from disk."""
    async with running_humanloop() as other:
        other.put("a", prompt_id="pr_a", version="v9", template=[{"role": "user", "content": "y"}])
        async with running_service(tmp_path, store(api)) as service:
            await service.client.resolve("pr_a")
            await service.client.resolve("pr_b")
            async with asyncio.timeout(10):
                while len(copies(tmp_path)) < 2:
                    await service.client.resolve("pr_a", refresh=True)
            await reload(service, path, store(other))

            assert (await service.client.resolve("pr_a")).prompt.version == "v9"
            assert (await failure(service.client.resolve("pr_b"))).reason == "PROMPT_NOT_FOUND"
        assert len(copies(tmp_path)) == 1


async def test_store_that_is_gone(tmp_path: Path, path: Path, api: HumanloopApi) -> None:
    """A store that is not configured any more is unknown, and its copies are removed."""
    more = "  local: {type: directory, path: .}\n"
    async with running_service(tmp_path, store(api)) as service:
        await service.client.resolve("pr_a")
        await reload(service, path, f"server: {{state_dir: state}}\nstores:\n{more}")

        assert (await failure(service.client.resolve("pr_a", store="hl"))).reason == "STORE_UNKNOWN"
        assert await service.metric("prompt_resolver_template_cache_entries") == 0
    assert copies(tmp_path) == []


async def test_disk_that_hangs(
    tmp_path: Path,
    path: Path,
    api: HumanloopApi,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """While copies cannot be read, a reload is refused and told of, and tried again by itself."""
    may, scan = threading.Event(), StateDir.scan

    def hang(disk: StateDir) -> Iterator[StateFile]:
        may.wait()
        return scan(disk)

    monkeypatch.setattr(StateDir, "scan", hang)
    monkeypatch.setattr(engine, "_RESTORED_S", 0.1)
    try:
        async with running_service(tmp_path, store(api)) as service:
            await refuse(service, path, store(api, ttl_s=1))
            [fault] = faults(caplog)
            assert "server.state_dir: expected a disk that answers" in fault
            before = await service.metric(OK)
            may.set()
            async with asyncio.timeout(20):
                while await service.metric(OK) == before:
                    pass
    finally:
        may.set()


def copies(folder: Path) -> list[Path]:
    """Return the copies of templates that are on disk."""
    return [*folder.glob("state/templates/[!.]*")]


async def test_watches_go_on(tmp_path: Path, path: Path, api: HumanloopApi) -> None:
    """A watch lasts through reloads, and tells what becomes of prompts of stores that change."""
    api.put("a", prompt_id="pr_a", version="v1", template=[{"role": "user", "content": "x"}])
    without = "server: {state_dir: state}\nstores: {local: {type: directory, path: .}}\n"
    async with (
        running_service(tmp_path, store(api, ttl_s=0)) as service,
        watching(service.address, refs("pr_a", store="hl")) as watch,
    ):
        assert await watch.told() == ("pr_a", "v1", "SNAPSHOT")
        await reload(service, path, store(api, ttl_s=0) + "callers: {}\n")
        await reload(service, path, store(api, ttl_s=0.5))
        api.put("a", prompt_id="pr_a", version="v2", template=[{"role": "user", "content": "y"}])
        assert await watch.told() == ("pr_a", "v2", "UPDATED")
        await reload(service, path, without)
        assert (await watch.told())[2] == "REMOVED"
        await reload(service, path, store(api))
        assert await watch.told() == ("pr_a", "v2", "UPDATED")


def stores(*names: str, default: str, chain: str) -> str:
    """Return a configuration with directories of these names, and a chain of some of them."""
    lines = "".join(f"  {name}: {{type: directory, path: {name}}}\n" for name in names)
    return f"default_store: {default}\nstores:\n{lines}  all: {{type: chain, stores: [{chain}]}}\n"


async def test_watches_follow_what_is_served(tmp_path: Path, path: Path) -> None:
    """Whoever watches the default store, or a chain, is told when others serve its prompts."""
    names = ("one", "two", "three")
    for name in names:
        write_prompt(tmp_path / name, "greet", f"<user>\nFrom {name}\n</user>")
    async with (
        running_service(
            tmp_path, stores(*names, default="one", chain="one, two, three")
        ) as service,
        watching(service.address, refs("greet")) as by_default,
        watching(service.address, refs("greet", store="all")) as of_chain,
        watching(service.address, refs("greet", store="one")) as of_one,
        watching(service.address, refs("greet", store="two")) as of_two,
    ):
        watches = (by_default, of_chain, of_one, of_two)
        assert [(await watch.next()).prompt.store for watch in watches] == [
            *("one", "one", "one", "two")
        ]
        await reload(service, path, stores(*names, default="two", chain="two, one, three"))
        for watch in (by_default, of_chain):
            event = await watch.next()
            assert (event.change, event.prompt.store) == (pb.CHANGE_UPDATED, "two")
        late = refs("greet", store="all")
        async with watching(service.address, late) as of_chain_since:
            assert (await of_chain_since.next()).prompt.store == "two"

        write_prompt(tmp_path / "two", "greet", "<user>\nAn edit\n</user>")
        served = (await service.client.resolve("greet")).prompt
        for watch in (by_default, of_chain):
            event = await watch.next()
            assert (event.prompt.store, event.prompt.version) == ("two", served.version)

        # The store that they began with may go.
        await reload(service, path, stores(*names[1:], default="two", chain="two, three"))
        assert (await of_one.told())[2] == "REMOVED"
        write_prompt(tmp_path / "two", "greet", "<user>\nAnother\n</user>")
        served = (await service.client.resolve("greet")).prompt
        for watch in (by_default, of_chain):
            assert await watch.told() == ("greet", served.version, "UPDATED")


async def test_watches_follow_what_was_not_held(tmp_path: Path, path: Path) -> None:
    """A prompt that the new default store has not served yet is fetched for those who watch it."""
    write_prompt(tmp_path / "one", "greet", "<user>\nFrom one\n</user>")
    write_prompt(tmp_path / "one", "bye", "<user>\nBye\n</user>")
    write_prompt(tmp_path / "two", "greet", "<user>\nFrom two\n</user>")
    async with (
        running_service(tmp_path, stores("one", "two", default="one", chain="one")) as service,
        watching(service.address, refs("greet")) as greet,
        watching(service.address, refs("bye")) as bye,
    ):
        assert (await greet.told())[2] == (await bye.told())[2] == "SNAPSHOT"
        await reload(service, path, stores("one", "two", default="two", chain="one"))
        came, gone = await greet.next(), await bye.next()
    assert (came.change, came.prompt.store) == (pb.CHANGE_UPDATED, "two")
    assert (gone.change, gone.prompt.version) == (pb.CHANGE_REMOVED, "")


async def test_calls_end_as_they_began(
    tmp_path: Path, prompts: Path, path: Path, upstream: Upstream
) -> None:
    """A stream that runs goes on by what it began with, though all that it uses is replaced."""
    begun, going_on = asyncio.Event(), asyncio.Event()

    async def pause(exchange: Exchange) -> None:
        first, *rest = openai_events("Hel", "lo")
        await exchange.begin_stream()
        await exchange.send(first)
        begun.set()
        await going_on.wait()
        for event in rest:
            await exchange.send(event)

    authority = trustme.CA()
    (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
    async with running_service(tmp_path, provider(upstream, api_key="key-1")) as service:
        upstream.answer, answer = pause, upstream.answer
        running = asyncio.ensure_future(collect(service.client))
        await begun.wait()
        upstream.answer = answer
        async with running_upstream() as other:
            more = "server: {ca_file: ca.pem}\nrendering: {workers: 1}\n"
            await reload(service, path, more + provider(other, api_key="key-2"))
            await service.client.complete("greet", variables=VARIABLES)
            assert other.exchanges[-1].headers["authorization"] == "Bearer key-2"
        going_on.set()
        streamed = await running

    assert streamed.error is None
    assert streamed.text == "Hello"
    assert upstream.exchanges[-1].headers["authorization"] == "Bearer key-1"


async def test_chain_that_changes_under_a_call(
    tmp_path: Path, path: Path, api: HumanloopApi
) -> None:
    """A call on its way through a chain asks the members that the chain had when it began."""
    write_prompt(tmp_path / "baked", "pr_a", "<user>\nbaked\n</user>")
    asked, failing = asyncio.Event(), asyncio.Event()

    async def hang(exchange: Exchange) -> None:
        asked.set()
        await failing.wait()
        await down(exchange)

    api.fail = hang
    stores = store(api).replace("0.5", "20").rstrip().removesuffix("}")
    chain = ", both: {type: chain, stores: [hl, baked]}, baked: {type: directory, path: baked}}"
    async with running_service(tmp_path, f"{stores}{chain}\n") as service:
        call = asyncio.ensure_future(service.client.resolve("pr_a", store="both"))
        await asked.wait()
        await reload(service, path, "server: {state_dir: state}")
        failing.set()

        assert (await call).messages[0].content[0].text == "baked"
        unknown = await failure(service.client.resolve("pr_a", store="both"))
        assert unknown.reason == "STORE_UNKNOWN"


async def test_ready_stays_ready(tmp_path: Path, path: Path, api: HumanloopApi) -> None:
    """Prompts to prefetch that are new are fetched, and nobody is told to wait for them."""
    async with running_service(tmp_path, store(api) + "prefetch: [pr_a]\n") as service:
        async with asyncio.timeout(10):
            while await service.get("/readyz") != "ready\n":
                pass
        await reload(service, path, store(api) + "prefetch: [pr_a, pr_b, nowhere]\n")

        assert await service.get("/readyz") == "ready\n"
        async with asyncio.timeout(10):
            while "GET /v5/prompts/pr_b" not in api.requests:
                await service.get("/healthz")


async def test_limits_change(tmp_path: Path, path: Path, api: HumanloopApi) -> None:
    """A smaller cache drops at once what is too much, and fewer calls may run at once."""
    async with running_service(tmp_path, store(api)) as service:
        for prompt in ("pr_a", "pr_b"):
            await service.client.resolve(prompt)
        limits = "cache: {max_entries: 1}\n"
        more = store(api).replace("{state_dir: state}", "{state_dir: state, max_watches: 1}")
        await reload(service, path, more + limits)

        assert await service.metric("prompt_resolver_template_cache_entries") == 1
        async with watching(service.address, refs("pr_b")) as first:
            await first.told()
            async with watching(service.address, refs("pr_b")) as second:
                assert (await second.failure())[1] == "OVERLOADED"


async def test_level_of_the_log(tmp_path: Path, path: Path) -> None:
    """What is logged changes with the configuration."""
    root = logging.getLogger()
    before = root.level
    try:
        async with running_service(tmp_path) as service:
            await reload(service, path, "server: {log_level: error}")
            assert root.level == logging.ERROR
    finally:
        root.setLevel(before)


async def test_file_that_changes(tmp_path: Path, prompts: Path, upstream: Upstream) -> None:
    """A volume's new content is in use within five seconds, without a signal, CA included."""
    authority = trustme.CA()
    files = {"config.yaml": provider(upstream, api_key="key-1")}
    volume = Volume(tmp_path / "volume", files)
    (tmp_path / "volume" / "prompts").symlink_to(prompts)
    async with serving_file(tmp_path / "volume" / "config.yaml") as service:
        client = service.client
        await client.complete("greet", variables=VARIABLES)
        files["ca.pem"] = authority.cert_pem.bytes().decode()
        files["config.yaml"] = f"server: {{ca_file: ca.pem}}{provider(upstream, api_key='key-2')}"
        (tmp_path / "volume" / "prompts").unlink()
        volume.update(files)
        (tmp_path / "volume" / "prompts").symlink_to(prompts)
        began = time.monotonic()
        async with asyncio.timeout(30):
            while upstream.exchanges[-1].headers["authorization"] != "Bearer key-2":
                await client.complete("greet", variables=VARIABLES)
        assert time.monotonic() - began < IN_USE_S


async def test_file_that_is_gone_for_a_moment(
    tmp_path: Path,
    path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A file that is gone or half-written is a fault, which its return mends without a signal."""
    monkeypatch.chdir(tmp_path.parent)
    name = path.relative_to(tmp_path.parent)
    replace_file(path, "providers: {}\n")
    async with serving_file(name) as service:
        await asyncio.to_thread(path.unlink)
        async with asyncio.timeout(30):
            while await service.metric(SUCCESSFUL) == 1:
                pass
        replace_file(path, "providers: {")
        async with asyncio.timeout(30):
            while len(faults(caplog)) < 2:
                await service.get("/healthz")
        replace_file(path, "providers: {}\n")
        async with asyncio.timeout(30):
            while await service.metric(SUCCESSFUL) == 0:
                pass

    gone, half = faults(caplog)
    assert gone == f"{name}: expected a readable file: No such file or directory"
    assert half.startswith(f"{name}:1: ")


async def test_half_of_a_file(tmp_path: Path, path: Path) -> None:
    """While a file is being written, nothing of it is taken, though half of it would be valid."""
    whole = "providers: {}\ncallers: {me: {token: let-me-in}}\n"
    async with running_service(tmp_path, whole) as service:
        until, outcomes = time.monotonic() + WRITTEN_S, set()
        while time.monotonic() < until:
            await asyncio.to_thread(path.write_text, whole.partition("callers")[0])
            outcomes.add((await failure(service.client.resolve("p"))).reason)
        await asyncio.to_thread(path.write_text, whole)
        async with asyncio.timeout(30):
            while await service.metric(OK) == 0:
                pass

        assert outcomes == {"CALLER_TOKEN_MISSING"}
        assert (await failure(service.client.resolve("p"))).reason == "CALLER_TOKEN_MISSING"


async def test_what_is_no_configuration(
    tmp_path: Path, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What was emptied, or cannot be read again, is refused, and waited for by nobody."""
    async with running_service(tmp_path, "callers: {me: {token: let-me-in}}\n") as service:
        await refuse(service, path, "")
        await asyncio.to_thread(path.unlink)
        os.mkfifo(path)
        try:
            async with asyncio.timeout(30):
                while "which may be read again" not in faults(caplog)[-1]:
                    os.kill(os.getpid(), signal.SIGHUP)
                    await service.get("/healthz")
        finally:
            # Whoever waits for a writer, waits no more.
            os.close(os.open(path, os.O_RDWR))

        assert (await failure(service.client.resolve("p"))).reason == "CALLER_TOKEN_MISSING"
    assert faults(caplog)[0] == f"{path}: expected a configuration, got an empty file"
    assert faults(caplog)[-1] == f"{path}: expected a file, which may be read again"


async def test_change_during_the_start(tmp_path: Path, prompts: Path, path: Path) -> None:
    """What changes after it was read, and before it serves, is used soon after."""
    empty = tmp_path / "empty"
    empty.mkdir()
    replace_file(path, f"stores: {{local: {{type: directory, path: '{empty}'}}}}\n")
    loaded = load_configuration(path, FREE_PORTS)
    replace_file(path, f"stores: {{local: {{type: directory, path: '{prompts}'}}}}\n")
    async with serving(loaded) as service, asyncio.timeout(30):
        while await service.metric(OK) == 0:
            pass
        await service.client.resolve("greet", variables=VARIABLES)


async def test_what_is_wrong_elsewhere(tmp_path: Path, path: Path) -> None:
    """What was refused for something beside the file is tried again without a signal."""
    async with running_service(tmp_path) as service:
        await refuse(service, path, "stores: {local: {type: directory, path: prompts}}")
        write_prompt(tmp_path / "prompts", "p", "<user>\nx\n</user>")
        async with asyncio.timeout(30):
            while await service.metric(SUCCESSFUL) == 0:
                pass

        await service.client.resolve("p")


async def test_no_file(caplog: pytest.LogCaptureFixture) -> None:
    """Without a file there is nothing to reload, and a signal to do so is told so."""
    async with serving_file(None) as service:
        os.kill(os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(10):
            while "there is nothing to reload" not in caplog.text:
                await service.client.resolve("support/reply", variables=EXAMPLE)


async def test_what_may_be_a_slip(
    tmp_path: Path, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A new setting that does nothing is named in the log, once."""
    async with running_service(tmp_path) as service:
        for _ in range(2):
            await reload(service, path, "litellm_settings: {set_verbose: true}")

    named = [record.setting for record in caplog.records if hasattr(record, "setting")]
    assert named == ["litellm_settings.set_verbose"]
