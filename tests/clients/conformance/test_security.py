"""Every client proves who it is, sees who the server is, and reaches it by a Unix socket."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.certificates import Authority
from tests.support.conformance import GREETED, Scene, running_scene
from tests.support.driver import Answer, Driver, DriverCommand
from tests.support.ports import find_port
from tests.support.prompts import replace_file

MASTER, CALLER, OTHER = "master-of-test", "token-of-caller", "token-of-other"
NAME = "resolver.example"
IDENTITY = "spiffe://example.org/caller"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """An authority that vouches for the server, and for callers."""
    return Authority(tmp_path)


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Scene]:
    """A server that asks who calls."""
    settings = f"""
general_settings: {{master_key: {MASTER}}}
callers:
  one: {{token: {CALLER}}}
  two: {{token: {OTHER}}}
"""
    async with running_scene(tmp_path, settings=settings) as scene:
        yield scene


async def resolve(driver: Driver, timeout_ms: int = 60_000) -> Answer:
    return await driver.do("resolve", prompt="greet", variables=GREETED, timeout_ms=timeout_ms)


def secure(authority: Authority, *, mutual: bool) -> str:
    """Return the server's settings, with a certificate for its name and its address."""
    pair = authority.write("server", NAME, "127.0.0.1")
    files = f"tls_cert_file: {pair.cert_file}, tls_key_file: {pair.key_file}"
    return f"server: {{{files}{f', tls_client_ca_file: {authority.ca_file}' if mutual else ''}}}"


def told(authority: Authority, **files: object) -> dict[str, object]:
    """Return what a client is told of TLS."""
    nothing = {"cert_file": None, "key_file": None, "server_name": None}
    return {**nothing, "ca_file": str(authority.ca_file), **files}


async def test_tls(driver: Driver, tmp_path: Path, authority: Authority) -> None:
    """A client calls a server that an authority vouches for whom it trusts, and no other."""
    stranger = Authority(tmp_path, "stranger")
    async with running_scene(tmp_path, settings=secure(authority, mutual=False)) as scene:
        await driver.connect(scene.address, tls=told(authority))
        trusted = await resolve(driver)
        streamed = await driver.do("complete_stream", prompt="greet", variables=GREETED)
        await driver.connect(scene.address, tls=told(authority, server_name=NAME))
        named = await resolve(driver)
        await driver.connect(scene.address, tls=told(stranger))
        untrusted = await resolve(driver, timeout_ms=2000)
        await driver.connect(scene.address, tls=told(authority, server_name="other.example"))
        misnamed = await resolve(driver, timeout_ms=2000)

    trusted.check()
    streamed.check()
    named.check()
    # What cannot be reached is waited for.
    assert untrusted.failure.code in ("DEADLINE_EXCEEDED", "UNAVAILABLE")
    assert misnamed.failure.code in ("DEADLINE_EXCEEDED", "UNAVAILABLE")


async def test_mutual_tls(driver: Driver, tmp_path: Path, authority: Authority) -> None:
    """Where the server asks for a certificate, a client that has one is let in, and no other."""
    pair = authority.write("caller", "caller.example")
    own = {"cert_file": str(pair.cert_file), "key_file": str(pair.key_file)}
    async with running_scene(tmp_path, settings=secure(authority, mutual=True)) as scene:
        await driver.connect(scene.address, tls=told(authority, **own))
        known = await resolve(driver)
        await driver.connect(scene.address, tls=told(authority))
        unknown = await resolve(driver, timeout_ms=2000)

    known.check()
    assert unknown.failure.code in ("DEADLINE_EXCEEDED", "UNAVAILABLE")


async def test_replaced_certificate(
    driver: Driver, command: DriverCommand, tmp_path: Path, authority: Authority
) -> None:
    """A certificate is read again for the next connection, also after files that made no sense.

    A client that reads it once is made anew.
    """
    first, second = Authority(tmp_path, "first"), Authority(tmp_path, "second")
    callers = tmp_path / "callers.pem"
    callers.write_bytes(first.pem)
    server = authority.write("server", "127.0.0.1")
    settings = f"""
server:
  tls_cert_file: {server.cert_file}
  tls_key_file: {server.key_file}
  tls_client_ca_file: {callers}
"""
    pair = first.keep("caller", first.issue_identity(IDENTITY, common_name="caller"))
    own = {"cert_file": str(pair.cert_file), "key_file": str(pair.key_file)}
    environ = {"PROMPT_RESOLVER_GRPC_ADDRESS": f"127.0.0.1:{find_port()}"}
    async with running_scene(tmp_path, settings=settings, environ=environ) as scene:
        await driver.connect(scene.address, tls=told(authority, **own))
        (await resolve(driver)).check()
        callers.write_bytes(second.pem)
        pair.cert_file.write_text("no PEM")
        await scene.restart()
        refused = await resolve(driver, timeout_ms=2000)
        pair.write(second.issue_identity(IDENTITY, common_name="caller"))
        if not command.rereads_certificate:
            await driver.connect(scene.address, tls=told(authority, **own))
        replaced = await resolve(driver)

    assert refused.failure.code in ("DEADLINE_EXCEEDED", "UNAVAILABLE")
    replaced.check()


