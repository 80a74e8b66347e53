"""What the documents say works as they say."""

import asyncio
import inspect
import os
import re
import shlex
import subprocess
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
import yaml

from prompt_resolver import PromptResolverClient
from prompt_resolver import calls as client_calls
from prompt_resolver import health as client_health
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver_server import __main__ as serve
from prompt_resolver_server import config_check, render_file
from prompt_resolver_server.assembly.configuration import load_configuration
from prompt_resolver_server.assembly.endpoints import Endpoints
from prompt_resolver_server.assembly.report import build_report
from prompt_resolver_server.assembly.trust import build_tls
from prompt_resolver_server.errors import Blame, Reason, ResolverError
from prompt_resolver_server.http import headers
from prompt_resolver_server.http import status as http_status
from prompt_resolver_server.lint import command as lint
from prompt_resolver_server.lint.findings import CODES
from prompt_resolver_server.providers.catalogue import CATALOGUE
from prompt_resolver_server.providers.dialects import DIALECTS
from prompt_resolver_server.pull import command as pull
from prompt_resolver_server.rendering.languages import LANGUAGES
from prompt_resolver_server.rpc import status as grpc_status
from prompt_resolver_server.settings import Loaded
from prompt_resolver_server.templates.chain import ChainSettings
from prompt_resolver_server.templates.directory.records import read_deployments, read_ids
from prompt_resolver_server.templates.kinds import KINDS
from tests.support.documents import ROOT, Block, Document, read_documents
from tests.support.humanloop import KEY, running_humanloop
from tests.support.provider_table import write_table
from tests.support.service import run_cli, service_process

STORES = Document(ROOT / "docs" / "stores.md").text
PROVIDERS = Document(ROOT / "docs" / "providers.md")
LANGUAGES_PAGE = Document(ROOT / "docs" / "languages.md")
ERRORS = Document(ROOT / "docs" / "errors.md").text
COMMANDS = Document(ROOT / "docs" / "commands.md")
OUTAGE = ROOT / "examples" / "outage" / "config.yaml"
PARSERS: dict[str, Callable[[], ArgumentParser]] = {
    "config": config_check._parser,
    "health": client_health._parser,
    "lint": lint._parser,
    "pull": pull._parser,
    "render": render_file._parser,
    "serve": serve._parser,
}

each_document = pytest.mark.parametrize(
    "document", read_documents(), ids=lambda each: str(each.path.relative_to(ROOT))
)


def test_there_is_something_to_try() -> None:
    """Commands, configurations and links are found in the documents."""
    documents = read_documents()

    assert sum(len(each.commands) for each in documents) > 15
    assert sum(len(each.links) for each in documents) > 50
    configurations = [
        block for each in documents for block in each.blocks if block.language == "yaml"
    ]
    assert len(configurations) > 10


@each_document
def test_commands(document: Document) -> None:
    """Every command line is one that its command takes."""
    for line in document.commands:
        name, *arguments = shlex.split(line, comments=True)[1:]
        if name.startswith("-"):
            name, arguments = "serve", [name, *arguments]
        if name in PARSERS:
            PARSERS[name]().parse_args(arguments)
        else:
            client_calls._parser().parse_args([name, *arguments])


@each_document
async def test_configurations(document: Document, tmp_path: Path) -> None:
    """Every block of YAML is a configuration without a fault, or what its fence says it is."""
    (tmp_path / "prompts").mkdir()
    (tmp_path / "humanloop-export" / "files").mkdir(parents=True)
    for block in document.blocks:
        if block.language != "yaml":
            continue
        kind, _, _ = block.note.partition(" ")
        match kind:
            case "deployments":
                assert read_deployments(block.text.encode()).environments
            case "ids":
                assert read_ids(block.text.encode())
            case "workflow":
                assert yaml.safe_load(block.text)["jobs"]
            case _:
                assert not kind
                loaded = load_block(block, tmp_path)
                report = await build_report(loaded, build_tls(loaded))
                assert (report.without_effect, report.faults) == ((), ()), block.text


def load_block(block: Block, folder: Path) -> Loaded:
    """Load a block as a file in a folder that stands for `/keys`, with the variables it names."""
    path = folder / "config.yaml"
    path.write_text(block.text.replace("file:/keys", f"file:{folder}"))
    names = re.findall(r"os\.environ/(\w+)", block.text)
    return load_configuration(path, dict.fromkeys(names, "some-key"))


