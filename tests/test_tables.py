"""The tables of the documents are complete: all there is has a row, and no more than that."""

import inspect
import re
from pathlib import Path
from typing import get_args

from prompt_resolver_server.assembly.endpoints import Endpoints
from prompt_resolver_server.commands.lint.findings import CODES
from prompt_resolver_server.domain.errors import Blame, Reason, ResolverError
from prompt_resolver_server.entry.admission import CallClass
from prompt_resolver_server.http import headers
from prompt_resolver_server.http import status as http_status
from prompt_resolver_server.providers.dialects import DIALECTS
from prompt_resolver_server.rendering.languages import LANGUAGES
from prompt_resolver_server.rpc import status as grpc_status
from prompt_resolver_server.settings.accounts import ACCOUNT
from prompt_resolver_server.settings.litellm import (
    AliasParams,
    GeneralSettings,
    LitellmSettings,
    RouterSettings,
)
from prompt_resolver_server.settings.model import (
    CacheSettings,
    CallerSettings,
    MetricsSettings,
    PrefetchSettings,
    ProviderSettings,
    RedisSettings,
    RenderingSettings,
    StoreSettings,
    TracingSettings,
)
from prompt_resolver_server.settings.restart import PLACES, RELOADED
from prompt_resolver_server.settings.server import ServerSettings
from prompt_resolver_server.templates.chain import ChainSettings
from prompt_resolver_server.templates.kinds import KINDS
from tests.support.configurations import load_block
from tests.support.documents import ROOT, Document
from tests.support.provider_table import write_table
from tests.support.service import running_service

COMMANDS = Document(ROOT / "docs" / "commands.md").text
DEVELOPMENT = Document(ROOT / "docs" / "development.md").text
ERRORS = Document(ROOT / "docs" / "errors.md").text
FROM_LITELLM = Document(ROOT / "docs" / "from-litellm.md").text
LANGUAGES_PAGE = Document(ROOT / "docs" / "languages.md").text
METRICS = Document(ROOT / "docs" / "metrics.md").text
PROVIDERS = Document(ROOT / "docs" / "providers.md")
SETTINGS = Document(ROOT / "docs" / "settings.md").text
STORES = Document(ROOT / "docs" / "stores.md").text


def test_settings_are_complete() -> None:
    """Every setting that has an effect is in the table, with its default."""
    for name, field in ServerSettings.model_fields.items():
        assert re.search(rf"^\| `server\.[^|]*\b{name}`", SETTINGS, re.MULTILINE), name
        assert field.description is None
    for name in ProviderSettings.model_fields:
        assert f"`{name}`" in PROVIDERS.text, name
        assert name.removesuffix("timeout_s") in SETTINGS or name in ACCOUNT, name
    for name in (
        *StoreSettings.model_fields,
        *CacheSettings.model_fields,
        *RedisSettings.model_fields,
        *RenderingSettings.model_fields,
        *TracingSettings.model_fields,
        *MetricsSettings.model_fields,
        *CallerSettings.model_fields,
        *GeneralSettings.model_fields,
    ):
        assert f"`{name}`" in SETTINGS or f".{name}`" in SETTINGS or f"`{name}:" in SETTINGS, name
    assert f"`{{{', '.join(PrefetchSettings.model_fields)}}}`" in SETTINGS


def test_settings_that_need_a_restart() -> None:
    """The page names exactly those settings that a running service does not take."""
    told = SETTINGS.partition("These need a restart")[2].partition("What the files")[0]
    fixed = {".".join(place) for place in PLACES} - RELOADED

    assert {*re.findall(r"`([a-z_.]+)`", told)} == fixed


def test_places_are_complete() -> None:
    """Every file that is to be touched, to add something, is there."""
    server = ROOT / "service" / "prompt_resolver_server"
    table = DEVELOPMENT.partition("| to add | touch |")[2]

    for path in re.findall(r"`([\w/.]+\.py)`", table):
        assert (server / path).exists() or (ROOT / path).exists(), path


