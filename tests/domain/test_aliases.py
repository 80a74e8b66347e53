"""Aliases, as LiteLLM's `model_list` has them, stand in for what a call leaves out."""

from pathlib import Path

import pytest
from grpc import StatusCode

from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver_server.settings import ConfigError
from tests.support.calls import VARIABLES, failure, status_of
from tests.support.prompts import write_prompt
from tests.support.service import running_service
from tests.support.upstream import Upstream, running_upstream

SAID = [pb.Message(role=pb.ROLE_USER, content=[pb.ContentPart(text="Hi")])]


def config(prompts: Path, upstream: Upstream, *rows: str) -> str:
    """Return a configuration with these rows in its `model_list`."""
    listed = "".join(f"\n  - {row}" for row in rows)
    return f"""
stores:
  local: {{type: directory, path: {prompts}}}
providers:
  fake: {{dialect: openai, base_url: '{upstream.url}', api_key: key-of-fake}}
  other: {{dialect: openai, base_url: '{upstream.url}', api_key: key-of-other}}
model_list: {listed}
"""


def row(params: str, name: str = "support") -> str:
    return f"{{model_name: {name}, litellm_params: {{{params}}}}}"


async def test_prompt_of_an_alias(tmp_path: Path, prompts: Path, upstream: Upstream) -> None:
    """An alias brings its prompt, its variables and its parameters; the call's own win."""
    params = (
        "model: local/other/m, prompt_id: greet, temperature: 0.5, max_tokens: 9,"
        " prompt_variables: {language: Welsh, name: Nobody}, user: u1"
    )
    async with running_service(tmp_path, config(prompts, upstream, row(params))) as service:
        response = await service.client.resolve(
            alias="support",
            variables={"name": "Ada"},
            parameters=pb.ModelParameters(temperature=0.1),
        )

    assert [message.content[0].text for message in response.messages] == ["Greet in Welsh.", "Ada"]
    assert (response.provider, response.model) == ("other", "m")
    assert (response.parameters.temperature, response.parameters.max_tokens) == (0.1, 9)
    assert response.parameters.extra["user"] == "u1"
    assert response.prompt.store == "local"


async def test_call_with_a_prompt_of_its_own(
    tmp_path: Path, prompts: Path, upstream: Upstream
) -> None:
    """A call that names a prompt gets that one, and the alias' model."""
    rows = row("model: local/other/m, prompt_id: nowhere")
    async with running_service(tmp_path, config(prompts, upstream, rows)) as service:
        response = await service.client.resolve("greet", alias="support", variables=VARIABLES)

    assert (response.prompt.id, response.model) == ("greet", "m")


async def test_store_of_an_alias(tmp_path: Path, prompts: Path, upstream: Upstream) -> None:
    """A prompt that a call names beside an alias comes from the alias' store."""
    write_prompt(tmp_path / "others", "apart", "<user>\n{{name}}\n</user>")
    whole = config(prompts, upstream, row("model: far/other/m")).replace(
        "stores:", "default_store: local\nstores:\n  far: {type: directory, path: others}"
    )
    async with running_service(tmp_path, whole) as service:
        response = await service.client.resolve("apart", alias="support", variables=VARIABLES)

    assert (response.prompt.store, response.prompt.id) == ("far", "apart")


async def test_version_of_an_alias(tmp_path: Path, prompts: Path, upstream: Upstream) -> None:
    """A version that an alias names is honoured, and the call's own wins over it."""
    rows = row("model: local, prompt_id: greet, prompt_version: 7")
    async with running_service(tmp_path, config(prompts, upstream, rows)) as service:
        current = (await service.client.resolve("greet", variables=VARIABLES)).prompt.version
        pinned = await failure(service.client.resolve(alias="support", variables=VARIABLES))
        served = await service.client.resolve(alias="support", variables=VARIABLES, version=current)

    assert status_of(pinned) == (StatusCode.NOT_FOUND, "VERSION_NOT_FOUND")
    assert served.prompt.version == current


