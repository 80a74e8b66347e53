"""What a provider sends instead of an answer is told for what it is, whichever way it is sent."""

import pytest

from tests.providers.test_remote import (
    AnyTransport,
    failure_of,
    make_transport,
    provider_at,
    transport,
)
from tests.support.lies import lies
from tests.support.upstream import (
    Upstream,
)

__all__ = ["make_transport", "transport"]

LIES = lies()
# Where aiohttp sees a head that does not end, it cannot tell whether one had begun.
LOST = {"UPSTREAM_PROTOCOL", "UPSTREAM_UNAVAILABLE"}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", LIES)
async def test_lies(transport: AnyTransport, upstream: Upstream, name: str, stream: bool) -> None:
    """Whatever comes instead of an answer is told as what it is, and nothing of what it says."""
    answer, reason = LIES[name]
    upstream.answer = answer

    error = await failure_of(provider_at(upstream.url, transport), stream=stream)

    assert error.reason in (LOST if name.endswith("in headers") else {reason})
