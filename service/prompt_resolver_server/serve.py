"""`prompt-resolver serve`: the command line of the service."""

import gc
import logging
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import uvloop

from prompt_resolver._version import __version__
from prompt_resolver.arguments import USAGE_ERROR, ArgumentParser

from .app import serve
from .assembly.configuration import load_configuration, warn_of
from .doors import Addresses
from .logs import configure_logs, tell_faults_of_threads, write_requests
from .runtime.event_loop import EventLoop
from .runtime.file_limit import raise_file_limit
from .settings import ConfigError, Loaded
from .settings.server import ServerSettings

_log = logging.getLogger(__name__)

# How many objects may be new before the collector looks for cycles among them; Python's own 700 are
# made by a few calls. How often it looks through older ones is as Python has it.
_GARBAGE_THRESHOLDS = (50_000, 10, 10)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until told to stop; return the exit code, 2 for an unusable configuration."""
    arguments = _parser().parse_args(argv)
    overrides = {
        name: value for name in _OVERRIDES if (value := getattr(arguments, name)) is not None
    }
    if arguments.detailed_debug:
        overrides["log_level"] = "debug"
    try:
        loaded = _load(arguments, overrides)
        configure_logs(loaded.settings.server.log_level)
        tell_faults_of_threads()
        if arguments.detailed_debug:
            write_requests()
            _log.warning("the log has prompts and variables in it, as --detailed-debug asks for")
        warn_of(loaded)
        raise_file_limit()
        uvloop.run(
            serve(
                loaded,
                version=__version__,
                on_ready=_on_ready(loaded, arguments.tour),
                trace_requests=arguments.detailed_debug,
            ),
            loop_factory=EventLoop,
        )
    except ConfigError as error:
        for line in error.lines:
            print(f"prompt-resolver: {line}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        return 130
    # Python gives up its handlers before it ends, and the exit code would be another one.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return 0


_OVERRIDES = ("grpc_address", "http_address", "admin_address", "admin_grpc_address", "log_level")


def _load(arguments: Namespace, overrides: dict[str, str]) -> Loaded:
    """Read the configuration, with LiteLLM's two options for the HTTP door's address laid over."""
    loaded = load_configuration(arguments.config, os.environ, overrides)
    if arguments.host is None and arguments.port is None:
        return loaded
    known = loaded.settings.server.http_address or ServerSettings().http_address
    host, _, port = known.rpartition(":")
    overrides["http_address"] = f"{arguments.host or host}:{arguments.port or port}"
    return load_configuration(arguments.config, os.environ, overrides)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="prompt-resolver serve",
        description="Serve prompts over gRPC. Without a configuration: example prompts, and a model"
        " that repeats what it is told.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "-c",
        "--config",
        type=Path,
        metavar="FILE",
        help="the configuration (PROMPT_RESOLVER_CONFIG)",
    )
    parser.add_argument("--grpc-address", metavar="HOST:PORT", help="where the gRPC door listens")
    parser.add_argument(
        "--http-address", metavar="HOST:PORT", help="where the OpenAI-compatible door listens"
    )
    parser.add_argument("--host", help="the host of --http-address, as LiteLLM names it")
    parser.add_argument("--port", help="the port of --http-address, as LiteLLM names it")
    parser.add_argument("--admin-address", metavar="HOST:PORT", help="where metrics are served")
    parser.add_argument(
        "--admin-grpc-address", metavar="HOST:PORT", help="where the admin service listens"
    )
    parser.add_argument(
        "--log-level", choices=("debug", "info", "warning", "error"), help="what is logged"
    )
    parser.add_argument(
        "--detailed-debug",
        "--detailed_debug",
        action="store_true",
        help="log every request to a provider, with the prompt and without keys",
    )
    parser.add_argument(
        "--tour", action="store_true", help="once ready, call the service and show what it answers"
    )
    return parser


def _on_ready(loaded: Loaded, tour: bool) -> Callable[[Addresses], Awaitable[None]]:
    async def announce(doors: Addresses) -> None:
        _settle()
        try:
            print(doors.ready_line, flush=True)
        except OSError as error:
            # Python would try once more at the exit.
            sys.stdout = None
            raise ConfigError(f"standard output: cannot be written: {error.strerror}") from None
        if tour:
            # It is a client, which no service needs otherwise.
            from .tour import show_tour  # noqa: PLC0415

            token = loaded.settings.general_settings.master_key
            await show_tour(doors, token=token.reveal() if token is not None else None)

    return announce


def _settle() -> None:
    """Spare the garbage collector what lasts as long as the process: it would hold up calls.

    What has gone of it is no more than a start leaves, and is not looked for.
    """
    gc.freeze()
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
