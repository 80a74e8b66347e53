"""The command `prompt-resolver`.

Exit codes: 0 for success; 1 for a failure that may pass, such as a server that is down; 2 for a
call, a prompt or a configuration that has to change first; 130 for an interruption.
"""

import json
import math
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import grpc
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from ._version import __version__
from .arguments import USAGE_ERROR, ArgumentParser
from .client import DEFAULT_ADDRESS, PromptResolverClient
from .errors import PromptResolverError
from .requests import ResolveOptions, Variable
from .show import show_prompt, show_stream
from .v1 import prompt_resolver_pb2 as pb

_INTERRUPTED = 130
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    first = arguments[0] if arguments else "--help"
    # Options without a command mean `serve`.
    if first == "serve" or (first.startswith("-") and first not in ("-h", "--help", "--version")):
        return _serve(arguments[1:] if first == "serve" else arguments)
    parsed = _parser().parse_args(arguments or ["--help"])
    run: Callable[[PromptResolverClient, str, ResolveOptions, bool], int] = parsed.run
    try:
        options = _read_options(parsed)
        with PromptResolverClient(parsed.address, token=parsed.token) as client:
            return run(client, parsed.prompt_id, options, parsed.json)
    except _UsageError as error:
        print(f"prompt-resolver {first}: {error}", file=sys.stderr)
        return USAGE_ERROR
    except RecursionError:
        print(f"prompt-resolver {first}: expected fewer levels of nesting", file=sys.stderr)
        return USAGE_ERROR
    except PromptResolverError as error:
        return _fail(error, as_json=parsed.json)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough. Nothing is left to be flushed at the exit.
        sys.stdout = None
        return 0


class _UsageError(Exception):
    """Arguments that fit the parser and still do not make a call."""


def _serve(arguments: Sequence[str]) -> int:
    if any(
        find_spec(name) is None for name in ("aiohttp", "pydantic", "prometheus_client", "yaml")
    ):
        print(
            "prompt-resolver serve: expected the service to be installed;"
            " see to it with: pip install 'prompt-resolver[server]'",
            file=sys.stderr,
        )
        return USAGE_ERROR
    from prompt_resolver_server.__main__ import main as serve  # noqa: PLC0415  # needs the extra

    return serve(arguments)


def _resolve(
    client: PromptResolverClient, prompt_id: str, options: ResolveOptions, as_json: bool
) -> int:
    response = client.resolve(prompt_id, **options)
    if as_json:
        _print_json(response)
    else:
        show_prompt(response)
    return 0


def _complete(
    client: PromptResolverClient, prompt_id: str, options: ResolveOptions, as_json: bool
) -> int:
    if as_json:
        _print_json(client.complete(prompt_id, **options))
    else:
        show_stream(client.complete_stream(prompt_id, **options))
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="prompt-resolver",
        description="Prompts that live outside your code. `prompt-resolver serve` runs the service;"
        " the other commands call one.",
    )
    parser.add_argument("--version", action="version", version=f"prompt-resolver {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    commands.add_parser("serve", help="run the service", add_help=False)
    for name, run, text in (
        ("resolve", _resolve, "show a prompt, rendered"),
        ("complete", _complete, "have a model answer a prompt"),
    ):
        command = commands.add_parser(name, help=text, description=f"{text.capitalize()}.")
        command.set_defaults(run=run)
        _add_call_arguments(command)
    return parser


def _add_call_arguments(command: ArgumentParser) -> None:
    add = command.add_argument
    add("prompt_id", nargs="?", default="", help="the prompt's id, such as support/reply")
    add("--var", action="append", default=[], metavar="NAME=VALUE", help="a variable, as text")
    add("--vars-file", metavar="FILE", help="a JSON object of variables; - for standard input")
    add("--message", action="append", default=[], metavar="TEXT", help="a user message to add")
    add("--version", dest="prompt_version", help="the version, in place of the deployed one")
    add("--environment", help="the environment whose version to take")
    add("--store", help="the store, in place of the default one")
    add("--alias", help="an alias of the server's configuration")
    add("--model", help="the model, as <provider>/<model>, in place of the prompt's")
    add("--refresh", action="store_true", help="ask the store even if a copy is held")
    add("--json", action="store_true", help="print the response as JSON, whole")
    add("--timeout", type=_read_seconds, metavar="SECONDS", help="how long the call may take")
    add(
        "--address",
        help=f"where the service is (PROMPT_RESOLVER_ADDRESS, else {DEFAULT_ADDRESS})",
    )
    add("--token", help="the service's token, if it asks for one")


def _read_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ArgumentTypeError(f"expected a number of seconds above 0, got {text!r}")
    return seconds


def _check_encoding(value: object) -> None:
    """Refuse text that is no Unicode, as a terminal's arguments may be: gRPC carries none."""
    left = [value]
    while left:
        match left.pop():
            case str() as text:
                try:
                    text.encode()
                except UnicodeEncodeError:
                    raise _UsageError(f"expected UTF-8, got {text!r}") from None
            case dict() as items:
                left += [*items.keys(), *items.values()]
            case list() as items:
                left += items


def _read_options(parsed: object) -> ResolveOptions:
    values = vars(parsed)
    _check_encoding(values)
    options: ResolveOptions = {"variables": _read_variables(values["vars_file"], values["var"])}
    if values["prompt_version"] and values["environment"]:
        raise _UsageError("expected --version or --environment, got both")
    if not values["prompt_id"] and not values["alias"]:
        raise _UsageError("expected a prompt's id or --alias")
    for option, name in (
        ("prompt_version", "version"),
        ("environment", "environment"),
        ("store", "store"),
        ("alias", "alias"),
        ("model", "model"),
        ("timeout", "timeout_s"),
    ):
        if values[option] is not None:
            options[name] = values[option]  # type: ignore[literal-required]
    if values["refresh"]:
        options["refresh"] = True
    options["messages"] = [
        pb.Message(role=pb.ROLE_USER, content=[pb.ContentPart(text=text)])
        for text in values["message"]
    ]
    return options


def _read_variables(path: str | None, pairs: Sequence[str]) -> dict[str, Variable]:
    variables = _read_file(path) if path is not None else {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise _UsageError(f"--var: expected NAME=VALUE, got {pair!r}")
        variables[name] = value
    return variables


def _read_file(path: str) -> dict[str, Variable]:
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text("utf-8")
        variables: Variable = json.loads(text)
    except json.JSONDecodeError as error:
        raise _UsageError(f"{path}:{error.lineno}: expected JSON: {error.msg}") from None
    except UnicodeDecodeError:
        raise _UsageError(f"{path}: expected UTF-8") from None
    except OSError as error:
        raise _UsageError(f"{path}: expected a readable file: {error.strerror}") from None
    if not isinstance(variables, dict):
        raise _UsageError(f"{path}: expected a JSON object of variables")
    _check_encoding(variables)
    return variables


def _print_json(response: Message) -> None:
    print(MessageToJson(response, preserving_proto_field_name=True))


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


if __name__ == "__main__":
    sys.exit(main())
