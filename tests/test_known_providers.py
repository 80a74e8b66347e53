"""Providers that are known by name answer calls, by what a configuration and variables say."""

import ssl
from pathlib import Path

import pytest
from grpc import StatusCode

from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver_server.assembly.configuration import load_configuration
from prompt_resolver_server.assembly.report import ConfigReport, build_report
from prompt_resolver_server.commands.config_check import main
from prompt_resolver_server.providers.catalogue import CATALOGUE
from tests.support.azure import answer_azure
from tests.support.calls import failure, status_of
from tests.support.service import running_service
from tests.support.upstream import Upstream

SAID = [pb.Message(role=pb.ROLE_USER, content=[pb.ContentPart(text="Hi")])]


def rows(*params: str) -> str:
    """Return a configuration with an alias `a0`, `a1` and so on for each of these."""
    return "model_list:\n" + "".join(
        f"  - {{model_name: a{index}, litellm_params: {{{each}}}}}\n"
        for index, each in enumerate(params)
    )


async def test_by_its_variables(tmp_path: Path, upstream: Upstream) -> None:
    """A provider that is named in a model, and nowhere else, is called with its own variables."""
    environ = {
        "GROQ_API_KEY": "key-of-groq",
        "GROQ_API_BASE": upstream.url,
        "OPENAI_API_KEY": "key-of-openai",
    }
    async with running_service(
        tmp_path, rows("model: groq/llama-3.3-70b-versatile"), environ
    ) as service:
        answer = await service.client.complete(alias="a0", messages=SAID)

    assert answer.message.content[0].text == "Hello"
    assert answer.provider == "groq"
    (exchange,) = upstream.exchanges
    assert exchange.headers["authorization"] == "Bearer key-of-groq"
    assert exchange.json["model"] == "llama-3.3-70b-versatile"


async def test_by_its_block(tmp_path: Path, upstream: Upstream) -> None:
    """A key that is configured goes to its provider; a caller's, to the one in its name."""
    config = f"""
providers:
  groq: {{api_key: key-of-groq, base_url: '{upstream.url}'}}
  xai: {{base_url: '{upstream.url}'}}
model_list:
  - {{model_name: g, litellm_params: {{model: groq/m}}}}
  - {{model_name: x, litellm_params: {{model: xai/m}}}}
"""
    async with running_service(tmp_path, config, {"GROQ_API_KEY": "key-of-nobody"}) as service:
        await service.client.complete(alias="g", messages=SAID)
        missing = await failure(service.client.complete(alias="x", messages=SAID))
        await service.client.complete(
            alias="x",
            messages=SAID,
            credentials={"x-provider-key-xai": "key-of-caller", "x-provider-key-groq": "other"},
        )

    assert [each.headers["authorization"] for each in upstream.exchanges] == [
        "Bearer key-of-groq",
        "Bearer key-of-caller",
    ]
    assert status_of(missing) == (StatusCode.FAILED_PRECONDITION, "PROVIDER_KEY_MISSING")
    assert missing.metadata == {"provider": "xai"}


@pytest.mark.parametrize(
    "provider",
    ["hosted_vllm", "lm_studio", "llamafile", "openai_like", "custom_openai", "litellm_proxy"],
)
async def test_servers_of_ones_own(tmp_path: Path, upstream: Upstream, provider: str) -> None:
    """A row's own address is asked without a key, or with the row's, and with no other."""
    row = f"model: {provider}/m, api_base: '{upstream.url}'"
    environ = dict.fromkeys(CATALOGUE[provider].key_variables, "key-of-elsewhere")
    async with running_service(
        tmp_path, rows(row, f"{row}, api_key: key-of-row"), environ
    ) as service:
        for alias in ("a0", "a1"):
            await service.client.complete(alias=alias, messages=SAID)

    assert [each.headers.get("authorization") for each in upstream.exchanges] == [
        None,
        "Bearer key-of-row",
    ]


async def test_azure(tmp_path: Path, upstream: Upstream) -> None:
    """A row as LiteLLM has it reaches a deployment; only its own key and token go there."""
    upstream.answer = answer_azure
    base = upstream.url.removesuffix("/v1")
    own = f"model: azure/gpt-4o-eu, api_base: '{base}', api_version: 2024-10-21"
    config = rows(f"{own}, api_key: key-of-row", own, f"{own}, azure_ad_token: token-of-row")
    environ = {"AZURE_API_KEY": "key-of-azure", "AZURE_AD_TOKEN": "token-of-azure"}
    async with running_service(tmp_path, config, environ) as service:
        answers = [
            await service.client.complete(alias=alias, messages=SAID)
            for alias in ("a0", "a1", "a2")
        ]
        stream = service.client.complete_stream(alias="a0", messages=SAID)
        events = [event async for event in stream]

    assert {answer.message.content[0].text for answer in answers} == {"Hello"}
    assert events[0].started.model == "served-model"
    assert events[-1].finished.usage.output_tokens == 2
    path = "/openai/deployments/gpt-4o-eu/chat/completions?api-version=2024-10-21"
    assert {each.path for each in upstream.exchanges} == {path}
    keys = [
        (each.headers.get("api-key"), each.headers.get("authorization"))
        for each in upstream.exchanges
    ]
    assert keys == [
        ("key-of-row", None),
        (None, None),
        (None, "Bearer token-of-row"),
        ("key-of-row", None),
    ]


