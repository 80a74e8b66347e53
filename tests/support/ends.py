"""The words for the end of an answer that a vendor's own types have, and what we make of them."""

from collections.abc import Callable, Iterable

from prompt_resolver_server.providers.dialect import Dialect, InBandError, ProtocolError


def ends_of(
    dialect: Dialect, words: Iterable[str], answer: Callable[[str], bytes]
) -> dict[str, str]:
    """Return our word for each of theirs, and `failure` for those of what is no answer."""
    ends: dict[str, str] = {}
    for word in words:
        try:
            ends[word] = dialect.parse(answer(word)).finish.reason
        except (ProtocolError, InBandError):
            ends[word] = "failure"
    return ends
