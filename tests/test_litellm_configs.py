"""Files as LiteLLM's users have them are configurations, and what they mean here is told."""

import json
import ssl
from pathlib import Path

import pytest

from prompt_resolver_server.assembly.configuration import load_configuration
from prompt_resolver_server.assembly.report import ConfigReport, RowReport, build_report
from prompt_resolver_server.settings import ConfigError
from tests.support.calls import failure
from tests.support.http import HttpDoor
from tests.support.service import running_service

ENVIRON = {
    "OPENAI_API_KEY": "key-of-openai",
    "HUMANLOOP_API_KEY": "key-of-humanloop",
    "GATEWAY_KEY": "key-of-callers",
    "REDIS_HOST": "redis.invalid",
    "REDIS_PASSWORD": "redis-word",
}


async def read(folder: Path, text: str, **environ: str) -> ConfigReport:
    path = folder / "config.yaml"
    path.write_text(text)
    loaded = load_configuration(path, {**ENVIRON, **environ})
    return await build_report(loaded, ssl.create_default_context())


def rows(found: ConfigReport) -> list[RowReport]:
    return [row for alias in found.aliases for row in alias.rows]


HUMANLOOP = """
model_list:
  - model_name: gpt-3.5-turbo
    litellm_params:
      model: humanloop/gpt-3.5-turbo
      prompt_id: "pr_example"
      api_key: os.environ/OPENAI_API_KEY
general_settings:
  master_key: os.environ/GATEWAY_KEY
"""


async def test_humanloop_quick_start(tmp_path: Path) -> None:
    """The documented file for Humanloop is served from Humanloop, without a block of stores."""
    found = await read(tmp_path, HUMANLOOP)

    (row,) = rows(found)
    assert (found.stores, found.default_store) == (("humanloop", "langfuse"), "humanloop")
    assert (row.prompt.store, row.prompt.id) == ("humanloop", "pr_example")
    assert (row.provider, row.model) == ("openai", "gpt-3.5-turbo")
    assert row.key is not None
    assert (row.key.host, row.key.source) == (
        "api.openai.com",
        "model_list.0.litellm_params.api_key",
    )
    assert (found.without_effect, found.faults) == ((), ())


GROUP = """
model_list:
  - model_name: zephyr
    litellm_params: {model: openai/zephyr-7b, api_base: http://10.0.0.1:8001/v1, api_key: none}
  - model_name: zephyr
    litellm_params: {model: openai/zephyr-7b, api_base: http://10.0.0.2:8001/v1, api_key: none}
  - model_name: zephyr
    litellm_params:
      {model: openai/zephyr-7b, api_base: http://10.0.0.3:8001/v1, api_key: none, weight: 2}
  - model_name: gpt-3.5-turbo
    litellm_params: {model: gpt-3.5-turbo, api_key: os.environ/OPENAI_API_KEY}
  - model_name: gpt-3.5-turbo-16k
    litellm_params: {model: gpt-3.5-turbo-16k, api_key: os.environ/OPENAI_API_KEY}
litellm_settings:
  num_retries: 3
  request_timeout: 10
  fallbacks: [{"zephyr": ["gpt-3.5-turbo"]}]
  context_window_fallbacks:
    - {"zephyr": ["gpt-3.5-turbo-16k"]}
    - {"gpt-3.5-turbo": ["gpt-3.5-turbo-16k"]}
  allowed_fails: 3
"""


async def test_group_with_fallbacks(tmp_path: Path) -> None:
    """A group is balanced, retried and fallen back from as its file says."""
    found = await read(tmp_path, GROUP)

    zephyr, turbo, _ = found.aliases
    assert [row.share for row in zephyr.rows] == [0.25, 0.25, 0.5]
    assert {row.terms.retries for row in rows(found)} == {3}
    assert {row.terms.timeout_s for row in rows(found)} == {10}
    assert zephyr.fallbacks.general == ("gpt-3.5-turbo",)
    assert zephyr.fallbacks.context_window == turbo.fallbacks.context_window
    assert found.without_effect == ("litellm_settings.allowed_fails",)
    assert found.faults == ()


