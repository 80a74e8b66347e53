"""The example clients in Go, Java and Node: built by the documented commands, run over sockets."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import grpc
import pytest

from tests.support.building import CLIENTS, BuiltClient
from tests.support.faulty import FaultyServer
from tests.support.service import service_process

RENDERED = "Ada writes about order A-1001:\n\nWhere is my parcel?\n"


@dataclass(frozen=True)
class Example:
    """An example client: its folder below `clients`, and what is run in there."""

    folder: str
    tools: tuple[str, ...]
    build: str
    run: str


EXAMPLES = [
    Example("go", ("go",), "go build -o build/ ./...", "build/example ADDRESS"),
    Example(
        "java",
        ("mvn",),
        "mvn -q test-compile",
        "java -cp 'target/classes:target/test-classes:target/lib/*'"
        " dev.promptresolver.example.Client ADDRESS",
    ),
    Example("node", ("npm", "node"), "npm ci && npm run build", "node dist/example.js ADDRESS"),
]


@dataclass(frozen=True)
class BuiltExample:
    """An example client that is ready to run."""

    example: Example
    client: BuiltClient

    def call(self, address: str) -> subprocess.CompletedProcess[str]:
        return self.client.sh(self.example.run.replace("ADDRESS", address))


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of a service that has no configuration."""
    with service_process() as service:
        yield service.address


@pytest.fixture(scope="module", params=EXAMPLES, ids=lambda example: example.folder)
def built(
    request: pytest.FixtureRequest,
    require_all: bool,
    build_client: Callable[[str, str], BuiltClient],
) -> BuiltExample:
    """An example client, built in a copy of the tree."""
    example: Example = request.param
    missing = [tool for tool in example.tools if shutil.which(tool) is None]
    if missing:
        report = pytest.fail if require_all else pytest.skip
        report(f"not installed: {', '.join(missing)}")
    return BuiltExample(example, build_client(example.folder, example.build))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.folder)
def test_commands_are_documented(example: Example) -> None:
    """The commands that these tests run are the ones that the page of the clients tells."""
    page = (CLIENTS / "README.md").read_text()

    assert f"| `clients/{example.folder}` | `{example.build}` | `{example.run}` |" in page


@pytest.mark.foreign
@pytest.mark.timeout(600)
def test_calls(built: BuiltExample, address: str) -> None:
    """A client gets a prompt, a streamed answer, and an error whose reason it can tell."""
    done = built.call(address)

    assert done.returncode == 0, done.stdout + done.stderr
    resolved, streamed, refused = done.stdout.split("== ")[1:]
    assert "prompt: support/reply, version " in resolved
    assert "model: echo/gpt-4o-mini\n" in resolved
    assert f"ROLE_USER: {RENDERED}" in resolved
    assert f"{RENDERED}finish reason: FINISH_REASON_STOP\nusage: " in streamed
    assert "reason: VARIABLES_INVALID of prompt-resolver\n" in refused
    assert "missing: company,customer_name,message,order_id\n" in refused
    assert "variables.order_id: missing\n" in refused


@pytest.mark.foreign
@pytest.mark.timeout(600)
def test_stream_without_its_end(built: BuiltExample) -> None:
    """A client fails where a stream ends well but without `finished`: half an answer is none."""
    server = FaultyServer()

    with server.serve() as address:
        done = built.call(address)

    assert done.returncode != 0
    assert "Half an ans" in done.stdout
    assert "the stream ended without `finished`" in done.stdout + done.stderr


@pytest.mark.foreign
@pytest.mark.timeout(600)
def test_retries(built: BuiltExample) -> None:
    """A client tries `Resolve` again where the server is busy, and no completion."""
    server = FaultyServer(refuses=grpc.StatusCode.UNAVAILABLE)

    with server.serve() as address:
        done = built.call(address)

    assert done.returncode != 0
    assert server.calls == {"Resolve": 3, "CompleteStream": 1}, done.stdout + done.stderr
