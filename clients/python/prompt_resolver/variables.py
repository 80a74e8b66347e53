"""The variables of a prompt, as a command line gives them."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from .arguments import UsageError
from .requests import Variable


def add_variable_arguments(command: argparse.ArgumentParser) -> None:
    """Give a command the options that `read_variables` reads."""
    command.add_argument(
        "--var", action="append", default=[], metavar="NAME=VALUE", help="a variable, as text"
    )
    command.add_argument(
        "--vars",
        "--vars-file",
        dest="vars_file",
        metavar="FILE",
        help="a JSON object of variables; - for standard input",
    )


def read_variables(path: str | None, pairs: Sequence[str]) -> dict[str, Variable]:
    """Return the variables of a file, under those of `NAME=VALUE` pairs. Raises `UsageError`."""
    variables: Variable = read_json(path) if path is not None else {}
    if not isinstance(variables, dict):
        raise UsageError(f"{path}: expected a JSON object of variables")
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"--var: expected NAME=VALUE, got {pair!r}")
        variables[name] = value
    return variables


def read_json(path: str) -> Variable:
    """Return what a file of JSON holds; `-` is standard input. Raises `UsageError`."""
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text("utf-8")
        value: Variable = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}:{error.lineno}: expected JSON: {error.msg}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: expected UTF-8") from None
    except ValueError:
        raise UsageError(f"{path}: expected smaller numbers") from None
    except OSError as error:
        raise UsageError(f"{path}: expected a readable file: {error.strerror}") from None
    check_encoding(value)
    return value


def check_encoding(value: object) -> None:
    """Refuse text that is no Unicode, as a terminal's arguments may be: gRPC carries none."""
    left = [value]
    while left:
        match left.pop():
            case str() as text:
                try:
                    text.encode()
                except UnicodeEncodeError:
                    raise UsageError(f"expected UTF-8, got {text!r}") from None
            case dict() as items:
                left += [*items.keys(), *items.values()]
            case list() as items:
                left += items
