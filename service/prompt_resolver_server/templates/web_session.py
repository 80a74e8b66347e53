"""One caller's requests to the service behind a store, and what their answers' statuses say."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import TypeVar

from ..domain.errors import Blame, CallError, Reason, StoreError
from ..domain.prompts import PromptRef
from ..domain.values import Value
from .formats.answers import AnswerError
from .web import MAX_BYTES, Validators, WebAnswer, WebClient, WebRequest

_NO_KEY = 401
"""The status that asks for a key, whoever it comes from: without one, nothing further is told."""

NOT_MODIFIED = 304
"""The status of an answer that is the one that is at hand."""

_Told = TypeVar("_Told")


class Session(Value, frozen=True, kw_only=True):
    """Whom to ask, with which key, and who brought it. `store` is the store's name, for errors.

    `headers` carry the key, which `sent` describes. `known` are the validators of what is held.
    `ends_at` is when all of it has to be done, on the event loop's clock.
    """

    shown = ("store",)

    store: str
    client: WebClient
    headers: Mapping[str, str]
    sent: str
    blame: Blame
    ends_at: float
    known: Validators | None = None

    async def get(
        self, path: str, query: Mapping[str, str], *, max_bytes: int = MAX_BYTES
    ) -> WebAnswer:
        """Get what is at a path, unless it is what is held."""
        request = WebRequest(
            method="GET", path=path, query=query, headers=self.headers, max_bytes=max_bytes
        )
        return await self.client.send(request, known=self.known)

    async def post(self, path: str, body: bytes) -> WebAnswer:
        """Send a JSON document to a path."""
        headers = {**self.headers, "Content-Type": "application/json"}
        return await self.client.send(
            WebRequest(method="POST", path=path, headers=headers, body=body)
        )

    def find(self, answer: WebAnswer, *, selected: PromptRef | None = None) -> WebAnswer | None:
        """Return an answer that is one, or None for "not found", or raise what the status says.

        `selected` is the reference that named the version or environment that was asked for.
        """
        status = answer.status
        match status:
            case 200 | 304:
                return answer
            case _ if answer.is_page and status != _NO_KEY:
                # It is of whatever stands before the API, or in its place: the API says nothing.
                raise self._failed(answer, f"answered with a page, and HTTP status {status}")
            case 404:
                return None
            case 401 | 403:
                raise StoreError(
                    Reason.STORE_AUTH,
                    f"store {self.store!r} refuses {self.sent}",
                    metadata={"store": self.store, "http_status": str(status)},
                    blame=self.blame,
                )
            case 400 | 422 if selected is not None:
                kind = "version" if selected.version is not None else "environment"
                raise CallError(
                    Reason.SELECTOR_INVALID,
                    f"prompt.{kind}: store {self.store!r} refuses it",
                    metadata={"store": self.store, "id": selected.id},
                )
        raise self._failed(answer, f"answered with HTTP status {status}")

    def require(self, answer: WebAnswer, told: str) -> bytes:
        """Return the body of what has to be there; `told` says what is missing if it is not."""
        found = self.find(answer)
        if found is None:
            raise self.client.unavailable("status", told, http_status="404")
        return found.body

    async def refine(self, asked: Awaitable[_Told]) -> _Told | None:
        """Return what tells more of an answer that has been given; None where it fails or is late.

        It has half of the time that is left, so that the answer itself is always told.
        """
        now = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at((now + self.ends_at) / 2):
                return await asked
        except (StoreError, AnswerError, TimeoutError):
            return None

    def _failed(self, answer: WebAnswer, told: str) -> StoreError:
        return self.client.unavailable(
            "status",
            told,
            retry_after_s=answer.retry_after_s,
            http_status=str(answer.status),
        )
