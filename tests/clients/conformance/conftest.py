"""What the conformance suite has: the drivers of all clients, and a server for them."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable

import pytest
from _pytest.mark.structures import ParameterSet

from tests.support.building import CLIENTS, BuiltClient
from tests.support.conformance import Scene, running_scene
from tests.support.driver import DRIVERS, Driver, DriverCommand, running_driver


def _parameter(command: DriverCommand) -> ParameterSet:
    # The first test of a driver may have to wait until it is built.
    marks = (pytest.mark.foreign, pytest.mark.timeout(600)) if command.tools else ()
    return pytest.param(command, id=command.name, marks=marks)


@pytest.fixture(scope="session", params=[_parameter(each) for each in DRIVERS])
async def running(
    request: pytest.FixtureRequest,
    require_all: bool,
    build_client: Callable[[str, str], BuiltClient],
) -> AsyncIterator[Driver]:
    """A driver, built and started once for all of its tests."""
    command: DriverCommand = request.param
    missing = [tool for tool in command.tools if shutil.which(tool) is None]
    if missing:
        report = pytest.fail if require_all else pytest.skip
        report(f"not installed: {', '.join(missing)}")
    place = CLIENTS / command.folder
    if command.build:
        client = await asyncio.to_thread(build_client, command.folder, command.build)
        place = client.place
    with tempfile.NamedTemporaryFile("w") as log:
        async with running_driver(command.run, place, log.file) as driver:
            yield driver


@pytest.fixture
def command(request: pytest.FixtureRequest, running: Driver) -> DriverCommand:
    """What the driver is, and what its client can do."""
    command: DriverCommand = request.node.callspec.params["running"]
    return command


@pytest.fixture(scope="session")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """A server's process, with prompts and a provider, for all tests."""
    async with running_scene(tmp_path_factory.mktemp("scene")) as scene:
        yield scene


@pytest.fixture
async def scene(served: Scene) -> Scene:
    """The same, as if nobody had used it yet."""
    served.rest()
    return served


@pytest.fixture
async def driver(running: Driver, scene: Scene) -> Driver:
    """A driver that is connected to the server."""
    await running.connect(scene.address)
    return running
