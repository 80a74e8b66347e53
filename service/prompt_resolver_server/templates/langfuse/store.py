"""The `langfuse` store: prompts that are served by Langfuse's API, in its cloud or self-hosted.

An id is a prompt's name, folders included, such as `support/greeting`. Langfuse takes more for a
name than any store here: see `check_path_id`. A version is its number, an environment is a label;
without either the label is `production`.

The API lists no texts: a list takes one request more for each prompt or version that is in it.
"""

import asyncio
import base64
import re
from collections.abc import Mapping, Sequence
from typing import Literal

from typing_extensions import override

from ...domain.errors import CallError, Reason, ServerError, StoreError, TemplateError
from ...domain.prompts import PromptRef, Template
from ...settings.fields import KeyText, Seconds, Url
from ...settings.model import StoreSettings
from ..kind import Site, StoreKind
from ..listing import Environment, ListQuery, TemplatePage
from ..web import WebAnswer
from ..web_session import Session
from ..web_store import WebStore
from .lists import Row, Rows, read_rows
from .prompt import DEFAULT_LABEL, read_prompt
from .requests import PAGE_SIZE, fetch_page, fetch_prompt, find_row

_PUBLIC_URL = "https://cloud.langfuse.com"
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_LABEL = re.compile(r"[a-z0-9_.-]{1,36}")
_AT_ONCE = 8
_MAX_PAGES = 100


class LangfuseSettings(StoreSettings):
    """A store that is Langfuse's API."""

    type: Literal["langfuse"] = "langfuse"
    base_url: Url = None
    """Where it is; unset: `LANGFUSE_BASE_URL` or `LANGFUSE_HOST`, else Langfuse's own cloud."""
    public_key: KeyText = None
    """The project's public key: text, `os.environ/NAME` or `file:/path`; unset:
    `LANGFUSE_PUBLIC_KEY`."""
    secret_key: KeyText = None
    """The project's secret key; unset: `LANGFUSE_SECRET_KEY`."""
    timeout_s: Seconds = 5.0
    """How long a prompt, or a list of them, may take to be fetched, whatever requests it takes."""


