"""What signals mean to the process, from its first moment to its last."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.service import FREE_PORTS, service_process

BETWEEN_S = 0.003
"""How often a signal is sent: as fast as it may be without keeping the process from all else."""


@pytest.fixture
def starting(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A service that reads its configuration, and what to write that to."""
    path = tmp_path / "config.yaml"
    os.mkfifo(path)
    with subprocess.Popen(
        [sys.executable, "-m", "prompt_resolver.cli", "serve", "--config", str(path)],
        env={**os.environ, **FREE_PORTS},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        writer = os.open(path, os.O_WRONLY)
        try:
            yield process, writer
        finally:
            process.kill()


def test_stop_during_the_start(starting: tuple[subprocess.Popen[str], int]) -> None:
    """A service that is told to stop before it serves ends at once, as well as any other."""
    process, writer = starting
    process.send_signal(signal.SIGTERM)
    code = process.wait(30)
    os.close(writer)

    assert code == 0


def test_reload_during_the_start(starting: tuple[subprocess.Popen[str], int]) -> None:
    """A service that is told to reload before it serves goes on to start."""
    process, writer = starting
    process.send_signal(signal.SIGHUP)
    os.close(writer)

    assert process.stdout is not None
    assert process.stdout.readline().startswith("ready ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_until_the_end(number: signal.Signals) -> None:
    """However often a service that stops is told something, it ends as if it were told once."""
    with service_process() as service:
        service.process.terminate()
        code = None
        while code is None:
            service.process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                code = service.process.wait(BETWEEN_S)

    assert code == 0
