"""The configuration: what it may say, and how its faults are told."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from prompt_resolver_server.assembly.configuration import load_configuration
from prompt_resolver_server.settings import ConfigError, Loaded
from prompt_resolver_server.settings.address import Address, parse_address
from prompt_resolver_server.settings.environment import Environment
from prompt_resolver_server.settings.model import CacheSettings, ServerSettings, Settings
from prompt_resolver_server.settings.restart import PLACES, RELOADED, list_fixed
from prompt_resolver_server.settings.secrets import EnvironmentSecret, FileSecret, FixedSecret
from prompt_resolver_server.templates.directory.store import DirectorySettings
from tests.support.volume import Volume


def load(folder: Path, text: str, **environ: str) -> Loaded:
    path = folder / "c.yaml"
    path.write_text(text)
    return load_configuration(path, environ)


def test_defaults() -> None:
    """No file at all is a configuration."""
    loaded = load_configuration(None, {})

    assert loaded.settings.server.grpc_address == "127.0.0.1:50051"
    assert loaded.settings.server.admin_address == "127.0.0.1:9090"
    assert loaded.settings.server.admin_grpc_address == ""
    assert loaded.without_effect == ()


def test_whole_file(tmp_path: Path) -> None:
    """Every block that the design shows is read."""
    loaded = load(
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


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("servr: {}", ["c.yaml:1: servr: unknown key; did you mean 'server'?"]),
        (
            "server:\n  grpc_addres: x",
            ["c.yaml:2: server.grpc_addres: unknown key; did you mean 'grpc_address'?"],
        ),
        (
            "server: {drain_s: soon}",
            ["c.yaml:1: server.drain_s: expected a number, got text"],
        ),
        (
            "server:\n  drain_s: -1\n  max_message_bytes: 1",
            [
                "c.yaml:2: server.drain_s: expected greater than or equal to 0, got a number",
                "c.yaml:3: server.max_message_bytes: expected greater than or equal to 1024",
            ],
        ),
        ("server: []", ["c.yaml:1: server: expected a mapping, got a list"]),
        ("server: {grpc_address: here}", ["c.yaml:1: server.grpc_address: expected HOST:PORT or"]),
        ("server: {admin_address: 'unix:/x'}", ["c.yaml:1: server.admin_address: expected HOST:"]),
        (
            "cache:\n  redis: {url: 'http://a:1', keep_s: 1}",
            ["c.yaml:2: cache.redis.url: expected redis://", "c.yaml:2: cache.redis.keep_s: expec"],
        ),
        ("cache: {redis: {}}", ["c.yaml:1: cache.redis: expected the key 'url'"]),
        *(
            (f"cache: {{redis: {{url: '{url}'}}}}", ["c.yaml:1: cache.redis.url: expected"])
            for url in (
                *("", "here", "redis://", "redis://a:0", "redis://a:x", "redis://a/b", "unix:a"),
                *("redis://a b", "redis://u:p@a", "redis://a?db=1", "unix://a/b", "redis://a#b"),
            )
        ),
        ("stores: {a: {type: directory}}", ["c.yaml:1: stores.a: expected the key 'path'"]),
        (
            "stores: {a: {type: ftp, path: x}}",
            ["c.yaml:1: stores.a.type: expected one of 'directory', 'humanloop'"],
        ),
        ("stores: {a: {path: x}}", ["c.yaml:1: stores.a: expected the key 'type'"]),
        ("stores: {a: 5}", ["c.yaml:1: stores.a: expected a mapping, got a number"]),
        ("stores: {a: {type: humanloop, path: x}}", ["c.yaml:1: stores.a.path: unknown key"]),
        (
            "stores:\n  a:\n    type: humanloop\n    timeout_s: 0\n    api_key: [x]",
            [
                "c.yaml:5: stores.a.api_key: expected text, got a list",
                "c.yaml:4: stores.a.timeout_s: expected greater than 0, got a number",
            ],
        ),
        ("stores: {a: {type: directory, path: x, y: 1}}", ["c.yaml:1: stores.a.y: unknown key"]),
        ("providers: {A: {}}", ["c.yaml:1: providers.A: expected letters, digits"]),
        (
            "providers: {a: {base_url: 'ftp://x'}}",
            ["c.yaml:1: providers.a.base_url: expected a URL that begins with http:// or https://"],
        ),
        (
            "providers: {a: {base_url: 'http://u:p@x/v1'}}",
            ["c.yaml:1: providers.a.base_url: expected a URL without a user, a query"],
        ),
        (
            "metrics: {interval_s: 86401}",
            ["c.yaml:1: metrics.interval_s: expected less than or equal to 86400, got a number"],
        ),
        ("metrics: {interval_s: .inf}", ["c.yaml:1: metrics.interval_s: expected"]),
        ("providers: {a: {base_url: 'http://x:y/v1'}}", ["c.yaml:1: providers.a.base_url: exp"]),
        ("providers: {a: {base_url: 'http:///v1'}}", ["c.yaml:1: providers.a.base_url: expected"]),
        ("providers: {a: {api_key: 5}}", ["c.yaml:1: providers.a.api_key: expected text, got a"]),
        (
            "providers: {a: {api_key: 'file:/nowhere/at/all'}}",
            ["c.yaml:1: providers.a.api_key: expected a readable file with a secret in it"],
        ),
        (
            "providers: {a: {api_key: 'file:/dev/null'}}",
            ["c.yaml:1: providers.a.api_key: expected a readable file with a secret in it"],
        ),
        (
            "a:\n  - b: os.environ/UNSET",
            ["c.yaml:2: a.0.b: expected the variable UNSET to be set, and it is not"],
        ),
        (
            "model_list:\n  - model_name: x\n    litellm_params: {}",
            ["c.yaml:3: model_list.0.litellm_params: expected the key 'model'"],
        ),
        ("general_settings: {master_key: ''}", ["c.yaml:1: general_settings.master_key: expected"]),
        (
            "general_settings: {master_key: }",
            ["c.yaml:1: general_settings.master_key: expected text, got nothing"],
        ),
        (
            "environment_variables: {LITELLM_MASTER_KEY: ''}",
            ["variable LITELLM_MASTER_KEY: expected printable ASCII, and not an empty text"],
        ),
        (
            "environment_variables: {A: [x]}",
            ["c.yaml:1: environment_variables.A: expected text, got a list"],
        ),
        ("environment_variables: 5", ["c.yaml:1: environment_variables: expected a mapping"]),
        (
            "router_settings: {num_retries: many, fallbacks: [{a: b}]}",
            [
                "c.yaml:1: router_settings.num_retries: expected a whole number, got text",
                "c.yaml:1: router_settings.fallbacks.0.a: expected a list, got text",
            ],
        ),
        ("- a", ["c.yaml:1: expected a mapping, got a list"]),
        ("a: 1\na: 2", ["c.yaml:2: expected each key once, 'a' comes twice"]),
        ("a: [1", ["c.yaml:1: not valid YAML"]),
    ],
)
def test_faults(tmp_path: Path, text: str, lines: list[str]) -> None:
    """A fault is one line: the file, the line, the key, what was expected and what came."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)

    told = [line.removeprefix(f"{tmp_path}/") for line in caught.value.lines]
    assert len(told) == len(lines)
    for line, expected in zip(told, lines, strict=True):
        assert line.startswith(expected)


