"""The certificates of our doors: which are used, from when on, and what becomes of bad ones."""

import asyncio
import logging
import ssl
import warnings
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from prompt_resolver import AsyncPromptResolverClient, PromptResolverError
from prompt_resolver_server.certificates import (
    CertificateError,
    CertificateFiles,
    CertificateKeeper,
    Certificates,
    read_certificates,
)
from prompt_resolver_server.settings import ConfigError
from tests.support.certificates import (
    Authority,
    MountedSecret,
    Pair,
    PairFiles,
    PrivateKey,
    connection_options,
    served_certificate,
    trust,
)
from tests.support.operator import ADMIN_DOOR
from tests.support.service import RunningService, running_service

HELLO = {"variables": {"text": "x"}}
SOON_S = 5.0


def configure(files: PairFiles, client_ca: Path | None = None) -> str:
    mutual = f", tls_client_ca_file: {client_ca}" if client_ca else ""
    pair = f"tls_cert_file: {files.cert_file}, tls_key_file: {files.key_file}"
    return f"server: {{{pair}{mutual}}}"


def secure(service: RunningService) -> str:
    return service.http_url.replace("http:", "https:")


async def call_grpc(address: str, authority: Authority, pair: PairFiles | None = None) -> None:
    """Resolve a prompt over a connection of its own."""
    options = connection_options(authority, pair)
    async with AsyncPromptResolverClient(address, wait_for_ready=False, **options) as client:
        await client.resolve("extract/invoice", variables={"text": "x"})


async def call_http(url: str, authority: Authority, pair: PairFiles | None = None) -> None:
    """Ask for the models over a connection of its own."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{url}/v1/models", ssl=trust(authority, pair)) as response,
    ):
        assert response.status == 200


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def files(authority: Authority) -> PairFiles:
    """The server's pair."""
    return authority.write("server", "localhost", "127.0.0.1")


async def test_tls(tmp_path: Path, authority: Authority, files: PairFiles) -> None:
    """Every door but the admin's over HTTP speaks TLS, and nothing else."""
    async with running_service(tmp_path, configure(files), ADMIN_DOOR) as service:
        await call_grpc(service.address, authority)
        await call_http(secure(service), authority)
        shown = await served_certificate(service.admin_grpc_address, trust(authority))
        assert await service.get("/healthz")

        with pytest.raises(PromptResolverError, match="UNAVAILABLE"):
            async with AsyncPromptResolverClient(service.address, wait_for_ready=False) as client:
                await client.resolve("extract/invoice")
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"{service.http_url}/v1/models")

    assert files.cert_file.read_text().startswith(shown)


async def test_mutual_tls(tmp_path: Path, authority: Authority, files: PairFiles) -> None:
    """With a client CA only those are let in whom it vouches for, whichever door they come to."""
    app = authority.write("app", "app.example")
    stranger = Authority(tmp_path, "strangers").write("stranger", "app.example")
    config = configure(files, authority.ca_file)
    async with running_service(tmp_path, config, ADMIN_DOOR) as service:
        await call_grpc(service.address, authority, app)
        await call_http(secure(service), authority, app)
        for pair in (None, stranger):
            for address in (service.address, service.admin_grpc_address):
                with pytest.raises(PromptResolverError, match="UNAVAILABLE"):
                    await call_grpc(address, authority, pair)
            with pytest.raises(aiohttp.ClientError):
                await call_http(secure(service), authority, pair)


async def test_mutual_tls_is_protection(
    tmp_path: Path, authority: Authority, files: PairFiles
) -> None:
    """Beyond loopback, callers who show certificates need no token; TLS alone is no protection."""
    app = authority.write("app", "app.example")
    environ = {
        "PROMPT_RESOLVER_GRPC_ADDRESS": "0.0.0.0:0",
        "PROMPT_RESOLVER_HTTP_ADDRESS": "0.0.0.0:0",
    }
    async with running_service(tmp_path, configure(files, authority.ca_file), environ) as service:
        port = service.address.rpartition(":")[2]
        await call_grpc(f"127.0.0.1:{port}", authority, app)

    with pytest.raises(ConfigError, match="tls_client_ca_file"):
        async with running_service(tmp_path, configure(files), environ):
            pass


async def test_unix_sockets_speak_without(
    tmp_path: Path, authority: Authority, files: PairFiles
) -> None:
    """A Unix socket has no TLS, whatever the other doors have."""
    environ = {"PROMPT_RESOLVER_GRPC_ADDRESS": f"unix:{tmp_path}/s"}
    config = configure(files, authority.ca_file)
    async with running_service(tmp_path, config, environ) as service:
        await service.client.resolve("extract/invoice", variables={"text": "x"})
        await call_http(secure(service), authority, authority.write("app", "app.example"))


@pytest.mark.parametrize(
    "key", [rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())]
)
async def test_kinds_of_keys(tmp_path: Path, authority: Authority, key: PrivateKey) -> None:
    """Keys of the kinds that may be used are: by every door, and by gRPC's own clients."""
    pair = authority.issue_identity("spiffe://a/b", "localhost", common_name="localhost", key=key)
    files = authority.keep("server", pair)
    async with running_service(tmp_path, configure(files)) as service:
        await call_grpc(f"localhost:{service.address.rpartition(':')[2]}", authority)
        await call_http(secure(service).replace("127.0.0.1", "localhost"), authority)


