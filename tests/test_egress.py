"""How outgoing calls leave: by whose proxy, and with which certificates trusted."""

import os
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from prompt_resolver import PromptResolverError
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver_server.__main__ import _import_aiohttp
from tests.support.certificates import Authority
from tests.support.forward_proxy import ForwardProxy, running_proxy
from tests.support.humanloop import KEY, HumanloopApi
from tests.support.service import running_process, running_service
from tests.support.upstream import Exchange, answer_openai, running_upstream

STORE, PROVIDER = "store.example", "provider.example"

HELLO = pb.Message(role=pb.ROLE_USER, content=[pb.ContentPart(text="Hello")])


@dataclass(frozen=True)
class Outside:
    """A store and a provider, at one address here, whose certificate has a private authority."""

    authority: Authority
    url: str
    api: HumanloopApi
    proxy: ForwardProxy


@pytest.fixture
async def outside(tmp_path: Path) -> AsyncIterator[Outside]:
    authority = Authority(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    pair = authority.write("outside", STORE, PROVIDER, "127.0.0.1")
    tls.load_cert_chain(pair.cert_file, pair.key_file)
    api = HumanloopApi()
    api.put("a", prompt_id="pr_1", template="Say hello")

    async def answer(exchange: Exchange) -> None:
        is_store = exchange.path.startswith("/v5/")
        await (api.answer if is_store else answer_openai)(exchange)

    async with running_upstream(answer, tls=tls) as upstream:
        url = upstream.url.removesuffix("/v1")
        api.exchanges = upstream.exchanges
        async with running_proxy(dict.fromkeys((STORE, PROVIDER, "wrong.example"), url)) as proxy:
            yield Outside(authority, url, api, proxy)


def configure(store_url: str, provider_url: str, ca_file: Path | None) -> str:
    server = f"server: {{ca_file: {ca_file}}}" if ca_file else ""
    return f"""
{server}
stores: {{hl: {{type: humanloop, base_url: {store_url}/v5, api_key: {KEY}}}}}
providers: {{fake: {{dialect: openai, base_url: {provider_url}/v1, api_key: key-of-fake}}}}
model_list: [{{model_name: said, litellm_params: {{model: fake/m}}}}]
"""


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "all_proxy"])
async def test_proxy_and_private_authority(tmp_path: Path, outside: Outside, variable: str) -> None:
    """Stores and providers are reached by the proxy of the environment, and known by `ca_file`."""
    config = configure(f"https://{STORE}", f"https://{PROVIDER}", outside.authority.ca_file)
    async with running_service(tmp_path, config, {variable: outside.proxy.url}) as service:
        whole = await service.client.complete("pr_1")
        events = [event async for event in service.client.complete_stream("pr_1", refresh=True)]

    assert whole.message.content[0].text
    assert events[-1].HasField("finished")
    assert outside.proxy.targets == {f"{STORE}:443", f"{PROVIDER}:443"}
    # It is told where to, and nothing of what is said there.
    assert not any(KEY in head or "key-of-fake" in head for head in outside.proxy.asked)


async def test_proxy_that_asks_who_calls(tmp_path: Path, outside: Outside) -> None:
    """A user and a password in the proxy's URL are for the proxy, and for nobody behind it."""
    config = configure(f"https://{STORE}", f"https://{PROVIDER}", outside.authority.ca_file)
    url = outside.proxy.url.replace("http://", "http://user:password@")
    async with running_service(tmp_path, config, {"HTTPS_PROXY": url}) as service:
        await service.client.complete("pr_1")

    credentials = "proxy-authorization: basic dxnlcjpwyxnzd29yza=="
    assert all(credentials in head.lower() for head in outside.proxy.asked)
    assert len(outside.api.exchanges) == 2
    assert not any("proxy-authorization" in each.headers for each in outside.api.exchanges)


@pytest.mark.parametrize("excepted", ["127.0.0.1", "127.0.0.1,other.example", "*"])
async def test_no_proxy(tmp_path: Path, outside: Outside, excepted: str) -> None:
    """Whom `no_proxy` names is reached directly, and known by `ca_file` as well."""
    config = configure(outside.url, outside.url, outside.authority.ca_file)
    environ = {"https_proxy": outside.proxy.url, "no_proxy": excepted}
    async with running_service(tmp_path, config, environ) as service:
        answer = await service.client.complete("pr_1")

    assert answer.message.content[0].text
    assert outside.proxy.asked == []


@pytest.mark.parametrize("by_proxy", [True, False], ids=["by a proxy", "directly"])
async def test_certificates_of_the_system(tmp_path: Path, outside: Outside, by_proxy: bool) -> None:
    """Without `ca_file` those are trusted whom the environment names as the system's."""
    environ = {"SSL_CERT_FILE": str(outside.authority.ca_file)}
    store_url = provider_url = outside.url
    if by_proxy:
        environ["HTTPS_PROXY"] = outside.proxy.url
        store_url, provider_url = f"https://{STORE}", f"https://{PROVIDER}"
    config = configure(store_url, provider_url, None)
    # OpenSSL reads the environment by itself, so it has to be that of a process.
    async with running_process(tmp_path, config, environ) as (service, _):
        answer = await service.client.complete("pr_1")

    assert answer.message.content[0].text


@pytest.mark.parametrize("named", [(), ("SSL_CERT_FILE",), ("SSL_CERT_FILE", "SSL_CERT_DIR")])
def test_environment_is_as_it_was(monkeypatch: pytest.MonkeyPatch, named: Sequence[str]) -> None:
    """Whom the environment names, or does not, as trusted is the same once the service starts."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name in named:
        monkeypatch.setenv(name, f"/{name}")
    before = dict(os.environ)

    _import_aiohttp()

    assert dict(os.environ) == before


@pytest.mark.parametrize("by_proxy", [True, False], ids=["by a proxy", "directly"])
@pytest.mark.parametrize("fault", ["untrusted", "another's"])
async def test_certificates_that_are_wrong(
    tmp_path: Path, outside: Outside, by_proxy: bool, fault: str
) -> None:
    """A certificate that nobody vouches for, or that is another's, is told as what it is."""
    is_trusted = fault == "another's"
    ca_file = outside.authority.ca_file if is_trusted else None
    if by_proxy:
        url = f"https://{'wrong.example' if is_trusted else STORE}"
        environ = {"HTTPS_PROXY": outside.proxy.url}
    else:
        # The certificate has the address, and not the name of the same place.
        url = outside.url.replace("127.0.0.1", "localhost") if is_trusted else outside.url
        environ = {}
    async with running_service(tmp_path, configure(url, url, ca_file), environ) as service:
        with pytest.raises(PromptResolverError) as of_store:
            await service.client.resolve("pr_1")
        with pytest.raises(PromptResolverError) as of_provider:
            await service.client.complete(alias="said", messages=[HELLO])

    assert of_store.value.reason == "STORE_UNAVAILABLE"
    assert of_store.value.metadata["problem"] == "tls"
    assert of_provider.value.reason == "UPSTREAM_TLS"
    assert outside.api.exchanges == []


async def test_proxy_that_refuses(tmp_path: Path, outside: Outside) -> None:
    """Where the proxy lets nobody through, the store's failure says so."""
    config = configure("https://unknown.example", "https://unknown.example", None)
    environ = {"HTTPS_PROXY": outside.proxy.url}
    async with running_service(tmp_path, config, environ) as service:
        with pytest.raises(PromptResolverError) as of_store:
            await service.client.resolve("pr_1")

    assert of_store.value.reason == "STORE_UNAVAILABLE"
    assert of_store.value.metadata["problem"] == "proxy"