def test_faults_of_the_file_itself(tmp_path: Path) -> None:
    """A file that cannot be read is told by its name."""
    (tmp_path / "latin").write_bytes(b"a: \xff")

    with pytest.raises(ConfigError, match="nowhere: expected a readable file"):
        load_configuration(tmp_path / "nowhere", {})
    with pytest.raises(ConfigError, match="latin: expected UTF-8"):
        load_configuration(tmp_path / "latin", {})


def test_faults_show_no_values(tmp_path: Path) -> None:
    """No value is ever shown: any of them may be a secret in the wrong place."""
    canary = "canary-7f3a"
    texts = [
        f"server: {{drain_s: {canary}}}",
        f"server: {{log_level: {canary}}}",
        f"stores: {{a: {{type: {canary}}}}}",
        f"providers: {{a: {{base_url: {canary}}}}}",
        f"providers: {{a: {{api_key: [{canary}]}}}}",
        f"server: {canary}",
        "server: {drain_s: os.environ/SECRET}",
        "providers: {a: {base_url: os.environ/SECRET}}",
    ]
    for text in texts:
        with pytest.raises(ConfigError) as caught:
            load(tmp_path, text, SECRET=canary)

        assert canary not in str(caught.value)


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


def test_faults_of_the_environment() -> None:
    """A fault of a variable, or of an option, names it."""
    with pytest.raises(ConfigError) as variable:
        load_configuration(None, {"PROMPT_RESOLVER_DRAIN_S": "soon"})
    with pytest.raises(ConfigError) as option:
        load_configuration(None, {}, {"grpc_address": "here"})

    assert str(variable.value) == ("variable PROMPT_RESOLVER_DRAIN_S: expected a number, got text")
    assert str(option.value) == "option --grpc-address: expected HOST:PORT or unix:/path"


