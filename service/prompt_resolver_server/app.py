"""The composition root: builds everything, runs it, and ends it in the right order."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, nullcontext

from prometheus_client import CollectorRegistry

from .assembly.engine import build_engine
from .assembly.metrics import deliver_metrics
from .assembly.tracing import build_tracer
from .doors import Addresses, Doors
from .entry.running import CALM_S, LAST_WORDS_S, Running
from .logs import tell_fault_of_loop
from .metrics import Metrics
from .prefetch import Prefetch
from .reloading import Reloading
from .runtime.loop_lag import LoopLag
from .runtime.scheduling import yielding_threads
from .runtime.signals import Signals
from .settings import Loaded

_log = logging.getLogger(__name__)


async def serve(
    loaded: Loaded,
    *,
    version: str,
    on_ready: Callable[[Addresses], Awaitable[None]],
    trace_requests: bool = False,
) -> None:
    """Run the service until SIGTERM or SIGINT; a second one cuts the drain short.

    Its configuration is reloaded when its file changes, and on SIGHUP. `on_ready` is called once
    every door is open; `trace_requests` is for `build_engine`. Raises `ConfigError` for a
    configuration that cannot be served.
    """
    asyncio.get_running_loop().set_exception_handler(tell_fault_of_loop)
    settings = loaded.settings.server
    signals, running = Signals(), Running()
    async with AsyncExitStack() as stack:
        # The first to be there, and the last to go: what is not listened to is not heard by the
        # first process of a container, and the end of any other.
        stack.enter_context(signals.listening())
        metrics = Metrics(CollectorRegistry(), version=version)
        stack.callback(LoopLag(metrics.loop_lag.observe).close)
        deliver_metrics(loaded, metrics, stack)
        tracer = build_tracer(loaded, version)
        stack.push_async_callback(tracer.aclose)
        engine = await build_engine(loaded, metrics, stack, trace_requests=trace_requests)
        prefetch = Prefetch(engine.resolver.catalogue, loaded.settings.prefetch, metrics)
        stack.push_async_callback(prefetch.aclose)
        prefetch.start()
        doors = Doors(
            loaded,
            engine=engine,
            prefetch=prefetch,
            metrics=metrics,
            running=running,
            stack=stack,
            tracer=tracer,
            logs_prompts=trace_requests,
        )
        with yielding_threads() if settings.yielding_threads else nullcontext():
            addresses = await doors.open()
        reloading = Reloading(
            loaded,
            engine=engine,
            doors=doors,
            prefetch=prefetch,
            running=running,
            metrics=metrics,
            asked=signals.reload,
        )
        stack.push_async_callback(reloading.aclose)
        reloading.start()
        await on_ready(addresses)
        _log.info("serving", extra={"version": version, **addresses.by_door()})
        await signals.stop.wait()
        await reloading.stop()
        drain_s = reloading.loaded.settings.server.drain_s
        _log.info("draining", extra={"drain_s": drain_s})
        calls_cut = await _drain(doors, running, signals, drain_s)
    _log.info("stopped", extra={"calls_cut": calls_cut})


async def _drain(doors: Doors, running: Running, signals: Signals, drain_s: float) -> int:
    """Refuse new calls, let running ones end, and end those that do not; return how many did not.

    Health checks that watch get a moment and no more: they would last as long as their clients.
    """
    running.hold()
    await asyncio.sleep(CALM_S)
    running.refuse()
    refusing = asyncio.ensure_future(doors.close(drain_s + 2 * LAST_WORDS_S))
    await asyncio.sleep(CALM_S)
    running.release()
    idle = asyncio.ensure_future(running.idle())
    hurry = asyncio.ensure_future(signals.hurry.wait())
    await asyncio.wait({idle, hurry}, timeout=drain_s, return_when=asyncio.FIRST_COMPLETED)
    calls_cut = 0
    if not idle.done():
        calls_cut = running.end_all()
        await asyncio.wait({idle}, timeout=LAST_WORDS_S)
    idle.cancel()
    hurry.cancel()
    # What has been answered may yet have to be sent.
    await doors.close(0 if signals.hurry.is_set() else LAST_WORDS_S)
    await refusing
    return calls_cut
