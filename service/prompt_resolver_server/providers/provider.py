"""What every provider does."""

from typing import Protocol

from ..answers import Answer, Emit, Finish, ModelRequest


class Provider(Protocol):
    """Someone who answers.

    Both methods raise `UpstreamError` for a provider that refuses or fails, and `CallError` for a
    request that it could not be sent. Neither keeps anything of the caller's beyond the call, and
    cancelling either ends the call to the provider at once.
    """

    @property
    def base_url(self) -> str:
        """Where it is; empty for one that is nowhere."""
        ...

    @property
    def vendor_url(self) -> str:
        """Where the vendor is whose prices hold; empty for none."""
        ...

    async def complete(self, request: ModelRequest, *, caller_key: str | None) -> Answer:
        """Return the whole answer. `caller_key` is used in place of the configured key."""
        ...

    async def stream(self, request: ModelRequest, emit: Emit, *, caller_key: str | None) -> Finish:
        """Emit the answer as it arrives, `Opened` first, and return how it ended."""
        ...
