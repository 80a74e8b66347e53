"""What operators see of the templates that are held, and do with them."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf.json_format import MessageToDict

from prompt_resolver.errors import from_rpc_error
from prompt_resolver.v1 import admin_pb2 as pb
from prompt_resolver.v1 import prompt_resolver_pb2 as data_pb
from prompt_resolver.v1.admin_pb2_grpc import PromptResolverAdminStub
from prompt_resolver_server.rpc.server import ADMIN_SERVICE
from prompt_resolver_server.settings import ConfigError
from tests.support.calls import VARIABLES, failure
from tests.support.humanloop import KEY, HumanloopApi, running_humanloop, send
from tests.support.operator import ADMIN_DOOR, bearer, refusal, running_admin
from tests.support.prompts import write_prompt
from tests.support.raw import call_unary, open_channel
from tests.support.service import RunningService, running_service, service_process
from tests.support.upstream import Exchange
from tests.support.watching import refs, watching

if TYPE_CHECKING:
    from prompt_resolver.v1.admin_pb2_grpc import PromptResolverAdminAsyncStub

METHODS = list(pb.DESCRIPTOR.services_by_name["PromptResolverAdmin"].methods_by_name)
INVALID = grpc.StatusCode.INVALID_ARGUMENT
CALLER_KEY = {"x-prompt-store-key": KEY}


def words(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


class Scene:
    """A service over a directory and an API, the admin door's stub, and the API itself."""

    def __init__(
        self,
        service: RunningService,
        admin: "PromptResolverAdminAsyncStub",
        api: HumanloopApi,
        prompts: Path,
    ) -> None:
        self.service, self.admin, self.api, self.prompts = service, admin, api, prompts

    async def held(self, **request: object) -> list[str]:
        """Return what is listed, as `store id selector`."""
        listed = await self.admin.ListPrompts(pb.ListPromptsRequest(**request))  # type: ignore[arg-type]
        return [
            f"{each.ref.store} {each.ref.id} {each.ref.version}{each.ref.environment}".strip()
            for each in listed.prompts
        ]


@pytest.fixture
async def scene(tmp_path: Path, prompts: Path) -> AsyncIterator[Scene]:
    async with running_humanloop() as api:
        api.put("greet", prompt_id="pr_1", template=words("Hello"))
        api.put("greet", prompt_id="pr_1", version="prv_2", to="staging", template=words("Hi"))
        config = f"""
stores:
  local: {{type: directory, path: {prompts}}}
  hl: {{type: humanloop, base_url: '{api.url}', api_key: {KEY}, ttl_s: 60}}
"""
        async with running_admin(tmp_path, config) as (service, admin):
            yield Scene(service, admin, api, prompts)


async def test_what_is_held(scene: Scene) -> None:
    """A held copy is told of with its version, age, hits, size and the time that is left."""
    for _ in range(3):
        await scene.service.client.resolve("pr_1", store="hl", environment="staging")

    (held,) = (await scene.admin.ListPrompts(pb.ListPromptsRequest())).prompts

    assert held.ref == data_pb.PromptRef(id="pr_1", store="hl", environment="staging")
    assert (held.prompt.id, held.prompt.version) == ("pr_1", "prv_2")
    assert held.prompt.cache == data_pb.CACHE_RESULT_HIT
    assert held.hit_count == 3
    assert held.size_bytes > 100
    fresh_s = held.fresh_duration.ToTimedelta().total_seconds()
    age_s = held.prompt.age.ToTimedelta().total_seconds()
    assert 0 < fresh_s <= 60
    assert fresh_s + age_s == pytest.approx(60, abs=0.01)


async def test_what_is_past_its_time(scene: Scene) -> None:
    """A copy that is past its time to live has less than no time left."""
    await scene.service.client.resolve("greet", variables=VARIABLES)

    (held,) = (await scene.admin.ListPrompts(pb.ListPromptsRequest())).prompts

    assert held.fresh_duration.ToTimedelta().total_seconds() <= 0


