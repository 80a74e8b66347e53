"""The real language model, run for the tests that need one."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SERVER = Path(__file__).parents[2] / "examples" / "demo" / "model_server.py"


@contextmanager
def running_model(*keys: str) -> Iterator[str]:
    """Serve the model as a process of its own, to those with a key, and yield its base URL."""
    command = [sys.executable, str(SERVER), "0", *keys]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line.startswith("model "), "the model did not start"
            yield line.removeprefix("model ").strip()
        finally:
            process.terminate()


def busy_slots(base_url: str) -> int:
    """Return how many callers the model is answering right now, as it says itself."""
    with urllib.request.urlopen(f"{base_url.removesuffix('/v1')}/slots", timeout=5) as response:
        slots = json.load(response)
    return sum(bool(slot["is_processing"]) for slot in slots)
