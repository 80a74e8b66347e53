"""When a service that is being stopped is done with its calls."""

import asyncio

from prompt_resolver_server.entry.running import Running


async def test_late_call() -> None:
    """A call that was let in, and begins a moment after the last one ended, is waited for."""
    running, late = Running(), asyncio.Event()

    async def call() -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        await late.wait()
        running.remove(task)

    running.refuse()
    idle = asyncio.ensure_future(running.idle())
    await asyncio.sleep(0)
    calling = asyncio.ensure_future(call())
    done, _ = await asyncio.wait({idle}, timeout=0.5)
    late.set()
    await asyncio.gather(idle, calling)

    assert done == set()


async def test_nothing_runs() -> None:
    """Where nothing runs and nothing comes, a moment is enough."""
    async with asyncio.timeout(5):
        await Running().idle()
