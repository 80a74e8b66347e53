"""The order in which a call's candidates are tried."""

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from random import Random

from prompt_resolver_server.dispatch.cooldowns import Cooldowns
from prompt_resolver_server.dispatch.route import Route, Step, count_others, pick
from prompt_resolver_server.domain.aliases import Alias, Deployment, Fallbacks, Terms
from prompt_resolver_server.domain.errors import Reason, ServerError, UpstreamError

DOWN = UpstreamError(Reason.UPSTREAM_UNAVAILABLE, "down")
QUOTA = UpstreamError(Reason.UPSTREAM_QUOTA, "used up")


def rows(*weights: float, retries: int = 0, first: int = 0) -> tuple[Deployment, ...]:
    terms = Terms(retries=retries)
    return tuple(
        Deployment(row=first + index, weight=weight, terms=terms)
        for index, weight in enumerate(weights)
    )


def route(
    alias: Alias, *others: Alias, clock: float = 0.0, limited: Mapping[int, float] | None = None
) -> Route:
    """Begin at the first of an alias' rows; every choice falls on the first that may be chosen.

    `limited` are the rows that are put aside, each for so many seconds.
    """
    cooldowns = Cooldowns(lambda: clock)
    for row, seconds in (limited or {}).items():
        error = UpstreamError(Reason.UPSTREAM_RATE_LIMITED, "limited", retry_after_s=seconds)
        cooldowns.note(row, error)
    return Route(
        alias,
        alias.deployments[0],
        aliases={each.name: each for each in (alias, *others)},
        cooldowns=cooldowns,
        draw=lambda: 0.0,
        clock=lambda: clock,
    )


def place(step: Step | None) -> tuple[str, int] | None:
    return (step.alias.name, step.deployment.row) if step is not None else None


def test_weights() -> None:
    """Rows are chosen in proportion to their weights, and one of no weight never."""
    random = Random(7)

    chosen = Counter(pick(rows(3, 1, 0), random.random).row for _ in range(4000))

    assert set(chosen) == {0, 1}
    assert 2850 < chosen[0] < 3150


def test_no_weights() -> None:
    """Rows that all weigh nothing are equal."""
    random = Random(7)

    chosen = Counter(pick(rows(0, 0), random.random).row for _ in range(1000))

    assert 430 < chosen[0] < 570


def test_end_of_the_range() -> None:
    """A draw at the very end falls on the last row, whatever rounding does."""
    assert pick(rows(0.1, 0.2, 0.3), lambda: 1.0).row == 2


def test_order() -> None:
    """Rows of a higher order serve once those of a lower one have failed."""
    alias = Alias(
        name="a",
        deployments=(
            Deployment(row=0, order=1, terms=Terms(retries=2)),
            Deployment(row=1, order=2, terms=Terms(retries=2)),
            Deployment(row=2, order=1, terms=Terms(retries=2)),
        ),
    )
    way = route(alias)

    assert {pick(alias.deployments, Random(seed).random).row for seed in range(30)} == {0, 2}
    assert [place(way.next(DOWN)) for _ in range(3)] == [("a", 2), ("a", 1), None]


def test_no_retries() -> None:
    """Without retries and fallbacks the first failure is the last."""
    assert route(Alias(name="a", deployments=rows(1, 1))).next(DOWN) is None


def test_retries_of_one_row() -> None:
    """A single row is tried again as often as its terms say."""
    way = route(Alias(name="a", deployments=rows(1, retries=2)))

    assert [place(way.next(DOWN)) for _ in range(3)] == [("a", 0), ("a", 0), None]


def test_retries_go_to_another_row() -> None:
    """A retry goes to a row that was not tried, and never where it has just failed."""
    way = route(Alias(name="a", deployments=rows(1, 1, 1, retries=5)))

    steps = [place(way.next(DOWN)) for _ in range(5)]

    assert steps[:2] == [("a", 1), ("a", 2)]
    assert all(before != after for before, after in pairwise(steps))


