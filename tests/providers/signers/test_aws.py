"""Signatures of AWS, checked by botocore from what arrives, and where their keys come from."""

import asyncio
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from prompt_resolver_server.domain.errors import CallError, Reason
from prompt_resolver_server.providers.dialects.bedrock.model import write_path
from prompt_resolver_server.providers.signers.aws import AwsSigner
from prompt_resolver_server.providers.transport.direct import DirectTransport
from prompt_resolver_server.providers.transport.proxied import AiohttpTransport
from prompt_resolver_server.providers.transport.transport import (
    HttpRequest,
    Timeouts,
    Transport,
    TransportError,
)
from prompt_resolver_server.settings.accounts import AccountSettings
from tests.support.aws import forget_credentials, hand_out
from tests.support.botocore import KEY_ID, REGION, SECRET, signer_of
from tests.support.upstream import Exchange, Upstream, running_upstream

MODELS = ("m", "amazon.nova-lite-v1:0", "arn:aws:bedrock:us-east-1::inference-profile/a.b:0", "é ~")


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    forget_credentials(monkeypatch, tmp_path)


@pytest.fixture
async def container(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Upstream]:
    """What hands out credentials to containers; each time others, which last for an hour."""

    async def answer(exchange: Exchange) -> None:
        await hand_out(exchange, f"id-{len(running.exchanges)}", "secret")

    async with running_upstream(answer) as running:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{running.url}/credentials")
        yield running


def signer(**account: str) -> AwsSigner:
    return AwsSigner(AccountSettings.model_validate({"aws_region_name": REGION, **account}))


def own_keys() -> AwsSigner:
    return signer(aws_access_key_id=KEY_ID, aws_secret_access_key=SECRET)


def request(url: str = "http://x.invalid/", body: bytes = b"{}", **timeouts: float) -> HttpRequest:
    waits = {"connect_s": 5, "first_byte_s": 5, "idle_s": 5, **timeouts}
    return HttpRequest(url=url, headers={}, body=body, timeouts=Timeouts(**waits))


def key_of(signed: HttpRequest) -> str:
    """Return the id of the key that a request says it is signed with."""
    return signed.headers["Authorization"].partition("Credential=")[2].partition("/")[0]


@pytest.fixture(params=[DirectTransport, AiohttpTransport])
async def transport(request: pytest.FixtureRequest) -> AsyncIterator[Transport]:
    transport: Transport = request.param(tls=ssl.create_default_context())
    yield transport
    await transport.aclose()


@pytest.mark.parametrize("token", [{}, {"aws_session_token": "token-of-fake"}])
@pytest.mark.parametrize("model", MODELS)
async def test_what_arrives_is_signed(
    upstream: Upstream, transport: Transport, model: str, token: dict[str, str]
) -> None:
    """Whatever the transport adds, the server finds the signature right for all it has to cover."""
    by_own_keys = signer(aws_access_key_id=KEY_ID, aws_secret_access_key=SECRET, **token)
    url = upstream.url.removesuffix("/v1") + write_path(model, "converse")
    signed = await by_own_keys.sign(request(url, '{"a": "世界"}'.encode()))

    async with transport.post(signed) as response:
        await response.read_all(1024 * 1024)

    (exchange,) = upstream.exchanges
    assert signer_of(exchange, {KEY_ID: SECRET}) == KEY_ID
    assert signer_of(exchange, {KEY_ID: "another-secret"}) is None
    assert exchange.headers.get("x-amz-security-token") == token.get("aws_session_token")
    exchange.body += b" "
    assert signer_of(exchange, {KEY_ID: SECRET}) is None


