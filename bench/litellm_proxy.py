"""LiteLLM's proxy with a prompt in its cache, if `make bench-peers` has installed it."""

import json
import os
import secrets
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from .processes import Process, running

_DEFAULT_HOME = Path(tempfile.gettempdir()) / "prompt-resolver-peers"
_MODEL = "gpt-4o-mini"
_PROMPT = "bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A proxy that is ready, and what to post to it."""

    process: Process
    headers: dict[str, str]
    body: bytes

    @property
    def url(self) -> str:
        """Where to post."""
        return f"http://{self.process.address}/v1/chat/completions"


def find_litellm() -> Path | None:
    """Return LiteLLM's command, or None where it is not installed."""
    home = Path(os.environ.get("PEERS_HOME") or _DEFAULT_HOME)
    command = home / "litellm" / "bin" / "litellm"
    return command if command.exists() else None


@asynccontextmanager
async def running_proxy(command: Path, *, upstream: str, folder: Path) -> AsyncIterator[Proxy]:
    """Run the proxy in front of the upstream, which also has its prompt."""
    key = f"sk-{secrets.token_hex(16)}"
    config = {
        "model_list": [
            {
                "model_name": _MODEL,
                "litellm_params": {
                    "model": f"openai/{_MODEL}",
                    "api_base": f"http://{upstream}/v1",
                    "api_key": "none",
                },
            }
        ],
        "prompts": [
            {
                "prompt_id": _PROMPT,
                "litellm_params": {
                    "prompt_id": _PROMPT,
                    "prompt_integration": "generic_prompt_management",
                    "api_base": f"http://{upstream}",
                },
            }
        ],
        "litellm_settings": {"telemetry": False},
        "general_settings": {"master_key": key},
    }
    path = folder / "litellm.yaml"
    path.write_text(json.dumps(config))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = ("--host", "127.0.0.1", "--port", str(port))
    environ = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    async with running(
        str(command), "--config", str(path), *address, environ=environ, port=port
    ) as process:
        yield Proxy(
            process=process,
            headers={"Authorization": f"Bearer {key}"},
            body=json.dumps(
                {
                    "model": _MODEL,
                    "prompt_id": _PROMPT,
                    "prompt_variables": {"company": "Juniper", "message": "Where is my order?"},
                    "messages": [],
                }
            ).encode(),
        )
