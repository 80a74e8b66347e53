"""The service as the bench runs it, and what the bench asks it."""

import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from prompt_resolver.v1 import prompt_resolver_pb2 as pb

from .processes import Process, running

RESOLVE, COMPLETE, COMPLETE_STREAM = (
    f"/prompt_resolver.v1.PromptResolver/{method}"
    for method in ("Resolve", "Complete", "CompleteStream")
)
SLOW_MS = 60
"""How long the slow upstream takes."""

_VARIABLES: Mapping[str, Mapping[str, str | int]] = {
    "support/reply": {
        "company": "Juniper",
        "customer_name": "Ada",
        "order_id": 7,
        "message": "Where is my order? " * 30,
    },
    "assistant/orders": {"company": "Juniper", "question": "Where is order J-1002? " * 10},
}
PLAIN, WITH_TOOLS = _VARIABLES
"""The ids of two of the examples: without tools, and with a conversation and tools."""


def resolve_request(prompt: str) -> pb.ResolveRequest:
    """Return a request to render one of the two prompts."""
    request = pb.ResolveRequest(prompt=pb.PromptRef(id=prompt))
    request.variables.update(_VARIABLES[prompt])
    return request


def complete_request(provider: str) -> pb.CompleteRequest:
    """Return a request to have a provider answer the plain prompt."""
    request = pb.CompleteRequest(prompt=pb.PromptRef(id=PLAIN), model=f"{provider}/gpt-4o-mini")
    request.variables.update(_VARIABLES[PLAIN])
    return request


def chat_body(provider: str, *, stream: bool = False) -> bytes:
    """Return the same request as it is posted to the HTTP door."""
    document = {
        "model": f"{provider}-alias",
        "messages": [{"role": "user", "content": "ignored"}],
        "prompt_variables": _VARIABLES[PLAIN],
        "stream": stream,
    }
    return json.dumps(document).encode()


@asynccontextmanager
async def running_service(*, upstream: str, folder: Path) -> AsyncIterator[Process]:
    """Run the service with the example prompts and these providers, which are all the upstream.

    `streamed` is as by default, `whole` streams no completions; `slow` and `slow-whole` take
    `SLOW_MS`.
    """
    address, slow = f"http://{upstream}/v1", f"http://{upstream}/after/{SLOW_MS}/v1"
    config = {
        "providers": {
            "streamed": {"dialect": "openai", "base_url": address},
            "whole": {"dialect": "openai", "base_url": address, "stream_completions": False},
            "slow": {"dialect": "openai", "base_url": slow},
            "slow-whole": {"dialect": "openai", "base_url": slow, "stream_completions": False},
        },
        "model_list": [
            {
                "model_name": f"{provider}-alias",
                "litellm_params": {"model": f"{provider}/gpt-4o-mini", "prompt_id": PLAIN},
            }
            for provider in ("streamed", "whole")
        ],
        "server": {
            "grpc_address": "127.0.0.1:0",
            "http_address": "127.0.0.1:0",
            "admin_address": "127.0.0.1:0",
        },
    }
    path = folder / "config.yaml"
    path.write_text(json.dumps(config))
    command = (sys.executable, "-m", "prompt_resolver_server", "--config", str(path))
    async with running(*command) as process:
        yield process