async def test_pages(scene: Scene) -> None:
    """Pages follow on each other in order, whatever comes and goes in between."""
    names = [f"p{number:02}" for number in range(25)]
    for name in names:
        write_prompt(scene.prompts, name, "<user>\nHello\n</user>")
    await scene.service.client.resolve("pr_1", store="hl")
    await scene.admin.PrefetchPrompts(pb.PrefetchPromptsRequest(prompts=refs(*names)))
    token, pages = "", []
    while True:
        page = await scene.admin.ListPrompts(pb.ListPromptsRequest(page_size=10, page_token=token))
        pages.append([each.ref.id for each in page.prompts])
        token = page.next_page_token
        if not token:
            break
        await scene.admin.InvalidatePrompts(
            pb.InvalidatePromptsRequest(prompts=refs(pages[-1][-1], store="local"))
        )

    assert pages == [["pr_1", *names[:9]], names[9:19], names[19:]]


async def test_one_store(scene: Scene) -> None:
    """The list may be that of one store."""
    await scene.service.client.resolve("pr_1", store="hl")
    await scene.service.client.resolve("greet", variables=VARIABLES)

    assert await scene.held() == ["hl pr_1", "local greet"]
    assert await scene.held(store="local") == ["local greet"]


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (pb.ListPromptsRequest(store="nowhere"), "STORE_UNKNOWN"),
        (pb.ListPromptsRequest(page_size=-1), "REQUEST_INVALID"),
        (pb.ListPromptsRequest(page_size=1001), "REQUEST_INVALID"),
    ],
)
async def test_what_cannot_be_listed(
    scene: Scene, request_: pb.ListPromptsRequest, reason: str
) -> None:
    """An unknown store and a size out of range are refused."""
    assert await refusal(scene.admin.ListPrompts(request_)) == (INVALID, reason)


def token(document: bytes) -> str:
    return base64.urlsafe_b64encode(document).decode()


@pytest.mark.parametrize(
    "page_token",
    [
        "x",
        "====",
        "é",
        token(b"null"),
        token(b"[]"),
        token(b'{"store": null}'),
        token(b'{"store": "local", "end": ["a", "b", "", ""]}'),
        token(b'{"store": null, "end": ["a"]}'),
        token(b'{"store": null, "end": ["a", "b", "", 1]}'),
        token(b"[" * 6000),
        token(b"\xff"),
        "A" * 100_000,
    ],
)
async def test_hostile_page_tokens(scene: Scene, page_token: str) -> None:
    """What is no token of the list is refused, whatever it is."""
    request = pb.ListPromptsRequest(page_token=page_token)

    assert await refusal(scene.admin.ListPrompts(request)) == (INVALID, "REQUEST_INVALID")


async def test_what_callers_keys_opened(scene: Scene) -> None:
    """Nobody is shown what a caller's key opened, except with that key."""
    await scene.service.client.resolve("pr_1", store="hl", credentials=CALLER_KEY)

    shown = []
    for key in (KEY, "key-of-nobody"):
        metadata = (("x-prompt-store-key", key),)
        page = await scene.admin.ListPrompts(pb.ListPromptsRequest(), metadata=metadata)
        shown.append(len(page.prompts))

    assert await scene.held() == []
    assert shown == [1, 0]


async def test_invalidation(scene: Scene) -> None:
    """What is named is asked for anew by the next call, and nothing else is."""
    for environment in ("production", "staging"):
        await scene.service.client.resolve("pr_1", store="hl", environment=environment)
    await scene.service.client.resolve("greet", variables=VARIABLES)
    named = data_pb.PromptRef(id="pr_1", store="hl", environment="staging")

    dropped = await scene.admin.InvalidatePrompts(pb.InvalidatePromptsRequest(prompts=[named]))
    held = await scene.held()
    results = [
        (
            await scene.service.client.resolve("pr_1", store="hl", environment=environment)
        ).prompt.cache
        for environment in ("production", "staging")
    ]

    assert dropped.dropped_count == 1
    assert held == ["hl pr_1 production", "local greet"]
    assert results == [data_pb.CACHE_RESULT_HIT, data_pb.CACHE_RESULT_MISS]


