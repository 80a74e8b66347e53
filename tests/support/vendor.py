"""A vendor's own address, as far as a service on this machine can tell: behind a proxy."""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.support.forward_proxy import running_proxy
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
    async with (
        running_upstream(answer, tls=tls) as upstream,
        running_proxy(dict.fromkeys(hosts, upstream.url)) as proxy,
    ):
        yield Vendor(upstream, {"HTTPS_PROXY": proxy.url}, ca_file)
