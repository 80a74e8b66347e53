"""How a provider is called: who is let in, for how long, and what is learned from the end."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from prompt_resolver_server.dispatch import breaker
from prompt_resolver_server.dispatch.account import Account
from prompt_resolver_server.dispatch.admission import RefusedError
from prompt_resolver_server.dispatch.attempt import RunningAttempt, share_s
from prompt_resolver_server.dispatch.dispatcher import Dispatcher
from prompt_resolver_server.dispatch.notation import ModelChoice
from prompt_resolver_server.dispatch.orders import Limits, Order
from prompt_resolver_server.dispatch.retries import Remedy, find_remedy
from prompt_resolver_server.domain.aliases import Terms
from prompt_resolver_server.domain.answers import Answer, Delta, Emit, Finish, ModelRequest, Opened
from prompt_resolver_server.domain.errors import (
    CallError,
    Reason,
    ResolverError,
    ServerError,
    UpstreamError,
)
from prompt_resolver_server.domain.parameters import NO_PARAMETERS
from prompt_resolver_server.domain.prompts import Message, Text
from prompt_resolver_server.entry.running import Running
from prompt_resolver_server.logs import JsonFormatter
from prompt_resolver_server.metrics import Metrics
from prompt_resolver_server.providers.provider import do_nothing
from prompt_resolver_server.runtime.alarms import Alarm, Alarms
from prompt_resolver_server.tracing import NO_SPAN
from tests.support.clock import FakeClock

REQUEST = ModelRequest(
    model="m", messages=(Message(role="user", content=(Text("Hi"),)),), parameters=NO_PARAMETERS
)
ANSWER = Answer(
    id="1",
    message=Message(role="assistant", content=(Text("Hello"),)),
    finish=Finish(reason="stop", raw_reason="stop", model="m"),
)

Act = Callable[[Callable[[], None]], Awaitable[None]]
"""What a provider does before it answers: it may call what tells that it has begun."""


class ScriptedProvider:
    """A `Provider` that does what a test says, and counts its calls."""

    base_url = ""
    vendor_url = ""

    def __init__(self, act: Act, key: str = "key") -> None:
        self.identity = ("fake", key)
        self.act = act
        self.calls = 0

    async def complete(
        self,
        request: ModelRequest,
        *,
        caller_key: str | None,
        begun: Callable[[], None] = do_nothing,
    ) -> Answer:
        self.calls += 1
        await self.act(begun)
        return ANSWER

    async def stream(self, request: ModelRequest, emit: Emit, *, caller_key: str | None) -> Finish:
        self.calls += 1
        await emit([Opened(id="1", model="m")])
        await self.act(do_nothing)
        return ANSWER.finish


class Scene:
    """A dispatcher for one provider, which fails until a test says otherwise.

    It takes the place of that of `before`, if there is one, whose configuration was another.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        *,
        row: int | None = None,
        key: str = "key",
        before: "Scene | None" = None,
    ) -> None:
        self.row = row or 0
        self.clock: FakeClock = before.clock if before else FakeClock()
        self.provider = ScriptedProvider(fail, key)
        self.account = Account()
        self.metrics: Metrics = (
            before.metrics if before else Metrics(CollectorRegistry(), version="test")
        )
        self.dispatcher = Dispatcher(
            providers={"fake": self.provider},
            alias_providers={} if row is None else {(row, "fake"): self.provider},
            metrics=self.metrics.upstream,
            limits={"fake": limits or Limits()},
            clock=self.clock,
            draw=lambda: 0.0,
        )
        if before is not None:
            self.dispatcher.take_over(before.dispatcher)

    @property
    def breaker_state(self) -> float | None:
        return self.metrics.registry.get_sample_value(
            "prompt_resolver_upstream_breaker_state", {"provider": "fake"}
        )

    def order(
        self, *, left_s: float = 60, terms: Terms | None = None, caller_key: str | None = None
    ) -> Order:
        choice = ModelChoice(provider="fake", model="m", named_by="alias")
        return Order(
            target=self.dispatcher.find(choice, self.row),
            choice=choice,
            request=REQUEST,
            terms=terms or Terms(),
            caller_key=caller_key,
            deadline=asyncio.get_running_loop().time() + left_s,
            served=None,
            span=NO_SPAN,
        )

    async def complete(
        self, *, left_s: float = 60, terms: Terms | None = None, caller_key: str | None = None
    ) -> Answer:
        order = self.order(left_s=left_s, terms=terms, caller_key=caller_key)
        return await self.dispatcher.complete(order, self.account)

    async def stream(self, emit: Emit) -> Finish:
        return await self.dispatcher.stream(self.order(), emit, self.account)

    async def fail(self, times: int, caller_key: str | None = None) -> None:
        """Have so many calls asked, all of which fail."""
        for _ in range(times):
            with pytest.raises(ResolverError):
                await self.complete(caller_key=caller_key)

    async def refusal(self) -> RefusedError:
        """Return how a call is refused."""
        with pytest.raises(RefusedError) as caught:
            await self.complete()
        return caught.value


