"""Manifests as users render them."""

import pytest

from tests.support.manifest import Manifest
from tests.support.renderings import TOOLS, render


@pytest.fixture(scope="session", autouse=True)
def _tools(require_all: bool) -> None:
    """What renders and checks manifests."""
    if not (TOOLS / ".installed").exists():
        report = pytest.fail if require_all else pytest.skip
        report(f"not installed: kubectl, Helm's SDK and trivy, in {TOOLS.name}")


@pytest.fixture
def manifest(request: pytest.FixtureRequest) -> Manifest:
    """The rendering that a test is parametrized with, by its name."""
    name: str = request.param
    return render(name)