async def test_azure_by_its_variables(tmp_path: Path, upstream: Upstream) -> None:
    """Humanloop's name for Azure is Azure, whose address, key and version are in variables."""
    upstream.answer = answer_azure
    prompt = "---\nmodel: gpt-4o-eu\nprovider: openai_azure\n---\n\n<user>\n  Hi\n</user>\n"
    (tmp_path / "hi.prompt").write_text(prompt)
    environ = {
        "AZURE_API_BASE": upstream.url.removesuffix("/v1"),
        "AZURE_API_VERSION": "v1",
        "AZURE_AD_TOKEN": "token-of-azure",
    }
    async with running_service(
        tmp_path, "stores: {local: {type: directory, path: .}}", environ
    ) as service:
        answer = await service.client.complete("hi")

    (exchange,) = upstream.exchanges
    assert answer.provider == "azure"
    assert exchange.path == "/openai/v1/chat/completions"
    assert exchange.headers["authorization"] == "Bearer token-of-azure"


async def test_without_what_it_needs(tmp_path: Path) -> None:
    """A provider that cannot be called says what to set, to callers and to operators."""
    config = rows(
        "model: hosted_vllm/m", "model: cloudflare/m", "model: azure/m", "model: custom_openai/m"
    )
    async with running_service(tmp_path, config) as service:
        error = await failure(service.client.complete(alias="a1", messages=SAID))
    report = await check(tmp_path, config)

    azure = "providers.azure.base_url or AZURE_API_BASE or AZURE_OPENAI_ENDPOINT"
    assert status_of(error) == (StatusCode.FAILED_PRECONDITION, "PROVIDER_UNKNOWN")
    assert "expected providers.cloudflare.account_id or CLOUDFLARE_ACCOUNT_ID" in error.message
    assert [fault.partition("litellm_params: ")[2] for fault in report.faults] == [
        "expected api_base, or a URL in providers.hosted_vllm.base_url or HOSTED_VLLM_API_BASE",
        "expected account_id, or providers.cloudflare.account_id or CLOUDFLARE_ACCOUNT_ID",
        f"expected api_base, or a URL in {azure}",
        "expected api_base, or a URL in providers.custom_openai.base_url",
    ]


async def check(folder: Path, config: str) -> ConfigReport:
    path = folder / "config.yaml"
    path.write_text(config)
    return await build_report(load_configuration(path, {}), ssl.create_default_context())


def test_what_is_told_of_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether a key that is not set is missed is told for each row."""
    for variable in ("LLAMAFILE_API_KEY", "GROQ_API_KEY", "AZURE_API_KEY", "AZURE_OPENAI_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AZURE_API_BASE", "https://own.invalid")
    path = tmp_path / "config.yaml"
    path.write_text(
        rows(
            "model: groq/m",
            "model: llamafile/m",
            "model: azure/m",
            "model: snowflake/m, account_id: acme-eu1, api_key: k",
            "model: vertex_ai/m, vertex_project: acme, vertex_location: global",
            "model: own/m",
        )
        + "providers: {own: {dialect: azure, base_url: 'https://own.invalid', azure_ad_token: t}}"
    )

    assert main(["check", str(path)]) == 0

    told = [
        line.split(None, 1)[1] for line in capsys.readouterr().out.splitlines() if " key " in line
    ]
    azure = "AZURE_OPENAI_API_KEY or AZURE_API_KEY (not set; else the credentials of its account)"
    assert told == [
        "GROQ_API_KEY (not set), to groq at api.groq.com",
        "LLAMAFILE_API_KEY (not set, nor needed), to llamafile at 127.0.0.1:8080",
        f"{azure}, to azure at own.invalid",
        "model_list.3.litellm_params.api_key, to snowflake at acme-eu1.snowflakecomputing.com",
        "the credentials of its account, to vertex_ai at aiplatform.googleapis.com",
        "the credentials of its account, to own at own.invalid",
    ]
