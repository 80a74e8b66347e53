"""One fetch for all who wait for the same, and what becomes of them at the end."""

import asyncio

import pytest

from prompt_resolver_server.domain.errors import Reason, ServerError
from prompt_resolver_server.templates.cache.flights import Flights


async def test_waiters_at_the_end() -> None:
    """Who waits for a fetch that is ended is told so, and is not taken for one who has left."""
    flights: Flights[str, None] = Flights()
    flight = flights.begin("p", asyncio.Event().wait)  # type: ignore[arg-type]
    waiting = asyncio.ensure_future(flight.wait(asyncio.get_running_loop().time() + 60))
    await asyncio.sleep(0)

    await flights.aclose()

    with pytest.raises(ServerError) as caught:
        await waiting
    assert caught.value.reason is Reason.DRAINING
