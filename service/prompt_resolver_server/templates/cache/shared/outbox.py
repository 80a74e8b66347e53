"""What a replica has yet to tell the others, in the order in which that is to hold."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from typing import Final, Literal, NamedTuple, TypeAlias

from ....logs import place_of
from ....metrics import Metrics
from ..entries import Key

_log = logging.getLogger(__name__)

_MAX_WAITING = 1000
# A server that is left alone for a while turns it down at once, so this is how soon it is noticed
# that it is not any more.
_AGAIN_S = 1.0

Operation = Literal["write", "release", "remove", "forget"]

# What was taken back must not be served by anybody, for as long as it may still be shared. All else
# only spares requests.
_LASTING: Final = frozenset({"remove", "forget"})

Work: TypeAlias = Callable[[], Awaitable[bool]]
"""Tells the others; returns whether that got through, or never will."""


class _Item(NamedTuple):
    key: Key
    operation: Operation


class Outbox:
    """Has the others told of one thing after the other: of each key, the newest alone.

    What takes something back is tried until it gets through, and all else waits for it, so that
    what came last is what holds. Where too much waits, what was put there first goes; what takes
    something back goes last, and the log tells of it.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._count = metrics.shared_cache_asked
        self._waiting: OrderedDict[_Item, Work] = OrderedDict()
        self._more = asyncio.Event()
        self._is_told = False

    def put(self, key: Key, operation: Operation, work: Work) -> None:
        """Have something told in place of what was to be told of it before."""
        item = _Item(key, operation)
        self._waiting.pop(item, None)
        if operation == "remove":
            self._waiting.pop(_Item(key, "write"), None)
        self._waiting[item] = work
        if len(self._waiting) > _MAX_WAITING:
            self._make_room()
        self._more.set()

    def drop(self, stores: Collection[str]) -> None:
        """Tell nothing more of these stores."""
        for item in [item for item in self._waiting if item.key.store in stores]:
            del self._waiting[item]

    async def run(self) -> None:
        """Tell the others what there is to tell, and never return."""
        while True:
            while not self._waiting:
                self._is_told = False
                self._more.clear()
                await self._more.wait()
            item, work = next(iter(self._waiting.items()))
            if not await self._do(work) and item.operation in _LASTING:
                await asyncio.sleep(_AGAIN_S)
            elif self._waiting.get(item) is work:
                del self._waiting[item]

    async def _do(self, work: Work) -> bool:
        try:
            return await work()
        except Exception as fault:  # noqa: BLE001 - ours, which must not end the sharing
            _log.error("a template cannot be shared", extra=place_of(fault))
            return True

    def _make_room(self) -> None:
        """Drop what waits for the longest time."""
        lightly = (item for item in self._waiting if item.operation not in _LASTING)
        item = next(lightly, None) or next(iter(self._waiting))
        del self._waiting[item]
        self._count(item.operation, "skipped")
        if item.operation in _LASTING and not self._is_told:
            self._is_told = True
            _log.error(
                "replicas are not told of all that was taken back: the shared cache fails too long",
                extra={"store": item.key.store, "prompt": item.key.id},
            )
