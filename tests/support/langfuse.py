"""A stand-in for the read side of Langfuse's API, with its prompts in memory.

The official SDK is run against it, see `tests/clients/test_langfuse_sdk.py`.
"""

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.upstream import Answer, Exchange, running_upstream

PUBLIC_KEY = "public-key-of-fake"
SECRET_KEY = "secret-key-of-fake"
KEY = f"{PUBLIC_KEY}:{SECRET_KEY}"
DEFAULT = "production"
_WHEN = "2026-05-01T12:00:00.000Z"
_PATH = ["", "api", "public", "v2", "prompts"]

Document = dict[str, object]


@dataclass
class StoredPrompt:
    """A prompt: its versions by number, and which of them each label points at."""

    name: str
    versions: dict[int, Document] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    updated_at: str = _WHEN

    def document(self, version: int) -> Document:
        """Return a version as the API answers it."""
        return {
            "id": f"{self.name}-{version}",
            "projectId": "project",
            "createdAt": _WHEN,
            "updatedAt": _WHEN,
            "createdBy": "API",
            "name": self.name,
            "version": version,
            "type": "text",
            "prompt": "",
            "config": {},
            "labels": [label for label, at in self.labels.items() if at == version],
            "tags": [],
            "commitMessage": None,
            "resolutionGraph": None,
            **self.versions[version],
        }

    def row(self, label: str | None) -> Document:
        """Return what a list says of the versions that have a label, or of all of them."""
        labels = {name: at for name, at in self.labels.items() if label in (None, name)}
        versions = [each for each in self.versions if label is None or each in labels.values()]
        return {
            "name": self.name,
            "type": self.document(versions[0])["type"],
            "versions": versions,
            "labels": list(labels),
            "tags": [],
            "lastUpdatedAt": self.updated_at,
            "lastConfig": {},
        }


@dataclass
class LangfuseApi:
    """The stand-in. `fail`, while it is set, answers every request in its place."""

    url: str = ""
    prompts: dict[str, StoredPrompt] = field(default_factory=dict)
    fail: Answer | None = None
    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def requests(self) -> list[str]:
        """What was asked, as `METHOD target`."""
        return [f"{exchange.method} {exchange.path}" for exchange in self.exchanges]

    def put(self, name: str, *, to: tuple[str, ...] = (DEFAULT,), **fields: object) -> StoredPrompt:
        """Store a new version of a prompt, with labels; the newest is always the `latest`."""
        prompt = self.prompts.setdefault(name, StoredPrompt(name))
        version = len(prompt.versions) + 1
        prompt.versions[version] = fields
        prompt.labels |= dict.fromkeys((*to, "latest"), version)
        return prompt

    async def answer(self, exchange: Exchange) -> None:
        if self.fail is not None:
            await self.fail(exchange)
            return
        basic = base64.b64encode(KEY.encode()).decode()
        if exchange.headers.get("authorization") != f"Basic {basic}":
            error: object = {"message": "Invalid credentials", "error": "UnauthorizedError"}
            await _send(exchange, error, status="401 Unauthorized")
            return
        found = self._find(exchange)
        if found is None:
            error = {"message": "Prompt not found", "error": "LangfuseNotFoundError"}
            await _send(exchange, error, status="404 Not Found")
        else:
            await _send(exchange, found)

    def _find(self, exchange: Exchange) -> object:
        parts = urlsplit(exchange.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        # The slashes of a name are no part of the path.
        match [*map(unquote, parts.path.split("/")[len(_PATH) :])]:
            case _ if exchange.method != "GET" or parts.path.split("/")[: len(_PATH)] != _PATH:
                return None
            case []:
                return self._list(query)
            case [name] if name in self.prompts:
                return self._version(self.prompts[name], query)
            case _:
                return None

    def _list(self, query: dict[str, str]) -> Document:
        page, limit = int(query.get("page", "1")), int(query.get("limit", "10"))
        label = query.get("label")
        rows = [
            prompt.row(label)
            for _, prompt in sorted(self.prompts.items())
            if query.get("name") in (None, prompt.name)
            and (label is None or label in prompt.labels)
        ]
        meta = {"page": page, "limit": limit, "totalItems": len(rows)}
        return {
            "data": rows[(page - 1) * limit : page * limit],
            "meta": {**meta, "totalPages": -(-len(rows) // limit)},
        }

    @staticmethod
    def _version(prompt: StoredPrompt, query: dict[str, str]) -> Document | None:
        number = (
            int(query["version"])
            if "version" in query
            else prompt.labels.get(query.get("label", DEFAULT))
        )
        return prompt.document(number) if number in prompt.versions else None


async def _send(exchange: Exchange, value: object, *, status: str = "200 OK") -> None:
    """Answer with JSON, or that it is what the other side has, as Next.js does."""
    body = json.dumps(value).encode()
    etag = f'W/"{hashlib.sha256(body).hexdigest()[:16]}"'
    if exchange.headers.get("if-none-match") == etag:
        await exchange.send(f"HTTP/1.1 304 Not Modified\r\nETag: {etag}\r\n\r\n".encode())
    else:
        await exchange.send_response(body, status=status, headers=f"ETag: {etag}\r\n")


@asynccontextmanager
async def running_langfuse() -> AsyncIterator[LangfuseApi]:
    """Serve on a free port of loopback until the context ends."""
    api = LangfuseApi()
    async with running_upstream(api.answer) as upstream:
        api.url = upstream.url.removesuffix("/v1")
        api.exchanges = upstream.exchanges
        yield api