ROUTER = """
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: openai/gpt-4o
      api_key: os.environ/OPENAI_API_KEY
      rpm: 480
      timeout: 300
      stream_timeout: 60
    model_info: {id: one, mode: chat, base_model: gpt-4o}
  - model_name: gpt-4o-mini
    litellm_params: {model: gpt-4o-mini, max_retries: 1, num_retries: 0}
    tpm: 100000
router_settings:
  routing_strategy: simple-shuffle
  model_group_alias: {"gpt-4": "gpt-4o"}
  num_retries: 2
  timeout: 30
  redis_host: os.environ/REDIS_HOST
  redis_password: os.environ/REDIS_PASSWORD
  redis_port: 1992
  default_fallbacks: [gpt-4o-mini]
litellm_settings:
  drop_params: true
  set_verbose: false
  success_callback: ["langfuse"]
  failure_callback: ["sentry"]
  cache: true
general_settings:
  master_key: os.environ/GATEWAY_KEY
  database_url: postgresql://db.invalid/litellm
  alerting: ["slack"]
"""


async def test_router_settings(tmp_path: Path) -> None:
    """A proxy's whole file is read: what has no meaning here is named, place by place."""
    found = await read(tmp_path, ROUTER)

    first, second = found.aliases
    (row,), (other,) = first.rows, second.rows
    assert (row.terms.retries, row.terms.timeout_s, row.terms.stream_timeout_s) == (2, 300, 60)
    assert (other.terms.retries, other.terms.timeout_s) == (0, 30)
    assert row.terms.drop_parameters
    assert other.key is not None
    assert other.key.source == "OPENAI_API_KEY"
    assert first.fallbacks.general == ("gpt-4o-mini",)
    assert second.fallbacks.general == ()
    assert found.without_effect == (
        "model_list.0.litellm_params.rpm",
        "model_list.1.tpm",
        "model_list.1.litellm_params.max_retries",
        "general_settings.database_url",
        "general_settings.alerting",
        "litellm_settings.set_verbose",
        "litellm_settings.success_callback",
        "litellm_settings.failure_callback",
        "litellm_settings.cache",
        "router_settings.model_group_alias",
        "router_settings.redis_host",
        "router_settings.redis_password",
        "router_settings.redis_port",
    )


VARIABLES = """
model_list:
  - model_name: support
    litellm_params:
      model: humanloop/openai/gpt-4o
      prompt_id: pr_example
      prompt_environment: staging
      prompt_variables: {company: Juniper}
      temperature: 0.2
      max_completion_tokens: 256
environment_variables:
  OPENAI_API_KEY: key-in-the-file
  LITELLM_MASTER_KEY: os.environ/GATEWAY_KEY
  REDIS_PORT: 6379
litellm_settings:
  callbacks: custom_callbacks.proxy_handler_instance
"""


async def test_environment_variables(tmp_path: Path) -> None:
    """A file that brings its own variables is read with them."""
    found = await read(tmp_path, VARIABLES)

    (row,) = rows(found)
    assert (row.prompt.id, row.prompt.environment) == ("pr_example", "staging")
    assert row.parameters == ("temperature", "max_tokens")
    assert row.key is not None
    assert (row.key.source, row.key.is_there) == ("OPENAI_API_KEY", True)
    assert found.without_effect == ("litellm_settings.callbacks",)


DOTPROMPT = """
model_list:
  - model_name: hello
    litellm_params: {model: dotprompt/gpt-4o, prompt_id: hello}
litellm_settings:
  global_prompt_directory: ./prompts
"""


async def test_prompt_directory(tmp_path: Path) -> None:
    """A directory of prompts is the default store, by the prefix that LiteLLM gives it."""
    (tmp_path / "prompts").mkdir()
    found = await read(tmp_path, DOTPROMPT)

    (row,) = rows(found)
    assert (found.stores, found.default_store) == (
        ("dotprompt", "humanloop", "langfuse"),
        "dotprompt",
    )
    assert (row.prompt.store, row.provider, row.model) == ("dotprompt", "openai", "gpt-4o")
    assert (found.without_effect, found.faults) == ((), ())


