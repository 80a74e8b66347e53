"""The `humanloop` store: prompts that are served by Humanloop's v5 API, or by what speaks it.

An id is what the API calls an id, such as `pr_…`, or a path, such as `support/greeting`. One
segment of plain letters is tried as an id first. The API answers with the version that is deployed
to the environment asked for, or to the default one. What the API lists is listed.
"""

from collections.abc import Callable, Mapping
from typing import Literal, TypeVar

from typing_extensions import override

from ...domain.prompts import PromptRef, Template
from ...settings.fields import KeyText, Seconds, Url
from ...settings.model import StoreSettings
from ..kind import Site, StoreKind
from ..listing import Environment, ListQuery, TemplatePage
from ..web import WebAnswer
from ..web_session import Session
from ..web_store import WebStore
from .lists import read_environments, read_records
from .prompt import read_prompt
from .requests import PromptRequests, fetch_list

_PUBLIC_URL = "https://api.humanloop.com/v5"

_Result = TypeVar("_Result")


class HumanloopSettings(StoreSettings):
    """A store that is Humanloop's v5 API, or whatever speaks it."""

    type: Literal["humanloop"] = "humanloop"
    base_url: Url = None
    """Where it is, `/v5` included; unset: `HUMANLOOP_BASE_URL`, else Humanloop's own."""
    api_key: KeyText = None
    """Its key: text, `os.environ/NAME` or `file:/path`; unset: `HUMANLOOP_API_KEY`."""
    timeout_s: Seconds = 5.0
    """How long a prompt may take to be fetched, whatever requests that takes."""


class HumanloopStore(WebStore):
    """The API as a store that can also list what it has."""

    async def list_prompts(
        self, query: ListQuery, *, caller_key: str | None = None
    ) -> TemplatePage:
        """Return a page of the prompts that the API lists to whoever's key it is."""
        wire = {
            name: str(value)
            for name in query.__struct_fields__
            if (value := getattr(query, name)) is not None
        }
        session = self._session(caller_key)
        async with self._limited():
            records = await self._decode(await fetch_list(session, wire), read_records)
        return self._page(query, records.templates, broken=records.broken, total=records.total)

    async def list_versions(
        self, prompt_id: str, *, caller_key: str | None = None
    ) -> tuple[Template, ...]:
        """Return the versions that the API lists."""
        records = await self._list(prompt_id, "/versions", read_records, caller_key)
        self._tell_broken(records.broken)
        return records.templates

    async def list_environments(
        self, prompt_id: str, *, caller_key: str | None = None
    ) -> tuple[Environment, ...]:
        """Return the environments that the API lists."""
        environments, broken = await self._list(
            prompt_id, "/environments", read_environments, caller_key
        )
        self._tell_broken(broken)
        return environments

    @override
    def _authorize(self, key: str) -> Mapping[str, str]:
        return {"X-API-KEY": key}

    @override
    async def _request(self, session: Session, ref: PromptRef) -> WebAnswer:
        return await PromptRequests(session, ref).run()

    @override
    def _read(self, body: bytes, ref: PromptRef) -> Template:
        return read_prompt(body, ref)

    async def _list(
        self,
        prompt_id: str,
        below: str,
        read: Callable[[bytes], _Result],
        caller_key: str | None,
    ) -> _Result:
        ref = PromptRef(id=prompt_id)
        self._check(ref)
        session = self._session(caller_key)
        async with self._limited():
            answer = await PromptRequests(session, ref, below=below).run()
            return await self._decode(answer.body, read)


def _build(settings: HumanloopSettings, site: Site) -> HumanloopStore:
    environment = site.environment
    key = settings.api_key or environment.secret(("HUMANLOOP_API_KEY",))
    base_url = settings.base_url or environment.first(("HUMANLOOP_BASE_URL",)) or _PUBLIC_URL
    return HumanloopStore(
        name=site.name,
        client=site.web_client(base_url=base_url, timeout_s=settings.timeout_s),
        timeout_s=settings.timeout_s,
        find_key=key.reveal,
        key_hint=f"stores.{site.name}.api_key or HUMANLOOP_API_KEY",
    )


KIND = StoreKind(settings=HumanloopSettings, build=_build, is_there=True)
