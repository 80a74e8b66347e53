"""What a configuration is read from: its file, the environment and the options."""

from pathlib import Path

import pytest

from prompt_resolver_server.assembly.configuration import load_configuration
from prompt_resolver_server.settings import ConfigError
from prompt_resolver_server.templates.directory.store import DirectorySettings
from tests.support.configurations import load_text
from tests.support.volume import Volume


def test_defaults() -> None:
    """No file at all is a configuration."""
    loaded = load_configuration(None, {})

    assert loaded.settings.server.grpc_address == "127.0.0.1:50051"
    assert loaded.settings.server.admin_address == "127.0.0.1:9090"
    assert loaded.settings.server.admin_grpc_address == ""
    assert loaded.without_effect == ()


def test_whole_file(tmp_path: Path) -> None:
    """Every block that the design shows is read."""
    loaded = load_text(
        tmp_path,
        """
server: {grpc_address: "unix:/run/p.sock", http_address: "", admin_address: "", drain_s: 5}
stores:
  local: {type: directory, path: ./prompts}
default_store: local
model_list:
  - model_name: gpt
    litellm_params: {model: local/gpt-4o, prompt_id: p, api_key: os.environ/KEY, prompt_version: 2}
    model_info: {id: 1}
providers:
  openai: {api_key: os.environ/KEY}
  smol: {dialect: openai, base_url: "http://127.0.0.1:8080/v1"}
general_settings: {master_key: os.environ/KEY}
""",
        KEY="k",
    )

    settings = loaded.settings
    assert settings.server.drain_s == 5
    store = settings.stores["local"]
    assert isinstance(store, DirectorySettings)
    assert store.path == Path("prompts")
    assert settings.model_list[0].litellm_params.prompt_version == "2"
    for secret in (
        settings.providers["openai"].api_key,
        settings.general_settings.master_key,
        settings.model_list[0].litellm_params.api_key,
    ):
        assert secret is not None
        assert secret.reveal() == "k"
    assert loaded.folder == tmp_path
    assert loaded.without_effect == ()


def test_environment_wins_over_the_file(tmp_path: Path) -> None:
    """Each `server` key has a variable that wins, and an option that wins over that."""
    path = tmp_path / "c.yaml"
    path.write_text("server: {drain_s: 1, grpc_address: '127.0.0.1:1', reflection: true}")
    environ = {
        "PROMPT_RESOLVER_CONFIG": str(path),
        "PROMPT_RESOLVER_DRAIN_S": "2",
        "PROMPT_RESOLVER_REFLECTION": "",
        "PROMPT_RESOLVER_HTTP_ADDRESS": "",
        "PROMPT_RESOLVER_SERVICE_HOST": "10.0.0.1",
        "PROMPT_RESOLVER_PORT": "tcp://10.0.0.1:50051",
    }

    server = load_configuration(None, environ, {"grpc_address": "127.0.0.1:2"}).settings.server

    assert (server.drain_s, server.grpc_address) == (2, "127.0.0.1:2")
    assert (server.reflection, server.http_address) == (None, "")


def test_master_key_of_litellm(tmp_path: Path) -> None:
    """LiteLLM's variable is the token where the file names none."""

    def token(text: str, **environ: str) -> str | None:
        secret = load_text(tmp_path, text, **environ).settings.general_settings.master_key
        return secret.reveal() if secret is not None else None

    assert token("general_settings: {}", LITELLM_MASTER_KEY="v") == "v"
    assert token("{}", LITELLM_MASTER_KEY="v") == "v"
    assert token("general_settings: {master_key: k}", LITELLM_MASTER_KEY="v") == "k"
    assert token("environment_variables: {LITELLM_MASTER_KEY: w}") == "w"
    assert token("{}") is None


def test_keys_that_come_later(tmp_path: Path) -> None:
    """Keys of providers and stores may lack their files, and are named; tokens may not."""
    config = """
stores: {{team: {{type: humanloop, api_key: 'file:{0}/team'}}}}
providers: {{openai: {{api_key: 'file:{0}/openai'}}}}
model_list: [{{model_name: a, litellm_params: {{model: m, api_key: 'file:{0}/a'}}}}]
"""
    (tmp_path / "team").write_text("here")

    loaded = load_text(tmp_path, config.format(tmp_path))

    assert loaded.absent_keys == ("providers.openai.api_key", "model_list.0.litellm_params.api_key")
    key = loaded.settings.providers["openai"].api_key
    assert key is not None
    (tmp_path / "openai").write_text("came")
    assert key.reveal() == "came"
    for token in (
        "general_settings: {master_key: 'file:nowhere'}",
        "callers: {a: {token: 'file:x'}}",
    ):
        with pytest.raises(ConfigError, match="expected a readable file with a secret in it"):
            load_text(tmp_path, token)


def test_read_again(tmp_path: Path) -> None:
    """What is read again comes from the same places, and is equal where they say the same."""
    path, key = tmp_path / "c.yaml", tmp_path / "key"
    key.write_text("k")
    path.write_text(f"providers: {{openai: {{api_key: k}}, groq: {{api_key: 'file:{key}'}}}}")
    environ = {"PROMPT_RESOLVER_CONFIG": str(path), "PROMPT_RESOLVER_DRAIN_S": "3"}
    loaded = load_configuration(None, environ, {"log_level": "error"})
    key.write_text("k2")
    again = loaded.again()

    assert again.path == path
    assert again.settings == loaded.settings
    assert (again.settings.server.drain_s, again.settings.server.log_level) == (3, "error")
    assert again.environment == loaded.environment
    path.write_text("providers: {openai: {api_key: other}, groq: {api_key: k2}}")
    changed = again.again().settings.providers
    assert changed["openai"] != loaded.settings.providers["openai"]
    assert changed["groq"] != loaded.settings.providers["groq"]
    path.write_text("providers: [")
    with pytest.raises(ConfigError):
        again.again()


def test_folder_of_a_volume(tmp_path: Path) -> None:
    """Relative paths start where the file is named, though it is a link to another folder."""
    volume = Volume(tmp_path / "volume", {"c.yaml": ""})
    loaded = load_configuration(tmp_path / "volume" / "c.yaml", {})
    volume.update({"c.yaml": ""})

    assert loaded.folder == loaded.again().folder == tmp_path / "volume"
