"""The command `prompt-resolver`.

Exit codes: 0 for success; 1 for a failure that may pass, such as a server that is down; 2 for a
call, a prompt or a configuration that has to change first; 130 for an interruption.

Each command's modules are imported once it is run: `health` is run every few seconds, and `serve`
may not be installed.
"""

import os
import signal
import sys
from collections.abc import Sequence

from .arguments import USAGE_ERROR
from .installed import is_service_installed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    # gRPC writes lines of its own to standard error, in between those of ours. It is asked when it
    # is imported.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    arguments = sys.argv[1:] if arguments is None else arguments
    first = arguments[0] if arguments else "--help"
    # Options without a command mean `serve`.
    if first == "serve" or (first.startswith("-") and first not in ("-h", "--help", "--version")):
        return _run_of_service("serve", arguments[1:] if first == "serve" else arguments)
    if first in ("config", "lint", "pull", "render"):
        return _run_of_service(first, arguments[1:])
    if first == "health":
        from .health import main as health  # noqa: PLC0415  # see above

        return health(arguments[1:])
    from .calls import main as call  # noqa: PLC0415  # see above

    return call(arguments or ["--help"])


def _run_of_service(command: str, arguments: Sequence[str]) -> int:
    """Run a command that needs what the extra `[server]` brings."""
    if not _is_installed(command):
        return USAGE_ERROR
    match command:
        case "config":
            from prompt_resolver_server.commands.config_check import main as run  # noqa: PLC0415
        case "lint":
            from prompt_resolver_server.commands.lint.command import main as run  # noqa: PLC0415
        case "pull":
            from prompt_resolver_server.commands.pull.command import main as run  # noqa: PLC0415
        case "render":
            from prompt_resolver_server.commands.render_file import main as run  # noqa: PLC0415
        case _:
            _mind_signals()
            from prompt_resolver_server.__main__ import main as run  # noqa: PLC0415
    return run(arguments)


def _mind_signals() -> None:
    """Have signals mean what they do to the service, before it takes them itself and after.

    The first process of a container would not hear SIGTERM, and any other would end by SIGHUP, with
    which the service is told to read its configuration again.
    """
    # There is nothing to clean up. An exception might be swallowed, as by what is being imported.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _is_installed(command: str) -> bool:
    """Tell whether the service is installed; where it is not, say how it would be."""
    if is_service_installed():
        return True
    print(
        f"prompt-resolver {command}: expected the service to be installed;"
        " see to it with: pip install 'prompt-resolver[server]'",
        file=sys.stderr,
    )
    return False


if __name__ == "__main__":
    sys.exit(main())
