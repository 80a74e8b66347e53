"""Certificates are replaced again and again under load, and no call notices."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from prompt_resolver import AsyncPromptResolverClient, PromptResolverError
from tests.support.certificates import (
    Authority,
    MountedSecret,
    PairFiles,
    connection_options,
    served_certificate,
    trust,
)
from tests.support.scene import faults_in
from tests.support.service import ServiceProcess, service_process

ROTATIONS = 20
SOON_S = 5.0
PROMPT, VARIABLES = "extract/invoice", {"text": "x"}
CHAT = {"prompt_id": PROMPT, "prompt_variables": VARIABLES}


@dataclass
class Callers:
    """Those who call: some over one connection for good, some over a new one each time."""

    service: ServiceProcess
    authority: Authority
    pair: PairFiles
    calls: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def client(self) -> AsyncPromptResolverClient:
        # Nothing waits, so that a handshake that fails is seen.
        options = connection_options(self.authority, self.pair)
        return AsyncPromptResolverClient(self.service.address, wait_for_ready=False, **options)

    def session(self) -> aiohttp.ClientSession:
        tls = trust(self.authority, self.pair)
        return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls))

    async def over_and_over(self, name: str, call: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await call()
            except (PromptResolverError, aiohttp.ClientError, AssertionError) as error:
                self.failures.append(f"{name}: {error!r}")
            self.calls[name] += 1
            # Not to wait for anything, but to leave the machine to others.
            await asyncio.sleep(0.01)

    async def complete(self, client: AsyncPromptResolverClient) -> None:
        """Call what is never tried again."""
        answer = await client.complete(PROMPT, variables=VARIABLES)
        assert answer.prompt.id == PROMPT

    async def stream(self, client: AsyncPromptResolverClient) -> None:
        events = [e async for e in client.complete_stream(PROMPT, variables=VARIABLES)]
        assert events[-1].HasField("finished")

    async def chat(self, session: aiohttp.ClientSession) -> None:
        url = f"https://{self.service.door('http')}/v1/chat/completions"
        async with session.post(url, json=CHAT) as response:
            assert response.status == 200
            await response.read()

    async def refusal(self) -> None:
        """Wait until the service has seen files that it cannot use."""
        url = f"http://{self.service.door('admin')}/metrics"
        sample = "prompt_resolver_certificate_last_reload_successful 0.0"
        async with asyncio.timeout(SOON_S), aiohttp.ClientSession() as session:
            while sample not in await (await session.get(url)).text():
                pass

    async def complete_anew(self) -> None:
        async with self.client() as client:
            await self.complete(client)

    async def stream_anew(self) -> None:
        async with self.client() as client:
            await self.stream(client)

    async def chat_anew(self) -> None:
        async with self.session() as session:
            await self.chat(session)


async def watch(client: AsyncPromptResolverClient) -> None:
    """Watch over one connection, for as long as that lasts."""
    async with aclosing(client.watch(reconnect=False)) as events:
        async for _ in events:
            pass


async def test_rotation(tmp_path: Path) -> None:
    """Twenty times a pair is replaced: no call fails, and each is in use within five seconds."""
    authority = Authority(tmp_path)
    secret = MountedSecret(tmp_path / "secret")
    app = authority.write("app", "app.example")
    pair = authority.issue("localhost", "127.0.0.1")
    secret.replace(crt=pair.certificate, key=pair.key)
    environ = {
        "PROMPT_RESOLVER_TLS_CERT_FILE": f"{secret.folder}/tls.crt",
        "PROMPT_RESOLVER_TLS_KEY_FILE": f"{secret.folder}/tls.key",
        "PROMPT_RESOLVER_TLS_CLIENT_CA_FILE": str(authority.ca_file),
    }
    tls = trust(authority, app)
    took_s: list[float] = []
    with service_process(environ=environ) as service:
        callers = Callers(service, authority, app)
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(callers.client())
            session = await stack.enter_async_context(callers.session())
            watching = asyncio.ensure_future(watch(client))
            calling = [
                asyncio.ensure_future(callers.over_and_over(name, call))
                for name, call in (
                    ("complete", lambda: callers.complete(client)),
                    ("stream", lambda: callers.stream(client)),
                    ("chat", lambda: callers.chat(session)),
                    ("complete anew", callers.complete_anew),
                    ("stream anew", callers.stream_anew),
                    ("chat anew", callers.chat_anew),
                )
            ]
            for number in range(ROTATIONS):
                pair = authority.issue("localhost", "127.0.0.1")
                if number % 4 == 0:
                    # The key comes later than its certificate.
                    secret.replace(crt=pair.certificate, key=b"")
                    await callers.refusal()
                secret.replace(crt=pair.certificate, key=pair.key)
                began = time.monotonic()
                for door in (service.address, service.door("http")):
                    shown = ""
                    while not shown or not pair.certificate.decode().startswith(shown):
                        shown = await served_certificate(door, tls)
                        assert time.monotonic() - began < SOON_S
                        await asyncio.sleep(0.05)
                took_s.append(time.monotonic() - began)
            ended = [task for task in (watching, *calling) if task.done()]
            for task in (watching, *calling):
                task.cancel()
            await asyncio.gather(watching, *calling, return_exceptions=True)
        code, log = await asyncio.to_thread(service.stop)

    print(f"{callers.calls}; the slowest rotation took {max(took_s):.2f} s")
    assert callers.failures == []
    assert ended == []
    assert min(callers.calls.values()) > ROTATIONS
    assert faults_in(log) == []
    assert log.count("certificates cannot be used") == ROTATIONS / 4
    assert code == 0