async def test_prompt_directory_that_is_not_there(tmp_path: Path) -> None:
    """A directory of prompts that is not there is told with its place."""
    with pytest.raises(ConfigError) as caught:
        await read(tmp_path, DOTPROMPT)

    assert "config.yaml:6: litellm_settings.global_prompt_directory: expected a dir" in str(
        caught.value
    )


OTHERS = """
include: [models.yaml]
model_list:
  - model_name: "*"
    litellm_params: {model: "openai/*"}
  - model_name: priced
    litellm_params:
      model: openai/gpt-4o
      input_cost_per_token: 0.000001
      output_cost_per_token: 0.000002
      tags: [free]
      order: 1
  - model_name: priced
    litellm_params: {model: openai/gpt-4o-mini, order: 2}
  - model_name: cloud
    litellm_params: {model: nowhere/large}
guardrails:
  - guardrail_name: pii
    litellm_params: {guardrail: presidio, mode: pre_call}
mcp_servers: {tools: {url: http://mcp.invalid}}
prompts:
  - prompt_id: x
    litellm_params: {prompt_integration: dotprompt}
callback_settings: {otel: {message_logging: false}}
"""


async def test_what_is_not_served_here(tmp_path: Path) -> None:
    """What of LiteLLM there is not here is named, and a row that could not be called is a fault."""
    found = await read(tmp_path, OTHERS)

    assert [row.share for row in found.aliases[1].rows] == [1, 0]
    assert set(found.without_effect) == {
        "callback_settings",
        "guardrails",
        "include",
        "mcp_servers",
        "prompts",
        "model_list.0.model_name: a pattern",
        "model_list.1.litellm_params.input_cost_per_token",
        "model_list.1.litellm_params.output_cost_per_token",
        "model_list.1.litellm_params.tags",
    }
    (fault,) = found.faults
    assert "model_list.3.litellm_params: expected a provider that is known, got 'nowhere'" in fault


CLOUD = """
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: azure/gpt-4o-eu
      api_base: https://my-endpoint.invalid/
      api_key: os.environ/OPENAI_API_KEY
      api_type: "open"
"""


async def test_routing_that_is_unknown(tmp_path: Path) -> None:
    """A key that would decide where a call goes, and that is not known here, stops the start."""
    with pytest.raises(ConfigError, match=r"model_list\.0\.litellm_params\.api_type: refused"):
        await read(tmp_path, CLOUD)


async def test_variable_that_is_not_set(tmp_path: Path) -> None:
    """A variable that a file names and that is not set stops the start, with its place."""
    with pytest.raises(ConfigError) as caught:
        await read(tmp_path, HUMANLOOP, OPENAI_API_KEY="")

    assert "config.yaml:7: model_list.0.litellm_params.api_key: expected the variable" in str(
        caught.value
    )


async def test_default_store_beside_configured_ones(tmp_path: Path) -> None:
    """Stores that are configured come first; Humanloop's is there for the rows that name it."""
    (tmp_path / "prompts").mkdir()
    stores = "stores: {local: {type: directory, path: prompts}}"
    found = await read(tmp_path, f"{HUMANLOOP}{stores}")

    assert found.default_store == "local"
    assert rows(found)[0].prompt.store == "humanloop"


NULLS = """
model_list:
  - model_name: m
    litellm_params:
      model: openai/m
      prompt_variables:
      weight:
      order:
      prefer_template_model:
      rpm:
    model_info:
"""


async def test_nulls_in_rows(tmp_path: Path) -> None:
    """A key of a row without a value, as it is left behind by comments, counts as absent."""
    found = await read(tmp_path, NULLS)

    (row,) = rows(found)
    assert (row.share, row.prefer_template_model) == (1.0, False)
    assert (found.without_effect, found.faults) == ((), ())