def test_quota_that_is_used_up() -> None:
    """A row whose quota is used up is not tried again; another one is."""
    way = route(Alias(name="a", deployments=rows(1, 1, retries=5)))

    assert place(way.next(QUOTA)) == ("a", 1)
    assert place(way.next(DOWN)) == ("a", 1)
    assert way.next(QUOTA) is None


def test_time_that_a_provider_asks_for() -> None:
    """What a provider says about when to come back holds for the row that it was said to."""
    limited = UpstreamError(Reason.UPSTREAM_RATE_LIMITED, "slow down", retry_after_s=30)
    way = route(Alias(name="a", deployments=rows(1, 1, retries=2)), clock=100)

    other, same = way.next(limited), way.next(DOWN)

    assert other is not None
    assert same is not None
    assert (other.deployment.row, other.until) == (1, 0)
    assert (same.deployment.row, same.until) == (0, 130)


def test_fallbacks() -> None:
    """After the retries the fallbacks follow in their order, each with retries of its own."""
    alias = Alias(name="a", deployments=rows(1, retries=1), fallbacks=Fallbacks(general=("b", "c")))
    b = Alias(
        name="b", deployments=rows(1, retries=1, first=5), fallbacks=Fallbacks(general=("a",))
    )
    c = Alias(name="c", deployments=rows(1, first=6))
    way = route(alias, b, c)

    steps = [way.next(DOWN) for _ in range(5)]

    assert [place(step) for step in steps] == [("a", 0), ("b", 5), ("b", 5), ("c", 6), None]
    assert [step.is_fallback for step in steps if step] == [False, True, False, True]


def test_rows_of_a_fallback_that_cannot_be_asked() -> None:
    """Whichever row of a fallback is the first that is asked, it answers for the alias before."""
    alias = Alias(name="a", deployments=rows(1), fallbacks=Fallbacks(general=("b",)))
    b = Alias(name="b", deployments=rows(1, 1, 1, retries=2, first=5))
    way = route(alias, b)

    steps = [way.next(DOWN), way.skip(DOWN.reason), way.next(DOWN)]

    assert [place(step) for step in steps] == [("b", 5), ("b", 6), ("b", 7)]
    assert [step.is_fallback for step in steps if step] == [True, True, False]


def test_fallbacks_by_reason() -> None:
    """A prompt that is too long, or blocked, goes to its own fallbacks, or else to the others."""
    own = Fallbacks(general=("b",), context_window=("c",))
    alias = Alias(name="a", deployments=rows(1, retries=3), fallbacks=own)
    others = [Alias(name=name, deployments=rows(1, first=5)) for name in "bc"]

    def after(reason: Reason) -> tuple[str, int] | None:
        return place(route(alias, *others).next(UpstreamError(reason, "failed")))

    assert after(Reason.CONTEXT_LENGTH) == ("c", 5)
    assert after(Reason.CONTENT_BLOCKED) == ("b", 5)
    assert after(Reason.UPSTREAM_REJECTED) is None


def test_fallback_that_fails_in_any_way() -> None:
    """Whatever a fallback fails at, the next one is tried."""
    alias = Alias(name="a", deployments=rows(1), fallbacks=Fallbacks(general=("b", "c")))
    others = [Alias(name=name, deployments=rows(1, first=5)) for name in "bc"]
    way = route(alias, *others)
    way.next(DOWN)

    assert place(way.next(UpstreamError(Reason.UPSTREAM_REJECTED, "no"))) == ("c", 5)


def test_deadline_ends_it() -> None:
    """Once the deadline has passed, nothing is tried, not even the next fallback."""
    alias = Alias(name="a", deployments=rows(1), fallbacks=Fallbacks(general=("b", "c")))
    others = [Alias(name=name, deployments=rows(1, first=5)) for name in "bc"]
    way = route(alias, *others)
    way.next(DOWN)

    assert way.next(ServerError(Reason.DEADLINE, "late")) is None


