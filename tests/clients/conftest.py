"""What clients are tested with: builds, LiteLLM, and both ways of `completion`."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from prompt_resolver import process
from tests.support.building import BuiltClient, build_in_copy
from tests.support.completion import Scene, stock, store_environ
from tests.support.humanloop import running_humanloop
from tests.support.service import running_service
from tests.support.upstream import Upstream

WAYS = ("sidecar", "in-process")
LITELLM = Path(__file__).parents[2] / ".venv-litellm" / "bin" / "python"


@pytest.fixture(scope="session")
def build_client(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], BuiltClient]:
    """Builds a client by its folder and command, once."""
    built: dict[tuple[str, str], BuiltClient] = {}

    def build(folder: str, command: str) -> BuiltClient:
        if (folder, command) not in built:
            copy = tmp_path_factory.mktemp(folder)
            built[folder, command] = build_in_copy(folder, command, copy)
        return built[folder, command]

    return build


@pytest.fixture
def litellm(require_all: bool) -> Path:
    """The Python that has LiteLLM."""
    if not LITELLM.exists():
        report = pytest.fail if require_all else pytest.skip
        report("not installed: LiteLLM; make test sees to it")
    return LITELLM


@pytest.fixture(params=WAYS)
async def scene(
    request: pytest.FixtureRequest, tmp_path: Path, upstream: Upstream
) -> AsyncIterator[Scene]:
    """A store, a provider, and an environment for programs of their own."""
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(running_humanloop())
        stock(store)
        environ = store_environ(store, upstream.url)
        if request.param == "sidecar":
            service = await stack.enter_async_context(running_service(tmp_path, "", environ))
            environ = {"PROMPT_RESOLVER_ADDRESS": service.address}
        yield Scene(request.param, store, upstream, environ)


@pytest.fixture
def here(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """The same scene, for calls of this process."""
    for name, value in scene.environ.items():
        monkeypatch.setenv(name, value)
    process._process.close()
    yield scene
    process._process.close()
