"""Requests to Humanloop's API: which ones a call takes, and what their answers' statuses say."""

import re
from collections.abc import Mapping
from urllib.parse import quote

from ...errors import Blame, CallError, Reason, StoreError
from ...json_codec import encode_json
from ...prompts import PromptRef
from ...values import Value
from ..store import check_path_id, prompt_not_found, version_not_found
from ..web import MAX_BYTES, WebAnswer, WebClient, WebRequest
from .prompt import AnswerError, read_document, read_required

_ID = re.compile(r"[A-Za-z0-9_.-]+")
_PROMPT_PREFIX = "pr_"

# A page has up to a hundred prompts on it, and a prompt may have as many versions.
_MAX_LIST_BYTES = 8 * MAX_BYTES


class Session(Value, frozen=True, kw_only=True):
    """Whom to ask, with which key, and who brought it. `store` is the store's name, for errors."""

    shown = ("store",)

    store: str
    client: WebClient
    key: str
    blame: Blame

    async def send(
        self, path: str, query: Mapping[str, str], *, max_bytes: int = MAX_BYTES
    ) -> WebAnswer:
        """Get what is at a path."""
        return await self.client.send(
            WebRequest(
                method="GET",
                path=path,
                query=query,
                headers={"X-API-KEY": self.key},
                max_bytes=max_bytes,
            )
        )

    async def find(self, path: str) -> WebAnswer:
        """Look up the file at one of the API's own paths."""
        return await self.client.send(
            WebRequest(
                method="POST",
                path="/files/retrieve-by-path",
                headers={"X-API-KEY": self.key, "Content-Type": "application/json"},
                body=encode_json({"path": path}),
            )
        )

    def read(self, answer: WebAnswer, *, selected: PromptRef | None = None) -> bytes | None:
        """Return an answer's body, or None for "not found", or raise what the status says.

        `selected` is the reference that named the version or environment that was asked for.
        """
        status = answer.status
        match status:
            case 200:
                return answer.body
            case 404 if not answer.is_page:
                # A page says that the API itself is not there, as where it has been closed.
                return None
            case 401 | 403:
                whose = "the caller's" if self.blame is Blame.CALLER else "the configured"
                raise StoreError(
                    Reason.STORE_AUTH,
                    f"store {self.store!r} refuses {whose} key",
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


async def fetch_list(session: Session, query: Mapping[str, str]) -> bytes:
    """Return a page of prompts."""
    answer = await session.send("/prompts", query, max_bytes=_MAX_LIST_BYTES)
    body = session.read(answer)
    if body is None:
        raise session.client.unavailable("status", "has no list of prompts", http_status="404")
    return body


class PromptRequests:
    """The requests that it takes to get one prompt, or the list `below` it, such as `/versions`."""

    def __init__(self, session: Session, ref: PromptRef, *, below: str = "") -> None:
        self._session = session
        self._ref = ref
        self._below = below
        self._selector = {
            name: value
            for name, value in (("version_id", ref.version), ("environment", ref.environment))
            if value is not None
        }

    async def run(self) -> bytes:
        """Return the body of what is looked for."""
        ref, prompt_id = self._ref, None
        if _ID.fullmatch(ref.id):
            body = await self._get(ref.id)
            if body is not None:
                return body
            if ref.id.startswith(_PROMPT_PREFIX):
                raise await self._absence()
        prompt_id = await self._find_by_path()
        if prompt_id is None:
            # One segment may still have been an id, of a prompt without such a version.
            raise await self._absence() if _ID.fullmatch(ref.id) else self._no_prompt()
        body = await self._get(prompt_id)
        if body is None:
            raise self._no_version() if self._selector else self._no_prompt()
        return body

    async def _get(self, prompt_id: str, *, selected: bool = True) -> bytes | None:
        """Return a prompt's body, or None where there is none; `selected`: of the version."""
        selector = self._selector if selected else {}
        path = f"/prompts/{quote(prompt_id, safe='')}{self._below}"
        limit = _MAX_LIST_BYTES if self._below else MAX_BYTES
        answer = await self._session.send(path, selector, max_bytes=limit)
        return self._session.read(answer, selected=self._ref if selector else None)

    async def _find_by_path(self) -> str | None:
        """Return the id of the prompt at a path, or None where there is none."""
        session = self._session
        body = session.read(await session.find(self._ref.id))
        if body is None:
            return None
        try:
            document = read_document(body)
            prompt_id = read_required(document, "id")
        except AnswerError as error:
            raise session.client.garbage(str(error)) from None
        kind = document.get("type")
        if kind is not None and kind != "prompt":
            raise prompt_not_found(self._ref, store=session.store, hint=": it is not a prompt")
        try:
            prompt_id.encode()
            check_path_id(prompt_id, store=session.store)
        except (CallError, UnicodeEncodeError):
            raise session.client.garbage("id: expected an id") from None
        return prompt_id

    async def _absence(self) -> StoreError:
        """Tell a prompt that is not there from one without such a version."""
        if self._selector and await self._get(self._ref.id, selected=False) is not None:
            return self._no_version()
        return self._no_prompt()

    def _no_prompt(self) -> StoreError:
        return prompt_not_found(self._ref, store=self._session.store)

    def _no_version(self) -> StoreError:
        return version_not_found(
            self._ref, store=self._session.store, known="the prompt itself is there"
        )
