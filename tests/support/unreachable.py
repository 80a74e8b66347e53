"""Places where nobody answers."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def listener_with_full_queue() -> Iterator[int]:
    """Listen, accept nothing, and take the queue's places; yield the port.

    Whoever connects is told nothing, as if the packets went nowhere.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        taken = []
        for _ in range(4):
            waiting = socket.socket()
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
            taken.append(waiting)
        try:
            yield listener.getsockname()[1]
        finally:
            for waiting in taken:
                waiting.close()
