"""The service as a process: how it starts, how it refuses to, and how it stops."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2

from prompt_resolver import PromptResolverClient, PromptResolverError
from prompt_resolver._version import __version__
from tests.support.prompts import write_prompt
from tests.support.service import FREE_PORTS, ServiceProcess, run_cli, service_process

EXAMPLE = {"company": "J", "customer_name": "A", "order_id": "1", "message": "Where is it?"}


def test_starts_without_anything() -> None:
    """With no configuration, one line tells that it is ready, and SIGTERM ends it with 0."""
    with service_process() as service:
        with PromptResolverClient(service.address) as client:
            response = client.resolve("support/reply", variables=EXAMPLE)
        code, log = service.stop()

    assert service.ready_line == (
        f"ready grpc={service.address} http={service.door('http')} admin={service.door('admin')}"
    )
    assert response.provider == "echo"
    assert code == 0
    began, draining, ended = (json.loads(line) for line in log.splitlines())
    assert (began["message"], began["level"], began["version"]) == ("serving", "info", __version__)
    doors = {name: began[name] for name in ("grpc", "http", "admin", "admin_grpc")}
    assert doors == {
        "grpc": service.address,
        "http": service.door("http"),
        "admin": service.door("admin"),
        "admin_grpc": "off",
    }
    assert draining["message"] == "draining"
    assert (ended["message"], ended["level"], ended["calls_cut"]) == ("stopped", "info", 0)


def test_end_while_it_starts(tmp_path: Path) -> None:
    """SIGTERM ends it with 0 while it starts, when its own handler is not there yet."""
    config = tmp_path / "config.yaml"
    os.mkfifo(config)
    serve = [sys.executable, "-m", "prompt_resolver.cli", "serve", "--config", str(config)]
    with subprocess.Popen(serve, stderr=subprocess.PIPE, text=True) as process:
        # It has been opened at both ends, and the reader waits for what never comes.
        with config.open("w"):
            process.send_signal(signal.SIGTERM)
            code = process.wait(30)
        assert process.stderr is not None
        said = process.stderr.read()

    assert (code, said) == (0, "")


def test_tells_its_doors(tmp_path: Path) -> None:
    """The ready line tells every door, closed ones and sockets too."""
    environ = {
        "PROMPT_RESOLVER_GRPC_ADDRESS": f"unix:{tmp_path}/s",
        "PROMPT_RESOLVER_HTTP_ADDRESS": "",
        "PROMPT_RESOLVER_ADMIN_ADDRESS": "",
        "PROMPT_RESOLVER_ADMIN_GRPC_ADDRESS": "127.0.0.1:0",
    }
    with service_process(environ=environ) as service:
        admin_grpc = service.door("admin_grpc")
        assert service.ready_line == (
            f"ready grpc=unix:{tmp_path}/s http=off admin=off admin_grpc={admin_grpc}"
        )
        assert service.stop()[0] == 0


def test_tour() -> None:
    """The tour calls the service through its own door and prints what comes back."""
    with service_process("--tour") as service:
        assert service.process.stdout is not None
        shown: list[str] = []
        for line in service.process.stdout:
            shown.append(line)
            if "In a browser" in line:
                break
        code, _ = service.stop()

    text = "".join(shown)
    assert "[system]\nYou answer the customers of Juniper Bicycles." in text
    assert "--- Complete: echo/gpt-4o-mini" in text
    assert f"prompt-resolver resolve --address {service.address} support/reply" in text
    assert f"grpcurl -plaintext {service.address}" in text
    assert f"In a browser: http://{service.door('admin')}/ " in text
    assert code == 0


def test_warns_of_what_has_no_effect(tmp_path: Path) -> None:
    """A setting that does nothing is named in the log."""
    config = tmp_path / "c.yaml"
    config.write_text("litellm_settings: {set_verbose: true}")
    environ = {"PROMPT_RESOLVER_DRAINS": "5"}
    with service_process("--config", str(config), environ=environ) as service:
        _, log = service.stop()

    warnings = [json.loads(line) for line in log.splitlines() if '"warning"' in line]
    assert [each["setting"] for each in warnings] == [
        "litellm_settings.set_verbose",
        "variable PROMPT_RESOLVER_DRAINS; did you mean PROMPT_RESOLVER_DRAIN_S?",
    ]


def test_warns_of_keys_that_are_not_there(tmp_path: Path) -> None:
    """A key whose file may come later is named in the log."""
    config = tmp_path / "c.yaml"
    config.write_text(f"providers: {{openai: {{api_key: 'file:{tmp_path}/key'}}}}")
    with service_process("--config", str(config)) as service:
        _, log = service.stop()

    warnings = [json.loads(line) for line in log.splitlines() if '"warning"' in line]
    assert [each["setting"] for each in warnings] == ["providers.openai.api_key"]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


@pytest.mark.parametrize("door", ["grpc", "admin", "admin-grpc"])
def test_port_that_is_taken(taken_port: int, door: str) -> None:
    """A port that is taken is told in one line, with the option that names it, and ends with 2."""
    done = run_cli("serve", f"--{door}-address", f"127.0.0.1:{taken_port}")

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"prompt-resolver: option --{door}-address: expected a free address,"
        f" got 127.0.0.1:{taken_port}: address already in use\n"
    )


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ("servr: {}", "c.yaml:1: servr: unknown key; did you mean 'server'?"),
        (
            "stores:\n  a: {type: directory, path: nowhere}",
            "c.yaml:2: stores.a.path: expected a directory, got nothing there",
        ),
        (
            "stores:\n  a: {type: directory, path: c.yaml}",
            "c.yaml:2: stores.a.path: expected a directory, got a file",
        ),
        ("default_store: b", "c.yaml:1: default_store: expected one of examples"),
        ("providers: {a: {}}", "c.yaml:1: providers.a.dialect: expected one of openai"),
        (
            "providers: {a: {dialect: openai}}",
            "c.yaml:1: providers.a.base_url: expected a URL",
        ),
        (
            "providers: {a: {dialect: x, base_url: 'http://x'}}",
            "c.yaml:1: providers.a.dialect: expected one of openai",
        ),
        (
            "server: {ca_file: nowhere}",
            "c.yaml:1: server.ca_file: expected a readable file of certificates",
        ),
        (
            "server: {state_dir: c.yaml}",
            "c.yaml:1: server.state_dir: expected a folder that can be written to: not a directory",
        ),
        ("server: {grpc_address: '0.0.0.0:1'}", "c.yaml:1: server.grpc_address: expected general"),
        (
            "providers: {openai: {api_key: os.environ/NOT_SET_AT_ALL}}",
            "c.yaml:1: providers.openai.api_key: expected the variable NOT_SET_AT_ALL to be set",
        ),
    ],
)
def test_configuration_that_is_refused(tmp_path: Path, config: str, problem: str) -> None:
    """A configuration that cannot be served is told in one line, and ends with 2."""
    path = tmp_path / "c.yaml"
    path.write_text(config)

    done = run_cli(
        "serve", "--config", str(path), environ={"PROMPT_RESOLVER_ADMIN_ADDRESS": "127.0.0.1:0"}
    )

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert problem in done.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["serve", "--nonsense"], "unrecognized arguments: --nonsense"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["serve", "--log-level", "loud"], "argument --log-level: invalid choice: 'loud'"),
        (["serve", "--config"], "argument -c/--config: expected one argument"),
        (["serve", "--config", "/nowhere"], "/nowhere: expected a readable file"),
    ],
)
def test_options_that_are_wrong(arguments: list[str], problem: str) -> None:
    """A wrong option is told in one line and ends with 2."""
    done = run_cli(*arguments)

    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert problem in done.stderr


def test_options_without_a_command_mean_serve(tmp_path: Path) -> None:
    """`prompt-resolver --config …` serves."""
    done = run_cli("--config", str(tmp_path / "nowhere.yaml"))

    assert done.returncode == 2
    assert "nowhere.yaml: expected a readable file" in done.stderr


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[tuple[ServiceProcess, threading.Event, threading.Event]]:
    """A service whose provider answers only once it is told to, and tells when it was asked."""
    asked, go = threading.Event(), threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                asked.set()
                go.wait(30)
                body = b'{"choices": [{"message": {"content": "late"}, "finish_reason": "stop"}]}'
                head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                length = b"Content-Length: %d\r\n\r\n" % len(body)
                connection.sendall(head + length + body)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    write_prompt(tmp_path / "prompts", "hi", "<user>\nHi\n</user>")
    config = tmp_path / "c.yaml"
    config.write_text(
        f"""
