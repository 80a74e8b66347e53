"""Settings that do nothing."""

from pathlib import Path

import pytest

from prompt_resolver.address import ADDRESS
from prompt_resolver.credentials import _OPTIONS, TOKEN, TOKEN_FILE, _variable
from prompt_resolver.process import LOG
from prompt_resolver_server.settings.server import ServerSettings
from tests.support.configurations import load_text


def test_settings_without_effect(tmp_path: Path) -> None:
    """What LiteLLM has and this version does not act upon is named, never ignored in silence."""
    loaded = load_text(
        tmp_path,
        """
model_list:
  - model_name: a
    litellm_params:
      {model: m, rpm: 5, input_cost_per_token: 1, num_retries: 1, max_retries: 2,
       timeout: 3, request_timeout: 4}
    tpm: 7
  - {model_name: "gpt-*", litellm_params: {model: n}}
general_settings: {master_key: k, database_url: x}
litellm_settings:
  {set_verbose: true, num_retries: 1, request_timeout: 5, callbacks: [x], drop_params: true,
   fallbacks: [{gone: [a]}], global_prompt_directory: here}
router_settings: {num_retries: 2, timeout: 6, redis_host: h, routing_strategy: least-busy}
stores: {local: {type: directory, path: prompts}}
environment_variables: {A: b}
prompts: [{prompt_id: x}]
guardrails: []
""",
    )

    assert sorted(loaded.without_effect) == [
        "general_settings.database_url",
        "litellm_settings.callbacks",
        "litellm_settings.fallbacks: no alias 'gone'",
        "litellm_settings.global_prompt_directory",
        "litellm_settings.num_retries",
        "litellm_settings.request_timeout",
        "litellm_settings.set_verbose",
        "model_list.0.litellm_params.input_cost_per_token",
        "model_list.0.litellm_params.max_retries",
        "model_list.0.litellm_params.request_timeout",
        "model_list.0.litellm_params.rpm",
        "model_list.0.tpm",
        "model_list.1.model_name: a pattern",
        "prompts",
        "router_settings.redis_host",
        "router_settings.routing_strategy",
    ]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("GRCP_ADDRESS", "; did you mean PROMPT_RESOLVER_GRPC_ADDRESS?"),
        ("DRAIN_SECONDS", "; did you mean PROMPT_RESOLVER_DRAIN_S?"),
        ("CLIENT_CA", "; did you mean PROMPT_RESOLVER_CLIENT_CA_FILE?"),
        ("HTTP_PORT", ""),
    ],
)
def test_variables_without_effect(tmp_path: Path, name: str, told: str) -> None:
    """A variable that is called as ours are, and is none, is named, and its value is not told."""
    loaded = load_text(tmp_path, "", **{f"PROMPT_RESOLVER_{name}": "secret"})

    assert loaded.without_effect == (f"variable PROMPT_RESOLVER_{name}{told}",)


def test_variables_with_an_effect(tmp_path: Path) -> None:
    """The service's variables, the clients' and those that the file refers to are not named."""
    service = {f"PROMPT_RESOLVER_{key.upper()}": "" for key in ServerSettings.model_fields}
    chosen = {key: value for key, value in service.items() if "ADDRESS" in key}
    chosen["PROMPT_RESOLVER_GRPC_ADDRESS"] = "127.0.0.1:0"
    clients = [ADDRESS, TOKEN, TOKEN_FILE, LOG, *(_variable(name) for name in _OPTIONS)]
    loaded = load_text(
        tmp_path,
        "providers: {openai: {api_key: os.environ/PROMPT_RESOLVER_OPENAI_KEY}}",
        PROMPT_RESOLVER_OPENAI_KEY="k",
        PROMPT_RESOLVER_CONFIG="c.yaml",
        **dict.fromkeys(clients, "x"),
        **chosen,
    )

    assert loaded.without_effect == ()


@pytest.mark.parametrize("service", ["PROMPT_RESOLVER", "PROMPT_RESOLVER_CANARY"])
def test_variables_of_a_service(tmp_path: Path, service: str) -> None:
    """What Kubernetes tells of a Service that is named as this one is not named."""
    endings = [
        *("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_GRPC", "SERVICE_PORT_ADMIN_GRPC"),
        *("PORT", "PORT_50051_TCP", "PORT_50051_TCP_ADDR", "PORT_50051_TCP_PORT"),
        *("PORT_50051_TCP_PROTO", "PORT_53_UDP"),
    ]
    loaded = load_text(tmp_path, "", **{f"{service}_{ending}": "x" for ending in endings})

    assert loaded.without_effect == ()
