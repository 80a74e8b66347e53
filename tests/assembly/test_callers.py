"""Callers that are configured: who cannot be told apart, and what is told of their rules."""

import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from prompt_resolver_server.assembly.callers import CallerReport, check_callers
from prompt_resolver_server.assembly.report import build_report
from prompt_resolver_server.settings import ConfigError
from tests.support.configurations import load_text

MUTUAL = "server: {tls_cert_file: c, tls_key_file: k, tls_client_ca_file: a}\n"


def faults(folder: Path, config: str) -> list[str]:
    """Return what is wrong, without the file and the line."""
    try:
        check_callers(load_text(folder, config))
    except ConfigError as error:
        return [line.partition(": ")[2] for line in error.lines]
    return []


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("{}", "callers.a: expected a token, a certificate, or both"),
        ("{prompts: ['*']}", "callers.a: expected a token, a certificate, or both"),
        ("{token: t, certificate: ''}", "callers.a.certificate: expected a name, got text"),
        ("{token: t, prompts: p}", "callers.a.prompts: expected a list, got text"),
        ("{token: t, stores: ['']}", "callers.a.stores.0: expected a name, got text"),
        ("{token: t, aliases: [1]}", "callers.a.aliases.0: expected text, got a number"),
        ("{token: t, model: [a]}", "callers.a.model: unknown key"),
    ],
)
def test_malformed_rules(tmp_path: Path, row: str, problem: str) -> None:
    """A caller needs something to be known by; rules are lists of globs, under the right keys."""
    with pytest.raises(ConfigError) as caught:
        load_text(tmp_path, f"callers: {{a: {row}}}")

    assert [line.partition(": ")[2] for line in caught.value.lines] == [problem]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("callers: {a: {token: t}, b: {token: u}}", []),
        (MUTUAL + "callers: {a: {certificate: n}, b: {certificate: m}}", []),
        (
            "callers: {a: {token: t}, b: {token: t}}",
            ["callers.b.token: expected another one than that of 'a'"],
        ),
        (
            "general_settings: {master_key: t}\ncallers: {a: {token: t}}",
            ["callers.a.token: expected another one than the master key"],
        ),
        (
            MUTUAL + "callers: {a: {certificate: n}, b: {certificate: n, token: t}}",
            ["callers.b.certificate: expected another one than that of 'a'"],
        ),
        (
            "callers: {a: {token: t, certificate: n}}",
            ["callers.a.certificate: expected server.tls_client_ca_file beside it"],
        ),
    ],
)
def test_faults(tmp_path: Path, config: str, expected: list[str]) -> None:
    """Two callers are never one, and a certificate that nobody asks for is a slip."""
    assert faults(tmp_path, config) == expected


async def test_report(tmp_path: Path) -> None:
    """The report tells what each caller may use, and which rules may not mean what they seem to."""
    config = f"""
{MUTUAL}
stores:
  local: {{type: directory, path: .}}
  spare: {{type: directory, path: .}}
  both: {{type: chain, stores: [local, spare]}}
model_list:
  - {{model_name: support, litellm_params: {{model: local/auto, prompt_id: support/reply}}}}
  - {{model_name: hr, litellm_params: {{model: local/auto, prompt_id: hr/policy}}}}
  - {{model_name: hr, litellm_params: {{model: spare/auto, prompt_id: hr/policy}}}}
callers:
  all: {{token: t}}
  app:
    token: u
    certificate: n
    prompts: ["support/*"]
    stores: [both, loca, "team-*"]
    aliases: ["s*", hr, absent]
    models: []
"""
    report = await build_report(
        replace(load_text(tmp_path, config), is_elsewhere=True), ssl.create_default_context()
    )

    assert report.callers == (
        CallerReport(name="all", has_token=True, certificate=None, rules={}, notes=()),
        CallerReport(
            name="app",
            has_token=True,
            certificate="n",
            rules={
                "prompt": ("support/*",),
                "store": ("both", "loca", "team-*"),
                "alias": ("s*", "hr", "absent"),
                "model": (),
            },
            notes=(
                "no store is configured that 'loca' matches",
                "no store is configured that 'team-*' matches",
                "no alias is configured that 'absent' matches",
                "the alias 'hr' brings the prompt 'hr/policy', which `prompts` does not name",
            ),
        ),
    )