@pytest.mark.parametrize(
    "key",
    [
        ed448.Ed448PrivateKey.generate(),
        ed25519.Ed25519PrivateKey.generate(),
        ec.generate_private_key(ec.SECP521R1()),
    ],
)
async def test_keys_that_grpc_lacks(
    authority: Authority, files: PairFiles, keeper: CertificateKeeper, key: PrivateKey
) -> None:
    """A key with which gRPC would fail all handshakes is refused, and the one before stays."""
    before = keeper.current
    files.write(authority.issue_identity("spiffe://a/b", "localhost", common_name="x", key=key))

    await keeper.look()

    assert keeper.current is before
    with pytest.raises(CertificateError, match="expected a key of RSA, or of ECDSA on P-256"):
        read_certificates(CertificateFiles(files.cert_file, files.key_file, None))


async def test_old_versions_are_refused(
    tmp_path: Path, authority: Authority, files: PairFiles
) -> None:
    """No door speaks a TLS before 1.2."""
    old = trust(authority)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore"):
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with running_service(tmp_path, configure(files)) as service:
        for address in (service.address, service.http_url.removeprefix("http://")):
            with pytest.raises(OSError):  # noqa: PT011  # a reset or an alert
                await served_certificate(address, old)


async def test_new_certificates(tmp_path: Path, authority: Authority) -> None:
    """What Kubernetes puts in place is shown within five seconds, and open connections live on."""
    secret = MountedSecret(tmp_path / "secret")
    mounted = PairFiles(secret.folder / "tls.crt", secret.folder / "tls.key")
    first, second = (authority.issue("localhost", "127.0.0.1") for _ in range(2))
    secret.replace(crt=first.certificate, key=first.key)
    tls = trust(authority)
    async with (
        running_service(tmp_path, configure(mounted)) as service,
        AsyncPromptResolverClient(service.address, ca_file=authority.ca_file) as client,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls, limit=1)) as session,
    ):
        doors = (service.address, service.http_url.removeprefix("http://"))
        events = client.watch("extract/invoice")
        await client.resolve("extract/invoice", variables={"text": "x"})
        await anext(events)
        await (await session.get(f"{secure(service)}/v1/models")).read()
        before = {await served_certificate(door, tls) for door in doors}

        secret.replace(crt=second.certificate, key=second.key)
        async with asyncio.timeout(SOON_S):
            while {await served_certificate(door, tls) for door in doors} == before:
                pass
        async with asyncio.timeout(SOON_S):
            while len({await served_certificate(door, tls) for door in doors}) > 1:
                pass
        after = {await served_certificate(door, tls) for door in doors}
        # On the connections of before.
        await client.resolve("extract/invoice", variables={"text": "x"})
        await (await session.get(f"{secure(service)}/v1/models")).read()
        await events.aclose()
        (shown,) = after
        reloads = await service.metric('prompt_resolver_certificate_reloads_total{outcome="ok"}')

    assert first.certificate.decode().startswith(before.pop())
    assert second.certificate.decode().startswith(shown)
    assert reloads == 2


async def test_new_authorities(tmp_path: Path, authority: Authority, files: PairFiles) -> None:
    """A new client CA lets its own in and nobody of the old one's, but those who are in stay."""
    old, new = Authority(tmp_path, "old"), Authority(tmp_path, "new")
    before, after = old.write("before", "app.example"), new.write("after", "app.example")
    client_ca = tmp_path / "clients.pem"
    client_ca.write_bytes(old.pem)
    async with running_service(tmp_path, configure(files, client_ca)) as service:

        async def are_in(pair: PairFiles) -> set[bool]:
            ends = await asyncio.gather(
                call_grpc(service.address, authority, pair),
                call_http(secure(service), authority, pair),
                return_exceptions=True,
            )
            return {end is None for end in ends}

        options = connection_options(authority, before)
        async with AsyncPromptResolverClient(service.address, **options) as client:
            await client.resolve("extract/invoice", variables={"text": "x"})
            assert (await are_in(before), await are_in(after)) == ({True}, {False})

            client_ca.write_bytes(new.pem)
            async with asyncio.timeout(SOON_S):
                while await are_in(after) != {True}:
                    pass
            assert await are_in(before) == {False}
            await client.resolve("extract/invoice", variables={"text": "x"})


@pytest.fixture
def keeper(authority: Authority, files: PairFiles) -> CertificateKeeper:
    """The keeper of `files`, whose client CA is the authority's own."""

    def report(used: Certificates, succeeded: bool) -> None:
        pass

    paths = CertificateFiles(files.cert_file, files.key_file, authority.ca_file)
    return CertificateKeeper(paths, report)


