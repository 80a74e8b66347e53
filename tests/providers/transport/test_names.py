"""Hosts that are looked up by their names, and those that have several addresses."""

import asyncio
import socket
import ssl
from collections import Counter

import pytest
import trustme

from prompt_resolver_server.providers.transport.direct import DirectTransport
from prompt_resolver_server.providers.transport.names import Addresses
from prompt_resolver_server.providers.transport.transport import (
    HttpRequest,
    Timeouts,
    TransportError,
)
from tests.support.unreachable import listener_with_full_queue
from tests.support.upstream import Upstream, running_upstream


def addresses(*targets: tuple[str, int]) -> Addresses:
    kind = socket.SOCK_STREAM
    return [(socket.AF_INET, kind, socket.IPPROTO_TCP, "", target) for target in targets]


async def post(transport: DirectTransport, url: str, *, connect_s: float = 5) -> int:
    timeouts = Timeouts(connect_s=connect_s, first_byte_s=5, idle_s=5)
    body = b'{"stream": false}'
    asked = HttpRequest(url=url, headers={}, body=body, timeouts=timeouts)
    async with transport.post(asked) as response:
        assert await response.read_all(1000)
        return response.status


async def test_name_that_many_ask_for(upstream: Upstream) -> None:
    """A name is looked up once for all who ask at a time, whoever of them leaves."""
    asked: Counter[str] = Counter()
    all_asked = asyncio.Event()
    go = asyncio.Event()
    port = int(upstream.url.removesuffix("/v1").rpartition(":")[2])

    async def look_up(host: str, _port: int) -> Addresses:
        asked[host] += 1
        if len(asked) == 2:
            all_asked.set()
        await go.wait()
        return addresses(("127.0.0.1", port))

    transport = DirectTransport(tls=ssl.create_default_context(), look_up=look_up)
    calls = [asyncio.create_task(post(transport, "http://slow.test/")) for _ in range(20)]
    other = asyncio.create_task(post(transport, "http://other.test/"))
    await all_asked.wait()
    calls[0].cancel()
    go.set()
    assert {await call for call in [*calls[1:], other]} == {200}
    await transport.aclose()

    assert asked == {"slow.test": 1, "other.test": 1}


async def test_name_that_is_not_found_in_time() -> None:
    """A look-up that does not end is a timeout, and whoever asks later waits for the same one."""
    asked = 0
    found = asyncio.Event()

    async def look_up(host: str, _port: int) -> Addresses:
        nonlocal asked
        asked += 1
        await found.wait()
        raise OSError

    transport = DirectTransport(tls=ssl.create_default_context(), look_up=look_up)
    for _ in range(2):
        with pytest.raises(TransportError) as caught:
            await post(transport, "http://slow.test/", connect_s=0.05)
        assert (caught.value.kind, caught.value.phase) == ("timeout", "connect")
    assert asked == 1

    found.set()
    with pytest.raises(TransportError) as caught:
        await post(transport, "http://slow.test/")
    assert caught.value.kind == "unreachable"
    await transport.aclose()


async def test_callers_that_leave_a_look_up(cancels: int) -> None:
    """Who leaves while a name is looked up leaves nothing: the look-up is everybody's, and one."""
    asked = 0
    found = asyncio.Event()

    async def look_up(host: str, _port: int) -> Addresses:
        nonlocal asked
        asked += 1
        await found.wait()
        raise OSError

    before = asyncio.all_tasks()
    transport = DirectTransport(tls=ssl.create_default_context(), look_up=look_up)
    for _ in range(cancels):
        call = asyncio.create_task(post(transport, "http://slow.test/"))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)

    (looking,) = asyncio.all_tasks() - before
    assert asked == 1
    found.set()
    await asyncio.gather(looking, return_exceptions=True)
    await transport.aclose()


async def test_address_where_nobody_is(upstream: Upstream) -> None:
    """A host that has several addresses is reached by any of them."""
    port = int(upstream.url.removesuffix("/v1").rpartition(":")[2])

    async def look_up(host: str, _port: int) -> Addresses:
        return addresses(("127.0.0.1", 1), ("127.0.0.1", port))

    transport = DirectTransport(tls=ssl.create_default_context(), look_up=look_up)
    assert await post(transport, "http://several.test/") == 200
    await transport.aclose()


async def test_address_that_does_not_answer(upstream: Upstream) -> None:
    """An address whose packets go nowhere holds nobody up."""
    port = int(upstream.url.removesuffix("/v1").rpartition(":")[2])
    with listener_with_full_queue() as silent:

        async def look_up(host: str, _port: int) -> Addresses:
            return addresses(("127.0.0.1", silent), ("127.0.0.1", port))

        transport = DirectTransport(tls=ssl.create_default_context(), look_up=look_up)
        assert await post(transport, "http://several.test/", connect_s=2) == 200
        await transport.aclose()


async def test_host_that_moves(upstream: Upstream) -> None:
    """A host that moves is found where it is now, even if it still answers where it was."""
    async with running_upstream() as other:
        ports = [int(each.url.removesuffix("/v1").rpartition(":")[2]) for each in (upstream, other)]

        async def look_up(host: str, _port: int) -> Addresses:
            return addresses(("127.0.0.1", ports[0]))

        transport = DirectTransport(tls=ssl.create_default_context(), look_up=look_up, renew_s=0)
        assert await post(transport, "http://moving.test/") == 200
        ports.reverse()
        assert await post(transport, "http://moving.test/") == 200
        await transport.aclose()

        assert (len(upstream.exchanges), len(other.exchanges)) == (1, 1)


@pytest.mark.parametrize("error", [OSError, UnicodeError, ValueError])
async def test_look_up_that_fails(error: type[Exception]) -> None:
    """Whatever a look-up fails with, or if it finds nothing, the host cannot be reached."""

    async def look_up(host: str, _port: int) -> Addresses:
        if error is ValueError:
            return []
        raise error

    transport = DirectTransport(tls=ssl.create_default_context(), look_up=look_up)
    with pytest.raises(TransportError) as caught:
        await post(transport, "http://nowhere.test/")
    await transport.aclose()

    assert caught.value.kind == "unreachable"


async def test_name_that_ends_in_a_dot() -> None:
    """A name may end in a dot, which the one in a certificate does not."""
    authority = trustme.CA()
    served, asked = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("provider.test").configure_cert(served)
    authority.configure_trust(asked)
    async with running_upstream(tls=served) as upstream:
        port = int(upstream.url.removesuffix("/v1").rpartition(":")[2])

        async def look_up(host: str, _port: int) -> Addresses:
            return addresses(("127.0.0.1", port))

        transport = DirectTransport(tls=asked, look_up=look_up)
        assert await post(transport, "https://provider.test./") == 200
        await transport.aclose()