async def test_alias_without_a_prompt(tmp_path: Path, prompts: Path, upstream: Upstream) -> None:
    """An alias without a prompt passes the call's messages through."""
    rows = row("model: other/m")
    async with running_service(tmp_path, config(prompts, upstream, rows)) as service:
        response = await service.client.complete(alias="support", messages=SAID)
        empty = await failure(service.client.complete(alias="support"))

    assert response.message.content[0].text == "Hello"
    assert not response.HasField("prompt")
    assert upstream.exchanges[0].json["messages"] == [{"role": "user", "content": "Hi"}]
    assert status_of(empty) == (StatusCode.INVALID_ARGUMENT, "MESSAGES_MISSING")


async def test_alias_that_is_unknown(tmp_path: Path) -> None:
    """An alias that is not configured is told as such; so is an empty one."""
    async with running_service(tmp_path) as service:
        unknown = await failure(service.client.resolve(alias="nobody"))
        empty = await failure(service.client.resolve(alias=""))

    assert status_of(unknown) == (StatusCode.INVALID_ARGUMENT, "ALIAS_UNKNOWN")
    assert unknown.metadata == {"alias": "nobody"}
    assert status_of(empty) == (StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")


async def test_key_of_an_alias(tmp_path: Path, prompts: Path, upstream: Upstream) -> None:
    """An alias' key goes to the provider of its model, and to no other."""
    rows = row("model: local/other/m, prompt_id: greet, api_key: key-of-alias")
    async with running_service(tmp_path, config(prompts, upstream, rows)) as service:
        await service.client.complete(alias="support", variables=VARIABLES)
        await service.client.complete(alias="support", variables=VARIABLES, model="fake/x")
        await service.client.complete("greet", variables=VARIABLES, model="other/x")

    assert [each.headers["authorization"] for each in upstream.exchanges] == [
        "Bearer key-of-alias",
        "Bearer key-of-fake",
        "Bearer key-of-other",
    ]


async def test_address_of_an_alias(tmp_path: Path, prompts: Path, upstream: Upstream) -> None:
    """A key that is configured for the provider's address is not sent to an alias' address."""
    async with running_upstream() as elsewhere:
        rows = row(f"model: other/m, api_base: '{elsewhere.url}'")
        async with running_service(tmp_path, config(prompts, upstream, rows)) as service:
            await service.client.complete(alias="support", messages=SAID)

        assert "authorization" not in elsewhere.exchanges[0].headers
    assert upstream.exchanges == []


async def test_provider_of_a_template_that_is_unknown(
    tmp_path: Path, prompts: Path, upstream: Upstream
) -> None:
    """A provider that an alias names and that there is not is the operator's fault."""
    rows = row("model: nobody/m, prompt_id: greet")
    async with running_service(tmp_path, config(prompts, upstream, rows)) as service:
        resolved = await service.client.resolve(alias="support", variables=VARIABLES)
        error = await failure(service.client.complete(alias="support", variables=VARIABLES))

    assert (resolved.provider, resolved.model) == ("nobody", "m")
    assert status_of(error) == (StatusCode.FAILED_PRECONDITION, "PROVIDER_UNKNOWN")
    assert error.metadata == {"provider": "nobody"}


async def test_store_named_twice(tmp_path: Path, prompts: Path, upstream: Upstream) -> None:
    """A model string that names another store than the call does is refused."""
    async with running_service(tmp_path, config(prompts, upstream)) as service:
        served = await service.client.resolve(
            "greet", variables=VARIABLES, model="local/other/m", store="local"
        )
        error = await failure(
            service.client.resolve("greet", variables=VARIABLES, model="local/m", store="x")
        )

    assert served.provider == "other"
    assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")


async def test_difference_is_logged_once(
    tmp_path: Path, prompts: Path, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    """That an alias and its prompt name different models is said once, and not with every call."""
    rows = row("model: local/other/m, prompt_id: greet")
    async with running_service(tmp_path, config(prompts, upstream, rows)) as service:
        for _ in range(3):
            await service.client.resolve(alias="support", variables=VARIABLES)

    told = [vars(each) for each in caplog.records if "different models" in each.message]
    assert [(each["served"], each["passed_over"]) for each in told] == [
        ("other/m", "fake/some-model")
    ]


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ("model: local/auto, api_key: k", "expected custom_llm_provider, to tell whose the key"),
        ("model: m, prompt_id: p, prompt_version: 1, prompt_label: a", "prompt_version or prompt"),
        ("model: m, prompt_label: a, prompt_environment: b", "prompt_label or prompt_environment"),
        ("model: m, prompt_label: a", "expected a prompt_id beside prompt_version or prompt_label"),
        ("model: m, prompt_id: p, prompt_version: 2.5", "prompt_version: expected text, got a num"),
        ("model: m, prompt_id: p, prompt_version: true", "prompt_version: expected text, got true"),
        ("model: m, max_tokens: 1, max_completion_tokens: 2", "expected max_tokens in its place"),
        ("model: m, num_retries: -1", "num_retries: expected greater than or equal to 0"),
        ("model: m, weight: heavy", "weight: expected a number, got text"),
        ("model: m, aws_role_name: x", "aws_role_name: refused, as it would decide where"),
        ("model: m, organization: x", "organization: refused, as it would decide where"),
        ("model: m, extra_headers: {a: b}", "extra_headers: refused, as it would decide where"),
        ("model: m, langfuse_secret_key: x", "langfuse_secret_key: refused, as it would decide"),
        ("model: azure/m, client_secret: x", "client_secret: refused, as it would decide"),
        ("model: azure/m, tenant_id: x", "tenant_id: refused, as it would decide"),
        ("model: azure/m, azure_password: x", "azure_password: refused, as it would decide"),
        ("model: m, litellm_credential_name: x", "litellm_credential_name: refused, as it would"),
        ("model: m, temperature: hot", "temperature: expected a number, got text"),
        ("model: m, top_k: x", "top_k: expected a whole number"),
        ("model: m, parallel_tool_calls: 1", "parallel_tool_calls: expected true or false"),
        ("model: m, api_type: '1'", "api_type: refused, as it would decide where"),
        ("model: m, api_base: nonsense", "api_base: expected a URL"),
    ],
)
async def test_alias_that_is_refused(
    tmp_path: Path, prompts: Path, upstream: Upstream, params: str, problem: str
) -> None:
    """An alias that cannot mean what it says stops the start, with its place."""
    with pytest.raises(ConfigError) as caught:
        async with running_service(tmp_path, config(prompts, upstream, row(params))):
            pass

    assert "config.yaml:8: model_list.0.litellm_params" in str(caught.value)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        (
            "router_settings: {fallbacks: [{support: [nobody]}]}",
            "router_settings.fallbacks: expected for 'support' the names of aliases, got 'nobody'",
        ),
        (
            "litellm_settings: {default_fallbacks: [nobody]}",
            "litellm_settings.default_fallbacks: expected the names of aliases, got 'nobody'",
        ),
    ],
)
async def test_fallback_that_there_is_not(
    tmp_path: Path, prompts: Path, upstream: Upstream, block: str, problem: str
) -> None:
    """A fallback that is no alias stops the start, with its place."""
    with pytest.raises(ConfigError) as caught:
        async with running_service(
            tmp_path, config(prompts, upstream, row("model: other/m")) + block
        ):
            pass

    assert problem in str(caught.value)


