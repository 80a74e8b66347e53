"""`prompt-resolver config check` tells what a configuration means, and calls nothing."""

import json
from pathlib import Path

import pytest

from prompt_resolver_server.commands.config_check import main
from tests.support.service import run_cli

CANARY = "key-that-must-not-show"

CONFIG = """
model_list:
  - model_name: support
    litellm_params:
      model: humanloop/gpt-4o
      prompt_id: pr_example
      prompt_version: 3
      prompt_variables: {company: Juniper}
      temperature: 0.2
      api_key: os.environ/OPENAI_API_KEY
      weight: 3
  - model_name: support
    litellm_params: {model: humanloop/auto, prompt_id: pr_example, num_retries: 0}
  - model_name: mine
    litellm_params:
      {model: openai/qwen, api_base: 'http://127.0.0.1:8000/v1', timeout: 30, drop_params: true}
  - model_name: told
    litellm_params:
      {model: humanloop/openai/gpt-4o, prompt_id: pr_example, prompt_label: staging,
       prefer_template_model: true, api_key: os.environ/OPENAI_API_KEY, stream_timeout: 5}
  - model_name: echoed
    litellm_params: {model: echo/e}
router_settings:
  num_retries: 2
  fallbacks: [{support: [mine, echoed]}]
  context_window_fallbacks: [{support: [told]}]
  content_policy_fallbacks: [{support: [echoed]}]
  redis_host: h
"""

SHOWN = """\
stores: humanloop, langfuse; by default humanloop
calls without an alias: tried again up to 2 times

support
  model_list.0, 75% of the calls
    prompt      pr_example from humanloop, version 3
    model       openai/gpt-4o
    key         model_list.0.litellm_params.api_key, to openai at api.openai.com
    parameters  temperature: where the template sets none
    failures    tried again up to 2 times
    differs     LiteLLM takes the template's model, if it names one; so does \
prefer_template_model: true
    differs     prompt_version is honoured; LiteLLM passes over it
    differs     prompt_variables fill in what the call leaves out; LiteLLM takes none of them for \
a call with variables of its own
  model_list.1, 25% of the calls
    prompt      pr_example from humanloop, as deployed
    model       the template's
    key         of the provider that the template names
    failures    not tried again
  falls back to mine, then echoed
  falls back to told, where the prompt is too long
  falls back to echoed, where the prompt is blocked

mine
  model_list.2
    prompt      the call's, from humanloop; or none
    model       openai/qwen
    key         none, to openai at 127.0.0.1:8000
    failures    tried again up to 2 times, 30 s for an attempt, parameters that the provider \
lacks are dropped
    differs     no other key goes to the row's api_base; LiteLLM sends it the provider's

told
  model_list.3
    prompt      pr_example from humanloop, as in staging
    model       the template's, else openai/gpt-4o
    key         model_list.3.litellm_params.api_key, to openai at api.openai.com
    failures    tried again up to 2 times, 5 s to a stream's first event
    differs     the key goes to openai alone; LiteLLM sends it to the template's provider

echoed
  model_list.4
    prompt      the call's, from humanloop; or none
    model       echo/e
    key         none
    failures    tried again up to 2 times

differs from LiteLLM: a parameter that the call sets wins over the template's, and that one over \
the row's; LiteLLM has the template's win over the call's
no effect: router_settings.redis_host
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of a configuration, whose variable is set."""
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path


