"""What the contract suite knows of a dialect, in the words of its wire."""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from prompt_resolver_server.domain.errors import Reason
from prompt_resolver_server.providers.dialect import NO_QUIRKS, Dialect, Quirks
from tests.support.upstream import Exchange


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A streamed answer, as the vendor sends it, in the portions that it sends.

    `ends_at` is how many of its bytes have to arrive before the answer is complete; its text,
    reasoning and tool calls are those that a reader of all of it would see.
    """

    name: str
    portions: Sequence[bytes]
    ends_at: int

    @property
    def body(self) -> bytes:
        return b"".join(self.portions)


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A dialect, and a stand-in for its vendor.

    `said` returns the text of the last turn of a request. `whole` returns a whole answer with a
    text, and `streamed` the portions of a streamed one whose text comes in pieces. `refusal` is the
    body of a response with this status that limits the rate. `recordings` are streams with all that
    a stream of the dialect may have in it.
    """

    name: str
    dialect: Dialect
    said: Callable[[Exchange], str]
    whole: Callable[[str], bytes]
    streamed: Callable[[Sequence[str]], Sequence[bytes]]
    in_band_error: bytes
    """What a stream has in it where the provider fails, for the reason `in_band_reason`."""
    recordings: Sequence[Recording]
    in_band_reason: Reason = Reason.UPSTREAM_OVERLOADED
    is_stream: Callable[[Exchange], bool] = lambda exchange: bool(exchange.json.get("stream"))
    quirks: Quirks = NO_QUIRKS
    shares: Collection[str] = ()
    """The parameters of OpenAI's own that it has a place for, too."""
    says_nothing: bool = True
    """Whether an answer may have an empty text, and a message, too."""
    says_blanks: bool = True
    """Whether a message may be of nothing but white space."""
    usage: tuple[int | None, int | None] = (5, 2)
    """The tokens of the prompt and of the answer, by `whole` and `streamed`."""

    async def answer(self, exchange: Exchange) -> None:
        """Answer with what was said, whole or streamed, as was asked."""
        text = self.said(exchange)
        if not self.is_stream(exchange):
            await exchange.send_response(self.whole(text))
            return
        await exchange.begin_stream(content_type=self.dialect.stream_type)
        await exchange.send(b"".join(self.streamed((text[:3], text[3:]))))
        exchange.writer.close()


def record(name: str, portions: Sequence[bytes], *, rest: Sequence[bytes] = ()) -> Recording:
    """Return a recording whose answer is complete with the last of the portions."""
    return Recording(
        name=name, portions=[*portions, *rest], ends_at=len(b"".join(portions).rstrip())
    )


def as_json(document: object) -> bytes:
    """Return a document as a vendor writes it."""
    return json.dumps(document, ensure_ascii=False).encode()
