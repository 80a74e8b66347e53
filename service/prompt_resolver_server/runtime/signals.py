"""The signals of the process: what the service is told by them."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Signals:
    """What the service has been told: to stop, to hurry with that, and to read its configuration.

    Made inside of a running event loop, in the main thread.
    """

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()
        self.reload = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Be told by SIGTERM and SIGINT, by the second of these, and by SIGHUP, inside of this."""
        handlers = {
            signal.SIGTERM: self._stop,
            signal.SIGINT: self._stop,
            signal.SIGHUP: self.reload.set,
        }
        # A handler of the loop's would leave its signal deadly to a process that is about to end.
        before = {
            number: signal.signal(number, self._soon(handler))
            for number, handler in handlers.items()
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _soon(self, handler: Callable[[], None]) -> Callable[..., object]:
        return lambda *_: self._loop.call_soon_threadsafe(handler)

    def _stop(self) -> None:
        (self.hurry if self.stop.is_set() else self.stop).set()
