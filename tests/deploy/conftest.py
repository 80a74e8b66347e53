"""Containers, and the image in them, built once for all tests."""

import shutil
from collections.abc import Iterator

import pytest

from tests.support import app
from tests.support.containers import Containers, missing_commands
from tests.support.image import ImageBuilder
from tests.support.python_image import build_python_image


@pytest.fixture(scope="session")
def containers(require_all: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    """Buildah and podman."""
    if missing := missing_commands():
        report = pytest.fail if require_all else pytest.skip
        report(f"not installed: {', '.join(missing)}")
    containers = Containers(tmp_path_factory.mktemp("containers"))
    yield containers
    containers.remove_all()


@pytest.fixture(scope="session")
def builder(containers: Containers, tmp_path_factory: pytest.TempPathFactory) -> ImageBuilder:
    """What builds the image, on a stand-in for Python's."""
    folder = tmp_path_factory.mktemp("image")
    build_python_image(containers, folder)
    return ImageBuilder(containers, folder)


@pytest.fixture(scope="session")
def image(builder: ImageBuilder) -> str:
    """The id of the image."""
    return builder.build("podman")


@pytest.fixture(scope="session")
def app_image(
    containers: Containers, require_all: bool, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The name of the image of an app in another language."""
    if shutil.which("go") is None:
        report = pytest.fail if require_all else pytest.skip
        report("not installed: go")
    app.build_app(containers, tmp_path_factory.mktemp("app"))
    return app.NAME
