"""`prompt-resolver render`: renders a prompt file by itself, without a service or a configuration.

The engine is the service's own, over a store that is the file's folder: what it prints is what
`resolve` would.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from google.protobuf.json_format import ParseDict, ParseError

from prompt_resolver.arguments import ArgumentParser, UsageError
from prompt_resolver.endings import run_to_end
from prompt_resolver.requests import ResolveOptions, Variable
from prompt_resolver.show import print_json, show_prompt
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver.variables import (
    add_variable_arguments,
    check_encoding,
    read_json,
    read_variables,
)

from ..assembly.configuration import load_configuration
from ..inprocess import open_engine
from ..settings import Loaded
from ..templates.directory.store import DirectorySettings
from ..templates.formats.format_rule import PromptFormat
from .prompt_path import PromptPath, locate

_STORE = "file"


def main(argv: Sequence[str]) -> int:
    """Print a rendered prompt; return 0, or 2 where the prompt or what goes into it is at fault."""
    arguments = _parser().parse_args(argv)

    def render() -> int:
        options: ResolveOptions = {
            "variables": read_variables(arguments.vars_file, arguments.var),
        }
        check_encoding(vars(arguments))
        if arguments.messages is not None:
            options |= _read_messages(arguments.messages)
        located = _locate(arguments.file, arguments.root)
        response = asyncio.run(_render(located, options, arguments.prompt_format))
        if arguments.json:
            print_json(response)
        else:
            show_prompt(response)
        return 0

    return run_to_end("render", render, as_json=arguments.json)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="prompt-resolver render",
        description="Render a prompt file, offline: no service, no configuration, no network.",
        allow_abbrev=False,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a .prompt or .prompt.json file")
    add_variable_arguments(parser)
    parser.add_argument(
        "--messages",
        metavar="FILE",
        help="a JSON list of the contract's messages to add, or an object of such lists by the"
        " names of the template's placeholders; - for standard input",
    )
    parser.add_argument(
        "--root",
        type=Path,
        metavar="DIR",
        help="where the prompt's id starts, and partials are (the prompt's folder)",
    )
    parser.add_argument(
        "--prompt-format",
        choices=get_args(PromptFormat),
        help="the file's format (the one that its signs tell)",
    )
    parser.add_argument("--json", action="store_true", help="print it as `resolve --json` does")
    return parser


def _locate(path: Path, root: Path | None) -> PromptPath:
    if not path.is_file():
        raise UsageError(f"{path}: expected a file")
    whole, root = path.absolute(), root and root.absolute()
    if root is not None and not whole.is_relative_to(root):
        raise UsageError(f"{path}: expected a file below {root}")
    located = locate(whole, root)
    if located is None:
        raise UsageError(f"{path}: expected a name that ends in .prompt or .prompt.json")
    return located


async def _render(
    located: PromptPath, options: ResolveOptions, prompt_format: PromptFormat | None
) -> pb.ResolveResponse:
    if located.ref.version is not None:
        options["version"] = located.ref.version
    engine = await open_engine(_configure(located.root, prompt_format))
    try:
        return await engine.resolve(located.ref.id, **options)
    finally:
        await engine.close()


def _configure(root: Path, prompt_format: PromptFormat | None) -> Loaded:
    """Return a configuration with one store, and nothing of the environment in it."""
    loaded = load_configuration(None, {})
    store = DirectorySettings(type="directory", path=root, format=prompt_format)
    settings = loaded.settings.model_copy(update={"stores": {_STORE: store}})
    return replace(loaded, settings=settings)


def _read_messages(path: str) -> ResolveOptions:
    value = read_json(path)
    if isinstance(value, dict):
        return {"placeholders": {name: _message_list(path, each) for name, each in value.items()}}
    return {"messages": _message_list(path, value).messages}


def _message_list(path: str, value: Variable) -> pb.MessageList:
    try:
        return ParseDict({"messages": value}, pb.MessageList())
    except ParseError:
        raise UsageError(
            f"{path}: expected messages such as"
            ' {"role": "ROLE_USER", "content": [{"text": "Hi"}]}'
        ) from None
