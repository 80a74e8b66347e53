"""How commands end: with which exit code, and with what on standard error."""

import json
import sys
from collections.abc import Callable

import grpc

from .arguments import INTERRUPTED, USAGE_ERROR, UsageError
from .errors import PromptResolverError

_HAS_TO_CHANGE = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)


def run_to_end(command: str, run: Callable[[], int], *, as_json: bool = False) -> int:
    """Run a command and return its exit code, also where it fails; `as_json`: tell that as JSON."""
    try:
        return run()
    except UsageError as error:
        return _tell(command, str(error))
    except RecursionError:
        return _tell(command, "expected fewer levels of nesting")
    except OverflowError:
        return _tell(command, "expected smaller numbers")
    except PromptResolverError as error:
        return _fail(error, as_json=as_json)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough. Nothing is left to be flushed at the exit.
        sys.stdout = None
        return 0
    except OSError as error:
        sys.stdout = None
        print(f"prompt-resolver {command}: cannot write: {error.strerror}", file=sys.stderr)
        return 1


def _tell(command: str, problem: str) -> int:
    print(f"prompt-resolver {command}: {problem}", file=sys.stderr)
    return USAGE_ERROR


def _fail(error: PromptResolverError, *, as_json: bool) -> int:
    if as_json:
        details = {
            "code": error.code.name,
            "reason": error.reason,
            "message": error.message,
            "metadata": dict(error.metadata),
        }
        print(json.dumps({"error": details}), file=sys.stderr)
    else:
        print(f"prompt-resolver: {error}", file=sys.stderr)
    return USAGE_ERROR if error.code in _HAS_TO_CHANGE else 1