@pytest.mark.parametrize("bad", ["half-written", "mismatched", "no certificate", "no key"])
async def test_bad_pairs(
    authority: Authority,
    files: PairFiles,
    keeper: CertificateKeeper,
    caplog: pytest.LogCaptureFixture,
    bad: str,
) -> None:
    """What cannot be used is told once, without a word of what is in it; the last pair stays."""
    caplog.set_level(logging.INFO)
    first = keeper.current
    pair, other = authority.issue("localhost"), authority.issue("localhost")

    bad_pairs = {
        "half-written": Pair(pair.certificate[:-200], pair.key),
        "mismatched": Pair(pair.certificate, other.key),
        "no certificate": Pair(b"", pair.key),
        "no key": Pair(pair.certificate, b""),
    }
    files.write(bad_pairs[bad])
    for _ in range(3):
        await keeper.look()
    stayed = keeper.current
    files.write(pair)
    await keeper.look()

    assert stayed is first
    assert keeper.current.contents["cert"] == pair.certificate
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    told = vars(caplog.records[0])["problem"]
    assert str(files.cert_file) in told
    assert not any(line.decode() in caplog.text + told for line in pair.key.split(b"\n") if line)


async def test_expired(
    authority: Authority,
    files: PairFiles,
    keeper: CertificateKeeper,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A pair that has expired, or has not begun, is as bad, as is one that is for clients alone."""
    first = keeper.current
    long_ago, far_off = datetime(2001, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)

    files.write(authority.issue("localhost", not_after=long_ago))
    await keeper.look()
    files.write(authority.issue("localhost", not_before=far_off))
    await keeper.look()

    assert keeper.current is first
    assert [vars(record)["problem"].rpartition(".crt ")[2] for record in caplog.records] == [
        "has expired",
        "is not valid yet",
    ]


async def test_bad_authorities(
    tmp_path: Path, authority: Authority, files: PairFiles, keeper: CertificateKeeper
) -> None:
    """A client CA that makes no sense leaves the one before in place, and the pair with it."""
    first, pair = keeper.current, authority.issue("localhost")

    files.write(pair)
    authority.ca_file.write_bytes(b"nonsense")
    await keeper.look()
    stayed = keeper.current
    authority.ca_file.write_bytes(authority.pem)
    await keeper.look()

    assert stayed is first
    assert keeper.current.contents["cert"] == pair.certificate


async def test_files_that_go(files: PairFiles, keeper: CertificateKeeper) -> None:
    """Files that cannot be read leave what was in them in use; back again, they are no news."""
    first, pair = keeper.current, Pair(files.cert_file.read_bytes(), files.key_file.read_bytes())

    files.key_file.unlink()
    await keeper.look()
    stayed = keeper.current
    files.write(pair)
    await keeper.look()

    assert stayed is first
    assert keeper.current.contents == first.contents


async def test_metrics(tmp_path: Path, authority: Authority, files: PairFiles) -> None:
    """The metrics tell when certificates expire, and whether the files' are in use."""
    expiry = "prompt_resolver_certificate_expiry_timestamp_seconds"
    is_good = "prompt_resolver_certificate_last_reload_successful"
    end = datetime(2100, 1, 1, tzinfo=UTC)
    files.write(authority.issue("127.0.0.1", not_after=end))
    async with running_service(tmp_path, configure(files, authority.ca_file)) as service:
        cert = await service.metric(f'{expiry}{{file="cert"}}')
        client_ca = await service.metric(f'{expiry}{{file="client_ca"}}')
        before = await service.metric(is_good)
        files.key_file.write_text("nonsense")
        async with asyncio.timeout(SOON_S):
            while await service.metric(is_good):
                pass
        failed = await service.metric('prompt_resolver_certificate_reloads_total{outcome="failed"}')

    assert cert == end.timestamp()
    assert client_ca > end.timestamp()
    assert (before, failed) == (1, 1)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("server.crt", None, "tls_cert_file: expected a readable file"),
        ("server.key", None, "tls_key_file: expected a readable file"),
        ("clients.pem", None, "tls_client_ca_file: expected a readable file"),
        ("server.key", "nonsense", "tls_cert_file: expected a certificate"),
        ("clients.pem", "nonsense", "tls_client_ca_file: expected certificates as PEM"),
    ],
)
async def test_start(
    tmp_path: Path, files: PairFiles, name: str, content: str | None, told: str
) -> None:
    """Files that cannot be used stop the start with the setting's place."""
    clients = Authority(tmp_path, "clients")
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(content)

    with pytest.raises(ConfigError, match=rf"config\.yaml:1: server\.{told}"):
        async with running_service(tmp_path, configure(files, clients.ca_file)):
            pass


@pytest.mark.parametrize(
    ("server", "told"),
    [
        ("{tls_cert_file: a}", "expected tls_cert_file and tls_key_file, got one of them"),
        ("{tls_client_ca_file: a}", "expected tls_cert_file and tls_key_file beside"),
    ],
)
async def test_settings(tmp_path: Path, server: str, told: str) -> None:
    """A certificate comes with its key, and a client CA with both."""
    with pytest.raises(ConfigError, match=told):
        async with running_service(tmp_path, f"server: {server}"):
            pass