async def fail(begun: Callable[[], None]) -> None:
    raise UpstreamError(Reason.UPSTREAM_UNAVAILABLE, "down", metadata={"http_status": "503"})


async def refuse_key(begun: Callable[[], None]) -> None:
    raise UpstreamError(Reason.UPSTREAM_AUTH_CALLER_KEY, "no", metadata={"http_status": "401"})


async def limit(begun: Callable[[], None]) -> None:
    raise UpstreamError(Reason.UPSTREAM_RATE_LIMITED, "no", metadata={"http_status": "429"})


async def answer(begun: Callable[[], None]) -> None:
    begun()


async def hang(begun: Callable[[], None]) -> None:
    await asyncio.Event().wait()


async def ignore(deltas: Sequence[Delta]) -> None:
    del deltas


class Pausing:
    """What a provider does that begins to answer, if it does, and then waits to be let go."""

    def __init__(self, *, begins: bool) -> None:
        self.waiting: asyncio.Queue[None] = asyncio.Queue()
        self.release = asyncio.Event()
        self._begins = begins

    async def __call__(self, begun: Callable[[], None]) -> None:
        if self._begins:
            begun()
        self.waiting.put_nowait(None)
        await self.release.wait()


@asynccontextmanager
async def running(
    call: Awaitable[object], pausing: Pausing
) -> AsyncIterator[asyncio.Future[object]]:
    """Run a call until its provider waits, and to its end thereafter."""
    task = asyncio.ensure_future(call)
    await pausing.waiting.get()
    yield task
    pausing.release.set()
    await asyncio.gather(task, return_exceptions=True)


async def test_open_breaker_refuses() -> None:
    """A provider that is down is not asked, and the refusal tells when it will be, and why."""
    scene = Scene()
    await scene.fail(20)

    refusal = await scene.refusal()

    assert (refusal.outcome, scene.provider.calls, scene.breaker_state) == ("breaker_open", 20, 2)
    assert refusal.error.reason is Reason.UPSTREAM_UNAVAILABLE
    assert refusal.error.retry_after_s == 1
    assert refusal.error.metadata == {
        "provider": "fake",
        "breaker": "open",
        "cause": "upstream_unavailable",
    }
    assert scene.account.asked == 20


async def test_one_probe_per_interval_for_ten_minutes() -> None:
    """A provider that is down for ten minutes is asked once per pause, and used once it is back."""
    scene = Scene()
    await scene.fail(20)

    for _ in range(600 * 8):
        scene.clock.advance(0.125)
        with pytest.raises((ResolverError, RefusedError)):
            await scene.complete()
    # After 1, 3 and 7 s, and every four seconds thereafter.
    assert scene.provider.calls == 20 + 3 + (600 - 7) // 4

    scene.provider.act = answer
    back_at = scene.clock.now
    while scene.breaker_state:
        scene.clock.advance(0.125)
        with suppress(RefusedError):
            await scene.complete()
    assert scene.clock.now - back_at <= 4


async def test_breaker_that_is_off() -> None:
    """Where the breaker is turned off, a provider is asked each time."""
    scene = Scene(Limits(breaker=False))

    await scene.fail(50)

    assert (scene.provider.calls, scene.breaker_state) == (50, None)


