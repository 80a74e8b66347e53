"""Providers across the network, as the service has them, and calls to one."""

import ssl

from prompt_resolver_server.domain.answers import Answer, ModelRequest
from prompt_resolver_server.providers.dialect import NO_QUIRKS, Dialect, Quirks
from prompt_resolver_server.providers.endpoint import Endpoint
from prompt_resolver_server.providers.remote import RemoteProvider
from prompt_resolver_server.providers.transport.proxied import AiohttpTransport
from prompt_resolver_server.providers.transport.transport import Timeouts, Transport


def remote_provider(
    dialect: Dialect,
    base_url: str,
    transport: Transport,
    *,
    key: str | None = None,
    stream_completions: bool = True,
    drop_unsupported: bool = False,
    quirks: Quirks = NO_QUIRKS,
) -> RemoteProvider:
    """Return a provider that needs no key, and is named `p`."""
    endpoint = Endpoint(
        base_url=base_url,
        timeouts=Timeouts(connect_s=5, first_byte_s=5, idle_s=5),
        find_key=lambda: key,
        key_required=False,
        stream_completions=stream_completions,
        drop_unsupported=drop_unsupported,
        quirks=quirks,
    )
    return RemoteProvider(name="p", dialect=dialect, endpoint=endpoint, transport=transport)


async def call_provider(
    dialect: Dialect,
    base_url: str,
    request: ModelRequest,
    *,
    stream: bool = False,
    drop_unsupported: bool = False,
    quirks: Quirks = NO_QUIRKS,
) -> Answer:
    """Return the whole answer, which is streamed to the service if asked."""
    transport = AiohttpTransport(tls=ssl.create_default_context())
    provider = remote_provider(
        dialect,
        base_url,
        transport,
        key="key-of-fake",
        stream_completions=stream,
        drop_unsupported=drop_unsupported,
        quirks=quirks,
    )
    try:
        return await provider.complete(request, caller_key=None)
    finally:
        await transport.aclose()
