"""A vendor's own address, as far as a service on this machine can tell: behind a proxy."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import trustme

from tests.support.relay import pass_on
from tests.support.upstream import Answer, Upstream, answer_openai, running_upstream


@dataclass(frozen=True)
class Vendor:
    """Whoever answers at a vendor's address, and what a service needs to get there."""

    upstream: Upstream
    environ: Mapping[str, str]
    ca_file: Path


@asynccontextmanager
async def running_vendor(
    folder: Path, *hosts: str, answer: Answer = answer_openai
) -> AsyncIterator[Vendor]:
    """Answer at `https://HOST` whoever trusts `ca_file`, and goes by way of the proxy."""
    authority = trustme.CA()
    ca_file = folder / "vendors.pem"
    authority.cert_pem.write_to_path(ca_file)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*hosts).configure_cert(tls)
    async with running_upstream(answer, tls=tls) as upstream:
        target = urlsplit(upstream.url)

        async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            host = head.removeprefix("CONNECT ").partition(":")[0]
            if host not in hosts:
                writer.write(b"HTTP/1.1 502 Unknown\r\n\r\n")
                writer.close()
                return
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            far_reader, far_writer = await asyncio.open_connection(target.hostname, target.port)
            await asyncio.gather(pass_on(reader, far_writer), pass_on(far_reader, writer))

        server = await asyncio.start_server(tunnel, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            yield Vendor(upstream, {"HTTPS_PROXY": f"http://127.0.0.1:{port}"}, ca_file)