async def test_one_probe_at_a_time() -> None:
    """While a probe waits for its answer, nobody else is let in."""
    scene = Scene()
    await scene.fail(20)
    scene.clock.advance(1)
    pausing = scene.provider.act = Pausing(begins=False)

    async with running(scene.complete(), pausing):
        assert scene.breaker_state == 1
        refusal = await scene.refusal()
    await scene.complete()

    assert refusal.error.retry_after_s == 4
    assert scene.breaker_state == 0


@pytest.mark.parametrize("streamed", [False, True])
async def test_answer_that_begins_closes_the_breaker(streamed: bool) -> None:
    """A probe whose answer begins tells that the provider is back, however long it goes on."""
    scene = Scene()
    await scene.fail(20)
    scene.clock.advance(1)
    pausing = scene.provider.act = Pausing(begins=True)

    async with running(scene.stream(ignore) if streamed else scene.complete(), pausing):
        assert scene.breaker_state == 0


async def test_probe_whose_caller_leaves() -> None:
    """A probe that is cancelled makes room for the next one at once."""
    scene = Scene()
    await scene.fail(20)
    scene.clock.advance(1)
    pausing = scene.provider.act = Pausing(begins=False)
    async with running(scene.complete(), pausing) as probe:
        probe.cancel()

    assert scene.breaker_state == 2
    await scene.complete()
    assert scene.breaker_state == 0


@pytest.mark.parametrize("act", [refuse_key, limit])
async def test_callers_key_that_is_refused(act: Act) -> None:
    """A caller's own key that is refused, or limited, keeps nobody else from the provider."""
    scene = Scene()
    scene.provider.act = act
    await scene.fail(50, caller_key="mine")

    scene.provider.act = answer
    await scene.complete()


async def test_failures_with_a_callers_key() -> None:
    """A provider that fails is down for everybody, whoever's key was used."""
    scene = Scene()

    await scene.fail(20, caller_key="mine")

    assert (await scene.refusal()).outcome == "breaker_open"


async def test_callers_in_a_hurry() -> None:
    """Deadlines that pass tell nothing about the provider."""
    scene = Scene()
    scene.provider.act = hang

    ends = await asyncio.gather(
        *(scene.complete(left_s=0.01) for _ in range(50)), return_exceptions=True
    )

    assert {each.reason for each in ends if isinstance(each, ServerError)} == {Reason.DEADLINE}
    scene.provider.act = answer
    await scene.complete()


async def test_provider_that_is_slower_than_its_row_allows() -> None:
    """Times that the operator set, and that pass, count as failures."""
    scene = Scene()
    scene.provider.act = hang
    terms = Terms(timeout_s=0.01)

    ends = await asyncio.gather(
        *(scene.complete(terms=terms) for _ in range(20)), return_exceptions=True
    )

    assert {each.reason for each in ends if isinstance(each, UpstreamError)} == {
        Reason.UPSTREAM_TIMEOUT
    }
    assert (await scene.refusal()).outcome == "breaker_open"


async def test_concurrency_limit() -> None:
    """Beyond its limit a provider is not called, and a slot is free once its call has ended."""
    scene = Scene(Limits(max_concurrency=1, max_queue_s=0))
    pausing = scene.provider.act = Pausing(begins=True)

    async with running(scene.complete(), pausing):
        refusal = await scene.refusal()
    await scene.complete()

    assert (refusal.outcome, refusal.error.reason) == ("queue_full", Reason.OVERLOADED)
    assert refusal.error.metadata == {"provider": "fake", "limit": "1"}
    assert refusal.error.retry_after_s
    assert scene.provider.calls == 2


async def test_stream_holds_its_slot_to_its_end() -> None:
    """A stream that has begun keeps its slot until it has ended, or its caller has left."""
    scene = Scene(Limits(max_concurrency=1, max_queue_s=0))
    pausing = scene.provider.act = Pausing(begins=True)

    async with running(scene.stream(ignore), pausing) as streaming:
        await scene.refusal()
        streaming.cancel()
        await asyncio.gather(streaming, return_exceptions=True)
        scene.provider.act = answer
        await scene.complete()


