"""What Google Cloud is to those who want a token: an endpoint, and accounts that it knows."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import jwt

from tests.support.upstream import Exchange, Upstream, running_upstream

AUDIENCE = "https://oauth2.googleapis.com/token"
"""For whom Google's library signs, wherever it asks."""

SCOPE = "https://www.googleapis.com/auth/cloud-platform"


@dataclass
class TokenEndpoint:
    """Gives tokens, one after the other, while `open` is set; each is good for so many seconds."""

    upstream: Upstream
    lifetime_s: int = 3600
    refusal: str = ""
    open: asyncio.Event = field(default_factory=asyncio.Event)
    asked: "asyncio.Queue[dict[str, str]]" = field(default_factory=asyncio.Queue)
    given: int = 0

    @property
    def url(self) -> str:
        return self.upstream.url.replace("/v1", "/token")

    async def answer(self, exchange: Exchange) -> None:
        form = {name: values[0] for name, values in parse_qs(exchange.body.decode()).items()}
        self.asked.put_nowait(form)
        await self.open.wait()
        if self.refusal:
            body = json.dumps({"error": self.refusal, "error_description": "their words"})
            await exchange.send_response(body.encode(), status="400 Bad Request")
            return
        self.given += 1
        token = {
            "access_token": f"token-{self.given}",
            "expires_in": self.lifetime_s,
            "token_type": "Bearer",
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        }
        await exchange.send_response(json.dumps(token).encode())


@asynccontextmanager
async def running_token_endpoint() -> AsyncIterator[TokenEndpoint]:
    """Give tokens on a free port of loopback until the context ends."""
    async with running_upstream() as upstream:
        endpoint = TokenEndpoint(upstream)
        endpoint.open.set()
        upstream.answer = endpoint.answer
        yield endpoint


class ServiceAccount:
    """An account whose key was made just now."""

    def __init__(self, endpoint: TokenEndpoint, *, name: str = "someone") -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._endpoint = endpoint
        self.email = f"{name}@some-project.iam.gserviceaccount.com"

    @property
    def json(self) -> str:
        """The file that Google Cloud would give to somebody, on one line."""
        key = self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return json.dumps(
            {
                "type": "service_account",
                "project_id": "some-project",
                "private_key_id": "some-key",
                "private_key": key.decode(),
                "client_email": self.email,
                "client_id": "1",
                "token_uri": self._endpoint.url,
            }
        )

    def read(self, assertion: str) -> dict[str, object]:
        """Return what an assertion says, having looked at its signature."""
        public = self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        claims = jwt.decode(assertion, certs=public, audience=AUDIENCE)
        return dict(claims)
