"""Requests get tokens of Google Cloud, which its own library asks for."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from prompt_resolver_server.domain.errors import CallError, Reason
from prompt_resolver_server.providers.dialect import InBandError
from prompt_resolver_server.providers.signers.google import GoogleSigner
from prompt_resolver_server.providers.transport.transport import (
    HttpRequest,
    Timeouts,
    TransportError,
)
from prompt_resolver_server.settings.accounts import AccountSettings
from prompt_resolver_server.settings.secrets import EnvironmentSecret, Secret
from tests.support.google import SCOPE, ServiceAccount, TokenEndpoint, running_token_endpoint

REQUEST = HttpRequest(
    url="https://x.invalid/publishers/google/models/m:generateContent",
    headers={"a": "b"},
    body=b"{}",
    timeouts=Timeouts(connect_s=30, first_byte_s=30, idle_s=30),
)


@pytest.fixture
async def endpoint() -> AsyncIterator[TokenEndpoint]:
    """What gives tokens."""
    async with running_token_endpoint() as endpoint:
        yield endpoint


@pytest.fixture
def account(endpoint: TokenEndpoint) -> ServiceAccount:
    """An account that it knows."""
    return ServiceAccount(endpoint)


@pytest.fixture
def signer(account: ServiceAccount) -> GoogleSigner:
    """A signer for the account."""
    return signer_of(account.json)


def signer_of(credentials: str | Secret | None) -> GoogleSigner:
    return GoogleSigner(AccountSettings.model_validate({"vertex_credentials": credentials}))


async def token(signer: GoogleSigner) -> str:
    return (await signer.sign(REQUEST)).headers["authorization"]


async def test_token(
    signer: GoogleSigner, account: ServiceAccount, endpoint: TokenEndpoint
) -> None:
    """A request has a token beside what it had, got by what the account's own key has signed."""
    signed = await signer.sign(REQUEST)

    assert signed.headers == {"a": "b", "authorization": "Bearer token-1"}
    assert (signed.url, signed.body) == (REQUEST.url, REQUEST.body)
    asked = endpoint.asked.get_nowait()
    assert asked["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    claims = account.read(asked["assertion"])
    assert (claims["iss"], claims["scope"]) == (account.email, SCOPE)


async def test_one_token_for_all(signer: GoogleSigner, endpoint: TokenEndpoint) -> None:
    """However many requests need a token, one is asked for; leaving does not end that."""
    endpoint.open.clear()
    calls = [asyncio.create_task(token(signer)) for _ in range(20)]
    await endpoint.asked.get()
    for call in calls[:10]:
        call.cancel()
    await asyncio.wait(calls[:10])
    endpoint.open.set()

    assert await asyncio.gather(*calls[10:]) == ["Bearer token-1"] * 10
    assert await token(signer) == "Bearer token-1"
    assert endpoint.given == 1
    assert all(call.cancelled() for call in calls[:10])


async def test_everybody_left(signer: GoogleSigner, endpoint: TokenEndpoint) -> None:
    """A token that nobody waits for any more is there for the next request."""
    endpoint.open.clear()
    call = asyncio.create_task(token(signer))
    await endpoint.asked.get()
    call.cancel()
    await asyncio.wait([call])
    endpoint.open.set()

    assert await token(signer) == "Bearer token-1"
    assert endpoint.given == 1


async def test_token_that_will_expire(signer: GoogleSigner, endpoint: TokenEndpoint) -> None:
    """A token that is about to expire is replaced, and used until it is."""
    endpoint.lifetime_s = 60
    assert await token(signer) == "Bearer token-1"
    await endpoint.asked.get()
    endpoint.open.clear()

    while_asked = [await token(signer), await token(signer)]
    await endpoint.asked.get()
    endpoint.lifetime_s = 3600
    endpoint.open.set()
    renewal = signer._tokens._renewal
    assert renewal is not None
    await renewal

    assert while_asked == ["Bearer token-1"] * 2
    assert (await token(signer), endpoint.given) == ("Bearer token-2", 2)


async def test_token_that_has_expired(signer: GoogleSigner, endpoint: TokenEndpoint) -> None:
    """A token that has expired is used no more."""
    endpoint.lifetime_s = 0

    assert [await token(signer), await token(signer)] == ["Bearer token-1", "Bearer token-2"]


@pytest.mark.parametrize("prefix", ["file:", ""])
async def test_file(endpoint: TokenEndpoint, tmp_path: Path, prefix: str) -> None:
    """Credentials in a file are read again when it changes, also if named by its path alone."""
    first, then = ServiceAccount(endpoint, name="first"), ServiceAccount(endpoint, name="then")
    path = tmp_path / "account.json"
    path.write_text(first.json)
    signer = signer_of(f"{prefix}{path}")

    before = [await token(signer), await token(signer)]
    fresh = tmp_path / "fresh.json"
    fresh.write_text(then.json)
    os.replace(fresh, path)
    after = [await token(signer), await token(signer)]

    assert (before, after) == (["Bearer token-1"] * 2, ["Bearer token-2"] * 2)
    assert first.read(endpoint.asked.get_nowait()["assertion"])["iss"] == first.email
    assert then.read(endpoint.asked.get_nowait()["assertion"])["iss"] == then.email


async def test_variable(account: ServiceAccount) -> None:
    """Credentials may come from a variable."""
    secret = EnvironmentSecret({"SOME_CREDENTIALS": account.json}, ("SOME_CREDENTIALS",))

    assert await token(signer_of(secret)) == "Bearer token-1"


async def test_identity_of_a_workload(endpoint: TokenEndpoint, tmp_path: Path) -> None:
    """A workload's own identity is exchanged for a token."""
    (tmp_path / "subject").write_text("token-of-workload")
    info = {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": endpoint.url,
        "credential_source": {"file": str(tmp_path / "subject")},
    }

    assert await token(signer_of(json.dumps(info))) == "Bearer token-1"
    assert endpoint.asked.get_nowait()["subject_token"] == "token-of-workload"


async def test_what_the_library_finds(
    account: ServiceAccount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without credentials of its own an account has those that Google's library finds."""
    path = tmp_path / "account.json"
    path.write_text(account.json)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))

    assert await token(signer_of(None)) == "Bearer token-1"


