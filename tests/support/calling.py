"""One call to a provider, as the service makes it."""

import ssl

from prompt_resolver_server.answers import Answer, ModelRequest
from prompt_resolver_server.providers.dialect import Dialect
from prompt_resolver_server.providers.remote import Endpoint, RemoteProvider
from prompt_resolver_server.providers.transport.proxied import AiohttpTransport
from prompt_resolver_server.providers.transport.transport import Timeouts


async def call_provider(
    dialect: Dialect, base_url: str, request: ModelRequest, *, stream: bool
) -> Answer:
    """Return the whole answer, which is streamed to the service if asked."""
    transport = AiohttpTransport(tls=ssl.create_default_context())
    endpoint = Endpoint(
        base_url=base_url,
        timeouts=Timeouts(connect_s=5, first_byte_s=5, idle_s=5),
        find_key=lambda: "key-of-fake",
        key_required=True,
        stream_completions=stream,
    )
    provider = RemoteProvider(name="p", dialect=dialect, endpoint=endpoint, transport=transport)
    try:
        return await provider.complete(request, caller_key=None)
    finally:
        await transport.aclose()
