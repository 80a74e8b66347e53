"""Streams that end too early, as a caller sees them."""

from collections.abc import Callable, Sequence
from itertools import accumulate

from grpc import StatusCode

from prompt_resolver import AsyncPromptResolverClient
from tests.support.calls import collect, status_of
from tests.support.upstream import Answer, Upstream, stream_of

TEXTS = ("Hé", "llo", " world")
"""The pieces of the text of a stream that is cut."""

TRUNCATED = (StatusCode.UNAVAILABLE, "UPSTREAM_TRUNCATED")
PROTOCOL = (StatusCode.INTERNAL, "UPSTREAM_PROTOCOL")


async def check_cuts(
    client: AsyncPromptResolverClient,
    upstream: Upstream,
    events: Sequence[bytes],
    terminal: int,
    *,
    answer: Callable[[bytes], Answer] = stream_of,
    inside: tuple[StatusCode, str] = PROTOCOL,
) -> None:
    """Fail unless a stream of `TEXTS` is an answer with its first `terminal` bytes, and not before.

    `inside` is what a cut inside of an event is to a caller; one between events is a truncation.
    The contract suite of the providers cuts at every byte.
    """
    stream, text = b"".join(events), "".join(TEXTS)
    starts = list(accumulate(map(len, events), initial=0))
    places = {
        "before the first byte": (0, TRUNCATED),
        "inside of the first event": (starts[1] // 2, inside),
        "after the first event": (starts[1], TRUNCATED),
        "inside of a letter": (stream.index(b'"H') + len(b'"H\xc3'), inside),
        "before the terminal marker": (max(s for s in starts if s < terminal), TRUNCATED),
        "inside of the terminal marker": (terminal - 1, inside),
    }
    for place, (offset, status) in places.items():
        upstream.answer = answer(stream[:offset])
        streamed = await collect(client)
        assert status_of(streamed.error) == status, place
        assert "finished" not in streamed.kinds, place
        assert text.startswith(streamed.text), place

    upstream.answer = answer(stream[:terminal])
    whole = await collect(client)
    assert (whole.text, whole.error) == (text, None)
