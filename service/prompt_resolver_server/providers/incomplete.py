"""A provider that is known, and cannot be called as its configuration is."""

from collections.abc import Callable

from ..domain.answers import Answer, Emit, Finish, ModelRequest
from ..domain.errors import CallError, Reason
from .provider import do_nothing


class IncompleteProvider:
    """A `Provider` that refuses every call with PROVIDER_UNKNOWN, and tells what it needs."""

    base_url = ""
    vendor_url = ""

    def __init__(self, *, name: str, needs: str) -> None:
        self.identity = name
        self._name = name
        self._needs = needs

    async def complete(
        self,
        request: ModelRequest,
        *,
        caller_key: str | None,
        begun: Callable[[], None] = do_nothing,
    ) -> Answer:
        """Raise; see `Provider.complete`."""
        raise self._error()

    async def stream(self, request: ModelRequest, emit: Emit, *, caller_key: str | None) -> Finish:
        """Raise; see `Provider.stream`."""
        raise self._error()

    def _error(self) -> CallError:
        return CallError(
            Reason.PROVIDER_UNKNOWN,
            f"provider {self._name!r} is not configured: expected {self._needs}",
            metadata={"provider": self._name},
        )