async def test_environment_of_an_alias(tmp_path: Path, prompts: Path, upstream: Upstream) -> None:
    """A label that an alias names, by either word, is honoured, and not passed over."""
    rows = (
        row("model: local, prompt_id: greet, prompt_label: nowhere", "labelled"),
        row("model: local, prompt_id: greet, prompt_environment: nowhere", "staged"),
    )
    async with running_service(tmp_path, config(prompts, upstream, *rows)) as service:
        errors = [
            await failure(service.client.resolve(alias=alias, variables=VARIABLES))
            for alias in ("labelled", "staged")
        ]

    assert {error.reason for error in errors} <= {"VERSION_NOT_FOUND", "SELECTOR_INVALID"}


async def test_other_word_for_max_tokens(tmp_path: Path, prompts: Path, upstream: Upstream) -> None:
    """`max_completion_tokens` is the same parameter, so that a call's `max_tokens` wins over it."""
    rows = row("model: other/m, max_completion_tokens: 9, stop: null")
    async with running_service(tmp_path, config(prompts, upstream, rows)) as service:
        own = await service.client.resolve("greet", alias="support", variables=VARIABLES)
        asked = await service.client.resolve(
            "greet",
            alias="support",
            variables=VARIABLES,
            parameters=pb.ModelParameters(max_tokens=5),
        )

    assert (own.parameters.max_tokens, asked.parameters.max_tokens) == (9, 5)
    assert not own.parameters.HasField("extra")
