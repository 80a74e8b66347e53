"""The command `prompt-resolver`.

Exit codes: 0 for success; 1 for a failure that may pass, such as a server that is down; 2 for a
call, a prompt or a configuration that has to change first; 130 for an interruption.

Each command's modules are imported once it is run: `health` is run every few seconds, and `serve`
may not be installed.
"""

import sys
from collections.abc import Sequence

from .arguments import USAGE_ERROR
from .installed import is_service_installed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    first = arguments[0] if arguments else "--help"
    # Options without a command mean `serve`.
    if first == "serve" or (first.startswith("-") and first not in ("-h", "--help", "--version")):
        return _serve(arguments[1:] if first == "serve" else arguments)
    if first == "config":
        return _config(arguments[1:])
    if first == "health":
        from .health import main as health  # noqa: PLC0415  # see above

        return health(arguments[1:])
    from .calls import main as call  # noqa: PLC0415  # see above

    return call(arguments or ["--help"])


def _serve(arguments: Sequence[str]) -> int:
    if not _is_installed("serve"):
        return USAGE_ERROR
    from prompt_resolver_server.__main__ import main as serve  # noqa: PLC0415  # needs the extra

    return serve(arguments)


def _config(arguments: Sequence[str]) -> int:
    if not _is_installed("config"):
        return USAGE_ERROR
    from prompt_resolver_server.config_check import main as config  # noqa: PLC0415  # the same

    return config(arguments)


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
