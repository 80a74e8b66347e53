"""The configuration of Envoy is one that Envoy takes.

What Envoy then does, `tests/clients/test_browser.py` tells.
"""

import subprocess
from pathlib import Path

import pytest

from tests.support.envoy import CONFIG, ENVOY, with_bridge

pytestmark = pytest.mark.foreign


@pytest.fixture
def envoy(require_all: bool) -> Path:
    """The path of Envoy."""
    if not ENVOY.exists():
        report = pytest.fail if require_all else pytest.skip
        report("not installed: Envoy")
    return ENVOY


@pytest.mark.parametrize("bridged", [False, True], ids=["as shipped", "with Connect's protocol"])
def test_is_valid(envoy: Path, tmp_path: Path, bridged: bool) -> None:
    """Envoy has no fault to find with it, with or without what is a comment."""
    text = CONFIG.read_text()
    path = tmp_path / "envoy.yaml"
    path.write_text(with_bridge(text) if bridged else text)

    done = subprocess.run(
        [envoy, "--mode", "validate", "--config-path", path, "--use-dynamic-base-id"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert ("[warning]" in done.stderr) == bridged, done.stderr
