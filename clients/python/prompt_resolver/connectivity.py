"""Whether a channel has a connection."""

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