async def test_nothing_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is found, the error says what to set."""
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")

    with pytest.raises(CallError) as caught:
        await token(signer_of(None))

    assert caught.value.reason == Reason.PROVIDER_KEY_MISSING
    assert "vertex_credentials" in caught.value.message
    assert "GOOGLE_APPLICATION_CREDENTIALS" in caught.value.message


@pytest.mark.parametrize(
    "credentials",
    [
        "null",
        "[]",
        "{}",
        '{"type": "service_account"}',
        '{"type": "service_account", "client_email": "words", "token_uri": "u", "private_key": 1}',
        '{"type": "service_account", "client_email": "words", "token_uri": "u", "private_key": ""}',
        '{"type": "authorized_user"}',
        '{"type": "external_account"}',
        '{"type": "new"}',
        "/no/such/words.json",
    ],
)
async def test_credentials_that_are_none(credentials: str) -> None:
    """What are no credentials are missing, and quoted nowhere."""
    with pytest.raises(CallError) as caught:
        await token(signer_of(credentials))

    assert caught.value.reason == Reason.PROVIDER_KEY_MISSING
    assert "words" not in str(caught.value)


async def test_refused(signer: GoogleSigner, endpoint: TokenEndpoint) -> None:
    """Credentials that are refused are a refused key, for each of those who wait."""
    endpoint.refusal = "invalid_grant"

    refused = await asyncio.gather(token(signer), token(signer), return_exceptions=True)
    endpoint.refusal = ""

    first, second = refused
    assert isinstance(first, InBandError)
    assert isinstance(second, InBandError)
    assert first is not second
    assert first.reason == second.reason == Reason.UPSTREAM_AUTH
    assert "their words" not in repr(refused)
    assert await token(signer) == "Bearer token-1"


async def test_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no token can be got, nothing can be sent."""
    # Whose endpoint these ask is not theirs to say.
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    user = {
        "type": "authorized_user",
        "client_id": "i",
        "client_secret": "s",
        "refresh_token": "r",
    }

    with pytest.raises(TransportError) as caught:
        await token(signer_of(json.dumps(user)))

    assert caught.value.kind == "unreachable"


async def test_slow(signer: GoogleSigner, endpoint: TokenEndpoint) -> None:
    """A token takes no longer than a connection may, and comes to whoever asks later."""
    endpoint.open.clear()
    hurried = HttpRequest(
        url=REQUEST.url,
        headers={},
        body=b"",
        timeouts=Timeouts(connect_s=0.01, first_byte_s=30, idle_s=30),
    )

    with pytest.raises(TransportError) as caught:
        await signer.sign(hurried)
    await endpoint.asked.get()
    endpoint.open.set()

    assert (caught.value.kind, caught.value.phase) == ("timeout", "connect")
    assert (await token(signer), endpoint.given) == ("Bearer token-1", 1)


@pytest.mark.parametrize("module", ["google.auth.exceptions", "google.auth.transport.requests"])
async def test_without_the_extra(
    signer: GoogleSigner, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    """Without Google's library, or the one that it asks with, the error names the extra."""
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(CallError) as caught:
        await token(signer)

    assert "pip install 'prompt-resolver[vertex]'" in caught.value.message
