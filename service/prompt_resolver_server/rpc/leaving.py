"""Callers that leave at the very moment in which they are answered.

gRPC takes the failure to send an answer for an error where it has not heard yet that the caller is
gone. It tells so in its log, with a traceback, of a call that went as it should have.
"""

import logging
import re
import traceback
from collections.abc import Iterable
from pathlib import Path

from typing_extensions import override

_LOGGER = "grpc._cython.cygrpc"
_CANNOT_SEND = re.compile(r"ExecuteBatchError raised in core by servicer method \[(.*)\]")
_OURS = str(Path(__file__).parents[1])


class _Quiet(logging.Filter):
    """Drops these records, of methods of ours, where gRPC alone was sending.

    Where we send a message of a stream ourselves, such a record would tell a fault of ours.
    """

    def __init__(self) -> None:
        super().__init__()
        self.methods: set[str] = set()

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        told = _CANNOT_SEND.fullmatch(record.getMessage())
        return told is None or told[1] not in self.methods or not _is_of_grpc_alone(record)


_quiet = _Quiet()


def say_nothing_of_leaving(methods: Iterable[str]) -> None:
    """Have gRPC's log say nothing of who leaves methods such as `/package.Service/Method`."""
    _quiet.methods.update(methods)
    logging.getLogger(_LOGGER).addFilter(_quiet)


def _is_of_grpc_alone(record: logging.LogRecord) -> bool:
    """Tell whether a record is of an exception that came through no code of ours."""
    if record.exc_info is None:
        return False
    frames = traceback.walk_tb(record.exc_info[2])
    return not any(frame.f_code.co_filename.startswith(_OURS) for frame, _ in frames)