def test_for_people(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each row is told: its prompt, its model, its key's way, and what LiteLLM would do."""
    code = main(["check", str(config)])

    shown = capsys.readouterr()
    assert (code, shown.err) == (0, "")
    assert shown.out == SHOWN


def test_for_programs(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON it is the same, and neither of them shows a key."""
    code = main(["check", str(config), "--json"])

    shown = capsys.readouterr().out
    document = json.loads(shown)
    assert code == 0
    assert document["aliases"][0]["rows"][0]["key"] == {
        "provider": "openai",
        "host": "api.openai.com",
        "source": "model_list.0.litellm_params.api_key",
        "is_there": True,
        "otherwise": None,
    }
    assert document["aliases"][0]["fallbacks"]["general"] == ["mine", "echoed"]
    assert document["without_effect"] == ["router_settings.redis_host"]
    assert CANARY not in shown + SHOWN


CALLERS = """
server: {tls_cert_file: c, tls_key_file: k, tls_client_ca_file: a}
callers:
  free: {token: os.environ/OPENAI_API_KEY}
  app:
    token: token-of-app
    certificate: spiffe://example.org/app
    prompts: [support/*, greet]
    stores: [absent]
    models: []
"""

CALLERS_SHOWN = """
caller free, known by its token
  prompts     all
  stores      all
  aliases     all
  models      all

caller app, known by its token or the certificate of spiffe://example.org/app
  prompts     support/*, greet
  stores      absent
  aliases     all
  models      none
  note        no store is configured that 'absent' matches
"""


def test_callers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told what each caller is known by, and what it may use, and no token."""
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    path = tmp_path / "c.yaml"
    path.write_text(CALLERS)

    assert main(["check", str(path), "--elsewhere"]) == 0
    shown = capsys.readouterr().out
    assert CALLERS_SHOWN in shown
    assert main(["check", str(path), "--elsewhere", "--json"]) == 0
    shown += capsys.readouterr().out
    assert CANARY not in shown
    assert "token-of-app" not in shown


def test_faults(tmp_path: Path) -> None:
    """A configuration that cannot be served is told line by line, with the exit code 2."""
    path = tmp_path / "c.yaml"
    path.write_text("model_list: [{model_name: a, litellm_params: {model: m, api_base: x}}]")

    done = run_cli("config", "check", str(path))

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        f"prompt-resolver: {path}:1: model_list.0.litellm_params.api_base"
    )


@pytest.mark.parametrize(
    ("server", "setting"),
    [
        ("grpc_address: '0.0.0.0:50051'", "grpc_address"),
        ("http_address: '[::]:4000'", "http_address"),
        ("admin_grpc_address: '192.0.2.1:50052'", "admin_grpc_address"),
        ("tls_cert_file: cert.pem, tls_key_file: key.pem", "tls_cert_file"),
        ("state_dir: c.yaml/state", "state_dir"),
    ],
)
def test_what_serve_refuses(tmp_path: Path, server: str, setting: str) -> None:
    """Doors that nothing protects, certificates and folders are found faulty as `serve` does."""
    path = tmp_path / "c.yaml"
    path.write_text(f"server: {{{server}}}")

    checked = run_cli("config", "check", str(path), environ={})
    served = run_cli("serve", "--config", str(path), environ={})

    assert (checked.returncode, checked.stdout) == (2, "")
    assert checked.stderr.startswith(f"prompt-resolver: {path}:1: server.{setting}: expected ")
    assert checked.stderr == served.stderr


def test_elsewhere(tmp_path: Path) -> None:
    """What is for another machine is checked without the files and folders that are there."""
    path = tmp_path / "c.yaml"
    path.write_text(
        "server: {tls_cert_file: /tls/crt, tls_key_file: /tls/key, ca_file: /ca, state_dir: c.yaml}"
        "\nstores: {local: {type: directory, path: /prompts}}"
    )

    assert main(["check", str(path)]) == 2
    assert main(["check", str(path), "--elsewhere"]) == 0


SECRETS = """
general_settings: {master_key: 'file:/absent/master'}
callers: {shop: {token: 'file:/absent/shop'}, till: {token: 'file:/absent/till'}}
stores: {main: {type: humanloop, base_url: 'http://127.0.0.1:9', api_key: 'file:/absent/store'}}
providers: {openai: {api_key: 'file:/absent/openai'}}
model_list: [{model_name: m, litellm_params: {model: openai/m, api_key: 'file:/absent/row'}}]
"""


def test_secrets_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files of tokens and keys may be missing too on this machine, and each of them is told."""
    path = tmp_path / "c.yaml"
    path.write_text(SECRETS)

    assert main(["check", str(path)]) == 2
    assert capsys.readouterr().err.count("expected a readable file with a secret in it") == 6
    assert main(["check", str(path), "--elsewhere"]) == 0
    shown = capsys.readouterr().out
    for place in (
        *("providers.openai.api_key", "stores.main.api_key"),
        *("callers.shop.token", "callers.till.token", "general_settings.master_key"),
        "model_list.0.litellm_params.api_key",
    ):
        assert f"no key yet in the file of {place}\n" in shown


@pytest.mark.parametrize("callers", ["shop", "till"])
def test_faults_elsewhere(tmp_path: Path, callers: str) -> None:
    """What is wrong wherever it is stays a fault: one file for two, or one that is empty here."""
    path = tmp_path / "c.yaml"
    (tmp_path / "till").touch()
    tokens = {"shop": "file:/absent/token", "till": f"file:{tmp_path}/till"}
    path.write_text(
        f"callers: {{one: {{token: '{tokens[callers]}'}}, two: {{token: 'file:/absent/token'}}}}"
    )

    assert main(["check", str(path), "--elsewhere"]) == 2


def test_state_stays_as_it_is(tmp_path: Path) -> None:
    """A folder for what outlives a restart is not made where a configuration is only checked."""
    path = tmp_path / "c.yaml"
    path.write_text("server: {state_dir: below/state}")

    assert main(["check", str(path)]) == 0
    assert list(tmp_path.iterdir()) == [path]


def test_owner_of_a_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the template names the model, `custom_llm_provider` tells whose the row's key is."""
    params = "model: humanloop/auto, custom_llm_provider: openai, api_key: k"
    path = tmp_path / "c.yaml"
    path.write_text(f"model_list: [{{model_name: a, litellm_params: {{{params}}}}}]")

    assert main(["check", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "model_list.0.litellm_params.api_key, to openai at api.openai.com" in shown
    assert "the key goes to openai alone" in shown


def test_time_that_no_call_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A row whose attempts may take longer than a call has by default is told."""
    path = tmp_path / "c.yaml"
    path.write_text("model_list: [{model_name: a, litellm_params: {model: echo/e, timeout: 600}}]")

    assert main(["check", str(path)]) == 0
    told = "a call that brings no deadline ends after 120 s, which is server.default_deadline_s"
    assert told in capsys.readouterr().out


def test_row_that_could_not_be_called(tmp_path: Path) -> None:
    """A row whose provider is not known is a fault, beside what can be told of the others."""
    path = tmp_path / "c.yaml"
    path.write_text(
        "model_list:\n"
        "- {model_name: a, litellm_params: {model: nobody/m}}\n"
        "- {model_name: b, litellm_params: {model: gpt-4o}}"
    )

    done = run_cli("config", "check", str(path), environ={"OPENAI_API_KEY": ""})

    assert done.returncode == 2
    assert "OPENAI_API_KEY (not set), to openai at api.openai.com" in done.stdout
    assert done.stderr == (
        f"prompt-resolver: {path}:2: model_list.0.litellm_params: expected a provider that is"
        " known, got 'nobody'\n"
    )


def test_key_whose_file_comes_later(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A key whose file is not there yet is told, and no fault."""
    path = tmp_path / "c.yaml"
    path.write_text(f"providers: {{openai: {{api_key: 'file:{tmp_path}/key'}}}}")

    assert main(["check", str(path)]) == 0
    assert "no key yet in the file of providers.openai.api_key" in capsys.readouterr().out


def test_configuration_of_the_environment(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a file it is the one that the service would be run with."""
    monkeypatch.setenv("PROMPT_RESOLVER_CONFIG", str(config))

    assert main(["check"]) == 0
    assert capsys.readouterr().out == SHOWN


def test_variable_that_is_misspelt(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A variable that is called nearly as one of ours is told, without its value."""
    monkeypatch.setenv("PROMPT_RESOLVER_GRCP_ADDRESS", "told-to-nobody")

    assert main(["check", str(config)]) == 0
    meant = "did you mean PROMPT_RESOLVER_GRPC_ADDRESS?"
    assert capsys.readouterr().out == (
        f"{SHOWN}no effect: variable PROMPT_RESOLVER_GRCP_ADDRESS; {meant}\n"
    )


@pytest.mark.parametrize(
    ("models", "stores"),
    [
        (["langfuse/openai/gpt-4o"], "stores: humanloop, langfuse; by default langfuse"),
        (["openai/gpt-4o", "humanloop/auto"], "stores: humanloop, langfuse; by default humanloop"),
        (["openai/gpt-4o"], "stores: examples, humanloop, langfuse; by default examples"),
    ],
)
def test_default_store(tmp_path: Path, models: list[str], stores: str) -> None:
    """The store that a row names is the default one, where none is configured."""
    rows = "".join(
        f"  - {{model_name: m{index}, litellm_params: {{model: {model}}}}}\n"
        for index, model in enumerate(models)
    )
    path = tmp_path / "config.yaml"
    path.write_text(f"model_list:\n{rows}")

    shown = run_cli("config", "check", str(path))

    assert shown.stdout.splitlines()[0] == stores


DOUBLED = """
providers:
  anthropic: {base_url: 'https://a.example/v1/'}
  azure: {base_url: 'https://b.example/openai/v1', api_version: v1}
  gemini: {base_url: 'https://c.example/v1beta'}
  mine: {dialect: ollama, base_url: 'https://d.example/api'}
model_list:
  - {model_name: a, litellm_params: {model: anthropic/m, api_base: 'https://e.example/v1'}}
"""
NOT_DOUBLED = """
providers:
  anthropic: {base_url: 'https://a.example/v1/messages'}
  azure: {base_url: 'https://b.example', api_version: v1}
  bedrock: {base_url: 'https://b.example', aws_region_name: eu-central-1}
  gemini: {base_url: 'https://c.example/anthropic'}
  openai: {base_url: 'https://d.example/v1'}
  mine: {dialect: ollama, base_url: 'https://e.example/ollama'}
model_list:
  - {model_name: a, litellm_params: {model: anthropic/m, api_base: 'https://e.example'}}
"""


def test_base_url_that_says_too_much(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A base URL that ends in what requests add to it is told, and no fault: it may be meant so."""
    path = tmp_path / "c.yaml"
    path.write_text(DOUBLED)

    assert main(["check", str(path)]) == 0
    told = [
        line.removeprefix(f"doubtful: {path}:").partition(": it is")[0]
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("doubtful")
    ]
    assert told == [
        "3: providers.anthropic.base_url: ends in /v1, which each request adds to it",
        "5: providers.gemini.base_url: ends in /v1beta, which each request adds to it",
        "4: providers.azure.base_url: ends in /openai/v1, which each request adds to it",
        "6: providers.mine.base_url: ends in /api, which each request adds to it",
        "8: model_list.0.litellm_params.api_base: ends in /v1, which each request adds to it",
    ]


def test_base_urls_that_say_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is told of the others, of the known ones, and of one that is a whole address."""
    path = tmp_path / "c.yaml"
    path.write_text(NOT_DOUBLED)

    assert main(["check", str(path)]) == 0
    assert "doubtful" not in capsys.readouterr().out
