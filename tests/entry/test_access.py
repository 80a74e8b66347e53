"""Who may call, and who is turned away."""

import logging
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc_health.v1 import health_pb2
from typing_extensions import override

from prompt_resolver import AsyncPromptResolverClient, PromptResolverError
from prompt_resolver.v1.admin_pb2 import ListPromptsRequest
from prompt_resolver.v1.admin_pb2_grpc import PromptResolverAdminStub
from prompt_resolver_server.domain.answers import Credentials
from prompt_resolver_server.domain.errors import CallError
from prompt_resolver_server.domain.permissions import Globs, Permissions
from prompt_resolver_server.entry.access import Access, KnownCaller
from prompt_resolver_server.settings import ConfigError
from prompt_resolver_server.settings.secrets import FixedSecret
from tests.support.calls import failure, status_of
from tests.support.certificates import Authority, PairFiles, connection_options, trust
from tests.support.http import HttpDoor
from tests.support.operator import ADMIN_DOOR, bearer, refusal
from tests.support.raw import check_health, open_channel
from tests.support.service import RunningService, running_service

if TYPE_CHECKING:
    from prompt_resolver.v1.admin_pb2_grpc import PromptResolverAdminAsyncStub

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
        open_channel(service.address) as channel,
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


@pytest.mark.parametrize("name", ["x-provider-key-openai", "x-prompt-store-key"])
@pytest.mark.parametrize("values", [("",), ("a", "b"), ("a", "a")])
def test_keys_that_are_not_one(name: str, values: Sequence[str]) -> None:
    """A key that is empty, or is there twice, is refused: else another account might pay."""
    with pytest.raises(CallError) as caught:
        Access(master_key=None).admit([(name, value) for value in values])

    assert caught.value.reason == "REQUEST_INVALID"
    assert name in str(caught.value)


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


NAMED = """
callers:
  mesh: {certificate: 'spiffe://example.org/mesh', token: token-of-mesh, prompts: [extract/invoice]}
  named: {certificate: named.example.org, prompts: []}
  plain: {certificate: plain-name}
  tokened: {token: token-of-tokened, prompts: []}
"""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def mutual(authority: Authority, callers: str) -> str:
    """Return a configuration that lets those in for whom the authority vouches."""
    server = authority.write("server", "localhost", "127.0.0.1")
    return f"""
server:
  tls_cert_file: {server.cert_file}
  tls_key_file: {server.key_file}
  tls_client_ca_file: {authority.ca_file}
{callers}
"""


async def answers(
    service: RunningService, authority: Authority, pair: PairFiles, token: str | None = None
) -> tuple[str, str, str]:
    """Return what comes of a call over gRPC, over HTTP, and at the gRPC door of operators."""
    options = connection_options(authority, pair)
    async with AsyncPromptResolverClient(service.address, token=token, **options) as client:
        over_grpc = await reason_of(client.resolve("extract/invoice", variables=VARIABLES))
    door = HttpDoor(
        service.http_url.replace("http:", "https:"),
        {"Authorization": f"Bearer {token}"} if token else {},
        trust(authority, pair),
    )
    answer = await door.get("/v5/prompts/extract/invoice")
    over_http = "OK" if answer.status == 200 else str(answer.json["reason"])
    async with AsyncPromptResolverClient(
        service.admin_grpc_address, token=token, **options
    ) as operator:
        stub: PromptResolverAdminAsyncStub = PromptResolverAdminStub(operator.channel)
        metadata = tuple(bearer(token)) if token else ()
        _, at_admin = await refusal(stub.ListPrompts(ListPromptsRequest(), metadata=metadata))
    return over_grpc, over_http, at_admin or "OK"


async def reason_of(call: Awaitable[object]) -> str:
    try:
        await call
    except PromptResolverError as error:
        return error.reason
    return "OK"