@each_document
def test_links(document: Document) -> None:
    """Every link leads to a file that is there, and to a heading that it has."""
    for path, anchor in document.links:
        assert path.exists(), path
        assert not anchor or anchor in Document(path).anchors, f"{path}#{anchor}"


async def test_console(tmp_path: Path) -> None:
    """The commands' page shows what its commands say of the files that it shows."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    command = bin_folder / "prompt-resolver"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m prompt_resolver.cli "$@"\n')
    command.chmod(0o755)
    for block in COMMANDS.blocks:
        path = block.note.rpartition(" ")[2]
        if block.language in ("prompt", "yaml") and path.startswith("prompts/"):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(block.text)
    async with running_humanloop() as store:
        hello = [{"role": "user", "content": "Hello {{name}}"}]
        store.put("support/hello", prompt_id="pr_1", template=hello)
        store.put("Shop/Returns desk", prompt_id="pr_2", template=hello)
        environ = {
            **os.environ,
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "HUMANLOOP_API_KEY": KEY,
            "HUMANLOOP_BASE_URL": store.url,
        }
        shown = [block.text for block in COMMANDS.blocks if block.language == "console"]
        for text in shown:
            assert await run_in_shell(text, tmp_path, environ) == text
    assert len(shown) == 4


async def run_in_shell(text: str, folder: Path, environ: dict[str, str]) -> str:
    """Run what is typed after each `$`, and return all of it as a terminal would show it."""
    typed = re.findall(r"^\$ (.+)$", text, re.MULTILINE)
    # What is typed sees the exit code of what was typed before it.
    lines = [
        f"code=$?; printf '%s\\n' {shlex.quote(f'$ {line}')}; (exit $code)\n{line}"
        for line in typed
    ]
    shell = await asyncio.create_subprocess_exec(
        *("bash", "-c", "\n".join(lines)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env=environ,
    )
    output, _ = await shell.communicate()
    return output.decode()


def test_placeholders(tmp_path: Path) -> None:
    """The program that fills a placeholder does."""
    (program,) = (block.text for block in LANGUAGES_PAGE.blocks if block.language == "python")
    prompt = next(block.text for block in COMMANDS.blocks if "greeting.prompt" in block.note)
    (tmp_path / "greeting.prompt").write_text(prompt)
    config = tmp_path / "config.yaml"
    config.write_text("stores: {local: {type: directory, path: .}}")

    with service_process("--config", str(config)) as service:
        said = run_program(program, service.address)

    assert said == "['You greet in English.', 'Welcome back.', 'Hi, I am Ada.']\n"


def test_watching() -> None:
    """The program that watches is told how the prompts are."""
    clients = Document(ROOT / "clients" / "README.md")
    (program,) = (block.text for block in clients.blocks if block.language == "python")

    with service_process() as service:
        said = run_program(program, service.address)

    assert re.fullmatch(r"CHANGE_SNAPSHOT (support/reply|extract/invoice) \w+\n", said)


def run_program(program: str, address: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program.replace("127.0.0.1:50051", address)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_example_of_an_outage(tmp_path: Path) -> None:
    """The example is a configuration that serves what it came with while Langfuse is down."""
    checked = run_cli("config", "check", str(OUTAGE))
    assert checked.returncode == 0, checked.stderr
    environ = {
        "LANGFUSE_BASE_URL": "http://127.0.0.1:9",
        "LANGFUSE_PUBLIC_KEY": "key-of-fake",
        "LANGFUSE_SECRET_KEY": "key-of-fake",
        "PROMPT_RESOLVER_STATE_DIR": str(tmp_path / "state"),
    }
    said = {"company": "Juniper", "customer_name": "Ada", "order_id": "7", "message": "Hello?"}

    with (
        service_process("--config", str(OUTAGE), environ=environ) as service,
        PromptResolverClient(service.address) as client,
    ):
        prompt = client.resolve("support/reply", variables=said).prompt
        ready = run_cli("health", environ={"PROMPT_RESOLVER_ADDRESS": service.address})

    assert (prompt.store, prompt.cache) == ("baked", pb.CACHE_RESULT_FALLBACK)
    assert ready.returncode == 0


def test_stores_are_complete() -> None:
    """Each kind of store has its part of the stores' page, with all of its settings."""
    for kind in KINDS:
        part = STORES.partition(f"\n## {kind.name}\n")[2].partition("\n## ")[0]
        common = STORES.partition("\n## ")[0]
        for name in kind.settings.model_fields:
            assert f"`{name}`" in part or f"`{name}`" in common or name == "type", name
    assert "\n## chain\n" in STORES
    assert {*ChainSettings.model_fields} == {"type", "stores"}


