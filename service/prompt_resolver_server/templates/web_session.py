"""One caller's requests to the service behind a store, and what their answers' statuses say."""

from collections.abc import Mapping

from ..domain.errors import Blame, CallError, Reason, StoreError
from ..domain.prompts import PromptRef
from ..domain.values import Value
from .web import MAX_BYTES, Validators, WebAnswer, WebClient, WebRequest

NOT_MODIFIED = 304
"""The status of an answer that is the one that is at hand."""


class Session(Value, frozen=True, kw_only=True):
    """Whom to ask, with which key, and who brought it. `store` is the store's name, for errors.

    `headers` carry the key, which `sent` describes. `known` are the validators of what is held.
    """

    shown = ("store",)

    store: str
    client: WebClient
    headers: Mapping[str, str]
    sent: str
    blame: Blame
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
            case 404 if not answer.is_page:
                # A page says that the API itself is not there, as where it has been closed.
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
        raise self.client.unavailable(
            "status",
            f"answered with HTTP status {status}",
            retry_after_s=answer.retry_after_s,
            http_status=str(status),
        )

    def require(self, answer: WebAnswer, told: str) -> bytes:
        """Return the body of what has to be there; `told` says what is missing if it is not."""
        found = self.find(answer)
        if found is None:
            raise self.client.unavailable("status", told, http_status="404")
        return found.body
