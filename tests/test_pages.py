"""Every command on a page is run as its reader would run it, or held by another test."""

import re
import shutil
import subprocess
import tomllib
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path

import pytest

from prompt_resolver import calls as client_calls
from prompt_resolver import health as client_health
from prompt_resolver_server import serve
from prompt_resolver_server.commands import config_check, render_file
from prompt_resolver_server.commands.lint import command as lint
from prompt_resolver_server.commands.pull import command as pull
from tests.support.documents import ROOT, Document, is_command, read_documents, split_words
from tests.support.elsewhere import ELSEWHERE, LANGUAGES, PROGRAMS, is_elsewhere
from tests.support.reader import READ, reading

PARSERS: dict[str, Callable[[], ArgumentParser]] = {
    "config": config_check._parser,
    "health": client_health._parser,
    "lint": lint._parser,
    "pull": pull._parser,
    "render": render_file._parser,
    "serve": serve._parser,
}

each_document = pytest.mark.parametrize("document", read_documents(), ids=lambda each: each.name)


def test_there_is_something_to_do() -> None:
    """Commands, programs and files are found on the pages."""
    documents = read_documents()
    blocks = [block for document in documents for block in document.blocks]

    assert sum(len(document.commands) for document in documents) > 80
    assert sum(len(document.mentioned_commands) for document in documents) > 40
    assert sum(block.language == "python" for block in blocks) > 5
    assert sum(bool(block.path) for block in blocks) > 10


@each_document
async def test_reading(
    document: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, require_all: bool
) -> None:
    """Who does all that a page says, from its top to its end, sees what it says."""
    needed = {command.partition(" ")[0] for command in document.commands}
    missing = [tool for tool in ("curl", "openssl") if tool in needed and not shutil.which(tool)]
    if missing:
        (pytest.fail if require_all else pytest.skip)(f"not installed: {', '.join(missing)}")
    monkeypatch.chdir(tmp_path)

    async with reading(document, tmp_path) as reader:
        await reader.read(document)


@each_document
def test_blocks(document: Document) -> None:
    """What is shown is in a language that something is held to, or else is a picture."""
    for block in document.blocks:
        assert block.language in {"", "prompt", *READ, *LANGUAGES}, block.language
        assert block.path or block.language != "prompt", block.text
        if not block.language:
            assert not any(map(is_command, block.text.splitlines())), block.text


@each_document
def test_mentioned_commands(document: Document) -> None:
    """A command within a sentence is one that its program takes, or held elsewhere."""
    for command in document.commands + document.mentioned_commands:
        program, *arguments = split_words(command)
        if program == "prompt-resolver":
            parse(arguments)
        elif program == "make":
            assert arguments[0] in list_targets(), command
        elif command in document.mentioned_commands:
            assert is_elsewhere(command), f"name it in tests/support/elsewhere.py: {command}"


def parse(arguments: list[str]) -> None:
    """Have a command's own parser take its arguments, unless it is only named."""
    name, *rest = arguments
    if name.startswith("-"):
        name, rest = "serve", arguments
    if rest in ([], ["check"]):
        assert name in {*PARSERS, "resolve", "complete"}, name
    elif name in PARSERS:
        PARSERS[name]().parse_args(rest)
    else:
        client_calls._parser().parse_args([name, *rest])


def list_targets() -> set[str]:
    """Return what `make help` lists."""
    listed = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout
    return set(re.findall(r"make ([a-z-]+)", listed))


def test_elsewhere() -> None:
    """What is held elsewhere is on a page, and held by what is there."""
    commands = [
        command
        for document in read_documents()
        for command in document.commands + document.mentioned_commands
    ]

    for each in ELSEWHERE:
        assert any(command.startswith(each.begins) for command in commands), each.begins
        assert (ROOT / each.held_by).exists(), each.held_by
    for path in (*LANGUAGES.values(), *PROGRAMS, *PROGRAMS.values()):
        assert (ROOT / path).exists(), path


@each_document
def test_extras(document: Document) -> None:
    """Whatever is to be installed is offered."""
    offered = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]

    for extras in re.findall(r"prompt-resolver\[([a-z,]+)\]", document.text):
        assert {*extras.split(",")} <= {*offered}
