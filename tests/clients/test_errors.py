"""What a failed call raises can leave the process that it failed in."""

import copy
import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import grpc
import pytest

from prompt_resolver import ConfigurationError, PromptResolverClient, PromptResolverError
from prompt_resolver.errors import FieldViolation, StreamIncompleteError
from tests.support.service import service_process


def told() -> PromptResolverError:
    """Return an error that has everything that one may have."""
    error = PromptResolverError(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many calls")
    error.reason, error.domain = "OVERLOADED", "prompt-resolver"
    error.metadata = {"limit": "3"}
    error.violations = (FieldViolation("variables.name", "missing"),)
    error.retry_after_s = 1.5
    return error


def repickle(protocol: int, error: PromptResolverError) -> PromptResolverError:
    other: PromptResolverError = pickle.loads(pickle.dumps(error, protocol))
    return other


ERRORS = [told(), ConfigurationError("no such file"), StreamIncompleteError()]
WAYS: dict[str, Callable[[PromptResolverError], PromptResolverError]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {each}": partial(repickle, each) for each in range(pickle.HIGHEST_PROTOCOL + 1)},
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_copies(
    error: PromptResolverError, way: Callable[[PromptResolverError], PromptResolverError]
) -> None:
    """A copy, pickled or not, is of the same class and tells the same."""
    error.add_note("while it was tested")

    other = way(error)

    assert type(other) is type(error)
    assert (str(other), other.args, vars(other)) == (str(error), error.args, vars(error))


def resolve(address: str) -> str:
    with PromptResolverClient(address) as client:
        return client.resolve("support/reply").model


def test_a_pool_of_processes() -> None:
    """A call that fails in another process raises there what it would raise here."""
    context = multiprocessing.get_context("spawn")
    with service_process() as service, ProcessPoolExecutor(1, context) as pool:
        # The second one shows that the pool lives on.
        for _ in range(2):
            with pytest.raises(PromptResolverError) as caught:
                pool.submit(resolve, service.address).result(60)

            assert caught.value.reason == "VARIABLES_INVALID"
            assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
            assert "variables.company" in [each.field for each in caught.value.violations]