def test_providers_are_complete() -> None:
    """Every provider that is known is in the table, as the data has it, and every dialect."""
    text = PROVIDERS.text
    assert write_table() in text, "python -m tests.support.provider_table prints the table"
    (line,) = (each for each in text.splitlines() if each.startswith("| `dialect` |"))
    assert all(f"`{name}`" in line for name in DIALECTS)


def test_dialects_have_examples(tmp_path: Path) -> None:
    """Every dialect has an example, and an alias in it that calls it."""
    shown = set()
    for block in PROVIDERS.blocks[1:]:
        loaded = load_block(block, tmp_path)
        endpoints = Endpoints(loaded)
        for row in loaded.settings.model_list:
            shown.add(endpoints.dialect(row.litellm_params.model.partition("/")[0]))

    assert shown == set(DIALECTS)


def test_headers_are_complete() -> None:
    """Every header of ours is told to those who call over HTTP."""
    page = (ROOT / "docs" / "from-litellm.md").read_text()

    for name in re.findall(r'"(x-[a-z-]+|retry-after[a-z-]*)"', inspect.getsource(headers)):
        assert f"`{name}" in page, name


@each_document
def test_metrics(document: Document) -> None:
    """Every metric that is named is one that the README has in its table."""
    table = set(re.findall(r"`(prompt_resolver_[a-z_]+)`", (ROOT / "README.md").read_text()))

    assert set(re.findall(r"`(prompt_resolver_[a-z_]+)`", document.text)) <= table


def test_languages_are_complete() -> None:
    """Every language that is served is in the languages' table."""
    header = next(line for line in LANGUAGES_PAGE.text.splitlines() if line.startswith("| | "))

    assert sorted(header.strip("| ").split(" | ")) == sorted(LANGUAGES)


def test_findings_are_complete() -> None:
    """Every code that `lint` has is in its table, and no other."""
    table = COMMANDS.text.partition("\n## lint\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+) \| (error|warning|note) \|", table, re.MULTILINE)

    assert {code: how for codes, how in rows for code in re.findall(r"`([^`]+)`", codes)} == CODES


@each_document
def test_reasons(document: Document) -> None:
    """Every reason that is named is one of the contract's."""
    reasons = {reason.value for reason in Reason}
    named = re.findall(r"`([A-Z]+_[A-Z_]+)`", document.text)
    variables = {
        variable
        for row in CATALOGUE.values()
        for variables in (
            row.key_variables,
            row.base_url_variables,
            *row.account_variables.values(),
        )
        for variable in variables
    }
    # STREAM_INCOMPLETE is the clients' own.
    others = re.compile(
        r"(PROMPT_RESOLVER|HUMANLOOP|LANGFUSE|OPENAI|ANTHROPIC|LITELLM|STORE_STALE|STORE_READY|GRPC|FAILED|OTEL)"
        r"|STREAM_INCOMPLETE$"
    )

    statuses = {code.name for code in grpc.StatusCode}

    assert {name for name in named if not others.match(name)} <= reasons | variables | statuses


def test_errors_are_complete() -> None:
    """The page of errors has a row for each reason, with its statuses, and advice of its own."""
    rows = re.findall(
        r"^\| `([A-Z_]+)` \| ([A-Z_, ]+) \| ([\d, ]+) \| (.+) \| (.+) \|$", ERRORS, re.MULTILINE
    )

    assert sorted(reason for reason, *_ in rows) == sorted(Reason)
    for reason, codes, statuses, _, _ in rows:
        row = grpc_status.STATUSES[Reason(reason)]
        told = [ResolverError(Reason(reason), "", blame=blame) for blame in Blame]
        assert codes.split(", ") == [
            code.name for code in dict.fromkeys((row.code, *(row.by_blame or {}).values()))
        ]
        assert statuses.split(", ") == [
            str(status) for status in dict.fromkeys(map(http_status.status_of, told))
        ]
    assert len({advice for *_, advice in rows}) > len(rows) - 3
