"""Settings that do nothing."""

from pathlib import Path

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
