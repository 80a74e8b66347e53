"""`prompt-resolver health`: a probe that says in one line why the service does not serve."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from prompt_resolver_server.rpc.server import SERVICE
from tests.support.service import ServiceProcess, run_cli, service_process

LONGEST = "x" * 127
STATUSES = {
    LONGEST: health_pb2.HealthCheckResponse.SERVING,
    "draining": health_pb2.HealthCheckResponse.NOT_SERVING,
    "strange": health_pb2.HealthCheckResponse.SERVICE_UNKNOWN,
    "undecided": health_pb2.HealthCheckResponse.UNKNOWN,
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A service on a Unix socket that asks for a token."""
    folder = tmp_path_factory.mktemp("health")
    config = folder / "c.yaml"
    config.write_text("general_settings: {master_key: let-me-in}")
    environ = {"PROMPT_RESOLVER_GRPC_ADDRESS": f"unix:{folder}/s"}
    with service_process("--config", str(config), environ=environ) as running:
        yield running


@pytest.fixture
async def other() -> AsyncIterator[str]:
    """The address of another server, whose services are not all well."""
    server = grpc.aio.server()
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    for name, status in STATUSES.items():
        await servicer.set(name, status)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)


async def ask(*arguments: str) -> tuple[int, str]:
    """Run the command, and return its exit code and what it says."""
    done = await asyncio.to_thread(run_cli, "health", *arguments, environ={})
    assert done.stdout == ""
    return done.returncode, done.stderr


@pytest.mark.parametrize("name", ["readiness", SERVICE, ""])
async def test_serving(service: ServiceProcess, name: str) -> None:
    """A service that serves is told by 0 alone, over a Unix socket too, and without a token."""
    assert await ask("--address", service.address, "--service", name) == (0, "")


def test_defaults(service: ServiceProcess) -> None:
    """Unless told otherwise it asks for `readiness`, where the other commands would call."""
    done = run_cli("health", environ={"PROMPT_RESOLVER_ADDRESS": service.address})

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("draining", "NOT_SERVING"),
        ("strange", "SERVICE_UNKNOWN"),
        ("undecided", "UNKNOWN"),
        ("nobody", "unknown service 'nobody'"),
    ],
)
async def test_not_serving(other: str, name: str, told: str) -> None:
    """Any other status is told by its name, and ends with 1."""
    code, said = await ask("--address", other, "--service", name)

    assert (code, said) == (1, f"prompt-resolver health: {other}: {told}\n")


async def test_longest_name(other: str) -> None:
    """A service's name may have 127 bytes, and no more."""
    assert await ask("--address", other, "--service", LONGEST) == (0, "")
    assert (await ask("--address", other, "--service", f"{LONGEST}x"))[0] == 2


@pytest.mark.parametrize(
    ("address", "cause"),
    [("127.0.0.1:1", "Connection refused"), ("unix:/nowhere", "No such file or directory")],
)
async def test_nothing_listens(address: str, cause: str) -> None:
    """Where nothing listens, the line tells the cause."""
    code, said = await ask("--address", address)

    assert code == 1
    assert said.startswith(f"prompt-resolver health: {address}: UNAVAILABLE: ")
    assert said.count("\n") == 1
    assert cause in said


async def test_no_answer() -> None:
    """A server that accepts and never answers is given up once the time is over."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        code, said = await ask("--address", address, "--timeout", "0.3")

    assert (code, said) == (1, f"prompt-resolver health: {address}: no answer within 0.3 s\n")


async def test_answer_that_is_none() -> None:
    """A method of the right name with an answer of another kind is no health check."""

    async def check(request: bytes, context: object) -> bytes:
        return b"\x08\x01\x08\x01"

    server = grpc.aio.server()
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(check)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    code, said = await ask("--address", f"127.0.0.1:{port}")
    await server.stop(None)

    assert code == 1
    assert said.endswith("an answer that is none to a health check\n")


async def test_proxies_are_not_asked(other: str) -> None:
    """A proxy of the environment is for calls that leave the pod: the probe goes straight."""
    environ = {"http_proxy": "http://127.0.0.1:1", "no_proxy": ""}
    arguments = ("health", "--address", other, "--service", LONGEST)

    done = await asyncio.to_thread(run_cli, *arguments, environ=environ)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--timeout", "0"], "expected a number of seconds above 0"),
        (["--address"], "expected one argument"),
        (["--address", "\udcff"], "expected UTF-8"),
        (["--service", "\udcff"], "argument --service: invalid"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["support/reply"], "unrecognized arguments: support/reply"),
    ],
)
async def test_usage(arguments: list[str], problem: str) -> None:
    """A wrong option is told in one line, and ends with 2."""
    code, said = await ask(*arguments)

    assert code == 2
    assert said.count("\n") == 1
    assert problem in said


async def test_costs_little(service: ServiceProcess) -> None:
    """A probe is a new process each time: it imports gRPC, and nothing else that is slow to."""
    code = """
import sys
from prompt_resolver.cli import main
ended = main(["health", "--address", sys.argv[1]])
heavy = ("google.protobuf", "prompt_resolver.client", "prompt_resolver.v1", "aiohttp", "pydantic")
sys.exit(ended or ", ".join(name for name in heavy if name in sys.modules) or 0)
"""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", code, service.address],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_is_in_the_help() -> None:
    """`--help` lists the command, and the command has a help of its own."""
    assert "health" in run_cli("--help", environ={}).stdout
    assert "--timeout" in run_cli("health", "--help", environ={}).stdout


def test_socket_of_a_service_that_ended(tmp_path: Path) -> None:
    """A service that has ended does not serve, whatever it left behind."""
    address = f"unix:{tmp_path}/s"
    with service_process(environ={"PROMPT_RESOLVER_GRPC_ADDRESS": address}) as running:
        before = run_cli("health", "--address", address, environ={})
        assert running.stop()[0] == 0

    after = run_cli("health", "--address", address, environ={})

    assert (before.returncode, after.returncode) == (0, 1)
