"""Just enough of HTTP/1.1 to post the same thing over and over.

A whole client costs as much as the server that it asks, and would be what is measured.
"""

import asyncio
import time
from typing import cast

import httptools
from typing_extensions import override

from .h2 import Tally


class Connection(asyncio.Protocol):
    """One connection that keeps one request in flight until it is told to stop.

    An answer with another status than 200, or one that does not end, has failed.
    """

    def __init__(self, *, request: bytes, tally: Tally) -> None:
        self.idle = asyncio.Event()
        self._request = request
        self._tally = tally
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._began: float | None = None
        self._stopping = False

    def stop(self) -> None:
        """Begin no more requests. `idle` tells when the one that runs has ended."""
        self._stopping = True
        if self._began is None:
            self.idle.set()

    def close(self) -> None:
        """Close the connection, whatever still runs."""
        if self._transport is not None:
            self._transport.close()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._begin()

    @override
    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._began is not None:
            self._began = None
            self._tally.errors += 1
        self.idle.set()

    def on_message_complete(self) -> None:
        """Count an answer, as the parser tells that it has ended, and ask again."""
        assert self._began is not None
        if self._parser.get_status_code() == 200:
            self._tally.seconds.append(time.perf_counter() - self._began)
        else:
            self._tally.errors += 1
        self._began = None
        if self._stopping:
            self.idle.set()
        else:
            self._begin()

    def _begin(self) -> None:
        assert self._transport is not None
        self._began = time.perf_counter()
        self._transport.write(self._request)
