"""The workers: limits hold, one call's trouble is nobody else's, and nothing is left behind."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from prompt_resolver_server.domain.errors import Reason, ResolverError, TemplateError
from prompt_resolver_server.domain.parameters import Json
from prompt_resolver_server.domain.prompts import Template
from prompt_resolver_server.rendering import Renderer, WorkerPool
from tests.support.hostile import ENDLESS, MANY, SWELLING
from tests.support.rendering import FOREVER, make_text, running_renderer
from tests.support.vitals import vitals

FINE = make_text("Hi {{ name }}", "jinja")
SHARED = make_text(f"{{% if n > 1 %}}{ENDLESS}{{% endif %}}{{{{ n }}}}", "jinja")
"""A template that renders for one caller and exhausts a worker with another one's variables."""


@pytest.fixture
def workers() -> WorkerPool:
    """One worker, with a time that any machine has."""
    return WorkerPool(size=1, time_limit_s=0.5)


@pytest.fixture
async def renderer(workers: WorkerPool) -> AsyncIterator[Renderer]:
    """A renderer on `workers`."""
    async with running_renderer(workers) as running:
        yield running


async def render(renderer: Renderer, template: Template, **variables: Json) -> str:
    rendered = await renderer.render(template, variables, deadline=FOREVER)
    return "".join(message.text for message in rendered.messages)


async def failure(call: Awaitable[object]) -> Reason:
    with pytest.raises(ResolverError) as caught:
        await call
    return caught.value.reason


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop go on until it is so."""
    while not condition():  # noqa: ASYNC110  # nobody tells when it is
        await asyncio.sleep(0)


async def busy(workers: WorkerPool) -> None:
    """Wait until a job has a worker's place."""
    await until(lambda: bool(workers._serving))


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_keeps_no_more_than_it_may() -> None:
    """However many templates a worker has seen, it has the memory that another one needs."""
    workers = WorkerPool(size=1, time_limit_s=10.0)
    async with running_renderer(workers) as renderer:
        for number in range(20):
            await render(renderer, make_text(f"{number}" + "{{a}}" * 9_900, "handlebars"), a="x")
        (pid,) = workers.pids
        assert vitals(pid).memory_kib < 96 * 1024


async def test_starts_when_needed(renderer: Renderer, workers: WorkerPool) -> None:
    """There is no worker before a template needs one, and then it is kept."""
    assert await render(renderer, make_text("{{name}}"), name="Ada") == "Ada"
    assert await render(renderer, make_text("no marks", "jinja")) == "no marks"
    assert not workers.pids

    assert await render(renderer, FINE, name="Ada") == "Hi Ada"
    (pid,) = workers.pids
    assert await render(renderer, FINE, name="Bob") == "Hi Bob"
    assert workers.pids == (pid,)


async def test_holds_nothing(renderer: Renderer, workers: WorkerPool) -> None:
    """A worker has no environment, no file, and nothing open but its socket and /dev/null."""
    await render(renderer, FINE, name="Ada")

    proc = Path("/proc") / str(workers.pids[0])
    opened = {os.readlink(each).partition(":")[0] for each in (proc / "fd").iterdir()}
    assert (proc / "environ").read_bytes() == b""
    assert os.readlink(proc / "cwd") == "/"
    assert opened <= {"socket", "/dev/null"}


@pytest.mark.parametrize(
    ("text", "language"), [(ENDLESS, "jinja"), (SWELLING, "jinja"), (MANY, "handlebars")]
)
async def test_exhausted(renderer: Renderer, workers: WorkerPool, text: str, language: str) -> None:
    """A template that takes too much fails alone: its worker goes, and another serves."""
    await render(renderer, FINE, name="Ada")
    (pid,), before = workers.pids, vitals(os.getpid()).memory_kib

    reason = await failure(render(renderer, make_text(text, language), xs=list(range(400))))

    assert reason is Reason.TEMPLATE_BUDGET
    assert await render(renderer, FINE, name="Bob") == "Hi Bob"
    assert workers.pids != (pid,)
    assert not alive(pid)
    assert vitals(os.getpid()).memory_kib - before < 32 * 1024


async def test_others_are_served() -> None:
    """While one template takes all its time, others are rendered beside it."""
    async with running_renderer(WorkerPool(size=2, time_limit_s=60)) as renderer:
        endless = asyncio.ensure_future(render(renderer, make_text(ENDLESS, "jinja")))
        for _ in range(20):
            assert await render(renderer, FINE, name="Ada") == "Hi Ada"

        assert not endless.done()
        endless.cancel()


async def test_caller_that_leaves(renderer: Renderer) -> None:
    """A caller that leaves takes its worker with it no longer than the template may take."""
    leaving = asyncio.ensure_future(render(renderer, make_text(ENDLESS, "jinja")))
    await busy(renderer._workers)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving

    assert await render(renderer, FINE, name="Ada") == "Hi Ada"


async def test_caller_that_leaves_the_queue(renderer: Renderer, workers: WorkerPool) -> None:
    """A caller that leaves while it waits leaves no trace."""
    first = asyncio.ensure_future(render(renderer, FINE, name="Ada"))
    await busy(workers)
    waiting = asyncio.ensure_future(render(renderer, FINE, name="Bob"))
    await until(lambda: workers._turns.waiting > 0)
    waiting.cancel()

    assert await first == "Hi Ada"
    assert await render(renderer, FINE, name="Eve") == "Hi Eve"
    assert workers._turns.waiting == 0