async def test_deadline_in_the_queue() -> None:
    """A deadline that passes while a call waits for its slot is told as such."""
    scene = Scene(Limits(max_concurrency=1, max_queue_s=60))
    pausing = scene.provider.act = Pausing(begins=True)

    async with running(scene.complete(), pausing):
        with pytest.raises(ServerError) as caught:
            await scene.complete(left_s=0.01)

    assert (caught.value.reason, scene.provider.calls) == (Reason.DEADLINE, 1)
    assert caught.value.metadata == {"phase": "upstream", "attempts": "0"}


async def test_breaker_that_opens_while_calls_wait() -> None:
    """Who waited for a slot is refused if the provider turns out to be down, and keeps none."""
    scene = Scene(Limits(max_concurrency=1, max_queue_s=60))
    await scene.fail(19)
    begun, release = asyncio.Event(), asyncio.Event()

    async def fail_later(_: Callable[[], None]) -> None:
        begun.set()
        await release.wait()
        await fail(do_nothing)

    scene.provider.act = fail_later
    failing = asyncio.create_task(scene.complete())
    await begun.wait()
    waiting = asyncio.create_task(scene.complete())
    await asyncio.sleep(0)
    release.set()
    ends = await asyncio.gather(failing, waiting, return_exceptions=True)

    assert [type(each) for each in ends] == [UpstreamError, RefusedError]
    scene.clock.advance(1)
    scene.provider.act = answer
    await scene.complete()


@pytest.mark.parametrize(
    ("left_s", "others", "expected_s"),
    [(60, 1, 30), (60, 2, 20), (60, 99, 5), (12, 1, 6), (8, 1, 5), (3, 1, 5)],
)
def test_share(left_s: float, others: int, expected_s: float) -> None:
    """Each candidate has an equal share of the time that is left, and five seconds at the least."""
    assert share_s(left_s, others) == expected_s


class Bell(Alarms):
    """Alarms that go off when a test says so."""

    def set(self, alarm: Alarm, time: float) -> None:
        self[alarm] = time

    def ring(self) -> None:
        alarm, _ = self.popitem()
        alarm()


async def test_sign_of_an_answer_at_the_last_moment() -> None:
    """Who begins to answer in the turn in which its share of the time ends may go on."""
    scene, bell = Scene(), Bell(asyncio.get_running_loop())
    order = replace(scene.order(), others=1)

    async with RunningAttempt(order, None, scene.account, bell, scene.metrics.upstream) as attempt:
        bell.ring()
        attempt.note_begun()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        attempt.succeed(ANSWER.finish)

    assert [each.outcome for each in scene.account.attempts] == ["ok"]


async def test_caller_that_leaves_as_its_time_ends() -> None:
    """Who is cancelled in the turn in which an attempt's time ends has left, and is not late."""
    scene, bell = Scene(), Bell(asyncio.get_running_loop())

    async def attempt() -> None:
        async with RunningAttempt(scene.order(), None, scene.account, bell, scene.metrics.upstream):
            task = asyncio.current_task()
            assert task is not None
            bell.ring()
            task.cancel()
            await asyncio.sleep(0)
            raise AssertionError("expected to be cancelled")

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(attempt())

    assert [each.outcome for each in scene.account.attempts] == ["cancelled"]


async def test_call_that_the_service_cuts_off() -> None:
    """A call that the service's own end cuts off is no caller that has left."""
    scene, calls = Scene(), Running()
    pausing = scene.provider.act = Pausing(begins=False)
    call = asyncio.create_task(scene.complete())
    await pausing.waiting.get()
    calls.add(call)

    calls.end_all()

    with pytest.raises(asyncio.CancelledError):
        await call
    ended = {"provider": "fake", "model": "m", "outcome": "cancelled", "reason": "shutdown"}
    value = scene.metrics.registry.get_sample_value
    assert value("prompt_resolver_upstream_attempts_total", ended) == 1


