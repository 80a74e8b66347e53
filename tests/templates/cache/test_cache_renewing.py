"""What is held can be kept current, and is served to nobody by that."""

import pytest

from prompt_resolver_server.domain.errors import ResolverError
from tests.support.caches import ONE, TTL_S, TWO, FollowedCache
from tests.support.stores import absent, unavailable


async def test_renewing_asks_where_it_is_due() -> None:
    """A template is fetched if it is not held, and again once its time to live is over."""
    subject = FollowedCache()
    counts = []
    for passed_s in (0.0, TTL_S / 2, TTL_S):
        subject.clock.now += passed_s
        await subject.renew()
        counts.append(subject.fetches)

    assert counts == [1, 1, 2]
    assert subject.told.events == ["confirmed p 1 True", "confirmed p 1 False"]


async def test_renewing_serves_nobody() -> None:
    """What is renewed counts as served nowhere."""
    subject = FollowedCache()

    await subject.renew()

    (held,) = subject.cache.inventory.find(most=10)
    served = subject.metrics.registry.get_sample_value(
        "prompt_resolver_template_cache_requests_total", {"store": "told", "result": "miss"}
    )
    assert held.served == 0
    assert not served


async def test_renewing_waits_for_a_change() -> None:
    """Whoever renews what is past its time finds the new version when that has ended."""
    subject = FollowedCache()
    await subject.renew()
    subject.clock.now += TTL_S
    subject.store.says = TWO

    await subject.renew()

    looked = subject.look()
    assert looked is not None
    assert (looked.template.version, looked.cache, looked.stale) == ("2", "hit", False)


async def test_renewing_while_the_store_is_down() -> None:
    """A store that fails is left alone for a while, and is no error while there is a copy."""
    subject = FollowedCache()
    await subject.renew()
    subject.clock.now += TTL_S
    subject.store.says = unavailable()

    await subject.renew()
    await subject.renew()

    looked = subject.look()
    assert subject.fetches == 2
    assert looked is not None
    assert (looked.cache, looked.stale, looked.age_s) == ("stale", True, TTL_S)


@pytest.mark.parametrize("error", [unavailable(), absent()], ids=["down", "absent"])
async def test_renewing_what_is_not_there(error: ResolverError) -> None:
    """Without a copy, whoever renews is told why there is none."""
    subject = FollowedCache()
    subject.store.says = error

    with pytest.raises(ResolverError) as caught:
        await subject.renew()

    assert caught.value.reason is error.reason
    assert subject.look() is None


async def test_a_confirmation_ends_a_failure() -> None:
    """Listeners learn that a store confirms at once what it failed to before."""
    subject = FollowedCache(ttl_s=0)
    await subject.get()
    subject.store.says = unavailable()
    await subject.get()
    subject.store.confirmed = ONE

    await subject.get()

    assert subject.told.events == ["confirmed p 1 True", "failing p 1", "confirmed p 1 False"]
