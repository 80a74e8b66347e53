"""A name server whose names have as many addresses as a test likes, or are never told."""

import asyncio
import ipaddress
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

from typing_extensions import override

_A, _TTL_S = 1, 0
_QUESTION_AT, _ANSWER = 12, 0x8180
# A name that is the question's.
_SAME_NAME = 0xC000 | _QUESTION_AT


class NameServer(asyncio.DatagramProtocol):
    """Answers whoever asks for any name with its `addresses`, which may change.

    Of names that begin with `silent` it says nothing.
    """

    silent = b"silent"

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = addresses

    @property
    def address(self) -> str:
        """Where it is."""
        host, port = self._transport.get_extra_info("sockname")
        return f"{host}:{port}"

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is none by name.
        self._transport = cast("asyncio.DatagramTransport", transport)

    @override
    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if data.startswith(self.silent, _QUESTION_AT + 1):
            return
        end = data.index(b"\0", _QUESTION_AT) + 5
        (kind,) = struct.unpack_from(">H", data, end - 4)
        # Whoever asks for addresses of IPv6 hears that there are none.
        known = [ipaddress.IPv4Address(each).packed for each in self.addresses]
        found = known if kind == _A else []
        head = data[:2] + struct.pack(">5H", _ANSWER, 1, len(found), 0, 0)
        records = [struct.pack(">3HIH", _SAME_NAME, _A, 1, _TTL_S, 4) + each for each in found]
        self._transport.sendto(head + data[_QUESTION_AT:end] + b"".join(records), addr)


@asynccontextmanager
async def running_name_server(
    *addresses: str, at: tuple[str, int] = ("127.0.0.1", 0)
) -> AsyncIterator[NameServer]:
    """Serve names that all have these addresses."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(
        lambda: NameServer(addresses), local_addr=at
    )
    try:
        yield server
    finally:
        transport.close()