async def test_invalidation_of_every_version(scene: Scene) -> None:
    """Without a selector all copies go, those of callers included."""
    await scene.service.client.resolve("pr_1", store="hl", environment="staging")
    await scene.service.client.resolve("pr_1", store="hl")
    await scene.service.client.resolve("pr_1", store="hl", credentials=CALLER_KEY)

    dropped = await scene.admin.InvalidatePrompts(
        pb.InvalidatePromptsRequest(prompts=refs("pr_1", store="hl"))
    )
    again = await scene.service.client.resolve("pr_1", store="hl", credentials=CALLER_KEY)

    assert dropped.dropped_count == 3
    assert again.prompt.cache == data_pb.CACHE_RESULT_MISS


async def test_invalidation_of_an_absence(scene: Scene) -> None:
    """A prompt that was not there is served by the call after it came, if it is invalidated."""
    first = await failure(scene.service.client.resolve("pr_2", store="hl"))
    scene.api.put("later", prompt_id="pr_2", template=words("Later"))
    believed = await failure(scene.service.client.resolve("pr_2", store="hl"))

    await scene.admin.InvalidatePrompts(
        pb.InvalidatePromptsRequest(prompts=refs("pr_2", store="hl"))
    )

    assert first.reason == believed.reason == "PROMPT_NOT_FOUND"
    assert (await scene.service.client.resolve("pr_2", store="hl")).prompt.version == "prv_1"


async def test_invalidation_of_a_watched_prompt(scene: Scene) -> None:
    """A watcher is told of what changed, long before the time to live is over."""
    async with watching(scene.service.address, refs("pr_1", store="hl")) as watcher:
        await watcher.next()
        scene.api.put("greet", prompt_id="pr_1", version="prv_3", template=words("New"))
        await scene.admin.InvalidatePrompts(
            pb.InvalidatePromptsRequest(prompts=refs("pr_1", store="hl"))
        )
        told = await watcher.told()

    assert told == ("pr_1", "prv_3", "UPDATED")


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ([], "REQUEST_INVALID"),
        (refs(*map(str, range(1001))), "REQUEST_INVALID"),
        ([*refs("greet"), data_pb.PromptRef()], "PROMPT_ID_INVALID"),
        ([*refs("greet"), data_pb.PromptRef(id="x", version="")], "SELECTOR_INVALID"),
        ([*refs("greet"), *refs("greet", store="nowhere")], "STORE_UNKNOWN"),
    ],
    ids=["nothing", "too much", "no id", "empty selector", "unknown store"],
)
async def test_what_cannot_be_invalidated(
    scene: Scene, named: list[data_pb.PromptRef], reason: str
) -> None:
    """Where something malformed is named, nothing is dropped."""
    await scene.service.client.resolve("greet", variables=VARIABLES)
    call = scene.admin.InvalidatePrompts(pb.InvalidatePromptsRequest(prompts=named))

    assert await refusal(call) == (INVALID, reason)
    assert await scene.held() == ["local greet"]


async def test_prefetching(scene: Scene) -> None:
    """Each prompt is fetched once, and the result tells what is held, or why nothing is."""
    named = [*refs("greet", "nowhere"), *refs("pr_1", "pr_1", store="hl")]

    fetched = await scene.admin.PrefetchPrompts(pb.PrefetchPromptsRequest(prompts=named))
    served = await scene.service.client.resolve("pr_1", store="hl")

    assert [each.ref for each in fetched.results] == named
    assert [each.error_reason for each in fetched.results] == ["", "PROMPT_NOT_FOUND", "", ""]
    assert [each.prompt.version for each in fetched.results[2:]] == ["prv_1"] * 2
    assert not fetched.results[1].HasField("prompt")
    assert len(scene.api.requests) == 1
    assert served.prompt.cache == data_pb.CACHE_RESULT_HIT


async def test_prefetching_from_a_store_that_is_down(scene: Scene) -> None:
    """A store that is down fails its own prompts alone."""

    async def fail(exchange: Exchange) -> None:
        await send(exchange, {"detail": "oops"}, status="500 Internal Server Error")

    scene.api.fail = fail
    named = [*refs("greet"), *refs("pr_1", store="hl")]

    fetched = await scene.admin.PrefetchPrompts(pb.PrefetchPromptsRequest(prompts=named))

    assert [each.error_reason for each in fetched.results] == ["", "STORE_UNAVAILABLE"]


