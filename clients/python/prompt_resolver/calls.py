"""The commands `resolve` and `complete`, which call a running service, and the help of all."""

from collections.abc import Callable, Sequence

from ._version import __version__
from .address import DEFAULT_ADDRESS
from .arguments import ArgumentParser, UsageError, read_seconds
from .chat.fields import to_struct
from .client import PromptResolverClient
from .credentials import (
    TOKEN,
    TOKEN_FILE,
    TokenOptions,
    add_tls_arguments,
    find_tls_options,
    find_token_options,
)
from .endings import run_to_end
from .headers import is_printable
from .requests import ResolveOptions
from .show import print_json, show_prompt, show_stream
from .v1 import prompt_resolver_pb2 as pb
from .variables import add_variable_arguments, check_encoding, read_variables


def main(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    parsed = _parser().parse_args(arguments)
    run: Callable[[PromptResolverClient, str, ResolveOptions, bool], int] = parsed.run

    def call() -> int:
        options = _read_options(parsed)
        with PromptResolverClient(
            parsed.address,
            **_find_token(parsed.token),
            wait_for_ready=False,
            **find_tls_options(vars(parsed)),
        ) as client:
            return run(client, parsed.prompt_id, options, parsed.json)

    return run_to_end(arguments[0], call, as_json=parsed.json)


def _resolve(
    client: PromptResolverClient, prompt_id: str, options: ResolveOptions, as_json: bool
) -> int:
    response = client.resolve(prompt_id, **options)
    if as_json:
        print_json(response)
    else:
        show_prompt(response)
    return 0


def _complete(
    client: PromptResolverClient, prompt_id: str, options: ResolveOptions, as_json: bool
) -> int:
    if as_json:
        print_json(client.complete(prompt_id, **options))
    else:
        show_stream(client.complete_stream(prompt_id, **options))
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="prompt-resolver",
        description="Prompts that live outside your code. `prompt-resolver serve` runs the service;"
        " `resolve`, `complete` and `health` call one; the others need none.",
    )
    parser.add_argument("--version", action="version", version=f"prompt-resolver {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    # These have parsers of their own, in modules of their own.
    commands.add_parser("serve", help="run the service", add_help=False)
    commands.add_parser("config", help="tell what a configuration means", add_help=False)
    commands.add_parser("lint", help="tell what is wrong with prompt files", add_help=False)
    commands.add_parser("render", help="render a prompt file", add_help=False)
    commands.add_parser("pull", help="copy prompts into a directory", add_help=False)
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
    add_variable_arguments(command)
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
    add("--token", help=f"the service's token, if it asks for one ({TOKEN}, or {TOKEN_FILE})")
    add_tls_arguments(command)


def _find_token(given: str | None) -> TokenOptions:
    """Return the token of the option, else of a variable, which no list of processes shows."""
    try:
        options: TokenOptions = {"token": given} if given is not None else find_token_options()
    except ValueError as error:
        raise UsageError(str(error)) from None
    if not is_printable(options["token"] or ""):
        raise UsageError(f"{TOKEN if given is None else '--token'}: expected printable ASCII")
    return options


def _read_options(parsed: object) -> ResolveOptions:
    values = vars(parsed)
    check_encoding(values)
    try:
        variables = to_struct(read_variables(values["vars_file"], values["var"]), "variables")
    except ValueError as error:
        raise UsageError(str(error)) from None
    options: ResolveOptions = {"variables": variables}
    if values["prompt_version"] and values["environment"]:
        raise UsageError("expected --version or --environment, got both")
    if not values["prompt_id"] and not values["alias"]:
        raise UsageError("expected a prompt's id or --alias")
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
