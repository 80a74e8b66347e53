"""Amazon's event streams, as botocore reads them, and what no server may do with them."""

import struct
import sys
from binascii import crc32
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_resolver_server.domain.errors import CallError, Reason
from prompt_resolver_server.providers.dialect import ProtocolError
from prompt_resolver_server.providers.wire.event_stream import (
    MAX_MESSAGE_BYTES,
    EventMessage,
    EventStreamParser,
)
from tests.support.bedrock import event, exception, frame

EVENT = {":message-type": "event", ":event-type": "e"}


def read(portions: Sequence[bytes]) -> list[EventMessage]:
    parser = EventStreamParser()
    return [message for portion in portions for message in parser.feed(portion)]


def sized(size: int, headers: int = 0, rest: bytes = b"") -> bytes:
    """Return a prelude that is true to itself, and what follows it."""
    prelude = struct.pack(">II", size, headers)
    return prelude + struct.pack(">I", crc32(prelude)) + rest


def test_messages() -> None:
    """A message is an event, or what reports a failure, by its name."""
    error = frame({":message-type": "error", ":error-code": "InternalFailure"}, b"")

    assert read([event("metadata", a=1) + exception("throttlingException", "m") + error]) == [
        EventMessage("metadata", b'{"a": 1, "p": "abcdefgh"}', failed=False),
        EventMessage("throttlingException", b'{"message": "m"}', failed=True),
        EventMessage("InternalFailure", b"", failed=True),
    ]


@given(data=st.data())
def test_any_portions(data: st.DataObject) -> None:
    """However a stream is cut into portions, its messages are the same."""
    body = b"".join(event("e", n=n) for n in range(3))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=20)))
    portions = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]

    assert read(portions) == read([body])


def test_largest_message() -> None:
    """A message may have 1 MiB, and not a byte more."""
    room = MAX_MESSAGE_BYTES - len(frame(EVENT, b""))

    assert [len(m.payload) for m in read([frame(EVENT, b"a" * room)])] == [room]
    with pytest.raises(ProtocolError):
        read([frame(EVENT, b"a" * (room + 1))[:12]])


def test_every_bit_counts() -> None:
    """A message with a bit that is not as it was sent is none, wherever the bit is."""
    message = frame(EVENT, b"text")

    for place in range(len(message) * 8):
        changed = bytearray(message)
        changed[place // 8] ^= 1 << place % 8
        try:
            told = read([bytes(changed)])
        except ProtocolError:
            continue
        # A larger size waits for what does not come.
        assert told == [], place
        assert place < 32, place


@pytest.mark.parametrize(
    "message",
    [
        sized(0, rest=b"\x00" * 100),
        sized(12, rest=b"\x00" * 100),
        sized(15, rest=b"\x00" * 100),
        sized(40, headers=25, rest=b"\x00" * 100),
        sized(1024, headers=2**32 - 1, rest=b"\x00" * 100),
        sized(2**32 - 1),
        sized(MAX_MESSAGE_BYTES, headers=128 * 1024),
        frame({":message-type": "event"}, b""),
        frame({":event-type": "e"}, b""),
        frame({":message-type": "other", ":event-type": "e"}, b""),
        frame({"": "e", ":message-type": "event"}, b""),
        frame({}, b""),
    ],
)
def test_no_message(message: bytes) -> None:
    """What is no message is `ProtocolError` as soon as that can be told."""
    with pytest.raises(ProtocolError):
        read([message])


@pytest.mark.parametrize(
    "headers",
    [b"\x01a\x0b", b"\x01a\x07\x00", b"\x01\xff\x07\x00\x00", b"\x01a\x00\x01a\x01", b"\x05a\x00"],
    ids=["unknown type", "cut", "no text", "twice", "cut name"],
)
def test_malformed_headers(headers: bytes) -> None:
    """Headers that are none are `ProtocolError`, even where the checksums are right."""
    prelude = struct.pack(">II", len(headers) + 16, len(headers))
    message = prelude + struct.pack(">I", crc32(prelude)) + headers

    with pytest.raises(ProtocolError):
        read([message + struct.pack(">I", crc32(message))])


def test_what_came_before() -> None:
    """Messages that are whole count, whatever follows them."""
    parser = EventStreamParser()
    told = []

    with pytest.raises(ProtocolError):
        for message in parser.feed(event("e") + b"a" * 100):
            told.append(message.name)  # noqa: PERF401 - what raises keeps no list

    assert told == ["e"]


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where botocore is not installed, the error names what to install."""
    monkeypatch.setitem(sys.modules, "botocore.eventstream", None)

    with pytest.raises(CallError, match=r"prompt-resolver\[bedrock\]") as caught:
        EventStreamParser()

    assert caught.value.reason is Reason.PROVIDER_UNKNOWN