async def test_prefetching_is_bounded(scene: Scene) -> None:
    """However many prompts are named, few are asked for at once."""
    running, most, full, may = 0, 0, asyncio.Event(), asyncio.Event()

    async def hold(exchange: Exchange) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 16:
            full.set()
        await may.wait()
        running -= 1
        await send(exchange, {"detail": "not found"}, status="404 Not Found")

    scene.api.fail = hold
    call = scene.admin.PrefetchPrompts(
        pb.PrefetchPromptsRequest(prompts=refs(*[f"pr_x{n}" for n in range(60)], store="hl"))
    )
    await full.wait()
    may.set()
    fetched = await call

    assert [each.error_reason for each in fetched.results] == ["PROMPT_NOT_FOUND"] * 60
    assert most == 16


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ([], "REQUEST_INVALID"),
        ([*refs("greet"), *refs("../x")], "PROMPT_ID_INVALID"),
        ([*refs("greet"), *refs("greet", store="nowhere")], "STORE_UNKNOWN"),
    ],
    ids=["nothing", "malformed id", "unknown store"],
)
async def test_what_cannot_be_prefetched(
    scene: Scene, named: list[data_pb.PromptRef], reason: str
) -> None:
    """A reference that no store can have fails the call."""
    call = scene.admin.PrefetchPrompts(pb.PrefetchPromptsRequest(prompts=named))

    assert await refusal(call) == (INVALID, reason)


