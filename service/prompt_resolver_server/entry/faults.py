"""What an exception is to the caller.

One that nobody foresaw becomes INTERNAL with a random id; its text goes nowhere, as nobody knows
what is in it.
"""

import asyncio
import logging
import secrets

from ..domain.errors import Reason, ResolverError, ServerError
from ..logs import place_of

_RETRY_AFTER_S = 1.0
"""When to ask again for what a store does not answer, where nobody knows better."""

_log = logging.getLogger(__name__)


def as_error(exception: BaseException, *, draining: bool) -> ResolverError | None:
    """Return what an exception is to the caller; None if the caller ended the call."""
    match exception:
        case ResolverError(reason=Reason.STORE_UNAVAILABLE, retry_after_s=None):
            return exception.again(retry_after_s=_RETRY_AFTER_S)
        case ResolverError():
            return exception
        case asyncio.CancelledError() if draining:
            return ServerError(Reason.DRAINING, "this server is shutting down")
        case Exception():
            error_id = secrets.token_hex(8)
            _log.error(
                "a fault of this server",
                extra={"error_id": error_id, **place_of(exception)},
            )
            return ServerError(
                Reason.INTERNAL,
                f"a fault of this server; its log tells more of {error_id}",
                metadata={"error_id": error_id},
            )
        case _:
            return None
