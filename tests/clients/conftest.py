"""Where `completion` and `acompletion` are tested: both ways that there are."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from prompt_resolver import process
from tests.support.completion import Scene, stock, store_environ
from tests.support.humanloop import running_humanloop
from tests.support.service import running_service
from tests.support.upstream import Upstream

WAYS = ("sidecar", "in-process")


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
