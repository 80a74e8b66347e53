"""What the documents say works as they say."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
import yaml

from prompt_resolver import PromptResolverClient
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver_server.assembly.report import build_report
from prompt_resolver_server.assembly.trust import build_tls
from prompt_resolver_server.domain.errors import Reason
from prompt_resolver_server.providers.catalogue import CATALOGUE
from prompt_resolver_server.templates.directory.records import read_deployments, read_ids
from tests.support.completion import Scene, stock, store_environ
from tests.support.configurations import load_block
from tests.support.documents import ROOT, Document, read_documents
from tests.support.humanloop import running_humanloop
from tests.support.promql import list_registered, read_names
from tests.support.service import run_cli, service_process
from tests.support.upstream import Upstream

METRICS = Document(ROOT / "docs" / "metrics.md").text
OUTAGE = ROOT / "examples" / "outage" / "config.yaml"

each_document = pytest.mark.parametrize("document", read_documents(), ids=lambda each: each.name)


@each_document
async def test_configurations(document: Document, tmp_path: Path) -> None:
    """Every block of YAML is a configuration without a fault, or what its fence says it is."""
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
            case "litellm":
                assert yaml.safe_load(block.text)["prompts"]
            case _:
                assert not kind or kind == block.path
                loaded = replace(load_block(block, tmp_path), is_elsewhere=True)
                report = await build_report(loaded, build_tls(loaded))
                assert (report.without_effect, report.faults) == ((), ()), block.text


@each_document
def test_links(document: Document) -> None:
    """Every link leads to a file that is there, and to a heading that it has."""
    for path, anchor in document.links:
        assert path.exists(), path
        assert not anchor or anchor in Document(path).anchors, f"{path}#{anchor}"


def test_program_of_the_readme() -> None:
    """The README's program prints the prompt, the answer and the error."""
    (program,) = read_programs("README.md")

    with service_process() as service:
        said = run_program(program, service.address)

    assert "Invoice 12, EUR 30" in said
    assert "VARIABLES_INVALID {'missing': 'text'}" in said


async def test_python_from_litellm(upstream: Upstream) -> None:
    """The lines for those who come from LiteLLM work as they stand."""
    program = read_programs("docs/from-litellm.md")[-1]
    async with running_humanloop() as store:
        stock(store)
        scene = Scene("in-process", store, upstream, store_environ(store, upstream.url))
        code, out, err = await scene.run(program)

    assert (code, out) == (0, "Hello prv_1 7\n")
    assert "Say: this is used" in err


def read_programs(page: str) -> list[str]:
    return [each.text for each in Document(ROOT / page).blocks if each.language == "python"]


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


def test_index() -> None:
    """Every page for users is in the index of them."""
    index = Document(ROOT / "docs" / "README.md")
    listed = {path.resolve() for path, _ in index.links} | {index.path}

    assert {*(ROOT / "docs").glob("*.md")} <= listed


@each_document
def test_metrics(document: Document) -> None:
    """Every metric that is named has a row on its page."""
    table = set(re.findall(r"`(prompt_resolver_[a-z_]+)`", METRICS))

    assert set(re.findall(r"`(prompt_resolver_[a-z_]+)`", document.text)) <= table


def test_lines_of_the_log() -> None:
    """Every line of the log that the runbook names is one that the service writes."""
    runbook = " ".join((ROOT / "docs" / "runbook.md").read_text().split())
    named = re.findall(r"lines? `([^`]+)`", runbook)
    code = [path.read_text() for path in (ROOT / "service").rglob("*.py")]

    assert named
    assert [line for line in named if not any(f'"{line}"' in text for text in code)] == []


@each_document
def test_expressions(document: Document) -> None:
    """An expression of Prometheus is about what the service counts."""
    for block in document.blocks:
        if block.language == "promql":
            assert read_names(block.text).metrics <= list_registered().keys(), block.text


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
