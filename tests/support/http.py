"""Requests to the HTTP doors, and what comes back."""

import io
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from yarl import URL

Document = dict[str, object]


@dataclass(frozen=True)
class HttpAnswer:
    """An answer: its status, headers, and body; `cut` tells that the body did not end."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: bool = False

    @property
    def value(self) -> Any:
        """Whatever JSON the body is."""
        return json.loads(self.body)

    @property
    def json(self) -> Document:
        document = json.loads(self.body)
        assert isinstance(document, dict)
        return document

    @property
    def error(self) -> Document:
        error = self.json["error"]
        assert isinstance(error, dict)
        return error

    @property
    def text(self) -> str:
        """The text of the first choice."""
        match self.json:
            case {"choices": [{"message": {"content": str(text)}}]}:
                return text
            case other:
                raise AssertionError(other)

    @property
    def events(self) -> list[str]:
        """The data of the events that the body has."""
        lines = self.body.decode().split("\n")
        return [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]

    @property
    def chunks(self) -> list[Document]:
        """The events that are JSON."""
        return [json.loads(event) for event in self.events if event != "[DONE]"]


@dataclass(frozen=True)
class HttpDoor:
    """A door, and the headers that every request to it brings. Paths are sent as they are.

    `tls` is for one that speaks it.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None

    async def get(self, path: str, **headers: str) -> HttpAnswer:
        return await self._send("GET", path, None, headers)

    async def post(self, path: str, document: object, **headers: str) -> HttpAnswer:
        return await self._send("POST", path, json.dumps(document).encode(), headers)

    async def chat(self, **document: object) -> HttpAnswer:
        return await self.post("/v1/chat/completions", document)

    async def send(self, method: str, path: str, body: bytes, **headers: str) -> HttpAnswer:
        return await self._send(method, path, body, headers)

    async def _send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> HttpAnswer:
        own = {name.replace("_", "-"): value for name, value in headers.items()}
        content = {"Content-Type": "application/json"} if body is not None else {}
        data = io.BytesIO(body) if body is not None else None
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                method,
                URL(self.url + path, encoded=True),
                data=data,
                headers={**content, **self.headers, **own},
                ssl=self.tls or True,
            ) as response,
        ):
            received = bytearray()
            cut = False
            try:
                async for chunk in response.content.iter_any():
                    received += chunk
            except aiohttp.ClientPayloadError:
                cut = True
            return HttpAnswer(response.status, response.headers, bytes(received), cut)
