"""What is measured: each row is a load, who bears it, and the row that it is beside."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import aiohttp
import grpc
from google.protobuf.message import Message

from .litellm_proxy import find_litellm, running_proxy
from .load import Load, load_grpc, load_http
from .ours import (
    COMPLETE,
    COMPLETE_STREAM,
    PLAIN,
    RESOLVE,
    SLOW_MS,
    WITH_TOOLS,
    chat_body,
    complete_request,
    resolve_request,
    running_service,
)
from .peers import SERVICE, Plan
from .processes import LOAD, Process, running
from .upstream import EVENTS

_CHECK_S = 30.0
_SLOW_IN_FLIGHT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table.

    `beside` names the row whose throughput counts as 1; `events` is how many events of the upstream
    one call brings. The CPU time is that of `process`.
    """

    name: str
    title: str
    load: Callable[[float], Awaitable[Load]]
    in_flight: int
    process: Process | None = None
    beside: str | None = None
    events: int = 1


@asynccontextmanager
async def rows(folder: Path, *, in_flight: int) -> AsyncIterator[list[Row]]:
    """Start every server, ask each of them once, and yield the rows."""
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(
            running(sys.executable, "-m", "bench.upstream", cpu=LOAD)
        )
        ours = await stack.enter_async_context(
            running_service(upstream=upstream.address, folder=folder)
        )
        plan = await _plan(ours.address, upstream.address)
        plan.write(folder / "plan.json")
        bare = await stack.enter_async_context(
            running(sys.executable, "-m", "bench.peers", str(folder / "plan.json"))
        )
        found = [
            *_resolve_rows(ours, bare, in_flight),
            *_complete_rows(ours, bare, in_flight),
            *_door_rows(ours, in_flight),
            *_slow_rows(ours, upstream.address, plan),
        ]
        if (command := find_litellm()) is not None:
            proxy = await stack.enter_async_context(
                running_proxy(command, upstream=upstream.address, folder=folder)
            )
            found.append(
                Row(
                    name="litellm",
                    title="LiteLLM's proxy, cached prompt",
                    load=partial(_post, proxy.url, proxy.body, proxy.headers, in_flight),
                    in_flight=in_flight,
                    process=proxy.process,
                )
            )
        yield found


def _resolve_rows(ours: Process, bare: Process, in_flight: int) -> list[Row]:
    found = []
    for suffix, prompt, title in (("", PLAIN, ""), ("-tools", WITH_TOOLS, ", prompt with tools")):
        request = resolve_request(prompt)
        ask, echo = (
            partial(_call, process.address, path, request, in_flight)
            for process, path in ((ours, RESOLVE), (bare, f"/{SERVICE}/Echo"))
        )
        row = partial(Row, in_flight=in_flight)
        peer = f"echo{suffix}"
        found += [
            row(name=peer, title=f"bare echo{title}", load=echo, process=bare),
            row(
                name=f"resolve{suffix}",
                title=f"Resolve, warm{title}",
                load=ask,
                process=ours,
                beside=peer,
            ),
        ]
    return found


def _complete_rows(ours: Process, bare: Process, in_flight: int) -> list[Row]:
    row = partial(Row, in_flight=in_flight)
    streamed, whole = complete_request("streamed"), complete_request("whole")

    def call(process: Process, path: str, request: Message) -> Callable[[float], Awaitable[Load]]:
        return partial(_call, process.address, path, request, in_flight)

    return [
        row(
            name="forward",
            title="bare forwarder",
            load=call(bare, f"/{SERVICE}/Forward", whole),
            process=bare,
        ),
        row(
            name="complete-whole",
            title="Complete, stream_completions: false",
            load=call(ours, COMPLETE, whole),
            process=ours,
            beside="forward",
        ),
        row(
            name="forward-directly",
            title="bare forwarder, with the service's HTTP client",
            load=call(bare, f"/{SERVICE}/ForwardDirectly", whole),
            process=bare,
            beside="forward",
        ),
        row(
            name="forward-streamed",
            title="bare forwarder of a stream, unread",
            load=call(bare, f"/{SERVICE}/ForwardStreamed", streamed),
            process=bare,
            beside="forward",
            events=EVENTS,
        ),
        row(
            name="complete",
            title="Complete",
            load=call(ours, COMPLETE, streamed),
            process=ours,
            beside="forward-streamed",
        ),
        row(
            name="stream",
            title="CompleteStream",
            load=call(ours, COMPLETE_STREAM, streamed),
            process=ours,
            events=EVENTS,
        ),
    ]


def _door_rows(ours: Process, in_flight: int) -> list[Row]:
    row = partial(Row, in_flight=in_flight, process=ours)
    url = f"http://{ours.http}/v1/chat/completions"

    def post(body: bytes) -> Callable[[float], Awaitable[Load]]:
        return partial(_post, url, body, {}, in_flight)

    return [
        row(name="door", title="HTTP door", load=post(chat_body("streamed"))),
        row(
            name="door-whole",
            title="HTTP door, stream_completions: false",
            load=post(chat_body("whole")),
        ),
        row(
            name="door-stream",
            title="HTTP door, streamed",
            load=post(chat_body("streamed", stream=True)),
            events=EVENTS,
        ),
    ]


def _slow_rows(ours: Process, upstream: str, plan: Plan) -> list[Row]:
    row = partial(Row, in_flight=_SLOW_IN_FLIGHT)
    url = f"http://{upstream}/after/{SLOW_MS}/v1/chat/completions"
    title = f"{SLOW_MS} ms upstream"
    found: list[Row] = []
    for suffix, body, told, how in (
        ("", plan.streamed_body, " for a stream", ""),
        ("-whole", plan.body, "", ", stream_completions: false"),
    ):
        direct = partial(_post, url, body, {}, _SLOW_IN_FLIGHT)
        request = complete_request(f"slow{suffix}")
        call = partial(_call, ours.address, COMPLETE, request, _SLOW_IN_FLIGHT)
        found += [
            row(name=f"direct{suffix}", title=f"{title}, asked directly{told}", load=direct),
            row(
                name=f"slow{suffix}",
                title=f"Complete, {title}{how}",
                load=call,
                process=ours,
                beside=f"direct{suffix}",
            ),
        ]
    return found


async def _call(address: str, path: str, request: Message, in_flight: int, seconds: float) -> Load:
    message = request.SerializeToString()
    return await load_grpc(address, path, message, in_flight=in_flight, seconds=seconds)


async def _post(
    url: str, body: bytes, headers: dict[str, str], in_flight: int, seconds: float
) -> Load:
    return await load_http(url, body, headers=headers, in_flight=in_flight, seconds=seconds)


async def _plan(ours: str, upstream: str) -> Plan:
    """Ask the service once for everything, so that its peers do the same."""
    async with grpc.aio.insecure_channel(ours) as channel:
        replies = {
            prompt: await _ask(channel, RESOLVE, resolve_request(prompt))
            for prompt in (PLAIN, WITH_TOOLS)
        }
        bodies = []
        for provider in ("whole", "streamed"):
            await _ask(channel, COMPLETE, complete_request(provider))
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://{upstream}/last") as response,
            ):
                bodies.append(await response.read())
    return Plan(
        replies=replies,
        url=f"http://{upstream}/v1/chat/completions",
        body=bodies[0],
        streamed_body=bodies[1],
    )


async def _ask(channel: grpc.aio.Channel, path: str, request: Message) -> bytes:
    """Call a method twice, so that what is returned was warm. Raises where it fails."""
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
    reply = b""
    for _ in range(2):
        async with asyncio.timeout(_CHECK_S):
            reply = await call(request.SerializeToString())
    return reply
