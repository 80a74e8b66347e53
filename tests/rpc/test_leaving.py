"""What gRPC says of callers that leave while they are answered."""

import logging
from collections.abc import Callable
from functools import partial
from operator import call

import pytest

from prompt_resolver_server.dispatch.retries import pause_s
from prompt_resolver_server.rpc.leaving import say_nothing_of_leaving

LOGGER = logging.getLogger("grpc._cython.cygrpc")
CANNOT_SEND = "ExecuteBatchError raised in core by servicer method [%s]"


COMPLETE, STREAM, OTHER = "/a.Service/Complete", "/a.Service/Stream", "/another.Service/Complete"


class ExecuteBatchError(Exception):
    """What gRPC raises where it cannot send; its own is in no public module."""


def cannot_send(method: str, send: Callable[[Callable[[], float]], float] = call) -> None:
    """Tell what gRPC tells where an answer cannot be sent."""

    def fail() -> float:
        raise ExecuteBatchError

    try:
        send(fail)
    except ExecuteBatchError:
        LOGGER.exception(CANNOT_SEND, method)


def test_nothing_of_those_who_leave(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever leaves as gRPC sends the end is no error; everything else that gRPC tells is told."""
    say_nothing_of_leaving([COMPLETE, STREAM])

    cannot_send(COMPLETE)
    cannot_send(STREAM)
    cannot_send(OTHER)
    # A function of ours that calls what it is given.
    cannot_send(STREAM, partial(pause_s, 0))
    LOGGER.error(CANNOT_SEND, COMPLETE)
    LOGGER.error("Unexpected [%s] raised by servicer method [%s]", "A", COMPLETE)

    assert [record.getMessage() for record in caplog.records] == [
        CANNOT_SEND % OTHER,
        CANNOT_SEND % STREAM,
        CANNOT_SEND % COMPLETE,
        f"Unexpected [A] raised by servicer method [{COMPLETE}]",
    ]
