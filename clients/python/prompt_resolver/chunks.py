"""A streamed answer in OpenAI's shape, for those who wait and for asyncio."""

from collections import deque
from collections.abc import AsyncIterator, Iterator

from typing_extensions import override

from .chat.answer import ChunkWriter
from .chat.records import ChatCompletionChunk
from .engine import Stream
from .events import Event


class _Answer:
    """What both have: the chunks of the events that were read, in the order of their coming."""

    def __init__(self, stream: Stream, first: Event | None, writer: ChunkWriter) -> None:
        self._stream = stream
        self._writer = writer
        self._ready: deque[ChatCompletionChunk] = deque()
        self._is_whole = False
        self._take(first)

    def _take(self, event: Event | None) -> None:
        if event is None:
            self._writer.end()
            self._is_whole = True
        else:
            self._ready.extend(self._writer.write(event))


class Chunks(_Answer, Iterator[ChatCompletionChunk]):
    """The chunks of an answer. They end once it is whole; an answer that is not ends in an error.

    Forgetting them ends the call, and so does closing them.
    """

    @override
    def __next__(self) -> ChatCompletionChunk:
        while not self._ready:
            if self._is_whole:
                raise StopIteration
            self._take(self._stream.next())
        return self._ready.popleft()

    def close(self) -> None:
        """End the call, from any thread. Whoever waits for a chunk has an error, `CANCELLED`."""
        self._stream.close()


class AsyncChunks(_Answer, AsyncIterator[ChatCompletionChunk]):
    """The same for asyncio. They may be read in any event loop, also after the end of another."""

    @override
    async def __anext__(self) -> ChatCompletionChunk:
        while not self._ready:
            if self._is_whole:
                raise StopAsyncIteration
            self._take(await self._stream.anext())
        return self._ready.popleft()

    async def aclose(self) -> None:
        """End the call. Whoever waits for a chunk has an error, `CANCELLED`."""
        self._stream.close()