async def test_deadline() -> None:
    """A caller waits no longer than its deadline, for its template or for its turn."""
    async with running_renderer(WorkerPool(size=1, time_limit_s=60)) as renderer:
        soon = asyncio.get_running_loop().time() + 0.05
        endless = renderer.render(make_text(ENDLESS, "jinja"), {}, deadline=soon)
        assert await failure(endless) is Reason.DEADLINE

        soon = asyncio.get_running_loop().time() + 0.05
        assert await failure(renderer.render(FINE, {"name": ""}, deadline=soon)) is Reason.DEADLINE


async def test_too_many_wait() -> None:
    """Beyond 64 that wait, one more is told that the service is busy."""
    workers = WorkerPool(size=1, time_limit_s=60)
    async with running_renderer(workers) as renderer:
        endless = make_text(ENDLESS, "jinja")
        waiting = [asyncio.ensure_future(render(renderer, endless)) for _ in range(65)]
        await until(lambda: workers._turns.waiting == 64)

        assert await failure(render(renderer, FINE, name="Ada")) is Reason.OVERLOADED
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_repeated_offender() -> None:
    """A template that has exhausted three workers in a row costs no fourth one, whoever has it."""
    workers = WorkerPool(size=1, time_limit_s=0.2)
    async with running_renderer(workers) as renderer:
        for _ in range(3):
            call = render(renderer, make_text(SWELLING, "jinja"))
            assert await failure(call) is Reason.TEMPLATE_BUDGET
        await asyncio.gather(*workers._serving)
        pids = workers.pids

        with pytest.raises(TemplateError) as barred:
            await render(renderer, make_text(SWELLING, "jinja"))
        assert barred.value.reason is Reason.TEMPLATE_BUDGET
        assert barred.value.retry_after_s is not None
        assert 0 < barred.value.retry_after_s <= 5
        assert workers.pids == pids


async def test_variables_that_exhaust() -> None:
    """Whose variables exhaust a template keeps it from nobody with others, and is told no time."""
    async with running_renderer(WorkerPool(size=1, time_limit_s=0.3)) as renderer:
        assert await render(renderer, SHARED, n=1) == "1"
        for number in range(2, 6):
            with pytest.raises(TemplateError) as caught:
                await render(renderer, SHARED, n=number)
            assert caught.value.reason is Reason.TEMPLATE_BUDGET
            assert caught.value.retry_after_s is None

        assert await render(renderer, SHARED, n=1) == "1"


async def test_variables_that_go_on_exhausting() -> None:
    """However many variables a caller comes with, others find a worker and do not wait."""
    workers = WorkerPool(size=2, time_limit_s=0.5)
    async with running_renderer(workers) as renderer:
        assert await render(renderer, SHARED, n=1) == "1"
        assert await failure(render(renderer, SHARED, n=2)) is Reason.TEMPLATE_BUDGET
        flood = [
            asyncio.ensure_future(failure(render(renderer, SHARED, n=number)))
            for number in range(3, 15)
        ]
        await busy(workers)

        for _ in range(5):
            assert await render(renderer, FINE, name="Ada") == "Hi Ada"
        assert workers._turns.waiting
        reasons = await asyncio.gather(*flood)
        assert set(reasons) == {Reason.TEMPLATE_BUDGET, Reason.OVERLOADED}
        # One may have had its turn while the others came.
        assert reasons.count(Reason.TEMPLATE_BUDGET) in (8, 9)


async def test_worker_that_died(renderer: Renderer, workers: WorkerPool) -> None:
    """A worker that something else has ended is replaced, and no call notices."""
    await render(renderer, FINE, name="Ada")
    (worker,) = workers._idle
    worker._process.kill()
    worker._process.wait()

    assert await render(renderer, FINE, name="Bob") == "Hi Bob"
    assert workers.pids != (worker.pid,)


async def test_closed() -> None:
    """Closing ends every worker, those that work and those that wait, and every call with them."""
    workers = WorkerPool(size=2, time_limit_s=60)
    renderer = Renderer(workers)
    await render(renderer, FINE, name="Ada")
    (idle,) = workers.pids
    endless = asyncio.ensure_future(render(renderer, make_text(ENDLESS, "jinja")))
    await busy(workers)
    await render(renderer, FINE, name="Bob")
    before = {idle, *workers.pids}

    await renderer.aclose()

    assert not any(map(alive, before))
    with pytest.raises(asyncio.CancelledError):
        await endless


@pytest.mark.parametrize(
    "value", [[[[]]] * 3, {"a": 10**30}, {"a": "\ud800"}, "x" * (5 * 1024 * 1024)]
)
async def test_variables_that_no_worker_takes(renderer: Renderer, value: Json) -> None:
    """Variables that are too deep, too large or no Unicode are refused before they are sent."""
    for _ in range(70 if isinstance(value, list) else 0):
        value = [value]

    assert await failure(render(renderer, FINE, name=value)) is Reason.VARIABLES_INVALID


async def test_template_that_no_worker_takes(renderer: Renderer) -> None:
    """A template that is too large is over its budget before it is sent."""
    subject = make_text("{{ name }}" * 100_000, "jinja")

    assert await failure(render(renderer, subject, name="Ada")) is Reason.TEMPLATE_BUDGET
