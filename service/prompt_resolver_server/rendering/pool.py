"""The workers: started when they are first needed, kept, and replaced when they take too long."""

import asyncio
import logging

from ..domain.errors import Reason, ServerError
from ..sandbox.protocol import Done, Reply, read_reply
from .offenders import Errand, Offenders
from .turns import Turns
from .worker import Worker, WorkerGoneError

_log = logging.getLogger(__name__)

MEMORY_BYTES = 192 * 1024 * 1024
"""How much memory a worker may have, all of its own included."""


class ExhaustedError(Exception):
    """The job took more time or memory than it may.

    With `retry_after_s` it was not even tried, as it had done so again and again, and will not be
    for so long.
    """

    def __init__(self, retry_after_s: float | None = None) -> None:
        super().__init__("exhausted")
        self.retry_after_s = retry_after_s


class WorkerPool:
    """At most `size` workers, each of which may take `time_limit_s` for a job.

    Made without any; used and closed inside of one event loop.
    """

    def __init__(self, *, size: int = 2, time_limit_s: float = 0.25) -> None:
        self._time_limit_s = time_limit_s
        self._idle: list[Worker] = []
        self._serving: set[asyncio.Task[None]] = set()
        self._offenders = Offenders(lambda: asyncio.get_running_loop().time())
        self._turns = Turns(size, self._offenders.is_suspect)

    @property
    def pids(self) -> tuple[int, ...]:
        """The ids of the workers that wait for a job."""
        return tuple(worker.pid for worker in self._idle)

    async def run(self, errand: Errand, *, deadline: float) -> Reply:
        """Return the reply to an errand's job.

        `deadline` is on the event loop's clock. A caller that leaves does not end the job, which
        has little time left anyway: the worker is free for others once it is done. Raises
        `ExhaustedError`, also at once for what has done nothing else of late, OVERLOADED and
        DEADLINE.
        """
        try:
            async with asyncio.timeout_at(deadline):
                is_suspect = await self._enter(errand)
                reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
                task = asyncio.create_task(self._serve(errand, is_suspect, reply))
                self._serving.add(task)
                task.add_done_callback(self._serving.discard)
                return await reply
        except TimeoutError:
            raise ServerError(
                Reason.DEADLINE,
                "the deadline passed while the template was to be rendered",
                metadata={"phase": "render", "attempts": "0"},
            ) from None

    async def aclose(self) -> None:
        """End every worker, and whatever it does."""
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        while self._idle:
            await self._idle.pop().end()

    async def _enter(self, errand: Errand) -> bool:
        """Wait for a worker's turn; return whether it is a suspect's."""
        self._check_barred(errand)
        is_suspect = await self._turns.enter(errand)
        try:
            self._check_barred(errand)
        except ExhaustedError:
            self._turns.leave(is_suspect)
            raise
        return is_suspect

    def _check_barred(self, errand: Errand) -> None:
        if (barred_s := self._offenders.barred_s(errand)) > 0:
            raise ExhaustedError(barred_s)

    async def _serve(
        self, errand: Errand, is_suspect: bool, reply: "asyncio.Future[Reply]"
    ) -> None:
        """Have a worker do a job, and another one take its place if it does not come back."""
        try:
            worker = await self._find_worker()
            try:
                async with asyncio.timeout(self._time_limit_s):
                    answer = read_reply(await worker.ask(errand.job))
            except (TimeoutError, WorkerGoneError, ValueError):
                self._offenders.offend(errand)
                _settle(reply, ExhaustedError())
                self._turns.shed()
                await worker.end()
                _log.warning("a worker was replaced, as a template exhausted it")
                self._idle.append(await self._start_worker())
            except BaseException:
                await worker.end()
                raise
            else:
                self._offenders.forgive(errand)
                if isinstance(answer, Done):
                    self._offenders.prove(errand.source)
                self._idle.append(worker)
                _settle(reply, answer)
        except ServerError as error:
            _settle(reply, error)
        finally:
            if not reply.done():
                reply.cancel()
            self._turns.leave(is_suspect)

    async def _find_worker(self) -> Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.is_alive:
                return worker
            await worker.end()
        return await self._start_worker()

    async def _start_worker(self) -> Worker:
        try:
            return await Worker.start(
                memory_bytes=MEMORY_BYTES, cpu_s=max(1, round(self._time_limit_s * 2))
            )
        except (OSError, WorkerGoneError) as error:
            _log.error(
                "no worker can be started", extra={"type": type(error).__name__}
            )  # its text is somebody else's
            raise ServerError(
                Reason.OVERLOADED, "no process to render the template could be started"
            ) from None


def _settle(reply: "asyncio.Future[Reply]", outcome: Reply | Exception) -> None:
    if reply.done():
        return
    if isinstance(outcome, Exception):
        reply.set_exception(outcome)
    else:
        reply.set_result(outcome)
