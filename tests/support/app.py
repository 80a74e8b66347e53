"""The app of a pod: a static program in Go, in an image with nothing else, and what it tells."""

import os
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Condition, Thread

import msgspec

from tests.support.containers import Containers
from tests.support.manifest import ROOT

NAME = "localhost/app"
_PATIENCE_S = 60


class Report(msgspec.Struct, rename="camel"):
    """What an app tells of its calls so far; see `tests/deploy/app`."""

    calls: dict[str, int]
    versions: dict[str, int]
    cut: int
    failures: list[str]
    slowest_ms: int

    @property
    def answered(self) -> int:
        return sum(self.calls.values())


class App:
    """An app that calls while a test does something to the service. `log` is what it tells."""

    def __init__(self, containers: Containers, name: str, log: Iterable[str]) -> None:
        self._containers = containers
        self._name = name
        self._news = Condition()
        self._last = Report(calls={}, versions={}, cut=0, failures=[], slowest_ms=0)
        self._reader = Thread(target=self._read, args=(log,))
        self._reader.start()

    def go_on(self, calls: int = 200) -> Report:
        """Wait until so many more calls have been answered, and return what is told of all."""
        with self._news:
            enough = self._last.answered + calls
            assert self._news.wait_for(lambda: self._last.answered >= enough, _PATIENCE_S)
            return self._last

    def end(self) -> tuple[int, Report]:
        """End the app as a cluster does, and return its exit code, and what it told last."""
        code = self._containers.end(self._name)
        self._reader.join(_PATIENCE_S)
        return code, self._last

    def _read(self, log: Iterable[str]) -> None:
        for line in log:
            with self._news:
                self._last = msgspec.json.decode(line, type=Report)
                self._news.notify_all()


@contextmanager
def watching_app(containers: Containers, name: str) -> Iterator[App]:
    """Read what the app in a container tells from its first moment on."""
    with containers.follow(name) as log:
        yield App(containers, name, log)


def build_app(containers: Containers, folder: Path) -> None:
    """Build the app, and its image."""
    done = subprocess.run(
        ["go", "build", "-o", str(folder / "app"), "."],
        cwd=ROOT / "tests" / "deploy" / "app",
        env={**os.environ, "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    container = containers.buildah("from", "scratch")
    containers.buildah("add", "--quiet", container, str(folder / "app"), "/app")
    containers.buildah("config", '--entrypoint=["/app"]', container)
    containers.buildah("commit", "--quiet", "--rm", container, NAME)