class LangfuseStore(WebStore):
    """The API as a store that can also list what it has. A key is `public:secret`."""

    async def list_prompts(
        self, query: ListQuery, *, caller_key: str | None = None
    ) -> TemplatePage:
        """Return a page of the prompts that have a version in production."""
        if query.sort_by == "created_at":
            raise ServerError(
                Reason.NOT_IMPLEMENTED,
                f"store {self._name!r} sorts prompts by name or updated_at, and by nothing else",
                metadata={"store": self._name},
            )
        session = self._session(caller_key)
        async with self._limited():
            names, total = await self._list_names(session, query)
            found = await self._fetch_all(session, [PromptRef(id=name) for name in names])
        templates = tuple(template for template in found if template is not None)
        return self._page(query, templates, broken=len(found) - len(templates), total=total)

    async def list_versions(
        self, prompt_id: str, *, caller_key: str | None = None
    ) -> tuple[Template, ...]:
        """Return all versions of a prompt, the oldest first."""
        ref = PromptRef(id=prompt_id)
        self._check(ref)
        session = self._session(caller_key)
        async with self._limited():
            versions = sorted((await find_row(session, ref)).versions)
            found = await self._fetch_all(
                session, [PromptRef(id=prompt_id, version=str(version)) for version in versions]
            )
        templates = tuple(template for template in found if template is not None)
        self._tell_broken(len(found) - len(templates))
        return templates

    async def list_environments(
        self, prompt_id: str, *, caller_key: str | None = None
    ) -> tuple[Environment, ...]:
        """Return the labels that a prompt's versions have; `production` is the default one."""
        ref = PromptRef(id=prompt_id)
        self._check(ref)
        session = self._session(caller_key)
        async with self._limited():
            labels = sorted((await find_row(session, ref)).labels)
            found = await self._fetch_all(
                session, [PromptRef(id=prompt_id, environment=label) for label in labels]
            )
        self._tell_broken(found.count(None))
        return tuple(
            Environment(
                id=label,
                name=label,
                tag="default" if label == DEFAULT_LABEL else "other",
                template=template,
            )
            for label, template in zip(labels, found, strict=True)
        )

    @override
    def _check(self, ref: PromptRef) -> None:
        super()._check(ref)
        problem = None
        if ref.version is not None and not _VERSION.fullmatch(ref.version):
            problem = "prompt.version: expected a whole number from 1"
        elif ref.environment is not None and not _LABEL.fullmatch(ref.environment):
            problem = "prompt.environment: expected a label of up to 36 of a-z, 0-9, _, - and ."
        if problem:
            raise CallError(
                Reason.SELECTOR_INVALID, problem, metadata={"store": self._name, "id": ref.id}
            )

    @override
    def _authorize(self, key: str) -> Mapping[str, str]:
        if not all(key.partition(":")):
            raise ValueError("expected a key of the form public:secret")
        return {"Authorization": f"Basic {base64.b64encode(key.encode()).decode()}"}

    @override
    async def _request(self, session: Session, ref: PromptRef) -> WebAnswer:
        return await fetch_prompt(session, ref)

    @override
    def _read(self, body: bytes, ref: PromptRef) -> Template:
        return read_prompt(body, ref)

    async def _list_names(self, session: Session, query: ListQuery) -> tuple[Sequence[str], int]:
        """Return the names of the prompts on a page, and how many all pages have."""
        if query.name is None and query.sort_by != "updated_at" and query.order != "desc":
            # As the API pages by itself.
            page = await self._list_rows(session, page=query.page, size=query.size)
            return [row.name for row in page.rows], page.total
        part = (query.name or "").casefold()
        rows = [row for row in await self._list_all(session) if part in row.name.casefold()]
        rows.sort(key=_by_moment if query.sort_by == "updated_at" else _by_name)
        if query.order == "desc":
            rows.reverse()
        start = (query.page - 1) * query.size
        return [row.name for row in rows[start : start + query.size]], len(rows)

    async def _list_all(self, session: Session) -> list[Row]:
        """Return what the list tells of all prompts; the API finds whole names alone."""
        first = await self._list_rows(session, page=1, size=PAGE_SIZE)
        if first.pages > _MAX_PAGES:
            raise self._client.unavailable(
                "too_large", f"lists more than {_MAX_PAGES * PAGE_SIZE} prompts"
            )
        rows = list(first.rows)
        for page in range(2, first.pages + 1):
            rows += (await self._list_rows(session, page=page, size=PAGE_SIZE)).rows
        return rows

    async def _list_rows(self, session: Session, *, page: int, size: int) -> Rows:
        body = await fetch_page(session, page=page, size=size, label=DEFAULT_LABEL)
        return await self._decode(body, read_rows)

    async def _fetch_all(
        self, session: Session, refs: Sequence[PromptRef]
    ) -> Sequence[Template | None]:
        """Return the templates of several references, and None for each that is broken."""
        gate = asyncio.Semaphore(_AT_ONCE)

        async def fetch(ref: PromptRef) -> Template | None:
            async with gate:
                return await self._fetch_listed(session, ref)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(fetch(ref)) for ref in refs]
        except ExceptionGroup as failures:
            # The first one ended the others.
            raise failures.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _fetch_listed(self, session: Session, ref: PromptRef) -> Template | None:
        try:
            self._check(ref)
            answer = await fetch_prompt(session, ref)
            return await self._decode(answer.body, lambda body: self._template(body, ref))
        except (CallError, TemplateError):
            return None
        except StoreError as error:
            # What has gone since it was listed.
            if error.reason in (Reason.PROMPT_NOT_FOUND, Reason.VERSION_NOT_FOUND):
                return None
            raise


def _by_name(row: Row) -> str:
    return row.name


def _by_moment(row: Row) -> tuple[float, str]:
    return (row.updated_at.timestamp() if row.updated_at is not None else 0.0, row.name)


def _build(settings: LangfuseSettings, site: Site) -> LangfuseStore:
    environment = site.environment
    public = settings.public_key or environment.secret(("LANGFUSE_PUBLIC_KEY",))
    secret = settings.secret_key or environment.secret(("LANGFUSE_SECRET_KEY",))
    base_url = settings.base_url or environment.first(("LANGFUSE_BASE_URL", "LANGFUSE_HOST"))

    def find_key() -> str | None:
        name, password = public.reveal(), secret.reveal()
        return f"{name}:{password}" if name and password else None

    return LangfuseStore(
        name=site.name,
        client=site.web_client(base_url=base_url or _PUBLIC_URL, timeout_s=settings.timeout_s),
        timeout_s=settings.timeout_s,
        find_key=find_key,
        key_hint=(
            f"stores.{site.name}.public_key and secret_key,"
            " or LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY"
        ),
    )


KIND = StoreKind(settings=LangfuseSettings, build=_build, is_there=True, selects="label")
