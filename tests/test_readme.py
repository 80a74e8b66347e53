"""What the README says works as it says."""

import re
import shlex
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from prompt_resolver_server.assembly.configuration import load_configuration
from prompt_resolver_server.assembly.report import build_report
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
    ServerSettings,
    StoreSettings,
    TracingSettings,
)
from prompt_resolver_server.templates.formats.files import parse_prompt_file
from tests.support.completion import Scene, stock, store_environ
from tests.support.humanloop import running_humanloop
from tests.support.service import ServiceProcess, run_cli, running_service, service_process
from tests.support.upstream import Upstream

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PROVIDERS = (ROOT / "docs" / "providers.md").read_text()


def blocks(language: str) -> list[str]:
    fences: list[tuple[str, str]] = re.findall(
        r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL
    )
    return [text for name, text in fences if name == language]


@pytest.fixture(scope="module")
def service() -> Iterator[ServiceProcess]:
    with service_process() as running:
        yield running


def test_commands_for_a_second_shell(service: ServiceProcess) -> None:
    """The commands for a second shell work while `make run` serves."""
    text = README.partition("From a second shell:")[2].partition("From Python")[0]
    commands = text.replace("\\\n", " ").strip().splitlines()
    calls = [shlex.split(line)[1:] for line in commands if "prompt-resolver" in line]

    assert len(calls) == 2
    for call in calls:
        done = run_cli(*call, environ={"PROMPT_RESOLVER_ADDRESS": service.address})
        assert done.returncode == 0, done.stderr


def test_python(service: ServiceProcess) -> None:
    """The Python program prints the prompt, the answer and the error."""
    program, _ = blocks("python")

    done = subprocess.run(
        [sys.executable, "-c", program.replace("127.0.0.1:50051", service.address)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "Invoice 12, EUR 30" in done.stdout
    assert "VARIABLES_INVALID {'missing': 'text'}" in done.stdout


async def test_python_from_litellm(upstream: Upstream) -> None:
    """The lines for those who come from LiteLLM work as they stand."""
    _, program = blocks("python")
    async with running_humanloop() as store:
        stock(store)
        scene = Scene("in-process", store, upstream, store_environ(store, upstream.url))
        code, out, err = await scene.run(program)

    assert (code, out) == (0, "Hello prv_1 7\n")
    assert "Say: this is used" in err


def test_configuration(tmp_path: Path) -> None:
    """The configuration is one, and nothing in it is without effect."""
    config, _ = blocks("yaml")
    path = tmp_path / "config.yaml"
    path.write_text(config)

    loaded = load_configuration(
        path, {"OPENAI_API_KEY": "k", "HUMANLOOP_API_KEY": "h", "MASTER_KEY": "m"}
    )

    assert set(loaded.settings.stores) == {"local", "team"}
    assert set(loaded.settings.providers) == {"openai", "smol"}
    assert loaded.without_effect == ()


async def test_configuration_of_litellm(tmp_path: Path) -> None:
    """LiteLLM's configuration is one, and nothing in it is without effect or at fault."""
    _, config = blocks("yaml")
    path = tmp_path / "config.yaml"
    path.write_text(config)

    loaded = load_configuration(path, {"OPENAI_API_KEY": "k"})
    report = await build_report(loaded, ssl.create_default_context())

    assert (report.without_effect, report.faults) == ((), ())
    assert [alias.name for alias in report.aliases] == ["support", "claude"]
    assert report.aliases[0].fallbacks.general == ("claude",)


def test_prompt() -> None:
    """The prompt file is one."""
    prompt = next(block for block in blocks("") if block.startswith("---"))

    file = parse_prompt_file(prompt.encode())

    assert [message.role for message in file.messages] == ["system", "user"]


def test_settings_are_complete() -> None:
    """Every setting that has an effect is in the table, with its default."""
    for name, field in ServerSettings.model_fields.items():
        assert re.search(rf"^\| `server\.[^|]*\b{name}`", README, re.MULTILINE), name
        assert field.description is None
    for name in ProviderSettings.model_fields:
        assert f"`{name}`" in PROVIDERS, name
        assert name.removesuffix("timeout_s") in README or name in ACCOUNT, name
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
        assert f"`{name}`" in README or f".{name}`" in README or f"`{name}:" in README, name
    assert f"`{{{', '.join(PrefetchSettings.model_fields)}}}`" in README


def test_settings_of_litellm_are_complete() -> None:
    """Every setting of LiteLLM's that has an effect is in the table of those."""
    table = (ROOT / "docs" / "from-litellm.md").read_text() + PROVIDERS
    for block in (AliasParams, RouterSettings, LitellmSettings):
        for name in block.model_fields:
            assert f"`{name}`" in table or f".{name}`" in table, name


async def test_metrics_are_complete(tmp_path: Path) -> None:
    """Every metric of ours is in the table, and no other."""
    async with running_service(tmp_path) as running:
        page = await running.metrics()
    families = re.findall(r"^# TYPE (prompt_resolver_\S+) (\S+)$", page, re.MULTILINE)
    names = {name for name, _ in families if not name.endswith("_created")}

    assert names == set(re.findall(r"`(prompt_resolver_[a-z_]+)`", README))


def test_everything_is_where_it_says() -> None:
    """Every file and folder that the README names is there."""
    for path in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / path).exists(), path
    server = ROOT / "service" / "prompt_resolver_server"
    table = README.partition("| to add | touch |")[2]
    for path in re.findall(r"`([\w/.]+\.py)`", table):
        assert (server / path).exists() or (ROOT / path).exists(), path


def test_make_targets() -> None:
    """Every target that the README names is one, and `make help` lists it."""
    listed = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    ).stdout

    for target in {*re.findall(r"`?make ([a-z]+)", README), "install", "format", "type"}:
        if target != "sure":
            assert f"make {target} " in listed, target
