"""Connections that may be used for so long: their clients make others, and their calls go on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import grpc
import pytest

from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver_server.rpc.server import SERVICE
from tests.support.calls import VARIABLES
from tests.support.names import running_name_server
from tests.support.prompts import write_prompt
from tests.support.raw import call_stream, call_unary, open_channel
from tests.support.service import RunningService, running_service
from tests.support.upstream import Exchange, Upstream, answer_openai

READY = grpc.ChannelConnectivity.READY
AGE_S = 0.5
PATIENCE_S = 30


@asynccontextmanager
async def ageing_service(
    folder: Path, prompts: Path, upstream: Upstream, max_deadline_s: float
) -> AsyncIterator[RunningService]:
    """Serve `prompts` over connections that are old after half a second."""
    config = f"""
server: {{max_connection_age_s: {AGE_S}, max_deadline_s: {max_deadline_s}}}
stores: {{local: {{type: directory, path: {prompts}}}}}
providers: {{fake: {{dialect: openai, base_url: '{upstream.url}'}}}}
"""
    async with running_service(folder, config) as running:
        yield running


async def test_running_calls_go_on(tmp_path: Path, prompts: Path, upstream: Upstream) -> None:
    """A call outlives its connection's age, and those after it go over another connection."""
    held: asyncio.Queue[Exchange] = asyncio.Queue()
    released = asyncio.Event()

    async def hold(exchange: Exchange) -> None:
        held.put_nowait(exchange)
        await released.wait()
        await answer_openai(exchange)

    upstream.answer = hold
    request = pb.CompleteRequest(prompt=pb.PromptRef(id="greet"))
    request.variables.update(VARIABLES)
    async with (
        ageing_service(tmp_path, prompts, upstream, PATIENCE_S) as service,
        open_channel(service.address) as channel,
    ):
        call = call_unary(channel, SERVICE, "Complete", request.SerializeToString())
        await held.get()
        # The channel leaves a connection that is told to be old, whatever still runs on it.
        await asyncio.wait_for(channel.wait_for_state_change(READY), PATIENCE_S)
        released.set()
        over_the_old = pb.CompleteResponse.FromString(await call)
        again = call_unary(channel, SERVICE, "Complete", request.SerializeToString())
        over_another = pb.CompleteResponse.FromString(await again)

    assert over_the_old.message.content[0].text == "Hello"
    assert over_another.message.content[0].text == "Hello"


async def test_watches_end(tmp_path: Path, prompts: Path, upstream: Upstream) -> None:
    """A watch, which has no deadline, is ended once every other call has had its time."""
    async with (
        ageing_service(tmp_path, prompts, upstream, max_deadline_s=0.5) as service,
        open_channel(service.address) as channel,
    ):
        request = pb.WatchPromptsRequest(prompts=[pb.PromptRef(id="greet")])
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in call_stream(
                channel, SERVICE, "WatchPrompts", request.SerializeToString()
            ):
                pass

    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_new_replicas_are_found(tmp_path: Path) -> None:
    """Behind a name with several addresses, a client comes to call a replica that is new there."""
    hosts = ("127.0.0.1", "127.0.0.2")
    for host in hosts:
        write_prompt(tmp_path / host / "prompts", "where", f"<user>\n{host}\n</user>")

    def replica(host: str, port: int) -> AbstractAsyncContextManager[RunningService]:
        config = f"""
server: {{max_connection_age_s: {AGE_S}, insecure: true}}
stores: {{local: {{type: directory, path: {tmp_path / host / "prompts"}}}}}
"""
        environ = {"PROMPT_RESOLVER_GRPC_ADDRESS": f"{host}:{port}"}
        return running_service(tmp_path / host, config, environ)

    answered: set[str] = set()
    async with replica(hosts[0], 0) as first, running_name_server(hosts[0]) as names:
        port = int(first.address.rpartition(":")[2])
        channel = open_channel(
            f"dns://{names.address}/prompts.example:{port}",
            ("grpc.service_config", '{"loadBalancingConfig": [{"round_robin": {}}]}'),
            # Half a minute, unless told otherwise.
            ("grpc.dns_min_time_between_resolutions_ms", 100),
        )
        async with replica(hosts[1], port), channel, asyncio.timeout(PATIENCE_S):
            request = pb.ResolveRequest(prompt=pb.PromptRef(id="where")).SerializeToString()
            for known in (hosts[:1], hosts):
                names.addresses = known
                while answered != set(known):
                    reply = await call_unary(channel, SERVICE, "Resolve", request)
                    prompt = pb.ResolveResponse.FromString(reply)
                    answered.add(prompt.messages[0].content[0].text)

    assert answered == set(hosts)