server: {{drain_s: 2}}
stores: {{local: {{type: directory, path: prompts}}}}
providers: {{fake: {{dialect: openai, base_url: 'http://127.0.0.1:{listener.getsockname()[1]}'}}}}
"""
    )
    with service_process("--config", str(config)) as service:
        yield service, asked, go
    go.set()
    listener.close()


def watch_health(channel: grpc.Channel) -> Iterator[bytes]:
    watch: grpc.UnaryStreamMultiCallable[bytes, bytes]
    watch = channel.unary_stream("/grpc.health.v1.Health/Watch")
    return watch(b"")


def test_drain_lets_calls_end(
    slow: tuple[ServiceProcess, threading.Event, threading.Event],
) -> None:
    """SIGTERM lets a running call end, turns health checks away first, and then ends with 0."""
    service, asked, go = slow
    with (
        ThreadPoolExecutor() as pool,
        PromptResolverClient(service.address) as client,
        grpc.insecure_channel(service.address) as channel,
    ):
        watching = watch_health(channel)
        statuses = [next(watching)]
        running = pool.submit(client.complete, "hi")
        assert asked.wait(10)

        service.process.send_signal(signal.SIGTERM)
        statuses.append(next(watching))
        go.set()
        answer = running.result(10)
        code = service.process.wait(10)

    kinds = [health_pb2.HealthCheckResponse.FromString(status).status for status in statuses]
    reply = health_pb2.HealthCheckResponse
    assert kinds == [reply.SERVING, reply.NOT_SERVING]
    assert answer.message.content[0].text == "late"
    assert code == 0


def test_drain_ends_calls_that_do_not(
    slow: tuple[ServiceProcess, threading.Event, threading.Event],
) -> None:
    """A call that outlasts the drain is told why it ends, and the service still ends with 0."""
    service, asked, _ = slow
    with ThreadPoolExecutor() as pool, PromptResolverClient(service.address) as client:
        running = pool.submit(lambda: list(client.complete_stream("hi")))
        assert asked.wait(10)

        service.process.send_signal(signal.SIGTERM)
        with pytest.raises(PromptResolverError) as caught:
            running.result(10)
        code = service.process.wait(10)

    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.UNAVAILABLE, "DRAINING")
    assert code == 0


def test_second_signal_ends_the_drain(
    slow: tuple[ServiceProcess, threading.Event, threading.Event],
) -> None:
    """A second signal cuts the drain short."""
    service, asked, _ = slow
    with (
        ThreadPoolExecutor() as pool,
        PromptResolverClient(service.address) as client,
        grpc.insecure_channel(service.address) as channel,
    ):
        watching = watch_health(channel)
        next(watching)
        running = pool.submit(client.complete, "hi")
        assert asked.wait(10)

        service.process.send_signal(signal.SIGINT)
        next(watching)
        told_at = time.monotonic()
        service.process.send_signal(signal.SIGINT)
        with pytest.raises(PromptResolverError) as caught:
            running.result(10)
        ended_after_s = time.monotonic() - told_at
        code = service.process.wait(10)

    assert caught.value.reason == "DRAINING"
    assert ended_after_s < 1.5
    assert code == 0


def test_output_that_cannot_be_written() -> None:
    """Where nobody can be told that it is ready, the service does not start, and says why."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "prompt_resolver_server"],
            env={**os.environ, **FREE_PORTS},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )

    assert done.returncode == 2
    assert "standard output: cannot be written: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