@pytest.mark.parametrize("method", METHODS)
async def test_the_data_door_has_no_admin(scene: Scene, method: str) -> None:
    """No method of operators can be reached through the door of callers."""
    async with open_channel(scene.service.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call_unary(channel, ADMIN_SERVICE, method, b"")

    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_the_admin_door_has_no_data(scene: Scene) -> None:
    """No prompt can be resolved through the door of operators."""
    async with open_channel(scene.service.admin_grpc_address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call_unary(channel, "prompt_resolver.v1.PromptResolver", "Resolve", b"")

    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


TOKENS = "callers: {app: {token: token-of-app}}\n"
RULES = "callers: {app: {token: token-of-app, models: ['*']}}\n"
MASTER = "general_settings: {master_key: key-of-master}\n"


@pytest.mark.parametrize(
    ("config", "token_", "expected"),
    [
        (TOKENS + MASTER, "key-of-master", "OK"),
        (TOKENS + MASTER, "token-of-app", "CALLER_FORBIDDEN"),
        (TOKENS + MASTER, "token-of-nobody", "CALLER_TOKEN_INVALID"),
        (TOKENS + MASTER, "", "CALLER_TOKEN_MISSING"),
        (TOKENS, "token-of-app", "OK"),
        (TOKENS, "", "CALLER_TOKEN_MISSING"),
        (RULES, "token-of-app", "CALLER_FORBIDDEN"),
        (RULES + MASTER, "token-of-app", "CALLER_FORBIDDEN"),
        (RULES + MASTER, "key-of-master", "OK"),
    ],
)
async def test_who_may(tmp_path: Path, config: str, token_: str, expected: str) -> None:
    """With a master key it alone opens the admin door, else any caller without rules."""
    got = set()
    async with (
        running_service(tmp_path, config, ADMIN_DOOR) as service,
        open_channel(service.admin_grpc_address) as channel,
    ):
        for method in METHODS:
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
            call = channel.unary_unary(f"/{ADMIN_SERVICE}/{method}")
            try:
                await call(b"", metadata=tuple(bearer(token_)) if token_ else ())
                got.add("OK")
            except grpc.aio.AioRpcError as error:
                # Two of the methods want something to be named.
                reason = from_rpc_error(error).reason
                got.add("OK" if reason == "REQUEST_INVALID" else reason)

    assert got == {expected}


async def test_the_admin_door_beyond_loopback(tmp_path: Path) -> None:
    """Nobody opens the admin door to the network without anything that tells operators apart."""
    environ = {"PROMPT_RESOLVER_ADMIN_GRPC_ADDRESS": "0.0.0.0:0"}

    with pytest.raises(ConfigError, match="ADMIN_GRPC_ADDRESS: expected general"):
        async with running_service(tmp_path, environ=environ):
            pass


class Explained:
    """The steps that a request took."""

    def __init__(self, response: pb.ExplainResolveResponse) -> None:
        self.names = [step.name for step in response.steps]
        self.details = {step.name: MessageToDict(step.details) for step in response.steps}


async def explain(scene: Scene, request: data_pb.ResolveRequest) -> Explained:
    return Explained(await scene.admin.ExplainResolve(pb.ExplainResolveRequest(request=request)))


async def test_explaining(scene: Scene) -> None:
    """Each step is told in its order, with what it decided."""
    request = data_pb.ResolveRequest(
        prompt=data_pb.PromptRef(id="pr_1", store="hl", environment="staging"),
        parameters=data_pb.ModelParameters(temperature=0.5),
    )

    first, second = await explain(scene, request), await explain(scene, request)

    assert first.names == ["alias", "store", "cache", "fetch", "model", "parameters", "render"]
    assert second.names == ["alias", "store", "cache", "model", "parameters", "render"]
    assert first.details["store"] == {
        "store": "hl",
        "id": "pr_1",
        "environment": "staging",
        "ttl_s": 60.0,
        "key": "the server's",
    }
    assert first.details["cache"] == {"result": "miss"}
    assert first.details["fetch"] == {"version": "prv_2"}
    assert second.details["cache"]["result"] == "hit"
    assert second.details["parameters"] == {"set_by": {"temperature": "request"}}


async def test_explaining_what_is_logged() -> None:
    """Where the log has prompts in it, operators are told with each request that is explained."""
    request = data_pb.ResolveRequest(prompt=data_pb.PromptRef(id="extract/invoice"))
    with service_process("--detailed-debug", environ=ADMIN_DOOR) as process:
        async with open_channel(process.door("admin_grpc")) as channel:
            admin: PromptResolverAdminAsyncStub = PromptResolverAdminStub(channel)
            told = await admin.ExplainResolve(pb.ExplainResolveRequest(request=request))

    assert told.steps[0].name == "log"
    assert "with their prompts" in told.steps[0].outcome


@pytest.mark.parametrize(
    ("request_", "names", "reason"),
    [
        (
            data_pb.ResolveRequest(prompt=data_pb.PromptRef(id="greet")),
            ["alias", "store", "cache", "fetch", "model", "parameters", "error"],
            "VARIABLES_INVALID",
        ),
        (
            data_pb.ResolveRequest(prompt=data_pb.PromptRef(id="nowhere")),
            ["alias", "store", "cache", "fetch", "error"],
            "PROMPT_NOT_FOUND",
        ),
        (data_pb.ResolveRequest(alias="nowhere"), ["error"], "ALIAS_UNKNOWN"),
        (data_pb.ResolveRequest(alias=""), ["error"], "REQUEST_INVALID"),
        (
            data_pb.ResolveRequest(prompt=data_pb.PromptRef(id="x", store="nowhere")),
            ["alias", "error"],
            "STORE_UNKNOWN",
        ),
        (
            data_pb.ResolveRequest(),
            ["alias", "store", "cache", "fetch", "error"],
            "PROMPT_ID_INVALID",
        ),
    ],
)
async def test_explaining_a_failure(
    scene: Scene, request_: data_pb.ResolveRequest, names: list[str], reason: str
) -> None:
    """What would fail is explained up to its failure, which is the last step."""
    explained = await explain(scene, request_)

    assert explained.names == names
    assert explained.details["error"]["reason"] == reason


async def test_explaining_an_absence(scene: Scene) -> None:
    """That a prompt is known to be absent is told as the cache's own step."""
    request = data_pb.ResolveRequest(prompt=data_pb.PromptRef(id="pr_2", store="hl"))
    await explain(scene, request)

    explained = await explain(scene, request)

    assert explained.names == ["alias", "store", "cache", "error"]
    assert explained.details["cache"] == {"reason": "PROMPT_NOT_FOUND"}


async def test_calls_are_explained_apart(scene: Scene) -> None:
    """Of calls that are explained at once, each has its own steps."""
    ids = ["greet", "nowhere"] * 10
    explained = await asyncio.gather(
        *[explain(scene, data_pb.ResolveRequest(prompt=data_pb.PromptRef(id=each))) for each in ids]
    )

    assert [each.details["store"]["id"] for each in explained] == ids