@pytest.mark.parametrize("begins", [True, False], ids=["begins", "hangs"])
async def test_end_that_is_swallowed(begins: bool) -> None:
    """An attempt whose end somebody swallows is ended once more, and is late whatever it begins."""
    scene, bell = Scene(), Bell(asyncio.get_running_loop())
    task = asyncio.current_task()
    assert task is not None
    order = replace(scene.order(), others=1)

    with pytest.raises(ResolverError) as caught:
        async with RunningAttempt(
            order, None, scene.account, bell, scene.metrics.upstream
        ) as attempt:
            bell.ring()
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            if begins:
                attempt.note_begun()
            bell.ring()
            await asyncio.Event().wait()

    assert caught.value.reason is Reason.UPSTREAM_TIMEOUT
    assert task.cancelling() == 0


async def test_provider_that_never_begins_in_its_share() -> None:
    """Shares of calls' time that pass count as failures, and are not for the same row again."""
    scene, bell = Scene(), Bell(asyncio.get_running_loop())
    order = replace(scene.order(), others=1)

    for _ in range(20):
        with pytest.raises(UpstreamError) as caught:
            async with RunningAttempt(order, None, scene.account, bell, scene.metrics.upstream):
                bell.ring()
                await asyncio.Event().wait()

    assert find_remedy(caught.value) is Remedy.OTHER_DEPLOYMENT
    assert caught.value.metadata == {"provider": "fake", "phase": "attempt"}
    assert (await scene.refusal()).error.metadata["cause"] == "upstream_timeout"


async def test_share_of_a_caller_in_a_hurry() -> None:
    """Shares that are short, as the calls' time is, tell nothing about the provider."""
    scene, bell = Scene(), Bell(asyncio.get_running_loop())

    for _ in range(20):
        order = replace(scene.order(left_s=20), others=1)
        with pytest.raises(UpstreamError):
            async with RunningAttempt(order, None, scene.account, bell, scene.metrics.upstream):
                bell.ring()
                await asyncio.Event().wait()

    assert {each.outcome for each in scene.account.attempts} == {"upstream_timeout"}
    scene.provider.act = answer
    await scene.complete()


async def test_time_that_the_operator_set_is_for_each_attempt() -> None:
    """A row whose own time has passed may be asked again."""
    scene = Scene()
    scene.provider.act = hang

    with pytest.raises(UpstreamError) as caught:
        await scene.complete(terms=Terms(timeout_s=0.01))

    assert find_remedy(caught.value) is Remedy.SAME_DEPLOYMENT


async def test_deadline_that_has_passed() -> None:
    """Nobody is asked for an answer that would come too late."""
    scene = Scene()

    with pytest.raises(ServerError) as caught:
        await scene.complete(left_s=0)

    assert caught.value.reason is Reason.DEADLINE
    assert caught.value.metadata == {"phase": "upstream", "attempts": "0"}
    assert (scene.provider.calls, scene.account.attempts) == (0, [])


async def test_request_that_cannot_be_sent() -> None:
    """A request that a provider cannot be sent is no call to it, and is told as left out."""

    async def lack(begun: Callable[[], None]) -> None:
        raise CallError(Reason.PARAMETER_UNSUPPORTED, "no")

    scene = Scene()
    scene.provider.act = lack
    with pytest.raises(CallError):
        await scene.complete()

    (told,) = scene.account.attempts
    value = scene.metrics.registry.get_sample_value
    labels = {"provider": "fake", "model": "m"}
    counted = {**labels, "outcome": "passed_over", "reason": "parameter_unsupported"}
    assert (told.outcome, told.duration_s) == ("parameter_unsupported", None)
    assert (scene.account.asked, scene.account.targets) == (0, [])
    assert value("prompt_resolver_upstream_attempts_total", counted) == 1
    assert value("prompt_resolver_upstream_inflight", {"provider": "fake"}) == 0


async def test_log_of_a_breaker(caplog: pytest.LogCaptureFixture) -> None:
    """The log is told once when a breaker opens, of whom and for what, and once that it closed."""
    caplog.set_level(logging.INFO, breaker.__name__)
    scene = Scene()
    await scene.fail(20)
    for _ in range(3):
        scene.clock.advance(4)
        await scene.fail(1)
        await scene.refusal()
    assert told_of(caplog) == [LEFT_ALONE]

    scene.clock.advance(4)
    scene.provider.act = answer
    await scene.complete()
    await scene.complete()
    assert told_of(caplog) == [LEFT_ALONE, ASKED_AGAIN]