async def test_unix_socket(driver: Driver, tmp_path: Path) -> None:
    """A client calls a server behind a Unix socket."""
    environ = {"PROMPT_RESOLVER_GRPC_ADDRESS": f"unix:{tmp_path}/door.sock"}
    async with running_scene(tmp_path, environ=environ) as scene:
        await driver.connect(f"unix:{tmp_path}/door.sock")
        resolved = await resolve(driver)
        completed = await driver.do("complete", prompt="greet", variables=GREETED)

    assert scene.address == f"unix:{tmp_path}/door.sock"
    resolved.check()
    completed.check()


async def test_name(driver: Driver, scene: Scene) -> None:
    """A client calls a server by a name of DNS."""
    await driver.connect(f"dns:///{scene.address.replace('127.0.0.1', 'localhost')}")

    (await resolve(driver)).check()


async def test_token(driver: Driver, guarded: Scene) -> None:
    """A token is brought with every call; without one, or with a wrong one, the reason is told."""
    await driver.connect(guarded.address, token=CALLER)
    resolved = await resolve(driver)
    streamed = await driver.do("complete_stream", prompt="greet", variables=GREETED)
    watched = await driver.do("watch", prompts=["greet"], messages=1, timeout_ms=60_000)
    await driver.connect(guarded.address)
    missing = (await resolve(driver)).failure
    await driver.connect(guarded.address, token="token-of-nobody")
    wrong = (await driver.do("complete", prompt="greet", variables=GREETED)).failure

    resolved.check()
    streamed.check()
    watched.check()
    assert (missing.code, missing.reason) == ("UNAUTHENTICATED", "CALLER_TOKEN_MISSING")
    assert (wrong.code, wrong.reason) == ("UNAUTHENTICATED", "CALLER_TOKEN_INVALID")
    assert wrong.domain == "prompt-resolver"


async def test_token_that_cannot_be_sent(driver: Driver, guarded: Scene) -> None:
    """A token that no header can carry is refused, and not shown."""
    answer = await driver.try_to_connect(guarded.address, token=f"{CALLER}\n")

    assert CALLER not in answer.failure.message + driver.log


async def test_url(driver: Driver, scene: Scene) -> None:
    """A page's address is refused, for which gRPC would wait."""
    assert not (await driver.try_to_connect(f"http://{scene.address}")).ok


async def test_token_file(driver: Driver, guarded: Scene, tmp_path: Path) -> None:
    """A token in a file is read again when it changes; the last stays until another can be sent."""
    file = tmp_path / "token"
    absent = await driver.try_to_connect(guarded.address, token_file=str(file))
    file.write_text("\n")
    empty = await driver.try_to_connect(guarded.address, token_file=str(file))
    file.write_text("two\nlines\n")
    unsendable = await driver.try_to_connect(guarded.address, token_file=str(file))
    replace_file(file, f"{CALLER}\n")
    await driver.connect(guarded.address, token_file=str(file))
    first = await resolve(driver)
    replace_file(file, "token-of-nobody\n")
    wrong = (await resolve(driver)).failure
    replace_file(file, f"{OTHER}\n")
    second = await resolve(driver)
    replace_file(file, "")
    emptied = await resolve(driver)
    replace_file(file, "two\nlines\n")
    garbled = await resolve(driver)
    file.unlink()
    gone = await resolve(driver)

    assert not absent.ok
    assert not empty.ok
    assert not unsendable.ok
    first.check()
    assert (wrong.code, wrong.reason) == ("UNAUTHENTICATED", "CALLER_TOKEN_INVALID")
    for answer in (second, emptied, garbled, gone):
        answer.check()
