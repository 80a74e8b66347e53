"""Callers with rules, at every door: what they may not use is refused, whether or not it is there.

Nothing is fetched before that, so neither the answer nor its time tells what there is.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry

from prompt_resolver import AsyncPromptResolverClient, PromptResolverError
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver_server.doors.doors import data_routes
from prompt_resolver_server.entry.running import Running
from prompt_resolver_server.http.browsers import keep_pages_out
from prompt_resolver_server.http.calls import HttpCalls
from prompt_resolver_server.metrics import Metrics
from prompt_resolver_server.settings import ConfigError
from tests.support.calls import collect, failure
from tests.support.guarded import Guarded, guarded_config, running_guarded
from tests.support.http import HttpAnswer
from tests.support.operator import bearer
from tests.support.page import call, reason_of
from tests.support.prompts import replace_file
from tests.support.reloads import refuse
from tests.support.serving import make_serving
from tests.support.upstream import Exchange, Upstream, openai_events
from tests.support.watching import refs, watching

CALLERS = """
app: {token: token-of-app, prompts: ["support/*"], stores: [hl], aliases: [support, plain],
  models: ["fake/small"]}
nobody: {token: token-of-nobody, prompts: [], stores: [], aliases: [], models: []}
chained: {token: token-of-chained, stores: [both]}
aliased: {token: token-of-aliased, prompts: [], stores: [], models: []}
free: {token: token-of-free, models: ["*"]}
"""
IN_USE_S = 5.0
"""How soon another configuration is in use."""
KEYS = {"x-prompt-store-key": "hl-key-1", "x-provider-key-fake": "key-of-caller"}
SELF = "support/reply"

Document = dict[str, Any]


@pytest.fixture
async def scene(tmp_path: Path, upstream: Upstream) -> AsyncIterator[Guarded]:
    async with running_guarded(tmp_path, upstream, CALLERS) as running:
        yield running


async def resolve(client: AsyncPromptResolverClient, **asked: Any) -> object:
    return await client.resolve(**asked)


async def complete(client: AsyncPromptResolverClient, **asked: Any) -> object:
    return await client.complete(**asked)


async def stream(client: AsyncPromptResolverClient, **asked: Any) -> object:
    streamed = await collect(client, asked.pop("prompt_id", ""), **asked)
    if streamed.error is not None:
        assert streamed.events == []
        raise streamed.error
    return streamed


async def watch(client: AsyncPromptResolverClient, **asked: Any) -> object:
    async for event in client.watch(asked["prompt_id"]):
        return event
    raise AssertionError("the watch has ended")


RPCS: Mapping[str, Callable[..., Any]] = {
    "Resolve": resolve,
    "Complete": complete,
    "CompleteStream": stream,
    "WatchPrompts": watch,
}

Asking = Callable[[str], tuple[str, Document | None]]


def _chat(prefix: str, end: str = "") -> Asking:
    return lambda name: (f"{prefix}/chat/completions{end}", {"prompt_id": name})


ROUTES: Mapping[tuple[str, str], Asking] = {
    ("POST", "/v1/chat/completions"): _chat("/v1"),
    ("POST", "/chat/completions"): _chat(""),
    ("POST", "/v1/chat/completions/"): _chat("/v1", end="/"),
    ("POST", "/chat/completions/"): _chat("", end="/"),
    ("POST", "/openai/deployments/{model:.+}/chat/completions"): (
        lambda name: ("/openai/deployments/local/auto/chat/completions", {"prompt_id": name})
    ),
    ("GET", "/v1/models/{name:.+}"): lambda name: (f"/v1/models/{name}", None),
    ("GET", "/models/{name:.+}"): lambda name: (f"/models/{name}", None),
    ("GET", "/v5/prompts/{id:.+}"): lambda name: (f"/v5/prompts/{name}", None),
    ("GET", "/v5/prompts/{id:.+}/versions"): lambda name: (f"/v5/prompts/{name}/versions", None),
    ("GET", "/v5/prompts/{id:.+}/environments"): (
        lambda name: (f"/v5/prompts/{name}/environments", None)
    ),
    ("POST", "/v5/files/retrieve-by-path"): (
        lambda name: ("/v5/files/retrieve-by-path", {"path": name})
    ),
    ("GET", "/beta/litellm_prompt_management"): (
        lambda name: (f"/beta/litellm_prompt_management?prompt_id={name}", None)
    ),
}
"""The routes that serve something by its name, and how it is asked for."""

LISTS = {
    *(("GET", f"{prefix}/models{end}") for prefix in ("/v1", "") for end in ("", "/")),
    ("GET", "/v5/prompts"),
}
NOT_SERVED = {("*", "/v5{rest:(/.*)?}"), ("*", "/{path:.*}")}


async def ask(scene: Guarded, caller: str, asking: tuple[str, Document | None]) -> HttpAnswer:
    path, document = asking
    door = scene.door(caller)
    return await (door.get(path) if document is None else door.post(path, document))


async def test_all_methods_and_routes_are_known_here() -> None:
    """What is added to a data door has to be added to what is tried below."""
    service = pb.DESCRIPTOR.services_by_name["PromptResolver"]
    async with AsyncExitStack() as stack:
        serving = make_serving(stack)
        calls = HttpCalls(
            serving=serving,
            check=keep_pages_out(serving),
            gates={},
            running=Running(),
            metrics=Metrics(CollectorRegistry(), version="test"),
        )
        routes = {(route.method, route.path) for route in data_routes(calls, serving)}

    assert {method.name for method in service.methods} == RPCS.keys()
    assert routes == {*ROUTES, *LISTS, *NOT_SERVED}


async def refused(scene: Guarded, caller: str, method: str, **asked: Any) -> PromptResolverError:
    """Return the error of a call over gRPC, before which nothing was asked of anybody."""
    before = scene.asked
    async with scene.client(caller) as client:
        error = await failure(RPCS[method](client, **asked))
    assert scene.asked == before
    return error


@pytest.mark.parametrize("method", RPCS)
async def test_no_method_forgets(scene: Guarded, method: str) -> None:
    """Whoever may use nothing is refused by every method, and learns not what is there."""
    there, absent = [
        await refused(scene, "nobody", method, prompt_id=prompt)
        for prompt in ("secret/plan", "absent")
    ]

    assert (there.code, there.reason) == (grpc.StatusCode.PERMISSION_DENIED, "CALLER_FORBIDDEN")
    # The store comes first, and the call has not named it.
    assert (there.message, there.metadata) == ("this caller may not use the default store", STORE)
    assert (absent.message, absent.metadata) == (there.message, there.metadata)


STORE = {"kind": "store"}


@pytest.mark.parametrize("route", ROUTES)
async def test_no_route_forgets(scene: Guarded, route: tuple[str, str]) -> None:
    """Whoever may use nothing is refused by every route, and learns not what is there."""
    there, absent = [
        await ask(scene, "nobody", ROUTES[route](name)) for name in ("secret", "absent")
    ]

    assert (there.status, absent.status) == (403, 403)
    assert b"CALLER_FORBIDDEN" in there.body
    assert b"may not use the" in there.body
    assert absent.body.replace(b"absent", b"secret") == there.body
    assert scene.asked == []


@pytest.mark.parametrize("path", ["/v1/models", "/models"])
async def test_lists_of_aliases(scene: Guarded, path: str) -> None:
    """An alias is listed to whom may use it."""
    listed = {}
    for caller in ("nobody", "app", "operator"):
        document = (await scene.door(caller).get(path)).json
        listed[caller] = [each["id"] for each in document["data"]]  # type: ignore[attr-defined]

    assert listed == {
        "nobody": [],
        "app": ["support", "plain"],
        "operator": ["support", "secret", "plain"],
    }


async def test_lists_of_prompts(scene: Guarded) -> None:
    """A prompt is listed to whom may use it, by its path or its id, and to nobody else."""
    documents = {}
    for caller in ("app", "free", "nobody", "chained"):
        answer = await scene.door(caller).get("/v5/prompts?size=50")
        documents[caller] = answer.json

    records = {name: each.get("records") for name, each in documents.items()}
    assert [each["path"] for each in records["app"]] == ["support/reply", "support/other"]  # type: ignore[attr-defined]
    assert documents["app"]["total"] == 2
    assert documents["free"]["total"] == 3
    assert [documents[name]["metadata"] for name in ("nobody", "chained")] == [STORE, STORE]


CASES: Mapping[str, tuple[Document, str, str]] = {
    "prompt": ({"prompt_id": "{}/plan"}, "secret", "prompt"),
    "prompt of an alias": ({"prompt_id": "{}/plan", "alias": "support"}, "secret", "prompt"),
    "store": ({"prompt_id": SELF, "store": "{}"}, "local", "store"),
    "store of an alias": ({"alias": "support", "store": "{}"}, "local", "store"),
    "store of a model": ({"prompt_id": SELF, "model": "{}/fake/small"}, "local", "store"),
    "chain": ({"prompt_id": SELF, "store": "{}"}, "both", "store"),
    "alias": ({"alias": "{}"}, "secret", "alias"),
    "model": ({"prompt_id": SELF, "model": "fake/{}"}, "big", "model"),
    "model of a provider": ({"prompt_id": SELF, "model": "openai/{}"}, "gpt", "model"),
    "model of nobody": ({"prompt_id": SELF, "model": "{}"}, "small", "model"),
    "model of an alias": ({"alias": "support", "model": "fake/{}"}, "big", "model"),
    "store that is like a model": ({"prompt_id": SELF, "model": "{}"}, "local", "model"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("method", ["Resolve", "Complete", "CompleteStream"])
async def test_what_a_caller_names(scene: Guarded, method: str, case: str) -> None:
    """What is named beyond the rules is refused the same whether or not it is there."""
    asked, name, kind = CASES[case]

    def fill(word: str) -> Document:
        return {field: value.format(word) for field, value in asked.items()}

    there = await refused(scene, "app", method, **fill(name), credentials=KEYS)
    absent = await refused(scene, "app", method, **fill("absent"), credentials=KEYS)

    assert (there.code, there.reason) == (grpc.StatusCode.PERMISSION_DENIED, "CALLER_FORBIDDEN")
    assert there.metadata == absent.metadata == {"kind": kind}
    assert absent.message.replace("absent", name) == there.message
    assert name in there.message


@pytest.mark.parametrize(
    "asked",
    [
        {"prompt_id": SELF},
        {"prompt_id": SELF, "store": "hl"},
        {"prompt_id": SELF, "model": "fake/small"},
        {"prompt_id": SELF, "model": "hl/fake/small"},
        {"prompt_id": SELF, "model": "hl/auto"},
        {"alias": "support"},
        {"alias": "support", "model": "fake/small"},
        {"alias": "support", "prompt_id": SELF},
        {"alias": "plain", "prompt_id": SELF},
    ],
)
@pytest.mark.parametrize("method", ["Resolve", "Complete", "CompleteStream"])
async def test_what_a_caller_may_name(scene: Guarded, method: str, asked: Document) -> None:
    """What is within the rules is served, as is what an alias brings that the rules name."""
    async with scene.client("app") as client:
        await RPCS[method](client, **asked)


async def test_what_an_alias_brings(scene: Guarded) -> None:
    """Who may use an alias may have its prompt, store and model, and nothing beside them."""
    async with scene.client("aliased") as client:
        served = await client.resolve(alias="secret")
        version = await failure(client.resolve(alias="secret", version="v1"))
        other = await failure(client.resolve("support/reply", alias="secret"))
        named = await failure(client.resolve("secret/plan", alias="secret"))
        elsewhere = await failure(client.resolve("support/reply", alias="plain"))

    assert (served.prompt.id, served.prompt.store) == ("secret/plan", "local")
    assert version.reason == "VERSION_NOT_FOUND"
    assert [each.metadata["kind"] for each in (other, named, elsewhere)] == [
        "prompt",
        "prompt",
        "store",
    ]


async def test_chains(scene: Guarded) -> None:
    """A chain is used by its own name, whichever of its stores serves."""
    async with scene.client("chained") as client:
        served = await client.resolve("support/spare", store="both")
        others: list[Document] = [{"store": "spare"}, {}, {"model": "spare/fake/small"}]
        kinds = [
            (await failure(client.resolve("support/spare", **other))).metadata["kind"]
            for other in others
        ]

    keys = bearer("token-of-chained")
    async with watching(
        scene.service.address, refs("support/spare", store="both"), keys=keys
    ) as watch:
        told = await watch.told()

    assert served.prompt.store == "spare"
    assert kinds == ["store"] * 3
    assert told[0] == "support/spare"


async def test_a_store_that_is_not_there(tmp_path: Path, upstream: Upstream) -> None:
    """Who may use a store that there is not is told so, and of no others than its own."""
    callers = 'app: {token: token-of-app, stores: [local, "team-*"]}'
    async with running_guarded(tmp_path, upstream, callers) as scene, scene.client("app") as client:
        error = await failure(client.resolve("a", store="team-x"))

    assert error.reason == "STORE_UNKNOWN"
    assert error.message == "prompt.store: expected one of local, got 'team-x'"


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ({"model": "secret"}, "alias"),
        ({"model": "absent"}, "alias"),
        ({"model": "fake/big", "prompt_id": SELF}, "model"),
        ({"model": "fake/absent", "prompt_id": SELF}, "model"),
        ({"model": "local/fake/small", "prompt_id": SELF}, "alias"),
        ({"model": "absent/fake/small", "prompt_id": SELF}, "alias"),
        ({"model": "support", "prompt_id": "secret/plan"}, "prompt"),
        ({"model": "plain", "prompt_id": "secret/plan"}, "prompt"),
    ],
)
@pytest.mark.parametrize("as_stream", [False, True])
async def test_chats(scene: Guarded, document: Document, kind: str, *, as_stream: bool) -> None:
    """At the chat door a name is an alias, else a model; neither is told from what is not there."""
    answer = await scene.door("app").chat(**document, stream=as_stream)

    assert answer.status == 403
    assert (answer.error["reason"], answer.error["metadata"]) == (
        "CALLER_FORBIDDEN",
        {"kind": kind},
    )
    assert scene.asked == []


async def test_chats_within_the_rules(scene: Guarded) -> None:
    """What is within the rules is answered, whole and as a stream."""
    for document in ({"model": "support"}, {"model": "hl/fake/small", "prompt_id": SELF}):
        assert (await scene.door("app").chat(**document)).text == "Hello"
        streamed = await scene.door("app").chat(**document, stream=True)
        assert streamed.events[-1] == "[DONE]"


@pytest.mark.parametrize(
    ("name", "status"),
    [("support/reply", 200), ("pr_support_reply", 403), ("support/absent", 404)],
)
async def test_ids_and_paths(scene: Guarded, name: str, status: int) -> None:
    """An id and a path are two names: who may use the one may not thereby use the other."""
    door = scene.door("app")
    answers = [
        await door.get(f"/v5/prompts/{name}"),
        await door.get(f"/v5/prompts/{name.replace('/', '%2F')}/versions"),
        await door.get(f"/v5/prompts/{name}/environments"),
        await door.post("/v5/files/retrieve-by-path", {"path": name}),
        await door.get(f"/beta/litellm_prompt_management?prompt_id={name}"),
        await door.get(f"/beta/litellm_prompt_management?prompt_id={name}%23production"),
    ]

    assert [answer.status for answer in answers] == [status] * len(answers)


async def test_stores_of_litellms_route(scene: Guarded) -> None:
    """A store in the query is named as in any other call."""
    path = "/beta/litellm_prompt_management?prompt_id=support/reply&store="
    answers = [await scene.door("app").get(path + store) for store in ("hl", "local", "absent")]

    assert [answer.status for answer in answers] == [200, 403, 403]


async def test_mixed_batches(scene: Guarded) -> None:
    """A watch that names one prompt beyond the rules is refused whole, before any is looked at."""
    keys = bearer("token-of-app")
    for other in (refs("secret/plan"), refs("absent"), refs("support/other", store="local")):
        async with watching(
            scene.service.address, [*refs("support/reply"), *other], keys=keys
        ) as watch:
            assert await watch.failure() == (
                grpc.StatusCode.PERMISSION_DENIED,
                "CALLER_FORBIDDEN",
            )
    assert scene.asked == []


async def test_a_watch_of_all(tmp_path: Path, upstream: Upstream) -> None:
    """Who watches all is told of what it may use: in the snapshot, of changes and of removals."""
    async with (
        running_guarded(tmp_path, upstream, CALLERS, ttl_s=0) as scene,
        scene.client("operator") as operator,
    ):
        for prompt in ("secret/plan", "support/reply"):
            await operator.resolve(prompt)
            await operator.resolve(prompt, store="local")
        # Held last, and so what a snapshot would end with.
        await operator.resolve("pr_secret_plan")
        async with watching(scene.service.address, keys=bearer("token-of-app")) as watch:
            revision = await watch.begun()
            assert await watch.told() == ("support/reply", "prv_1", "SNAPSHOT")
            assert watch.revision == revision
            for path in ("secret/plan", "support/reply", "support/other"):
                prompt_id = f"pr_{path.replace('/', '_')}"
                scene.api.put(path, prompt_id=prompt_id, version="prv_2", template="new")
                await operator.resolve(path)
            told = {await watch.told(), await watch.told()}
            assert told == {
                ("support/reply", "prv_2", "UPDATED"),
                ("support/other", "prv_2", "UPDATED"),
            }
            after = watch.revision
            scene.api.prompts.clear()
            for path in ("secret/plan", "support/reply", "support/other"):
                await failure(operator.resolve(path, refresh=True))
            removed = {await watch.told(), await watch.told()}
            assert {(prompt, change) for prompt, _, change in removed} == {
                ("support/reply", "REMOVED"),
                ("support/other", "REMOVED"),
            }
            async with watching(
                scene.service.address, after=after, keys=bearer("token-of-app")
            ) as resumed:
                assert {await resumed.told(), await resumed.told()} == removed


@pytest.mark.parametrize("change", ["removed", "narrowed"])
async def test_a_reload(tmp_path: Path, upstream: Upstream, change: str) -> None:
    """Whom a reload takes something from is refused it; what it asked before ends as it began."""
    may_end = asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        first, *others = openai_events("Hel", "lo")
        await exchange.begin_stream()
        await exchange.send(first)
        await may_end.wait()
        await exchange.send(b"".join(others))
        exchange.writer.close()

    upstream.answer = answer
    callers = {
        "removed": "other: {token: token-of-other}",
        "narrowed": 'app: {token: token-of-app, prompts: ["other/*"]}',
    }
    path, keys = tmp_path / "config.yaml", bearer("token-of-app")
    async with (
        running_guarded(tmp_path, upstream, "app: {token: token-of-app}", ttl_s=0) as scene,
        scene.client("app") as client,
        watching(scene.service.address, keys=keys) as all_prompts,
        watching(scene.service.address, refs(SELF), keys=keys) as one,
    ):
        assert await one.told() == (SELF, "prv_1", "SNAPSHOT")
        assert (await all_prompts.told())[:2] == (SELF, "prv_1")
        running = asyncio.ensure_future(collect(client, SELF))
        async with asyncio.timeout(10):
            await upstream.arrived.wait()
        replace_file(path, guarded_config(scene.api, upstream, callers[change]))
        async with asyncio.timeout(IN_USE_S):
            while (error := await try_to(client.resolve(SELF))) is None:
                pass
        may_end.set()
        streamed = await running
        scene.api.put(SELF, prompt_id="pr_support_reply", version="prv_2", template="new")
        async with scene.client("operator") as operator:
            await operator.resolve(SELF, refresh=True)
        ended = await one.failure()
        assert not (change == "narrowed" and all_prompts.has_ended)

    reason = {"removed": "CALLER_TOKEN_INVALID", "narrowed": "CALLER_FORBIDDEN"}[change]
    assert error.reason == reason
    assert (streamed.error, streamed.text) == (None, "Hello")
    assert ended == (grpc.StatusCode.PERMISSION_DENIED, "CALLER_FORBIDDEN")


async def test_callers_that_cannot_be_told_apart(
    tmp_path: Path, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    """With two callers of one token a service does not start, and takes no such configuration."""
    own, other = "app: {token: token-of-app}", "other: {token: token-of-app}"
    with pytest.raises(ConfigError, match=r"callers\.other\.token: expected another one"):
        async with running_guarded(tmp_path, upstream, f"{own}\n{other}"):
            pass
    async with (
        running_guarded(tmp_path, upstream, own) as scene,
        scene.client("app") as client,
    ):
        config = guarded_config(scene.api, upstream, f"{own}\n{other}")
        await refuse(scene.service, tmp_path / "config.yaml", config)
        await client.resolve(SELF)

    assert any("callers.other.token" in getattr(each, "fault", "") for each in caplog.records)


async def try_to(call: Awaitable[object]) -> PromptResolverError | None:
    """Return the error that a call ends in, if it does."""
    try:
        await call
    except PromptResolverError as error:
        return error
    return None


@pytest.mark.parametrize(
    ("path", "post"),
    [("/api/overview", None), ("/api/prompts", None), ("/api/render", {"prompt_id": SELF})],
)
async def test_the_page(scene: Guarded, path: str, post: Document | None) -> None:
    """The page shows all there is, and so is not for those with rules, however wide."""
    answers = {}
    for caller in ("free", "operator"):
        headers = {"Authorization": f"Bearer token-of-{caller}"}
        answers[caller] = await call(scene.service, path, post=post, headers=headers)

    status, document = answers["free"]
    assert (status, reason_of(document)) == (403, "CALLER_FORBIDDEN")
    assert answers["operator"][0] == 200


async def test_what_is_said_of_a_refused_call(
    scene: Guarded, caplog: pytest.LogCaptureFixture
) -> None:
    """The log tells who asked for what; the metrics that a call was refused, and not to whom."""
    caplog.set_level("INFO", "prompt_resolver_server")
    await refused(scene, "app", "Resolve", prompt_id="secret/plan")
    await scene.service.at_rest()
    metrics = await scene.service.metrics()

    [line] = [vars(record) for record in caplog.records if "caller" in vars(record)]
    assert (line["caller"], line["prompt"], line["details"]) == (
        "app",
        "secret/plan",
        {"kind": "prompt"},
    )
    handled = next(each for each in metrics.splitlines() if "PERMISSION_DENIED" in each)
    assert 'grpc_method="Resolve"' in handled
    assert "secret" not in metrics
    assert json.dumps("app") not in metrics