async def test_keys_that_are_replaced(tmp_path: Path) -> None:
    """The account's keys are those that their files hold now."""
    files = {name: tmp_path / name for name in ("aws_access_key_id", "aws_secret_access_key")}
    for name, file in files.items():
        file.write_text(f"first-{name}")
    rotated = signer(**{name: f"file:{file}" for name, file in files.items()})

    first = await rotated.sign(request())
    for name, file in files.items():
        file.write_text(f"second-one-{name}")
    second = await rotated.sign(request())

    assert key_of(first) == "first-aws_access_key_id"
    assert key_of(second) == "second-one-aws_access_key_id"


@pytest.mark.parametrize("name", ["aws_access_key_id", "aws_secret_access_key"])
async def test_half_a_key(name: str) -> None:
    """A key's id without the key, or the other way round, is told; nothing else is looked for."""
    with pytest.raises(CallError, match="aws_access_key_id together with") as caught:
        await signer(**{name: "half"}).sign(request())

    assert caught.value.reason is Reason.PROVIDER_KEY_MISSING


async def test_keys_that_are_not_there_yet(container: Upstream, tmp_path: Path) -> None:
    """Whose own keys have not come yet is let in nowhere, and not by anybody else's."""
    names = ("aws_access_key_id", "aws_secret_access_key")

    with pytest.raises(CallError, match="aws_access_key_id together with") as caught:
        await signer(**{name: f"file:{tmp_path / name}" for name in names}).sign(request())

    assert caught.value.reason is Reason.PROVIDER_KEY_MISSING
    assert container.exchanges == []


async def test_no_region() -> None:
    """A signature is for a region, so without one there is none."""
    with pytest.raises(CallError, match="aws_region_name or AWS_REGION") as caught:
        await AwsSigner(AccountSettings()).sign(request())

    assert caught.value.reason is Reason.PROVIDER_KEY_MISSING


async def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without keys of the account's, those count that AWS' own libraries find."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id-of-environment")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")

    signed = await signer().sign(request())

    assert key_of(signed) == "id-of-environment"
    assert signed.headers["X-Amz-Security-Token"] == "token"
    assert key_of(await own_keys().sign(request())) == KEY_ID


async def test_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A profile in AWS' own files is found, too."""
    file = tmp_path / "credentials"
    file.write_text("[some]\naws_access_key_id = id-of-profile\naws_secret_access_key = secret\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_PROFILE", "some")

    assert key_of(await signer().sign(request())) == "id-of-profile"


async def test_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    """The role of a machine of AWS' is found at the machine's own service."""

    async def answer(exchange: Exchange) -> None:
        match exchange.path.rpartition("/")[2]:
            case "token":
                await exchange.send_response(b"token-of-session")
            case "":
                await exchange.send_response(b"some-role")
            case _:
                await hand_out(exchange, "id-of-instance", "secret")

    async with running_upstream(answer) as instance:
        at_instance(monkeypatch, instance)
        signed = await signer().sign(request())

    assert key_of(signed) == "id-of-instance"


