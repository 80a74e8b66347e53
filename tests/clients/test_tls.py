"""The Python clients, the commands and `completion` call a service over TLS and mTLS."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from prompt_resolver import (
    AsyncPromptResolverClient,
    ConfigurationError,
    PromptResolverClient,
    PromptResolverError,
)
from tests.support.certificates import Authority, PairFiles, connection_options
from tests.support.service import ServiceProcess, run_cli, service_process

NAME = "prompts.example"
VARIABLES = {"text": "x"}
CALLS = [
    ("health",),
    ("resolve", "extract/invoice", "--var", "text=x"),
    ("complete", "extract/invoice", "--var", "text=x"),
]


@dataclass(frozen=True)
class Scene:
    """A service whose certificate is for another name than its address, and one of its callers."""

    service: ServiceProcess
    authority: Authority
    pair: PairFiles

    @property
    def options(self) -> list[str]:
        files = (str(self.authority.ca_file), str(self.pair.cert_file), str(self.pair.key_file))
        names = ("--ca-file", "--cert-file", "--key-file")
        return [each for option in zip(names, files, strict=True) for each in option]

    @property
    def variables(self) -> Mapping[str, str]:
        return {
            "PROMPT_RESOLVER_ADDRESS": self.service.address,
            "PROMPT_RESOLVER_CLIENT_CA_FILE": str(self.authority.ca_file),
            "PROMPT_RESOLVER_CLIENT_CERT_FILE": str(self.pair.cert_file),
            "PROMPT_RESOLVER_CLIENT_KEY_FILE": str(self.pair.key_file),
            "PROMPT_RESOLVER_CLIENT_SERVER_NAME": NAME,
        }


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder)
    files, pair = authority.write("server", NAME), authority.write("app", "app.example")
    environ = {
        "PROMPT_RESOLVER_TLS_CERT_FILE": str(files.cert_file),
        "PROMPT_RESOLVER_TLS_KEY_FILE": str(files.key_file),
        "PROMPT_RESOLVER_TLS_CLIENT_CA_FILE": str(authority.ca_file),
    }
    with service_process(environ=environ) as service:
        yield Scene(service, authority, pair)


def test_waiting_client(scene: Scene) -> None:
    """The client that waits calls with a certificate, and expects the server's name."""
    options = connection_options(scene.authority, scene.pair, server_name=NAME)
    with PromptResolverClient(scene.service.address, **options) as client:
        assert client.resolve("extract/invoice", variables=VARIABLES).prompt.id
        assert client.complete("extract/invoice", variables=VARIABLES).message.content


async def test_asyncio_client(scene: Scene) -> None:
    """The client for asyncio does the same."""
    options = connection_options(scene.authority, scene.pair, server_name=NAME)
    async with AsyncPromptResolverClient(scene.service.address, **options) as client:
        events = [e async for e in client.complete_stream("extract/invoice", variables=VARIABLES)]

    assert events[-1].HasField("finished")


def test_another_name(scene: Scene) -> None:
    """A certificate for another name than the address' is not taken for the server's."""
    files = connection_options(scene.authority, scene.pair)
    with (
        PromptResolverClient(scene.service.address, wait_for_ready=False, **files) as client,
        pytest.raises(PromptResolverError, match="Hostname Verification Check failed"),
    ):
        client.resolve("extract/invoice", variables=VARIABLES)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[0])
def test_commands(scene: Scene, call: tuple[str, ...]) -> None:
    """The commands take the files as options."""
    where = ("--address", scene.service.address, "--server-name", NAME)

    done = run_cli(*call, *where, *scene.options, environ={})

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[0])
def test_variables(scene: Scene, call: tuple[str, ...]) -> None:
    """The commands take the files from variables, as a probe whose command is fixed has to."""
    done = run_cli(*call, environ=scene.variables)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[0])
def test_failed_handshakes(scene: Scene, call: tuple[str, ...], tmp_path: Path) -> None:
    """Whoever is not let in, or trusts another authority, is told so in one line."""
    stranger = Authority(tmp_path)
    where = ("--address", scene.service.address, "--server-name", NAME)

    strange = run_cli(*call, *where, "--ca-file", str(stranger.ca_file), environ={})
    nobody = run_cli(*call, *where, *scene.options[:2], environ={})

    for done in (strange, nobody):
        assert (done.returncode, done.stdout) == (1, "")
        assert "UNAVAILABLE: " in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert "CERTIFICATE_VERIFY_FAILED" in strange.stderr


def test_a_name_without_tls() -> None:
    """A server's name alone is refused, as a token would be sent for all to read."""
    for make in (PromptResolverClient, AsyncPromptResolverClient):
        with pytest.raises(ConfigurationError, match="server_name: expected a ca_file, too"):
            make("127.0.0.1:1", server_name=NAME, token="let-me-in")
    tls = grpc.ssl_channel_credentials()
    PromptResolverClient("127.0.0.1:1", server_name=NAME, tls=tls).close()


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[0])
def test_commands_with_a_name_without_tls(call: tuple[str, ...]) -> None:
    """The commands refuse it, too, as an option and as a variable."""
    by_option = run_cli(*call, "--server-name", NAME, environ={})
    by_variable = run_cli(*call, environ={"PROMPT_RESOLVER_CLIENT_SERVER_NAME": NAME})

    for done in (by_option, by_variable):
        assert done.returncode == 2
        assert "server_name: expected a ca_file, too" in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[0])
def test_bad_files(call: tuple[str, ...], tmp_path: Path) -> None:
    """A file that cannot be used is told in one line, and has to change."""
    done = run_cli(*call, "--ca-file", str(tmp_path / "absent"), environ={})

    assert done.returncode == 2
    assert "ca_file: expected a readable file" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_completion(scene: Scene) -> None:
    """`completion` goes to a service over TLS by the same variables."""
    program = """
from prompt_resolver import completion
print(completion(prompt_id="extract/invoice", prompt_variables={"text": "x"}).prompt.id)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**scene.variables, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout) == (0, "extract/invoice\n"), done.stderr


def test_the_log_is_ours_alone(scene: Scene) -> None:
    """A handshake that fails leaves no line in the server's log that is not JSON."""
    where = ("--address", scene.service.address, "--server-name", NAME)
    run_cli("health", *where, *scene.options[:2], environ={})
    log = scene.service.log_file.read_text()

    assert all(line.startswith("{") for line in log.splitlines()), log
