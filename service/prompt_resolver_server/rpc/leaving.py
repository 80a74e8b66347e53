"""Callers that leave at the very moment in which they are answered.

gRPC takes the failure to send an answer for an error where it has not heard yet that the caller is
gone. It tells so in its log, with a traceback, of a call that went as it should have.
"""

import asyncio
import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import grpc
from typing_extensions import override

_LOGGER = "grpc._cython.cygrpc"
_CANNOT_SEND = re.compile(r"ExecuteBatchError raised in core by servicer method \[(.*)\]")


class _Quiet(logging.Filter):
    """Drops these records, of methods with one response: of those nothing is sent but by gRPC.

    Where we send a stream ourselves, such a record would tell a fault of ours.
    """

    def __init__(self) -> None:
        super().__init__()
        self.methods: set[str] = set()

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        told = _CANNOT_SEND.fullmatch(record.getMessage())
        return told is None or told[1] not in self.methods


_quiet = _Quiet()


def say_nothing_of_leaving(methods: Iterable[str]) -> None:
    """Have gRPC's log say nothing of callers of these methods, such as `/package.Service/Unary`."""
    _quiet.methods.update(methods)
    logging.getLogger(_LOGGER).addFilter(_quiet)


@contextmanager
def noticing_leavers() -> Iterator[None]:
    """End the call of a caller that is gone: what is sent fails before gRPC cancels the call."""
    try:
        yield
    except grpc.aio.InternalError:
        raise asyncio.CancelledError from None