def test_candidate_that_is_skipped() -> None:
    """In place of a candidate that cannot be called comes the next row, then a fallback."""
    alias = Alias(
        name="a", deployments=rows(1, 1, 1, retries=3), fallbacks=Fallbacks(general=("b",))
    )
    way = route(alias, Alias(name="b", deployments=rows(1, first=5)))

    assert place(way.next(QUOTA)) == ("a", 1)
    assert place(way.skip(QUOTA.reason)) == ("a", 2)
    assert place(way.skip(QUOTA.reason)) == ("b", 5)
    assert way.skip(QUOTA.reason) is None


def test_candidate_that_is_not_asked_takes_no_retry() -> None:
    """In place of a row that is not asked the others come at once, without any retries."""
    alias = Alias(name="a", deployments=rows(1, 1, 1), fallbacks=Fallbacks(general=("b",)))
    way = route(alias, Alias(name="b", deployments=rows(1, first=5)))

    steps = [way.skip(DOWN.reason) for _ in range(4)]

    assert [place(step) for step in steps] == [("a", 1), ("a", 2), ("b", 5), None]
    assert not any(step.pause_s or step.until for step in steps if step)


def test_rows_that_are_put_aside() -> None:
    """A retry goes to a row that is not put aside, be it one that has been tried before."""
    alias = Alias(name="a", deployments=rows(1, 1, 1, retries=5))
    way = route(alias, limited={1: 30, 2: 20})

    assert [place(way.next(DOWN)) for _ in range(2)] == [("a", 0), ("a", 0)]


def test_all_rows_are_put_aside() -> None:
    """Where all rows are put aside, the one whose time is over first is tried."""
    alias = Alias(name="a", deployments=rows(1, 1, 1, retries=5))

    assert place(route(alias, limited={0: 10, 1: 30, 2: 20}).next(DOWN)) == ("a", 2)


def test_fallbacks_row_that_is_put_aside() -> None:
    """Of a fallback's rows one is asked that is not put aside."""
    alias = Alias(name="a", deployments=rows(1), fallbacks=Fallbacks(general=("b",)))
    way = route(alias, Alias(name="b", deployments=rows(1, 1, first=5)), limited={5: 30})

    assert place(way.next(DOWN)) == ("b", 6)


def test_detour() -> None:
    """What answers in place of an alias that is put aside is the first fallback that is not."""
    alias = Alias(name="a", deployments=rows(1), fallbacks=Fallbacks(general=("b", "c", "d")))
    others = [Alias(name=name, deployments=rows(1, first=row)) for row, name in enumerate("bcd", 5)]
    limited = {0: 30.0, 5: 30.0}

    way = route(alias, *others, limited=limited)
    assert [place(way.detour()), place(way.next(DOWN)), way.next(DOWN)] == [
        ("c", 6),
        ("d", 7),
        None,
    ]
    assert route(alias, *others, limited={**limited, 6: 30, 7: 30}).detour() is None


def test_others() -> None:
    """How many candidates are left: rows as far as retries go, and fallbacks."""
    alias = Alias(
        name="a", deployments=rows(1, 1, 1, retries=1), fallbacks=Fallbacks(general=("b", "c"))
    )
    others = [Alias(name=name, deployments=rows(1, first=5)) for name in "bc"]
    way = route(alias, *others)

    left = [count_others(alias, alias.deployments[0]), way.others]
    while way.next(DOWN) is not None:
        left.append(way.others)

    assert left == [3, 3, 2, 1, 0]
    assert count_others(Alias(name="d", deployments=rows(1, retries=9)), alias.deployments[0]) == 0


def test_time_that_a_provider_asks_for_is_never_the_same() -> None:
    """A tenth of the time that a provider asks for, at the most, comes on top of it."""
    limited = UpstreamError(Reason.UPSTREAM_RATE_LIMITED, "slow down", retry_after_s=30)
    alias = Alias(name="a", deployments=rows(1, retries=2))
    way = Route(
        alias,
        alias.deployments[0],
        aliases={},
        cooldowns=Cooldowns(lambda: 100.0),
        draw=lambda: 1.0,
        clock=lambda: 100.0,
    )

    step = way.next(limited)

    assert step is not None
    assert (step.until, step.pause_s) == (130, 3)