async def test_instance_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose service does not answer has nothing, and is asked for each thing once."""

    async def answer(exchange: Exchange) -> None:
        await exchange.wait_closed()

    async with running_upstream(answer) as instance:
        at_instance(monkeypatch, instance)
        with pytest.raises(CallError) as caught:
            await signer().sign(request())

    assert caught.value.reason is Reason.PROVIDER_KEY_MISSING
    paths = [exchange.path for exchange in instance.exchanges]
    assert len(paths) == len(set(paths)) <= 2


def at_instance(monkeypatch: pytest.MonkeyPatch, instance: Upstream) -> None:
    """Have a machine's own service be somewhere else."""
    url = instance.url.removesuffix("/v1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)


async def test_nothing_found() -> None:
    """Where there is nothing to sign with, the error tells what would be."""
    with pytest.raises(CallError, match=r"AWS_BEARER_TOKEN_BEDROCK.*aws_access_key_id") as caught:
        await signer().sign(request())

    assert caught.value.reason is Reason.PROVIDER_KEY_MISSING


async def test_profile_that_is_none(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A profile that there is not lets nobody in, and the log tells why without its name."""
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")

    with pytest.raises(TransportError) as caught:
        await signer().sign(request())

    assert caught.value.kind == "unreachable"
    assert "ProfileNotFound" in caplog.text
    assert "no-such-profile" not in caplog.text


async def test_one_search(container: Upstream) -> None:
    """However many calls wait, one search is made, and what it found serves those that follow."""
    ours = signer()

    signed = await asyncio.gather(*(ours.sign(request()) for _ in range(20)))
    signed.append(await ours.sign(request()))

    assert {key_of(each) for each in signed} == {"id-1"}
    assert len(container.exchanges) == 1


async def test_caller_that_leaves(container: Upstream) -> None:
    """A caller that leaves does not end the search for the others."""
    ours, hand_over = signer(), asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        await hand_over.wait()
        await hand_out(exchange, "id-of-one-search", "secret")

    container.answer = answer
    first, second = (asyncio.create_task(ours.sign(request())) for _ in range(2))
    await container.arrived.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    hand_over.set()

    assert key_of(await second) == "id-of-one-search"
    assert len(container.exchanges) == 1


async def test_search_that_takes_too_long(container: Upstream) -> None:
    """A call waits for credentials as long as for a connection, and the loop for nothing."""
    ours, hand_over = signer(), asyncio.Event()

    async def answer(exchange: Exchange) -> None:
        await hand_over.wait()
        await hand_out(exchange, "id-of-late", "secret")

    container.answer = answer
    with pytest.raises(TransportError) as caught:
        await ours.sign(request(connect_s=0.2))
    hand_over.set()

    assert (caught.value.kind, caught.value.phase) == ("timeout", "connect")
    assert key_of(await ours.sign(request())) == "id-of-late"


@pytest.fixture
def short_lived(container: Upstream) -> Upstream:
    """The same, whose credentials have to be renewed at once."""

    async def answer(exchange: Exchange) -> None:
        await hand_out(exchange, f"id-{len(container.exchanges)}", "secret", for_s=300)

    container.answer = answer
    return container


async def test_credentials_that_expire(short_lived: Upstream) -> None:
    """Credentials are renewed beside the calls, which do not wait while those they have will do."""
    now = 0.0
    ours = AwsSigner(AccountSettings(aws_region_name=REGION), clock=lambda: now)

    first = await ours.sign(request())
    now = 61.0
    short_lived.arrived.clear()
    meanwhile = await ours.sign(request())
    await short_lived.arrived.wait()
    now = 300.0
    renewed = await ours.sign(request())

    assert key_of(meanwhile) == key_of(first)
    assert key_of(renewed) != key_of(first)


async def test_renewal_that_fails(short_lived: Upstream, caplog: pytest.LogCaptureFixture) -> None:
    """Where credentials can no longer be renewed, the error is one of the way there."""
    now = 0.0
    ours = AwsSigner(AccountSettings(aws_region_name=REGION), clock=lambda: now)
    await ours.sign(request())

    async def refuse(exchange: Exchange) -> None:
        await exchange.send_response(b'{"message": "Their words."}', status="400 Bad Request")

    short_lived.answer = refuse
    now = 300.0
    with pytest.raises(TransportError) as caught:
        await ours.sign(request())

    assert caught.value.kind == "unreachable"
    assert "No credentials of AWS" in caplog.text


async def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where botocore is not installed, the error names what to install."""
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    monkeypatch.setitem(sys.modules, "botocore.auth", None)

    for each in (signer(), own_keys()):
        with pytest.raises(CallError, match=r"prompt-resolver\[bedrock\]") as caught:
            await each.sign(request())
        assert caught.value.reason is Reason.PROVIDER_UNKNOWN


def test_service_without_the_extra() -> None:
    """Where botocore is not installed, the service is none the worse for it."""
    blocked = "import sys; sys.modules['botocore'] = None; import prompt_resolver_server.app"

    subprocess.run([sys.executable, "-c", blocked], check=True, timeout=60)
