"""A page in a real browser calls the service through Envoy, with Connect's client."""

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import grpc
import pytest

from tests.support.building import BuiltClient
from tests.support.conformance import GREETED, SERVICE, Scene, running_scene
from tests.support.documents import ROOT, Document
from tests.support.driver import Driver, Violation, running_driver, text_of
from tests.support.envoy import CONFIG, ENVOY, RunningEnvoy, configure, running_envoy, with_bridge
from tests.support.npm import install_archive, sh
from tests.support.ports import find_port
from tests.support.prompts import write_prompt
from tests.support.upstream import openai_events
from tests.support.waiting import WaitingProvider

FOLDER = Path(__file__).parent / "browser"
DOCUMENT = Document(ROOT / "docs" / "browsers.md")
TOKEN = {"authorization": "Bearer token-of-page"}
WITHIN_S = 20
"""How long what must come at once may take on a busy machine."""
DEADLINES = {"grpc-web": {"grpc-timeout": "500m"}, "connect": {"connect-timeout-ms": "500"}}

pytestmark = [pytest.mark.foreign, pytest.mark.timeout(600)]


@dataclass
class RefusingServer:
    """A server that ends every call with a status before it has begun."""

    status: grpc.StatusCode
    calls: int = 0

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        async def complete(
            request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]
        ) -> bytes:
            self.calls += 1
            await context.abort(self.status)

        method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(complete)
        server = grpc.aio.server()
        handler = grpc.method_handlers_generic_handler(SERVICE, {"Complete": method})
        server.add_generic_rpc_handlers((handler,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            await server.stop(None)


@pytest.fixture(scope="module")
def tools(require_all: bool) -> None:
    """What is needed beside Python."""
    missing = [tool for tool in ("node", "npm", "chromium") if shutil.which(tool) is None]
    missing += [] if ENVOY.exists() else ["Envoy"]
    if missing:
        report = pytest.fail if require_all else pytest.skip
        report(f"not installed: {', '.join(missing)}")


@pytest.fixture(scope="module")
async def scene(tools: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """A server that wants a token."""
    settings = "general_settings: {master_key: token-of-page}"
    async with running_scene(tmp_path_factory.mktemp("scene"), settings=settings) as scene:
        yield scene


@pytest.fixture(scope="module")
def origin() -> str:
    """The origin of the page."""
    return f"http://127.0.0.1:{find_port()}"


@pytest.fixture(scope="module")
async def envoy(
    scene: Scene, origin: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningEnvoy]:
    """Envoy before the server, which takes both protocols."""
    config = configure(with_bridge(CONFIG.read_text()), server=scene.address, origin=origin)
    async with running_envoy(tmp_path_factory.mktemp("envoy"), config) as envoy:
        yield envoy


@pytest.fixture(scope="module")
def client(tools: None, build_client: Callable[[str, str], BuiltClient]) -> BuiltClient:
    """The Node package, built."""
    return build_client("node", "npm ci && npm run build")


@pytest.fixture(scope="module")
def project(client: BuiltClient, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page, and what it is made of: Connect, and the package's messages."""
    place = tmp_path_factory.mktemp("page") / "browser"
    shutil.copytree(FOLDER, place, ignore=shutil.ignore_patterns("node_modules"))
    sh("npm ci --silent", place)
    install_archive(client.place, place)
    return place


@pytest.fixture(scope="module")
async def page(project: Path, origin: str) -> AsyncIterator[Driver]:
    """The page, in a browser."""
    port = origin.rpartition(":")[2]
    run = f"env BROWSER={shutil.which('chromium')} PORT={port} node driver.js"
    with tempfile.NamedTemporaryFile("w") as log:
        async with running_driver(run, project, log.file) as driver:
            yield driver


@pytest.fixture(params=["grpc-web", "connect"])
def protocol(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
async def driver(page: Driver, envoy: RunningEnvoy, scene: Scene, protocol: str) -> Driver:
    """The page, which calls through Envoy in one of the protocols."""
    scene.rest()
    await page.connect(envoy.url, protocol=protocol)
    return page


def test_document(project: Path, client: BuiltClient) -> None:
    """What the document shows is strict TypeScript for Connect's types and the package's."""
    (shown,) = (block.text for block in DOCUMENT.blocks if block.language == "ts")
    (project / "shown.ts").write_text(shown)

    options = "--ignoreConfig --noEmit --strict --module nodenext --lib es2023,dom,dom.iterable"
    sh(f"{client.place}/node_modules/.bin/tsc {options} shown.ts", project)


async def test_resolve(driver: Driver) -> None:
    """A page gets a prompt, rendered."""
    answer = await driver.do("resolve", prompt="greet", variables=GREETED, metadata=TOKEN)

    assert text_of(answer.resolved.messages) == ["Greet in French.", "Ada"]


async def test_complete(driver: Driver) -> None:
    """A page gets a model's answer."""
    answer = await driver.do("complete", prompt="greet", variables=GREETED, metadata=TOKEN)

    assert text_of([answer.completed.message]) == ["Hello"]


async def test_stream(driver: Driver) -> None:
    """A page gets a model's answer as a stream, to its end."""
    answer = await driver.do("complete_stream", prompt="greet", variables=GREETED, metadata=TOKEN)

    answer.check()
    started, *deltas, finished = answer.streamed
    assert "".join(event.text_delta for event in deltas) == "Hello"
    assert (started.HasField("started"), finished.HasField("finished")) == (True, True)


@pytest.mark.parametrize("op", ["resolve", "complete_stream"])
async def test_error(driver: Driver, protocol: str, op: str) -> None:
    """An error has its code; and its details, which Envoy garbles in Connect's own protocol."""
    failure = (await driver.do(op, prompt="greet", metadata=TOKEN)).failure

    assert failure.code == "INVALID_ARGUMENT"
    assert failure.message == "variables: missing language, name"
    if protocol == "grpc-web":
        assert (failure.reason, failure.domain) == ("VARIABLES_INVALID", "prompt-resolver")
        assert failure.metadata == {"missing": "language,name"}
        assert failure.violations == [
            Violation("variables.language", "missing"),
            Violation("variables.name", "missing"),
        ]


async def test_token(driver: Driver) -> None:
    """A page without a token is refused by the server, not by Envoy."""
    failure = (await driver.do("resolve", prompt="greet", variables=GREETED)).failure

    assert failure.code == "UNAUTHENTICATED"
    assert failure.message


async def test_leaving(driver: Driver, scene: Scene) -> None:
    """A page that leaves after a stream's first message takes the call to the provider with it."""
    provider = WaitingProvider(*openai_events("Hello")[:2], streamed=True)
    scene.upstream.answer = provider.answer

    async with asyncio.timeout(WITHIN_S):
        answer = await driver.do(
            "complete_stream",
            prompt="greet",
            variables=GREETED,
            metadata=TOKEN,
            cancel_after_messages=1,
        )
        await provider.closed.get()

    assert [event.WhichOneof("event") for event in answer.streamed] == ["started"]


@pytest.mark.parametrize("op", ["complete", "complete_stream"])
async def test_deadline(driver: Driver, scene: Scene, op: str) -> None:
    """A call that takes too long for the page ends, and so does the model's work."""
    provider = WaitingProvider(streamed=True)
    scene.upstream.answer = provider.answer

    async with asyncio.timeout(WITHIN_S):
        answer = await driver.do(
            op, prompt="greet", variables=GREETED, metadata=TOKEN, timeout_ms=1000
        )
        await provider.closed.get()

    assert answer.failure.code == "DEADLINE_EXCEEDED"


async def test_deadline_at_the_server(driver: Driver, scene: Scene, protocol: str) -> None:
    """The server is told the page's deadline, and keeps it by itself."""
    provider = WaitingProvider(streamed=True)
    scene.upstream.answer = provider.answer
    metadata = {**TOKEN, **DEADLINES[protocol]}

    async with asyncio.timeout(WITHIN_S):
        answer = await driver.do("complete", prompt="greet", variables=GREETED, metadata=metadata)

    assert answer.failure.code == "DEADLINE_EXCEEDED"


async def test_watch(driver: Driver, scene: Scene, protocol: str) -> None:
    """A page that watches a prompt is told of its change while the watch goes on."""
    name = f"watched-{protocol}"
    write_prompt(scene.prompts, name, "<user>\n0\n</user>")
    command = driver.do("watch", prompts=[name], messages=2, metadata=TOKEN)
    watching = asyncio.ensure_future(command)

    async with asyncio.timeout(WITHIN_S):
        for change in itertools.count(1):
            # When the watch has begun is not told, so the prompt is changed until it is noticed.
            done, _ = await asyncio.wait({watching}, timeout=0.5)
            if done:
                break
            write_prompt(scene.prompts, name, f"<user>\n{change}\n</user>")

    assert watching.result().told == [(name, "CHANGE_SNAPSHOT"), (name, "CHANGE_UPDATED")]


async def preflight(url: str, origin: str, path: str) -> tuple[int, str | None]:
    """Ask as a browser does before a call: the status, and the origin that may call."""
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-grpc-web",
    }
    async with (
        aiohttp.ClientSession() as session,
        session.options(f"{url}{path}", headers=headers) as answer,
    ):
        return answer.status, answer.headers.get("Access-Control-Allow-Origin")


async def test_other_sites(envoy: RunningEnvoy, origin: str) -> None:
    """Pages of other sites may not call."""
    path = "/prompt_resolver.v1.PromptResolver/Resolve"

    assert await preflight(envoy.url, origin, path) == (200, origin)
    assert (await preflight(envoy.url, "https://other.example", path))[1] is None


@pytest.mark.parametrize(
    "path",
    [
        "/grpc.health.v1.Health/Check",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/prompt_resolver.v1.PromptResolverAdmin/ListPrompts",
    ],
)
async def test_other_services(envoy: RunningEnvoy, path: str) -> None:
    """Nothing can be called but the service itself."""
    headers = {"Content-Type": "application/grpc-web+proto", **TOKEN}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{envoy.url}{path}", data=bytes(5), headers=headers) as answer,
    ):
        assert answer.status == 404


async def test_health(envoy: RunningEnvoy) -> None:
    """Envoy asks the server's health, for which it needs no token."""
    assert await envoy.stat("cluster.prompt-resolver.health_check.success") > 0
    assert await envoy.stat("cluster.prompt-resolver.membership_healthy") == 1


@pytest.mark.parametrize(
    ("status", "calls"), [(grpc.StatusCode.CANCELLED, 3), (grpc.StatusCode.UNAVAILABLE, 1)]
)
async def test_trying_again(
    page: Driver, origin: str, tmp_path: Path, status: grpc.StatusCode, calls: int
) -> None:
    """What a stopping server has cancelled before it began is tried again, and nothing else."""
    server = RefusingServer(status)

    async with server.serve() as address:
        config = configure(CONFIG.read_text(), server=address, origin=origin)
        async with running_envoy(tmp_path, config) as envoy:
            await page.connect(envoy.url, protocol="grpc-web")
            failure = (await page.do("complete", prompt="greet")).failure

    assert failure.code == status.name
    assert server.calls == calls


async def test_no_server(page: Driver, envoy: RunningEnvoy, scene: Scene) -> None:
    """Where no server answers, a call is UNAVAILABLE, and Envoy knows of it."""
    await scene.stop()

    for protocol in DEADLINES:
        await page.connect(envoy.url, protocol=protocol)
        failure = (await page.do("resolve", prompt="greet", metadata=TOKEN)).failure
        assert (failure.code, failure.reason) == ("UNAVAILABLE", "")
    async with asyncio.timeout(WITHIN_S):
        while await envoy.stat("cluster.prompt-resolver.membership_healthy") > 0:
            pass
