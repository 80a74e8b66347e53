"""Where the calls of `completion` are made: through a service beside the program, or in it.

Through the service at `PROMPT_RESOLVER_ADDRESS`, or, where that is not set, by the service's own
engine in this process. The environment is read when the first call is made.

A forked process begins anew, with a connection or an engine of its own. gRPC survives a fork while
it makes no call. What is forked while one runs is not let make calls. It may crash of what gRPC
does about forks, unless `GRPC_ENABLE_FORK_SUPPORT` is 0: then gRPC does nothing about them, so that
none crashes, and none can make calls once its parent has.
"""

import atexit

# It takes a lock before a fork, which the thread of the calls may need while a fork waits for it.
# What was imported first comes to its turn last.
import concurrent.futures.thread  # noqa: F401
import os
import threading

import grpc

import prompt_resolver

from .address import ADDRESS
from .engine import Client, Engine
from .errors import ConfigurationError, PromptResolverError
from .installed import is_service_installed
from .sidecar import SidecarClient

LOG = "PROMPT_RESOLVER_LOG"


def find_engine() -> Engine:
    """Return the engine of this process. Raises `PromptResolverError` if it can have none."""
    return _process.find()


class _Process:
    """The engine of this process, if it has one."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._engine: Engine | None = None
        self._left_behind: list[Engine] = []
        self._is_barred = False

    def find(self) -> Engine:
        with self._lock:
            if self._engine is None:
                if self._is_barred and os.environ.get(ADDRESS):
                    raise PromptResolverError(
                        grpc.StatusCode.FAILED_PRECONDITION,
                        "this process was forked while gRPC was in use, which it does not"
                        " survive; fork before the first call or between calls",
                    )
                self._engine = Engine(_open_client)
            return self._engine

    def before_fork(self) -> None:
        # One fork at a time, and no first call meanwhile.
        self._lock.acquire()
        if self._engine is not None:
            self._engine.rest()

    def after_fork(self) -> None:
        self._lock.release()
        if self._engine is not None:
            self._engine.wake()

    def begin_anew(self) -> None:
        """Forget the engine of the process that this one was forked from.

        Its thread is not here, and whatever it held is the other process'. It is kept, as nothing
        of it must be closed.
        """
        self._lock = threading.RLock()
        if self._engine is not None:
            self._is_barred = self._is_barred or not self._engine.is_forkable
            self._left_behind.append(self._engine)
            self._engine = None

    def close(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()


_process = _Process()
os.register_at_fork(
    before=_process.before_fork,
    after_in_parent=_process.after_fork,
    after_in_child=_process.begin_anew,
)
atexit.register(_process.close)


async def _open_client() -> Client:
    if address := os.environ.get(ADDRESS):
        return SidecarClient(address)
    if not is_service_installed():
        raise ConfigurationError(
            f"expected {ADDRESS} to tell where the service is, or the service to be"
            " installed here: pip install 'prompt-resolver[server]'"
        )
    from prompt_resolver_server.inprocess import open_in_process  # noqa: PLC0415  # needs the extra

    return await open_in_process(os.environ, is_verbose=_is_verbose)


def _is_verbose() -> bool:
    return prompt_resolver.set_verbose or os.environ.get(LOG, "").lower() == "debug"