def test_settings_of_litellm_are_complete() -> None:
    """Every setting of LiteLLM's that has an effect is in the table of those."""
    table = FROM_LITELLM + PROVIDERS.text
    for block in (AliasParams, RouterSettings, LitellmSettings):
        for name in block.model_fields:
            assert f"`{name}`" in table or f".{name}`" in table, name


async def test_metrics_are_complete(tmp_path: Path) -> None:
    """Every metric of ours is in the table, and no other."""
    async with running_service(tmp_path) as running:
        page = await running.metrics()
    families = re.findall(r"^# TYPE (prompt_resolver_\S+) (\S+)$", page, re.MULTILINE)
    names = {name for name, _ in families if not name.endswith("_created")}

    assert names == set(re.findall(r"`(prompt_resolver_[a-z_]+)`", METRICS))


def test_classes_of_calls_are_complete() -> None:
    """The metrics' table has each class of calls that is counted, and no other."""
    (told,) = re.findall(r"`call_class`: ([a-z`, ]+) \|", METRICS)

    assert re.findall(r"`(\w+)`", told) == list(get_args(CallClass))


def test_stores_are_complete() -> None:
    """Each kind of store has its part of the stores' page, with all of its settings."""
    for kind in KINDS:
        part = STORES.partition(f"\n## {kind.name}\n")[2].partition("\n## ")[0]
        common = STORES.partition("\n## ")[0]
        for name in kind.settings.model_fields:
            assert f"`{name}`" in part or f"`{name}`" in common or name == "type", name
    assert "\n## chain\n" in STORES
    assert {*ChainSettings.model_fields} == {"type", "stores"}


def test_providers_are_complete() -> None:
    """Every provider that is known is in the table, as the data has it, and every dialect."""
    text = PROVIDERS.text
    assert write_table() in text, "python -m tests.support.provider_table prints the table"
    (line,) = (each for each in text.splitlines() if each.startswith("| `dialect` |"))
    assert all(f"`{name}`" in line for name in DIALECTS)


def test_dialects_have_examples(tmp_path: Path) -> None:
    """Every dialect has an example, and an alias in it that calls it."""
    shown = set()
    for block in PROVIDERS.blocks[1:]:
        if block.language != "yaml":
            continue
        loaded = load_block(block, tmp_path)
        endpoints = Endpoints(loaded)
        for row in loaded.settings.model_list:
            shown.add(endpoints.dialect(row.litellm_params.model.partition("/")[0]))

    assert shown == set(DIALECTS)


def test_headers_are_complete() -> None:
    """Every header of ours is told to those who call over HTTP."""
    for name in re.findall(r'"(x-[a-z-]+|retry-after[a-z-]*)"', inspect.getsource(headers)):
        assert f"`{name}" in FROM_LITELLM, name


def test_languages_are_complete() -> None:
    """Every language that is served is in the languages' table."""
    header = next(line for line in LANGUAGES_PAGE.splitlines() if line.startswith("| | "))

    assert sorted(header.strip("| ").split(" | ")) == sorted(LANGUAGES)


def test_findings_are_complete() -> None:
    """Every code that `lint` has is in its table, and no other."""
    table = COMMANDS.partition("\n## lint\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+) \| (error|warning|note) \|", table, re.MULTILINE)

    assert {code: how for codes, how in rows for code in re.findall(r"`([^`]+)`", codes)} == CODES


def test_errors_are_complete() -> None:
    """The page of errors has a row for each reason, with its statuses, and advice of its own."""
    rows = re.findall(
        r"^\| `([A-Z_]+)` \| ([A-Z_, ]+) \| ([\d, ]+) \| (.+) \| (.+) \|$", ERRORS, re.MULTILINE
    )

    assert sorted(reason for reason, *_ in rows) == sorted(Reason)
    for reason, codes, statuses, _, _ in rows:
        row = grpc_status.STATUSES[Reason(reason)]
        told = [ResolverError(Reason(reason), "", blame=blame) for blame in Blame]
        assert codes.split(", ") == [
            code.name for code in dict.fromkeys((row.code, *(row.by_blame or {}).values()))
        ]
        assert statuses.split(", ") == [
            str(status) for status in dict.fromkeys(map(http_status.status_of, told))
        ]
    assert len({advice for *_, advice in rows}) > len(rows) - 3