def test_settings_without_effect(tmp_path: Path) -> None:
    """What LiteLLM has and this version does not act upon is named, never ignored in silence."""
    loaded = load(
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


def test_variables_of_the_file(tmp_path: Path) -> None:
    """`environment_variables` serves the file and the customary keys, and no other program."""
    before = dict(os.environ)
    loaded = load(
        tmp_path,
        """
environment_variables: {KEY: inner, PORT: 5, OPENAI_API_KEY: os.environ/OUTER}
providers: {openai: {api_key: os.environ/KEY}}
""",
        KEY="outer",
        OUTER="theirs",
    )

    key = loaded.settings.providers["openai"].api_key
    assert key is not None
    assert key.reveal() == "inner"
    assert loaded.environment.first(("OPENAI_API_KEY",)) == "theirs"
    assert loaded.environment.first(("PORT",)) == "5"
    assert loaded.without_effect == ()
    assert dict(os.environ) == before


def test_master_key_of_litellm(tmp_path: Path) -> None:
    """LiteLLM's variable is the token where the file names none."""

    def token(text: str, **environ: str) -> str | None:
        secret = load(tmp_path, text, **environ).settings.general_settings.master_key
        return secret.reveal() if secret is not None else None

    assert token("general_settings: {}", LITELLM_MASTER_KEY="v") == "v"
    assert token("{}", LITELLM_MASTER_KEY="v") == "v"
    assert token("general_settings: {master_key: k}", LITELLM_MASTER_KEY="v") == "k"
    assert token("environment_variables: {LITELLM_MASTER_KEY: w}") == "w"
    assert token("{}") is None


def test_secret_in_a_file(tmp_path: Path) -> None:
    """A secret in a file is read again when it changes, and stays while the file is gone."""
    path = tmp_path / "key"
    path.write_text("first\n")
    secret = FileSecret(path)
    assert secret.reveal() == "first"

    path.write_text("second")
    os.utime(path, (1, 1))
    assert secret.reveal() == "second"

    path.unlink()
    assert secret.reveal() == "second"

    path.write_text("\n")
    assert secret.reveal() == "second"


def test_keys_that_come_later(tmp_path: Path) -> None:
    """Keys of providers and stores may lack their files, and are named; tokens may not."""
    config = """
stores: {{team: {{type: humanloop, api_key: 'file:{0}/team'}}}}
providers: {{openai: {{api_key: 'file:{0}/openai'}}}}
model_list: [{{model_name: a, litellm_params: {{model: m, api_key: 'file:{0}/a'}}}}]
"""
    (tmp_path / "team").write_text("here")

    loaded = load(tmp_path, config.format(tmp_path))

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
            load(tmp_path, token)


def test_secrets_hide(tmp_path: Path) -> None:
    """No secret shows itself."""
    path = tmp_path / "key"
    path.write_text("canary")
    environment = EnvironmentSecret({"A": "", "B": "canary"}, ("A", "B"))

    assert environment.reveal() == "canary"
    assert EnvironmentSecret({}, ("A",)).reveal() is None
    for secret in (FixedSecret("canary"), FileSecret(path), environment):
        assert "canary" not in repr(secret)
        assert "canary" not in str(secret)


@pytest.mark.parametrize(
    ("text", "address", "is_local"),
    [
        ("127.0.0.1:1", Address("127.0.0.1", 1), True),
        ("localhost:1", Address("localhost", 1), True),
        ("[::1]:1", Address("[::1]", 1), True),
        ("0.0.0.0:1", Address("0.0.0.0", 1), False),
        ("[::]:1", Address("[::]", 1), False),
        ("example.invalid:1", Address("example.invalid", 1), False),
        ("unix:/a/b", Address(path="/a/b"), True),
    ],
)
def test_addresses(text: str, address: Address, is_local: bool) -> None:
    """Addresses are read as they are written, and tell whether others can reach them."""
    read = parse_address(text, unix=True)

    assert (read, str(read), read.is_local) == (address, text, is_local)


@pytest.mark.parametrize("text", ["", "here", "1.2.3.4", ":1", "a:b", "a:99999", "unix:", "a:1:2"])
def test_addresses_that_are_none(text: str) -> None:
    """What is no address is refused."""
    with pytest.raises(ValueError, match="expected HOST:PORT"):
        parse_address(text, unix=True)


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        ({}, "http://a.invalid/", None),
        ({"HTTP_PROXY": "http://p:1"}, "http://a.invalid/", "http://p:1"),
        ({"http_proxy": "http://p:1"}, "https://a.invalid/", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://a.invalid/", "http://p:1"),
        ({"ALL_PROXY": "http://p:1"}, "https://a.invalid/", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "a.invalid"}, "http://a.invalid/", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": ".invalid"}, "http://a.invalid/", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "b"}, "http://a.invalid/", "http://p:1"),
    ],
)
def test_proxies(variables: dict[str, str], url: str, proxy: str | None) -> None:
    """The customary variables decide which calls go by which proxy."""
    assert Environment(variables).proxy_for(url) == proxy