SEVERAL_FAULTS = """
model_list:
  - {model_name: m, litellm_params: {model: bedrock/m, aws_role_name: somewhere}}
  - {model_name: m, litellm_params: {model: openai/m, temperature: hot}}
  - {model_name: m, litellm_params: {model: openai/m, top_k: 3000000000}}
"""
SEVERAL_MISSING = """
model_list:
  - {model_name: m, litellm_params: {model: openai/m, api_key: os.environ/ONE}}
litellm_settings: {cache_params: {host: os.environ/TWO}}
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SEVERAL_FAULTS, ["0.litellm_params.aws_role_name", "1.litellm_params.t", "2.litellm_p"]),
        (SEVERAL_MISSING, ["the variable ONE", "the variable TWO"]),
    ],
)
async def test_faults_are_told_together(tmp_path: Path, text: str, expected: list[str]) -> None:
    """Whoever mends a file need not start anew for each of its faults."""
    with pytest.raises(ConfigError) as refused:
        await read(tmp_path, text)

    assert len(refused.value.lines) == len(expected)
    for line, part in zip(refused.value.lines, expected, strict=True):
        assert part in line


@pytest.mark.parametrize("key", ["model", "prompt_id"])
async def test_empty_names(tmp_path: Path, key: str) -> None:
    """A model or a prompt of no name could never be served, and stops the start."""
    params = {"model": "openai/m", key: ""}
    row = f"{{model_name: m, litellm_params: {json.dumps(params)}}}"
    with pytest.raises(ConfigError, match=f"{key}: expected a name"):
        await read(tmp_path, f"model_list: [{row}]")


async def test_provider_that_is_not_known_is_told_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A row that `config check` finds at fault is told by the service, too, which serves others."""
    config = """
model_list:
  - {model_name: m, litellm_params: {model: echo/m}}
  - {model_name: n, litellm_params: {model: nowhere/n}}
"""
    found = await read(tmp_path, config)
    async with running_service(tmp_path, config) as service:
        served = await HttpDoor(service.http_url).chat(
            model="m", messages=[{"role": "user", "content": "Hi"}]
        )

    assert len(found.faults) == 1
    assert served.status == 200
    (told,) = [each for each in caplog.records if each.message.endswith("provider is not known")]
    assert vars(told)["setting"] == "model_list.1.litellm_params"


async def test_no_key_in_the_name_of_a_host(tmp_path: Path) -> None:
    """A variable's URL with a user in it is a fault, like a configured one, and not quoted."""
    url = "http://someone:key-in-url@host.invalid:8000/v1"
    found = await read(
        tmp_path,
        "model_list: [{model_name: m, litellm_params: {model: openai/m}}]",
        OPENAI_BASE_URL=url,
    )

    (row,) = rows(found)
    assert row.key is None
    (fault,) = found.faults
    assert "OPENAI_BASE_URL" in fault
    assert "key-in-url" not in repr(found)


async def test_what_is_in_a_prompt_directory(tmp_path: Path) -> None:
    """A prompt without any sign of its format is one text, and LiteLLM's dialect is refused."""
    (tmp_path / "prompts").mkdir()
    header = "---\nmodel: gpt-4o\ntemperature: 0.5\n---\n"
    (tmp_path / "prompts" / "hello.prompt").write_text(f"{header}Hello {{{{name}}}}")
    (tmp_path / "prompts" / "roles.prompt").write_text(f"{header}System: be brief\nUser: hi")
    async with running_service(tmp_path, DOTPROMPT) as service:
        hello = await service.client.resolve("hello", variables={"name": "Ada"})
        error = await failure(service.client.resolve("roles"))

    assert [message.content[0].text for message in hello.messages] == ["Hello Ada"]
    assert error.reason == "TEMPLATE_INVALID"
    assert "got LiteLLM's dialect (`System:` in line 5)" in error.message
    assert "write each role as a block such as <system>" in error.message
