"""Where the calls of `completion` are made: through a service beside the program, or in it.

Through the service at `PROMPT_RESOLVER_ADDRESS`, or, where that is not set, by the service's own
engine in this process. The environment is read when the first call is made.

Any thread may call, also one that goes on when the main thread has ended. Handlers of `atexit` may
in Python 3.11 alone: later ones start no more threads by then.

A forked process begins anew, with a connection or an engine of its own. gRPC survives a fork while
it makes no call. What is forked while one runs is not let make calls. It may crash of what gRPC
does about forks, unless `GRPC_ENABLE_FORK_SUPPORT` is 0: then gRPC does nothing about them, so that
none crashes, and none can make calls once its parent has.
"""

import os
import sys
import threading

import grpc

import prompt_resolver

from . import lifetime
from .address import ADDRESS
from .engine import Client, Engine
from .errors import ConfigurationError, PromptResolverError
from .installed import is_service_installed
from .sidecar import SidecarClient

LOG = "PROMPT_RESOLVER_LOG"

_process = lifetime.process


def find_engine() -> Engine:
    """Return the engine of this process. Raises `PromptResolverError` if it can have none."""
    if _is_ending():
        raise PromptResolverError(
            grpc.StatusCode.FAILED_PRECONDITION,
            "the interpreter is ending, when handlers of atexit cannot call any more;"
            " call before the main thread ends",
        )
    return _process.find(_begin)


def _begin() -> Engine:
    if _process.is_barred and os.environ.get(ADDRESS):
        raise PromptResolverError(
            grpc.StatusCode.FAILED_PRECONDITION,
            "this process was forked while gRPC was in use, which it does not"
            " survive; fork before the first call or between calls",
        )
    return Engine(_open_client)


def _is_ending() -> bool:
    """Tell whether this is called at the interpreter's end, when no more threads are started."""
    main = threading.main_thread()
    at_exit = threading.current_thread() is main and not main.is_alive()
    return at_exit and sys.version_info >= (3, 12)


async def _open_client() -> Client:
    if address := os.environ.get(ADDRESS):
        return SidecarClient(address)
    if not is_service_installed():
        raise ConfigurationError(
            f"expected {ADDRESS} to tell where the service is, or the service to be"
            " installed here: pip install 'prompt-resolver[server]'"
        )
    from prompt_resolver_server.inprocess import open_in_process  # noqa: PLC0415  # needs the extra

    return await open_in_process(os.environ, is_verbose=_is_verbose, importing=_process.importing)


def _is_verbose() -> bool:
    return prompt_resolver.set_verbose or os.environ.get(LOG, "").lower() == "debug"
