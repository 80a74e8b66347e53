"""Whether a channel has a connection."""

import asyncio
from contextlib import suppress
from queue import Empty, SimpleQueue

import grpc

_ANSWER_S = 1.0


def is_connected(channel: grpc.Channel) -> bool:
    """Tell whether a channel has a connection now. It takes a moment, and a thread of gRPC's."""
    states: SimpleQueue[grpc.ChannelConnectivity] = SimpleQueue()
    tell = states.put
    channel.subscribe(tell)
    try:
        return states.get(timeout=_ANSWER_S) is grpc.ChannelConnectivity.READY
    except Empty:
        # Nothing is known, so nothing is to be said.
        return True
    finally:
        channel.unsubscribe(tell)


async def await_connected(channel: grpc.Channel) -> bool:
    """Tell the same in an event loop, which goes on meanwhile."""
    loop = asyncio.get_running_loop()
    states: asyncio.Queue[grpc.ChannelConnectivity] = asyncio.Queue()

    def tell(state: grpc.ChannelConnectivity) -> None:
        # Whoever asked may have gone, and the loop with it.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(states.put_nowait, state)

    channel.subscribe(tell)
    try:
        async with asyncio.timeout(_ANSWER_S):
            return await states.get() is grpc.ChannelConnectivity.READY
    except TimeoutError:
        return True
    finally:
        channel.unsubscribe(tell)
