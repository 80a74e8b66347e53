"""A forward proxy, by which those who may not go out themselves reach others over TLS."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.support.relay import pass_on


@dataclass
class ForwardProxy:
    """The proxy. `hosts` tells the URLs behind the names that it knows; it refuses all others.

    `asked` has every request to it, head and all.
    """

    hosts: Mapping[str, str]
    url: str = ""
    asked: list[str] = field(default_factory=list)

    @property
    def targets(self) -> set[str]:
        """Whom it was asked to connect to."""
        return {head.split(" ")[1] for head in self.asked}

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.asked.append(head)
        host = head.removeprefix("CONNECT ").partition(":")[0]
        if host not in self.hosts:
            writer.write(b"HTTP/1.1 502 Unknown\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        target = urlsplit(self.hosts[host])
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        far_reader, far_writer = await asyncio.open_connection(target.hostname, target.port)
        await asyncio.gather(pass_on(reader, far_writer), pass_on(far_reader, writer))


@asynccontextmanager
async def running_proxy(hosts: Mapping[str, str]) -> AsyncIterator[ForwardProxy]:
    """Serve on a free port of loopback until the context ends."""
    proxy = ForwardProxy(hosts)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield proxy
