"""Requests to Langfuse's API: for one prompt, and for lists of them."""

from collections.abc import Sequence
from urllib.parse import quote

from msgspec.structs import replace

from ...domain.errors import StoreError
from ...domain.prompts import PromptRef
from ..store import PROMPT_UNSEEN, prompt_not_found, version_not_found
from ..web import MAX_BYTES, WebAnswer
from ..web_session import Session
from .lists import Row, read_rows
from .prompt import DEFAULT_LABEL

PAGE_SIZE = 100
"""How many prompts the API puts on a page at most."""

_PROMPTS = "/api/public/v2/prompts"
_MAX_LIST_BYTES = 8 * MAX_BYTES
_MAX_NAMED = 20


async def fetch_prompt(session: Session, ref: PromptRef) -> WebAnswer:
    """Return the answer that has the prompt, references to other prompts resolved."""
    selector = (
        {"version": ref.version}
        if ref.version is not None
        else {"label": ref.environment or DEFAULT_LABEL}
    )
    # A folder is part of the name, not of the path.
    path = f"{_PROMPTS}/{quote(ref.id, safe='')}"
    answer = await session.get(path, {**selector, "resolve": "true"})
    is_selected = ref.version is not None or ref.environment is not None
    found = session.find(answer, selected=ref if is_selected else None)
    if found is None:
        raise await _absence(session, ref, is_selected=is_selected)
    return found


async def fetch_page(session: Session, *, page: int, size: int, **chosen: str) -> bytes:
    """Return a page of the list of those prompts whose fields are as chosen."""
    query = {**chosen, "page": str(page), "limit": str(size)}
    answer = await session.get(_PROMPTS, query, max_bytes=_MAX_LIST_BYTES)
    return session.require(answer, "has no list of prompts")


async def find_row(session: Session, ref: PromptRef) -> Row:
    """Return what the list tells of one prompt. Raises PROMPT_NOT_FOUND."""
    for row in await _list_one(session, ref):
        return row
    raise prompt_not_found(ref, store=session.store)


async def _list_one(session: Session, ref: PromptRef) -> Sequence[Row]:
    """Return what the list has of one prompt: a row, or nothing."""
    body = await fetch_page(session, page=1, size=PAGE_SIZE, name=ref.id)
    return [row for row in read_rows(body).rows if row.name == ref.id]


async def _absence(session: Session, ref: PromptRef, *, is_selected: bool) -> StoreError:
    """Tell a prompt that is not there from one without such a version, as far as a list tells."""
    listed = await session.refine(_list_one(session, ref))
    if listed is None and is_selected:
        return version_not_found(ref, store=session.store, known=PROMPT_UNSEEN)
    if not listed:
        return prompt_not_found(ref, store=session.store)
    row = listed[0]
    newest = sorted(row.versions, reverse=True)[:_MAX_NAMED]
    known = f"it has the versions {', '.join(map(str, reversed(newest)))}"
    if row.labels:
        known += f" and the labels {', '.join(sorted(row.labels)[:_MAX_NAMED])}"
    if ref.version is None:
        ref = replace(ref, environment=ref.environment or DEFAULT_LABEL)
    return version_not_found(ref, store=session.store, known=known)
