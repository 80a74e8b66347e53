"""Faults of this server that a file brings out: they are told, and lists go on without the file."""

import logging

from ...domain.errors import Reason, ServerError
from ...logs import place_of

_log = logging.getLogger(__name__)


class Faults:
    """Tells the faults of one store, each place in the code once."""

    def __init__(self, store: str) -> None:
        self._store = store
        self._told: set[str] = set()

    def tell(self, fault: Exception) -> ServerError:
        """Return what there is to say of a fault, once the log has it."""
        place = place_of(fault)
        if (key := str(place)) not in self._told:
            self._told.add(key)
            _log.error(
                "a fault of this server kept a file out of a list",
                extra={"store": self._store, **place},
            )
        return ServerError(
            Reason.INTERNAL, "a fault of this server", metadata={"store": self._store}
        )
