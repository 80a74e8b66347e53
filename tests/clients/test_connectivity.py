"""Whether a channel has a connection, as the clients ask for it."""

import asyncio
from collections.abc import Callable
from typing import TypeAlias, cast

import grpc

from prompt_resolver.connectivity import await_connected

Tell: TypeAlias = Callable[[grpc.ChannelConnectivity], None]


class Slow:
    """As much of a channel as is asked, which tells its state late."""

    tell: Tell

    def subscribe(self, tell: Tell) -> None:
        self.tell = tell

    def unsubscribe(self, tell: Tell) -> None:
        assert tell is self.tell


def test_a_state_that_comes_too_late() -> None:
    """What tells a state when the event loop that asked is gone does not fail: it is gRPC's."""
    channel = Slow()

    async def ask() -> None:
        asking = asyncio.create_task(await_connected(cast("grpc.Channel", channel)))
        await asyncio.sleep(0)
        asking.cancel()

    asyncio.run(ask())

    channel.tell(grpc.ChannelConnectivity.READY)
