"""Who has a worker next."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import NamedTuple

from ..domain.errors import Reason, ServerError
from .offenders import Errand

MAX_WAITING = 64
"""How many errands may wait. At their time limit, the last of them takes 8 seconds."""

_MAX_WAITING_OF_ONE = 32
_MAX_SUSPECTS_WAITING = 8


class _Ticket(NamedTuple):
    """An errand that waits; `turn` tells, once it has come, whether it is a suspect's."""

    errand: Errand
    turn: "asyncio.Future[bool]"


class Turns:
    """Hands out `size` places, to one caller after the other, and to each in the order it came.

    Suspects have half of the places together, and few to wait in: whatever they do, others find a
    worker. A caller with a name leaves others room to wait. Used inside of one event loop.
    """

    def __init__(self, size: int, is_suspect: Callable[[Errand], bool]) -> None:
        self._free = size
        self._free_for_suspects = max(1, size // 2)
        self._is_suspect = is_suspect
        # By caller; the first one's turn is next.
        self._queues: OrderedDict[str, deque[_Ticket]] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many errands wait."""
        return sum(map(len, self._queues.values()))

    async def enter(self, errand: Errand) -> bool:
        """Wait for a place, which has to be left; return whether it is a suspect's.

        Raises OVERLOADED where too many wait.
        """
        is_suspect = self._is_suspect(errand)
        if self._may_run(is_suspect):
            return self._take(is_suspect)
        self._check_room(errand, is_suspect)
        ticket = _Ticket(errand, asyncio.get_running_loop().create_future())
        self._queues.setdefault(errand.caller, deque()).append(ticket)
        try:
            return await ticket.turn
        except asyncio.CancelledError:
            if ticket.turn.cancelled():
                self._remove(ticket)
            elif ticket.turn.exception() is None:
                # It came at the very moment in which nobody waited any more.
                self.leave(ticket.turn.result())
            raise

    def leave(self, was_suspect: bool) -> None:
        """Give a place back, to those who wait for one."""
        self._free += 1
        self._free_for_suspects += was_suspect
        while (ticket := self._find_next()) is not None:
            ticket.turn.set_result(self._take(self._is_suspect(ticket.errand)))

    def shed(self) -> None:
        """Turn away what waits and has become suspect, but for the first of it."""
        suspects = [
            ticket
            for queue in self._queues.values()
            for ticket in queue
            # Whose wait was ended a moment ago is about to take itself away.
            if not ticket.turn.done() and self._is_suspect(ticket.errand)
        ]
        for ticket in suspects[_MAX_SUSPECTS_WAITING:]:
            self._remove(ticket)
            ticket.turn.set_exception(_overloaded())

    def _may_run(self, is_suspect: bool) -> bool:
        return self._free > 0 and (not is_suspect or self._free_for_suspects > 0)

    def _take(self, is_suspect: bool) -> bool:
        self._free -= 1
        self._free_for_suspects -= is_suspect
        return is_suspect

    def _check_room(self, errand: Errand, is_suspect: bool) -> None:
        own = self._queues.get(errand.caller, ())
        waiting = [ticket for queue in self._queues.values() for ticket in queue]
        if (
            len(waiting) >= MAX_WAITING
            or (errand.caller and len(own) >= _MAX_WAITING_OF_ONE)
            or (
                is_suspect
                and sum(self._is_suspect(ticket.errand) for ticket in waiting)
                >= _MAX_SUSPECTS_WAITING
            )
        ):
            raise _overloaded()

    def _find_next(self) -> _Ticket | None:
        """Take the next one that may run out of its queue, and its caller to the end of all."""
        for caller, queue in self._queues.items():
            for ticket in queue:
                # Whose wait was ended a moment ago is about to take itself away.
                if not ticket.turn.done() and self._may_run(self._is_suspect(ticket.errand)):
                    self._queues.move_to_end(caller)
                    self._remove(ticket)
                    return ticket
        return None

    def _remove(self, ticket: _Ticket) -> None:
        queue = self._queues[ticket.errand.caller]
        queue.remove(ticket)
        if not queue:
            del self._queues[ticket.errand.caller]


def _overloaded() -> ServerError:
    return ServerError(
        Reason.OVERLOADED, "too many templates wait to be rendered", retry_after_s=1.0
    )
