"""A stand-in for the read side of Humanloop's v5 API, with its prompts in memory.

The official SDKs are run against it, see `tests/clients/test_humanloop_sdks.py`.
"""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.upstream import Answer, Exchange, running_upstream

KEY = "hl-key-1"
DEFAULT = "production"
_WHEN = "2025-05-01T12:00:00.000000"

Document = dict[str, object]


@dataclass
class StoredPrompt:
    """A prompt: its versions, the newest last, and which of them is deployed where."""

    id: str
    path: str
    versions: dict[str, Document] = field(default_factory=dict)
    deployed: dict[str, str] = field(default_factory=dict)

    def document(self, version: str) -> Document:
        """Return a version as a PromptResponse."""
        return {
            "id": self.id,
            "path": self.path,
            "name": self.path.rpartition("/")[2],
            "type": "prompt",
            "version_id": version,
            "created_at": _WHEN,
            "updated_at": _WHEN,
            "last_used_at": _WHEN,
            "version_logs_count": 0,
            "total_logs_count": 0,
            "inputs": [],
            "model": "some-model",
            "provider": "fake",
            "endpoint": "chat",
            "environments": [
                environment(name) for name, at in self.deployed.items() if at == version
            ],
            **self.versions[version],
        }


def environment(name: str) -> Document:
    """Return an environment; the default one is told by its tag."""
    tag = "default" if name == DEFAULT else "other"
    return {"id": f"env_{name}", "created_at": _WHEN, "name": name, "tag": tag}


@dataclass
class HumanloopApi:
    """The stand-in, which `keys` open. `fail`, while it is set, answers every request in its place.

    `on_request` is called with each request, before anything is answered.
    """

    url: str = ""
    prompts: dict[str, StoredPrompt] = field(default_factory=dict)
    fail: Answer | None = None
    on_request: Callable[[], object] = bool
    exchanges: list[Exchange] = field(default_factory=list)
    keys: tuple[str, ...] = (KEY,)

    @property
    def requests(self) -> list[str]:
        """What was asked, as `METHOD target`."""
        return [f"{exchange.method} {exchange.path}" for exchange in self.exchanges]

    def put(
        self,
        path: str,
        *,
        prompt_id: str,
        version: str = "prv_1",
        to: str = DEFAULT,
        **fields: object,
    ) -> StoredPrompt:
        """Store a version of a prompt, and deploy it to the environment `to`."""
        prompt = self.prompts.setdefault(prompt_id, StoredPrompt(prompt_id, path))
        prompt.versions[version] = fields
        if to:
            prompt.deployed[to] = version
        return prompt

    async def answer(self, exchange: Exchange) -> None:
        self.on_request()
        if self.fail is not None:
            await self.fail(exchange)
            return
        if exchange.headers.get("x-api-key") not in self.keys:
            await send(exchange, {"detail": "Invalid API key"}, status="401 Unauthorized")
            return
        found = self._find(exchange)
        if found is None:
            detail: object = {"description": "There is no such thing", "msg": "not found"}
            await send(exchange, {"detail": detail}, status="404 Not Found")
        else:
            await send(exchange, found)

    def _find(self, exchange: Exchange) -> object:
        parts = urlsplit(exchange.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        match [exchange.method, *map(unquote, parts.path.split("/")[2:])]:
            case ["GET", "prompts"]:
                return self._list(query)
            case ["GET", "prompts", prompt_id]:
                prompt = self.prompts.get(prompt_id)
                return prompt and self._version(prompt, query)
            case ["GET", "prompts", prompt_id, "versions"]:
                prompt = self.prompts.get(prompt_id)
                return prompt and {"records": [prompt.document(v) for v in prompt.versions]}
            case ["GET", "prompts", prompt_id, "environments"]:
                prompt = self.prompts.get(prompt_id)
                return prompt and [
                    {**environment(name), "file": prompt.document(version)}
                    for name, version in prompt.deployed.items()
                ]
            case ["POST", "files", "retrieve-by-path"]:
                path = exchange.json.get("path")
                prompt = next((p for p in self.prompts.values() if p.path == path), None)
                return prompt and self._version(prompt, query)
            case _:
                return None

    def _list(self, query: dict[str, str]) -> Document:
        # The SDK's pager stops at an empty page, and at nothing else.
        page, size = int(query.get("page", "1")), int(query.get("size", "10"))
        every = [p.document(next(reversed(p.versions))) for p in self.prompts.values()]
        records = every[(page - 1) * size : page * size]
        return {"records": records, "page": page, "size": size, "total": len(every)}

    @staticmethod
    def _version(prompt: StoredPrompt, query: dict[str, str]) -> Document | None:
        version = query.get("version_id") or prompt.deployed.get(query.get("environment", DEFAULT))
        return prompt.document(version) if version in prompt.versions else None


async def send(
    exchange: Exchange, value: object, *, status: str = "200 OK", headers: str = ""
) -> None:
    """Answer with JSON."""
    await exchange.send_response(json.dumps(value).encode(), status=status, headers=headers)


@asynccontextmanager
async def running_humanloop() -> AsyncIterator[HumanloopApi]:
    """Serve on a free port of loopback until the context ends."""
    api = HumanloopApi()
    async with running_upstream(api.answer) as upstream:
        api.url = upstream.url.removesuffix("/v1") + "/v5"
        api.exchanges = upstream.exchanges
        yield api