@pytest.mark.parametrize(
    "url",
    [
        *("redis://a", "redis://a:1/2", "rediss://user@a.invalid:6380", "redis://[::1]:1"),
        *("unix:/run/r.sock", "unix:///run/r.sock"),
    ],
)
def test_redis(tmp_path: Path, url: str) -> None:
    """A server that is shared is named by its URL, and its password may come later."""
    password = f"file:{tmp_path}/later"
    loaded = load(tmp_path, f"cache: {{redis: {{url: '{url}', password: '{password}'}}}}")

    assert loaded.settings.cache.redis is not None
    assert loaded.settings.cache.redis.url == url
    assert loaded.absent_keys == ("cache.redis.password",)


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


def test_what_takes_effect_with_a_start(tmp_path: Path) -> None:
    """Whatever is not said to be reloaded takes effect with a start, and is told by its place."""
    path = tmp_path / "c.yaml"
    path.write_text("")
    before = load_configuration(path, {})
    settings = before.settings
    server = dict.fromkeys(ServerSettings.model_fields, object())
    cache = dict.fromkeys(CacheSettings.model_fields, object())
    changed = {
        **dict.fromkeys(Settings.model_fields, object()),
        "server": settings.server.model_copy(update=server),
        "cache": settings.cache.model_copy(update=cache),
    }
    after = replace(before, settings=settings.model_copy(update=changed))

    places = {".".join(place) for place in PLACES}
    assert places > RELOADED
    fixed = {".".join(map(str, place)) for place in list_fixed(before, after)}
    assert fixed == places - RELOADED
    assert {"server.grpc_address", "server.state_dir", "cache.redis", "tracing"} < fixed
    assert [*list_fixed(before, before.again())] == []
