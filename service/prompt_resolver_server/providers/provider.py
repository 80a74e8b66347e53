"""What every provider does."""

from collections.abc import Callable, Hashable
from typing import Protocol

from ..domain.answers import Answer, Emit, Finish, ModelRequest


def do_nothing() -> None:
    """Take note of nothing."""


class Provider(Protocol):
    """Someone who answers.

    Both methods raise `UpstreamError` for a provider that refuses or fails, and `CallError` for a
    request that it could not be sent. Neither keeps anything of the caller's beyond the call, and
    cancelling either ends the call to the provider at once.
    """

    @property
    def identity(self) -> Hashable:
        """Equal to that of another configuration's that is the same: by name, address and key."""
        ...

    @property
    def base_url(self) -> str:
        """Where it is; empty for one that is nowhere."""
        ...

    @property
    def vendor_url(self) -> str:
        """Where the vendor is whose prices hold; empty for none."""
        ...

    async def complete(
        self,
        request: ModelRequest,
        *,
        caller_key: str | None,
        begun: Callable[[], None] = do_nothing,
    ) -> Answer:
        """Return the whole answer. `caller_key` is used in place of the configured key.

        `begun` is called when the answer begins to come, and may be again as it goes on.
        """
        ...

    async def stream(self, request: ModelRequest, emit: Emit, *, caller_key: str | None) -> Finish:
        """Emit the answer as it arrives, `Opened` first, and return how it ended."""
        ...
