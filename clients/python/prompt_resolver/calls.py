"""The commands `resolve` and `complete`, which call a running service, and the help of all."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import grpc
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from ._version import __version__
from .address import DEFAULT_ADDRESS
from .arguments import INTERRUPTED, USAGE_ERROR, ArgumentParser, read_seconds
from .client import PromptResolverClient
from .errors import PromptResolverError
from .requests import ResolveOptions, Variable
from .show import show_prompt, show_stream
from .v1 import prompt_resolver_pb2 as pb

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


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    parsed = _parser().parse_args(arguments)
    run: Callable[[PromptResolverClient, str, ResolveOptions, bool], int] = parsed.run
    try:
        options = _read_options(parsed)
        with PromptResolverClient(parsed.address, token=parsed.token) as client:
            return run(client, parsed.prompt_id, options, parsed.json)
    except _UsageError as error:
        print(f"prompt-resolver {arguments[0]}: {error}", file=sys.stderr)
        return USAGE_ERROR
    except RecursionError:
        print(f"prompt-resolver {arguments[0]}: expected fewer levels of nesting", file=sys.stderr)
        return USAGE_ERROR
    except OverflowError:
        print(f"prompt-resolver {arguments[0]}: expected smaller numbers", file=sys.stderr)
        return USAGE_ERROR
    except PromptResolverError as error:
        return _fail(error, as_json=parsed.json)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough. Nothing is left to be flushed at the exit.
        sys.stdout = None
        return 0
    except OSError as error:
        sys.stdout = None
        print(f"prompt-resolver {arguments[0]}: cannot write: {error.strerror}", file=sys.stderr)
        return 1


class _UsageError(Exception):
    """Arguments that fit the parser and still do not make a call."""


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
    # Both have parsers of their own, in modules of their own.
    commands.add_parser("serve", help="run the service", add_help=False)
    commands.add_parser("config", help="tell what a configuration means", add_help=False)
    commands.add_parser("health", help="tell whether a service serves", add_help=False)
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
    add("--timeout", type=read_seconds, metavar="SECONDS", help="how long the call may take")
    add(
        "--address",
        help=f"where the service is (PROMPT_RESOLVER_ADDRESS, else {DEFAULT_ADDRESS})",
    )
    add("--token", help="the service's token, if it asks for one")


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
    if not (values["token"] or "").isprintable() or not (values["token"] or "").isascii():
        raise _UsageError("--token: expected printable ASCII")
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
    except ValueError:
        raise _UsageError(f"{path}: expected smaller numbers") from None
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
