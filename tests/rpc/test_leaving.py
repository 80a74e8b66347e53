"""What gRPC says of callers that leave while they are answered."""

import logging

import pytest

from prompt_resolver_server.rpc.leaving import say_nothing_of_leaving

LOGGER = logging.getLogger("grpc._cython.cygrpc")
CANNOT_SEND = "ExecuteBatchError raised in core by servicer method [%s]"


def test_nothing_of_those_with_one_response(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever leaves a unary call is no error; everything else that gRPC tells is told."""
    say_nothing_of_leaving(["/prompt_resolver.v1.PromptResolver/Complete"])

    LOGGER.error(CANNOT_SEND, "/prompt_resolver.v1.PromptResolver/Complete")
    LOGGER.error(CANNOT_SEND, "/prompt_resolver.v1.PromptResolver/CompleteStream")
    LOGGER.error("Unexpected [%s] raised by servicer method [%s]", "A", "Complete")

    assert [record.getMessage() for record in caplog.records] == [
        CANNOT_SEND % "/prompt_resolver.v1.PromptResolver/CompleteStream",
        "Unexpected [A] raised by servicer method [Complete]",
    ]
