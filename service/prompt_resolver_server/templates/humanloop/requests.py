"""Requests to Humanloop's API: which ones it takes to get what a reference names."""

import re
from collections.abc import Mapping
from urllib.parse import quote

from ...domain.errors import CallError, StoreError
from ...domain.json_codec import encode_json
from ...domain.prompts import PromptRef
from ..formats.answers import AnswerError, read_document, read_required
from ..store import (
    PROMPT_SEEN,
    PROMPT_UNSEEN,
    check_path_id,
    prompt_not_found,
    version_not_found,
)
from ..web import MAX_BYTES, WebAnswer
from ..web_session import Session
from .prompt import ID_PREFIX, check_prompt

_ID = re.compile(r"[A-Za-z0-9_.-]+")

# A page has up to a hundred prompts on it, and a prompt may have as many versions.
_MAX_LIST_BYTES = 8 * MAX_BYTES


async def fetch_list(session: Session, query: Mapping[str, str]) -> bytes:
    """Return a page of prompts."""
    answer = await session.get("/prompts", query, max_bytes=_MAX_LIST_BYTES)
    return session.require(answer, "has no list of prompts")


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

    async def run(self) -> WebAnswer:
        """Return the answer that has what is looked for."""
        ref, prompt_id = self._ref, None
        if _ID.fullmatch(ref.id):
            answer = await self._get(ref.id)
            if answer is not None:
                return answer
            if ref.id.startswith(ID_PREFIX):
                raise await self._absence()
        prompt_id = await self._find_by_path()
        if prompt_id is None:
            # One segment may still have been an id, of a prompt without such a version.
            raise await self._absence() if _ID.fullmatch(ref.id) else self._no_prompt()
        answer = await self._get(prompt_id)
        if answer is None:
            raise self._no_version() if self._selector else self._no_prompt()
        return answer

    async def _get(self, prompt_id: str, *, selected: bool = True) -> WebAnswer | None:
        """Return a prompt's answer, or None where there is none; `selected`: of the version."""
        selector = self._selector if selected else {}
        path = f"/prompts/{quote(prompt_id, safe='')}{self._below}"
        limit = _MAX_LIST_BYTES if self._below else MAX_BYTES
        answer = await self._session.get(path, selector, max_bytes=limit)
        return self._session.find(answer, selected=self._ref if selector else None)

    async def _find_by_path(self) -> str | None:
        """Return the id of the prompt at a path, or None where there is none."""
        session = self._session
        body = encode_json({"path": self._ref.id})
        answer = session.find(await session.post("/files/retrieve-by-path", body))
        if answer is None:
            return None
        document = read_document(answer.body)
        prompt_id = read_required(document, "id")
        kind = document.get("type")
        if kind is not None and kind != "prompt":
            raise prompt_not_found(self._ref, store=session.store, hint=": it is not a prompt")
        check_prompt(document, self._ref)
        try:
            prompt_id.encode()
            check_path_id(prompt_id, store=session.store)
        except (CallError, UnicodeEncodeError):
            raise AnswerError(("id",), "expected an id") from None
        return prompt_id

    async def _absence(self) -> StoreError:
        """Tell a prompt that is not there from one without such a version."""
        if not self._selector:
            return self._no_prompt()
        is_there = await self._session.refine(self._is_there())
        return self._no_prompt() if is_there is False else self._no_version(seen=is_there)

    async def _is_there(self) -> bool:
        return await self._get(self._ref.id, selected=False) is not None

    def _no_prompt(self) -> StoreError:
        return prompt_not_found(self._ref, store=self._session.store)

    def _no_version(self, *, seen: bool | None = True) -> StoreError:
        """Return the error for an unknown version; `seen` tells whether the prompt is there."""
        known = PROMPT_SEEN if seen else PROMPT_UNSEEN
        return version_not_found(self._ref, store=self._session.store, known=known)
