"""A stand-in for a server of LiteLLM's Generic Prompt Management API, its prompts in memory.

LiteLLM's own client is run against it, see `tests/clients/test_litellm_generic.py`.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from tests.support.upstream import Answer, Exchange, running_upstream

KEY = "key-of-fake"
PATH = "/beta/litellm_prompt_management"

Document = dict[str, object]


@dataclass
class GenericApi:
    """The stand-in: its prompts by id, and by label where it knows labels.

    `key` is None where it is open to all. `fail`, while it is set, answers every request.
    """

    url: str = ""
    key: str | None = KEY
    prompts: dict[tuple[str, str], Document] = field(default_factory=dict)
    fail: Answer | None = None
    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def queries(self) -> list[dict[str, str]]:
        """The queries of all requests."""
        return [_query(exchange) for exchange in self.exchanges]

    def put(self, prompt_id: str, *messages: object, label: str = "", **fields: object) -> None:
        """Store a prompt."""
        template = {"prompt_id": prompt_id, "prompt_template": list(messages)}
        named = {f"prompt_template_{name}": value for name, value in fields.items()}
        self.prompts[prompt_id, label] = {**template, **named}

    async def answer(self, exchange: Exchange) -> None:
        if self.fail is not None:
            await self.fail(exchange)
            return
        query = _query(exchange)
        found = self.prompts.get((query.get("prompt_id", ""), query.get("label", "")))
        if self.key is not None and exchange.headers.get("authorization") != f"Bearer {self.key}":
            await send(exchange, {"detail": "who are you?"}, status="401 Unauthorized")
        elif urlsplit(exchange.path).path != PATH or found is None:
            await send(exchange, {"detail": "there is none"}, status="404 Not Found")
        else:
            await send(exchange, found)


def _query(exchange: Exchange) -> dict[str, str]:
    parsed = parse_qs(urlsplit(exchange.path).query, keep_blank_values=True)
    return {name: values[0] for name, values in parsed.items()}


async def send(exchange: Exchange, value: object, *, status: str = "200 OK") -> None:
    """Answer with JSON."""
    await exchange.send_response(json.dumps(value).encode(), status=status)


@asynccontextmanager
async def running_generic() -> AsyncIterator[GenericApi]:
    """Serve on a free port of loopback until the context ends."""
    api = GenericApi()
    async with running_upstream(api.answer) as upstream:
        api.url = upstream.url.removesuffix("/v1")
        api.exchanges = upstream.exchanges
        yield api
