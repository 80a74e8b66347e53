"""What lets requests in at providers that take more than a plain key."""

from typing import Protocol

from .transport.transport import HttpRequest


class Signer(Protocol):
    """Signs requests, or puts tokens on them that it has got for that.

    It is used where a call has no key: a key, the caller's above all, goes as it is.
    """

    async def sign(self, request: HttpRequest) -> HttpRequest:
        """Return the request with what lets it in.

        Raises PROVIDER_KEY_MISSING where there is nothing to sign with, `InBandError` where that is
        refused, and `TransportError` where a token cannot be got. Blocking work is
        done in a thread. Cancelling it ends the wait. Its errors are told with the provider's name
        by whoever calls it.
        """
        ...
