"""A store is asked again where its failure may pass, and not before it wants to be."""

import pytest

from prompt_resolver_server.commands.pull.retries import Retries
from prompt_resolver_server.domain.errors import Reason, StoreError


class Store:
    """Fails with these errors, and then answers. `waited` is how long it was left alone."""

    def __init__(self, *errors: StoreError) -> None:
        self._errors = list(errors)
        self.waited: list[float] = []

    async def ask(self) -> str:
        if self._errors:
            raise self._errors.pop(0)
        return "answer"

    async def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)


def failure(
    status: str | None = None,
    *,
    reason: Reason = Reason.STORE_UNAVAILABLE,
    retry_after_s: float | None = None,
) -> StoreError:
    metadata = {} if status is None else {"http_status": status}
    return StoreError(reason, "no", metadata=metadata, retry_after_s=retry_after_s)


async def test_waits_longer_each_time() -> None:
    """The pauses grow, up to five attempts."""
    store = Store(*[failure("503")] * 4)

    answer = await Retries(draw=lambda: 1.0, sleep=store.sleep).ask(store.ask)

    assert (answer, store.waited) == ("answer", [1.0, 2.0, 4.0, 8.0])


async def test_pauses_are_told() -> None:
    """A pause of some seconds is told when it begins, and others meanwhile are not."""
    told: list[str] = []
    store = Store(*[failure("503")] * 4)

    async def sleep(seconds: float) -> None:
        if seconds == 4.0:
            await retries.ask(Store(failure(retry_after_s=60.0)).ask)
        await store.sleep(seconds)

    retries = Retries(draw=lambda: 1.0, sleep=sleep, tell=told.append)
    await retries.ask(store.ask)

    assert told == [f"the store fails; it is asked again in {seconds} s" for seconds in (2, 4, 8)]
    assert store.waited == [1.0, 2.0, 61.0, 4.0, 8.0]


async def test_waits_as_long_as_it_is_told() -> None:
    """What `Retry-After` says is the least that it waits."""
    store = Store(failure("429", retry_after_s=30.0), failure("429", retry_after_s=1.0))

    await Retries(draw=lambda: 0.5, sleep=store.sleep).ask(store.ask)

    assert store.waited == [30.5, 2.0]


@pytest.mark.parametrize("last", [failure("500"), failure(), failure("408")])
async def test_gives_up(last: StoreError) -> None:
    """After five attempts the last failure is raised."""
    store = Store(*[failure()] * 4, last)

    with pytest.raises(StoreError) as caught:
        await Retries(draw=lambda: 0.0, sleep=store.sleep).ask(store.ask)
    assert caught.value is last


@pytest.mark.parametrize(
    "error",
    [
        failure("404"),
        failure(reason=Reason.STORE_AUTH),
        failure(reason=Reason.PROMPT_NOT_FOUND),
        failure("429", retry_after_s=3600.0),
    ],
)
async def test_what_stays(error: StoreError) -> None:
    """A failure that stays, or lasts longer than anybody waits, is raised at once."""
    store = Store(error)

    with pytest.raises(StoreError):
        await Retries(draw=lambda: 0.0, sleep=store.sleep).ask(store.ask)
    assert store.waited == []