async def test_certificates(tmp_path: Path, authority: Authority) -> None:
    """A caller is known by any name in its certificate, at every door; a token comes first."""
    uri = "spiffe://example.org/mesh"
    pairs = {
        "mesh": authority.issue_identity(uri, "named.example.org", common_name="plain-name"),
        "named": authority.issue("a.example.org", "named.example.org"),
        "plain": authority.issue("b.example.org", common_name="plain-name"),
        "other": authority.issue("x.named.example.org", common_name="Plain-Name"),
    }
    files = {name: authority.keep(name, pair) for name, pair in pairs.items()}
    async with running_service(tmp_path, mutual(authority, NAMED), ADMIN_DOOR) as service:
        by_certificate = {
            name: await answers(service, authority, pair) for name, pair in files.items()
        }
        by_token = {
            token: await answers(service, authority, files["plain"], token)
            for token in ("token-of-mesh", "token-of-tokened", "token-of-nobody")
        }

    missing, invalid = "CALLER_TOKEN_MISSING", "CALLER_TOKEN_INVALID"
    forbidden = "CALLER_FORBIDDEN"
    assert by_certificate == {
        "mesh": ("OK", "OK", forbidden),
        "named": (forbidden, forbidden, forbidden),
        "plain": ("OK", "OK", "OK"),
        "other": (missing, missing, missing),
    }
    assert by_token == {
        "token-of-mesh": ("OK", "OK", forbidden),
        "token-of-tokened": (forbidden, forbidden, forbidden),
        "token-of-nobody": (invalid, invalid, invalid),
    }


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ("", "OK"),
        ("general_settings: {master_key: let-me-in}", "CALLER_TOKEN_MISSING"),
        ("callers: {a: {token: token-of-a}}", "CALLER_TOKEN_MISSING"),
        ("callers: {a: {certificate: name-of-a}}", "CALLER_TOKEN_MISSING"),
    ],
)
async def test_certificates_of_nobody(
    tmp_path: Path, authority: Authority, known: str, expected: str
) -> None:
    """That an authority vouches for a client is enough only where nobody is named."""
    pair = authority.write("client", "client.example.org")
    async with running_service(tmp_path, mutual(authority, known), ADMIN_DOOR) as service:
        assert await answers(service, authority, pair) == (expected,) * 3


async def test_pages_bring_no_certificate(tmp_path: Path, authority: Authority) -> None:
    """A page that a browser shows its user's certificate for is not served: the page has none."""
    pair = authority.write("client", "named.example.org")
    callers = "callers: {named: {certificate: named.example.org, token: token-of-named}}"
    async with running_service(tmp_path, mutual(authority, callers)) as service:
        url = service.http_url.replace("http:", "https:")
        door = HttpDoor(url, {"Origin": "https://site.example"}, trust(authority, pair))
        without = await door.get("/v1/models")
        with_token = await door.get("/v1/models", authorization="Bearer token-of-named")

    assert (without.status, with_token.status) == (403, 200)


def test_keys_and_rules() -> None:
    """The keys that a caller brings change nothing about who it is and what it may use."""
    rules = Permissions({"prompt": Globs.of(["a"])})
    access = Access(
        master_key=None,
        callers=[KnownCaller(name="a", certificate="name-of-a", permissions=rules)],
    )

    bare = access.admit([], lambda: ("other", "name-of-a"))
    keyed = access.admit(
        [("x-prompt-store-key", "k"), ("x-provider-key-openai", "p")], lambda: ("name-of-a",)
    )

    assert (bare.caller, bare.permissions) == ("a", rules)
    assert (keyed.caller, keyed.permissions) == ("a", rules)
    assert (keyed.store_key, keyed.provider_keys) == ("k", {"openai": "p"})
    assert "name-of-a" not in repr([bare, keyed])


class CountedSecret(FixedSecret):
    """A secret that counts how often it was needed."""

    needed = 0

    @override
    def reveal(self) -> str | None:
        self.needed += 1
        return super().reveal()


@pytest.mark.parametrize("token", ["a", "b", "m", "other"])
def test_all_tokens_are_compared(token: str) -> None:
    """Each token is compared, whichever of them is the one, so that time does not tell."""
    secrets = {name: CountedSecret(name) for name in "abm"}
    access = Access(
        master_key=secrets["m"],
        callers=[KnownCaller(name=name, token=secrets[name]) for name in "ab"],
    )

    with suppress(CallError):
        access.admit([("authorization", f"Bearer {token}")])

    assert [secret.needed for secret in secrets.values()] == [1, 1, 1]
