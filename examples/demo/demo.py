"""Runs prompt-resolver with a real language model beside it; ends both with Ctrl-C.

python demo.py [OPTION of `prompt-resolver serve` ...]
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    """Start the model, then the service with the model's address, and wait for the service."""
    command = [sys.executable, str(HERE / "model_server.py")]
    # A session of its own: Ctrl-C in a terminal reaches us alone, and we end the service first.
    model = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        assert model.stdout is not None
        line = model.stdout.readline()
        if not line.startswith("model "):
            print("the model did not start; try: python examples/demo/model_server.py")
            return 1
        url = line.removeprefix("model ").strip()
        print(f"a language model answers at {url}")
        serve = [sys.executable, "-m", "prompt_resolver_server", "--tour"]
        options = ["--config", str(HERE / "config.yaml"), *sys.argv[1:]]
        # It is told of Ctrl-C once, by us: a second time would cut its running calls short.
        service = subprocess.Popen(
            [*serve, *options],
            env={**os.environ, "DEMO_MODEL_URL": url},
            start_new_session=True,
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: service.send_signal(number))
        return service.wait()
    finally:
        model.terminate()
        model.wait()


if __name__ == "__main__":
    sys.exit(main())
