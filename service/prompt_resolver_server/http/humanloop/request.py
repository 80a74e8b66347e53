"""Requests of Humanloop's v5 API, as far as they read prompts."""

import re
from collections.abc import Mapping
from typing import TypeVar, get_args

from ...domain.errors import CallError, Reason, ServerError, invalid_request
from ...domain.parameters import Json
from ...domain.prompts import PromptRef
from ...templates.listing import MAX_PAGE_SIZE, ListQuery, Order, SortBy
from ..fields import as_text, read_text

_WHOLE_NUMBER = re.compile(r"[0-9]{1,9}")
_LAST_PAGE = 999_999_999

_Word = TypeVar("_Word", bound=str)


def read_ref(prompt_id: str, query: Mapping[str, str]) -> PromptRef:
    """Return which prompt is asked for, in which version. Raises `CallError`."""
    version = read_text(query, "version_id", "query.")
    environment = read_text(query, "environment", "query.")
    if version is not None and environment is not None:
        raise CallError(Reason.SELECTOR_INVALID, "expected version_id or environment, got both")
    return PromptRef(id=prompt_id, version=version, environment=environment)


def read_path_ref(document: Mapping[str, Json], query: Mapping[str, str]) -> PromptRef:
    """Return which prompt is asked for by its path. Raises `CallError`."""
    return PromptRef(
        id=as_text(document.get("path"), "body.path"),
        environment=read_text(query, "environment", "query."),
    )


def read_list_query(query: Mapping[str, str]) -> ListQuery:
    """Return which prompts are to be listed. Raises `CallError`."""
    if query.get("user_filter"):
        raise ServerError(
            Reason.NOT_IMPLEMENTED, "query.user_filter: not served, as no store here knows users"
        )
    return ListQuery(
        page=_number(query, "page", 1, _LAST_PAGE),
        size=_number(query, "size", 10, MAX_PAGE_SIZE),
        name=query.get("name") or None,
        sort_by=_word(query, "sort_by", get_args(SortBy)),
        order=_word(query, "order", get_args(Order)),
    )


def _number(query: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not _WHOLE_NUMBER.fullmatch(text) or not 1 <= int(text) <= most:
        raise invalid_request(f"query.{name}", f"expected a number from 1 to {most}")
    return int(text)


def _word(query: Mapping[str, str], name: str, words: tuple[_Word, ...]) -> _Word | None:
    text = query.get(name)
    if text is None:
        return None
    for word in words:
        if word == text:
            return word
    raise invalid_request(f"query.{name}", f"expected one of {', '.join(words)}")
