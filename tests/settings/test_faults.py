"""How the faults of a configuration are told."""

from pathlib import Path

import pytest

from prompt_resolver_server.assembly.configuration import load_configuration
from prompt_resolver_server.settings import ConfigError
from tests.support.configurations import load_text


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
        load_text(tmp_path, text)

    told = [line.removeprefix(f"{tmp_path}/") for line in caught.value.lines]
    assert len(told) == len(lines)
    for line, expected in zip(told, lines, strict=True):
        assert line.startswith(expected)


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
            load_text(tmp_path, text, SECRET=canary)

        assert canary not in str(caught.value)


def test_faults_of_the_environment() -> None:
    """A fault of a variable, or of an option, names it."""
    with pytest.raises(ConfigError) as variable:
        load_configuration(None, {"PROMPT_RESOLVER_DRAIN_S": "soon"})
    with pytest.raises(ConfigError) as option:
        load_configuration(None, {}, {"grpc_address": "here"})

    assert str(variable.value) == ("variable PROMPT_RESOLVER_DRAIN_S: expected a number, got text")
    assert str(option.value) == "option --grpc-address: expected HOST:PORT or unix:/path"
