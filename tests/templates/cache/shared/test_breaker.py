"""What fails again and again is left alone, ever longer, and tried by one."""

import pytest

from prompt_resolver_server.templates.cache.shared.breaker import Breaker
from tests.support.stores import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock)


def fail(breaker: Breaker, times: int) -> list[bool]:
    return [breaker.failed() for _ in range(times)]


def test_few_failures(breaker: Breaker) -> None:
    """Two failures in a row change nothing, and a success makes them forgotten."""
    for _ in range(5):
        assert fail(breaker, 2) == [False, False]
        assert breaker.admits()
        breaker.succeeded()


def test_third_failure(breaker: Breaker, clock: Clock) -> None:
    """The third failure begins a pause, and tells so once, however many were under way."""
    assert fail(breaker, 50) == [False, False, True] + [False] * 47
    clock.now += 0.99
    assert not breaker.admits()


def test_one_tries(breaker: Breaker, clock: Clock) -> None:
    """After the pause one may try, and the others wait for it."""
    fail(breaker, 3)
    clock.now += 1

    assert [breaker.admits() for _ in range(3)] == [True, False, False]
    breaker.succeeded()
    assert breaker.admits()


def test_pauses_grow(breaker: Breaker, clock: Clock) -> None:
    """Each try that fails is followed by a longer pause, up to eight seconds."""
    fail(breaker, 3)
    pauses = []
    for _ in range(6):
        began = clock.now
        while not breaker.admits():
            clock.now += 0.5
        assert not breaker.failed()
        pauses.append(clock.now - began)

    assert pauses == [1, 2, 4, 8, 8, 8]