async def test_log_of_a_row_s_breaker(caplog: pytest.LogCaptureFixture) -> None:
    """A breaker of a row with a key or an address of its own is told with the row."""
    caplog.set_level(logging.INFO, breaker.__name__)
    scene = Scene(row=3)
    await scene.fail(20)
    Scene(row=3, key="another", before=scene)

    assert told_of(caplog) == [{**LEFT_ALONE, "row": 3}, {**ASKED_AGAIN, "row": 3}]


LEFT_ALONE = {
    "level": "warning",
    "message": "a provider fails, and is left alone",
    "provider": "fake",
    "cause": "upstream_unavailable",
}
ASKED_AGAIN = {"level": "info", "message": "a provider is asked again", "provider": "fake"}


def told_of(caplog: pytest.LogCaptureFixture) -> list[dict[str, object]]:
    lines = [json.loads(JsonFormatter().format(each)) for each in caplog.records]
    return [{k: v for k, v in line.items() if k not in ("time", "logger")} for line in lines]


@pytest.mark.parametrize("limits", [Limits(), Limits(breaker=False)], ids=["key", "breaker"])
async def test_breaker_that_nobody_takes_over(limits: Limits) -> None:
    """A breaker of another key, or that is turned off, is told as closed, and no more of it."""
    scene = Scene()
    await scene.fail(20)
    assert scene.breaker_state == 2
    after = Scene(limits, key="another", before=scene)
    after.provider.act = answer
    await after.complete()
    assert scene.breaker_state == 0

    scene.clock.advance(1)
    pausing = scene.provider.act = Pausing(begins=False)
    async with running(scene.complete(), pausing):
        assert scene.breaker_state == 0
    assert scene.breaker_state == 0


@pytest.mark.parametrize("row", [None, 3])
async def test_breaker_that_is_taken_over(
    row: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Another configuration leaves a provider alone that was, and tells of it as the first did."""
    caplog.set_level(logging.INFO, breaker.__name__)
    scene = Scene(row=row)
    await scene.fail(20)
    told = told_of(caplog)

    after = Scene(row=row, before=Scene(row=row, before=scene))

    assert (await after.refusal()).outcome == "breaker_open"
    assert (after.provider.calls, after.breaker_state) == (0, 2)
    assert told_of(caplog) == told
    after.clock.advance(1)
    after.provider.act = answer
    await after.complete()
    assert after.breaker_state == 0
    assert [each["message"] for each in told_of(caplog)[1:]] == [ASKED_AGAIN["message"]]


async def test_failures_of_two_configurations() -> None:
    """What fails before and after a configuration is replaced fails in a row."""
    scene = Scene()
    await scene.fail(10)
    after = Scene(before=scene)

    await after.fail(5)
    await scene.fail(5)

    assert (await after.refusal()).outcome == "breaker_open"


async def test_slots_that_are_taken_over() -> None:
    """Calls that ran before go on to count, and another limit holds from then on."""
    scene = Scene(Limits(max_concurrency=1, max_queue_s=60))
    pausing = scene.provider.act = Pausing(begins=True)

    async with running(scene.complete(), pausing):
        waiting = asyncio.create_task(scene.complete())
        await asyncio.sleep(0)
        same = Scene(Limits(max_concurrency=1, max_queue_s=0), before=scene)
        refusal = await same.refusal()
        more = Scene(Limits(max_concurrency=3, max_queue_s=0), before=same)
        more.provider.act = answer
        await pausing.waiting.get()
        await more.complete()
        fewer = Scene(Limits(max_concurrency=1, max_queue_s=0), before=more)
        await fewer.refusal()
    await waiting
    fewer.provider.act = answer
    await fewer.complete()

    assert (refusal.outcome, refusal.error.metadata["limit"]) == ("queue_full", "1")


async def test_retry_budget_that_is_taken_over() -> None:
    """Retries that a provider has had are not given once more by another configuration."""
    scene = Scene()
    while scene.order().target.budget.withdraw():
        pass

    same, other = Scene(before=scene), Scene(key="another", before=scene)

    assert not same.order().target.budget.withdraw()
    assert other.order().target.budget.withdraw()
