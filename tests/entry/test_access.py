"""Who may call, and who is turned away."""

import logging
from collections.abc import Sequence
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2

from prompt_resolver import AsyncPromptResolverClient
from prompt_resolver_server.answers import Credentials
from prompt_resolver_server.entry.access import Access
from prompt_resolver_server.errors import CallError
from prompt_resolver_server.settings import ConfigError
from prompt_resolver_server.settings.secrets import FixedSecret
from tests.support.calls import failure, status_of
from tests.support.raw import check_health
from tests.support.service import running_service

PROTECTED = "general_settings: {master_key: os.environ/MASTER_KEY}"
ENVIRON = {"MASTER_KEY": "let-me-in"}
VARIABLES = {"text": "Invoice 1"}


async def test_the_master_key_lets_in(tmp_path: Path) -> None:
    """With a master key, a call needs it: none and another one are told apart."""
    async with (
        running_service(tmp_path, PROTECTED, ENVIRON) as service,
        AsyncPromptResolverClient(service.address, token="let-me-in") as right,
        AsyncPromptResolverClient(service.address, token="let-me-out") as wrong,
    ):
        response = await right.resolve("extract/invoice", variables=VARIABLES)
        missing = await failure(service.client.resolve("extract/invoice", variables=VARIABLES))
        invalid = await failure(wrong.resolve("extract/invoice", variables=VARIABLES))

    assert response.prompt.id == "extract/invoice"
    assert status_of(missing) == (grpc.StatusCode.UNAUTHENTICATED, "CALLER_TOKEN_MISSING")
    assert status_of(invalid) == (grpc.StatusCode.UNAUTHENTICATED, "CALLER_TOKEN_INVALID")


async def test_health_needs_no_token(tmp_path: Path) -> None:
    """A probe has no token, and needs none."""
    async with (
        running_service(tmp_path, PROTECTED, ENVIRON) as service,
        grpc.aio.insecure_channel(service.address) as channel,
    ):
        status = await check_health(channel)

    assert status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize(
    "metadata",
    [
        [("authorization", "let-me-in")],
        [("authorization", "Basic let-me-in")],
        [("authorization", "Bearer ")],
        [("authorization", "Bearer let-me-in"), ("authorization", "Bearer other")],
        [("authorization", "Bearer let-me-in extra")],
    ],
)
def test_malformed_tokens(metadata: Sequence[tuple[str, str]]) -> None:
    """Only one bearer token, and exactly the right one, lets in."""
    access = Access(master_key=FixedSecret("let-me-in"))

    with pytest.raises(CallError) as caught:
        access.admit(metadata)

    assert caught.value.reason == "CALLER_TOKEN_INVALID"


def test_credentials() -> None:
    """Keys are read by the provider's name; whatever else a call brings is left where it is."""
    credentials = Access(master_key=None).admit(
        [
            ("x-provider-key-openai", "a"),
            ("x-provider-key-smol", "b"),
            ("x-prompt-store-key", "c"),
            ("x-other", "d"),
            ("x-provider-key-raw-bin", b"e"),
        ]
    )

    assert credentials == Credentials(provider_keys={"openai": "a", "smol": "b"}, store_key="c")
    assert "a" not in repr(credentials).replace("Credentials", "")


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"])
async def test_an_open_door_must_be_protected(tmp_path: Path, address: str) -> None:
    """A data door beyond loopback does not open without anything that tells callers apart."""
    config = f"server: {{grpc_address: '{address}'}}"

    with pytest.raises(ConfigError, match=r"GRPC_ADDRESS: expected general_settings\.master_key"):
        async with running_service(tmp_path, config, {"PROMPT_RESOLVER_GRPC_ADDRESS": address}):
            pass


@pytest.mark.parametrize("protection", ["server: {insecure: true}", PROTECTED])
async def test_a_protected_door_opens(tmp_path: Path, protection: str) -> None:
    """With a master key, or told that it is meant, it does."""
    environ = {**ENVIRON, "PROMPT_RESOLVER_GRPC_ADDRESS": "0.0.0.0:0"}
    async with running_service(tmp_path, protection, environ) as service:
        port = service.address.rpartition(":")[2]
        async with AsyncPromptResolverClient(f"127.0.0.1:{port}", token="let-me-in") as client:
            assert await client.resolve("extract/invoice", variables=VARIABLES)


CALLERS = """
callers:
  checkout: {token: 'file:TOKEN'}
  search: {token: os.environ/SEARCH_TOKEN}
general_settings: {master_key: os.environ/MASTER_KEY}
"""


async def test_named_callers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each caller has a token of its own, which may be replaced, and a name in the log."""
    caplog.set_level(logging.INFO, "prompt_resolver_server")
    file = tmp_path / "token"
    file.write_text("checkouts-first\n")
    config = CALLERS.replace("TOKEN'", f"{file}'", 1)
    environ = {**ENVIRON, "SEARCH_TOKEN": "searchs-own"}

    async def reason(token: str) -> str:
        async with AsyncPromptResolverClient(service.address, token=token) as client:
            return (await failure(client.resolve("extract/invoice"))).reason

    async with running_service(tmp_path, config, environ) as service:
        before = [
            await reason(token)
            for token in ("checkouts-first", "searchs-own", "let-me-in", "checkouts-second")
        ]
        file.write_text("checkouts-second\n")
        after = [await reason(token) for token in ("checkouts-second", "checkouts-first")]

    assert before == ["VARIABLES_INVALID"] * 3 + ["CALLER_TOKEN_INVALID"]
    assert after == ["VARIABLES_INVALID", "CALLER_TOKEN_INVALID"]
    callers = [vars(record)["caller"] for record in caplog.records if "caller" in vars(record)]
    assert callers == ["checkout", "search", "", "", "checkout", ""]


@pytest.mark.parametrize(
    ("callers", "problem"),
    [
        (
            "{}",
            "expected general_settings.master_key, callers, tls_client_ca_file, or insecure: true",
        ),
        ("{a: {token: as-token}}", "expected a free address"),
    ],
)
async def test_callers_open_the_door(tmp_path: Path, callers: str, problem: str) -> None:
    """Beyond loopback the data door needs callers that are told apart, or a master key."""
    # An address that no machine has: whether it may be opened is all that is asked.
    environ = {"PROMPT_RESOLVER_GRPC_ADDRESS": "192.0.2.1:50051"}

    with pytest.raises(ConfigError, match=problem):
        async with running_service(tmp_path, f"callers: {callers}", environ):
            pass
