"""What the transports' responses have in common."""

import asyncio
from collections.abc import Mapping

import pytest

from prompt_resolver_server.providers.transport.transport import (
    Gathering,
    Portions,
    TransportError,
    gather_body,
)

PORTION = 32 * 1024


class Arrived:
    """An `HttpResponse` whose body has arrived, in these chunks."""

    status = 200
    headers: Mapping[str, str] = {}

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = list(chunks)

    async def read_some(self, gathering: Gathering | None = None) -> bytes:
        del gathering
        return self._chunks.pop(0) if self._chunks else b""

    async def read_all(self, limit: int) -> bytes:
        return await gather_body(self, limit)


async def test_portions() -> None:
    """They are all of what came, and none is large."""
    chunks = b"a", b"b" * PORTION, b"c" * (3 * PORTION + 1), b"d"
    portions = Portions(Arrived(*chunks), 1 << 20)

    read = []
    while portion := await portions.read_some():
        read.append(portion)

    assert b"".join(read) == b"".join(chunks)
    assert max(map(len, read)) <= PORTION


async def test_turns_between_portions() -> None:
    """Others have their turn before the next one of what has arrived."""
    portions = Portions(Arrived(b"a" * (4 * PORTION)), 1 << 20)
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.ensure_future(take_turns())
    seen = []
    while await portions.read_some():
        seen.append(turns)
    other.cancel()

    assert len(seen) == 4
    assert len(set(seen)) == 4


async def test_limit_of_portions() -> None:
    """What is more is told with the chunk that it came with."""
    portions = Portions(Arrived(b"a" * 10, b"b" * 10), 19)

    assert await portions.read_some() == b"a" * 10
    with pytest.raises(TransportError) as caught:
        await portions.read_some()

    assert caught.value.kind == "too_large"
