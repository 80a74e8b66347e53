"""The `humanloop` store: prompts that are served by Humanloop's v5 API, or by what speaks it.

An id is what the API calls an id, such as `pr_…`, or a path, such as `support/greeting`. One
segment of plain letters is tried as an id first. The API answers with the version that is deployed
to the environment asked for, or to the default one. What the API lists is listed.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

from ...errors import Blame, CallError, Reason, StoreError, TemplateError
from ...prompts import PromptRef, Template
from ...settings.fields import KeyText, Seconds, Url
from ...settings.model import StoreSettings
from ..formats.fields import FieldError
from ..kind import Site, StoreKind
from ..listing import Environment, ListQuery, TemplatePage
from ..store import check_path_id
from ..web import WebClient
from .lists import read_environments, read_records
from .prompt import AnswerError, read_prompt
from .requests import PromptRequests, Session, fetch_list

_log = logging.getLogger(__name__)

_PUBLIC_URL = "https://api.humanloop.com/v5"
_MAX_SELECTOR_BYTES = 512

# Reading more than this takes longer than other calls should wait.
_LARGE_BYTES = 64 * 1024

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


class HumanloopStore:
    """A `TemplateStore` over the API. `name` is the store's own, for errors.

    `find_key` is asked for the key with each fetch; `key_hint` tells where it is configured.
    """

    def __init__(
        self,
        *,
        name: str,
        client: WebClient,
        timeout_s: float,
        find_key: Callable[[], str | None],
        key_hint: str,
    ) -> None:
        self._name = name
        self._client = client
        self._timeout_s = timeout_s
        self._find_key = find_key
        self._key_hint = key_hint

    async def fetch(
        self, ref: PromptRef, held: Template | None, *, caller_key: str | None = None
    ) -> Template:
        """Return the template that the API answers with; see `TemplateStore.fetch`."""
        self._check_texts(ref)
        requests = PromptRequests(self._session(caller_key), ref)
        template = await self._ask(requests.run(), lambda body: self._read(body, ref))
        return held if held is not None and _is_same(template, held) else template

    def confirms(self, held: Template) -> bool:
        """Return False: the API would have to be asked."""
        return False

    async def list_prompts(
        self, query: ListQuery, *, caller_key: str | None = None
    ) -> TemplatePage:
        """Return a page of the prompts that the API lists to whoever's key it is."""
        wire = {
            name: str(value)
            for name in query.__struct_fields__
            if (value := getattr(query, name)) is not None
        }
        records = await self._ask(fetch_list(self._session(caller_key), wire), read_records)
        self._tell_broken(records.broken)
        if records.broken and not records.templates:
            # Whoever turns the pages takes an empty one for the end.
            raise TemplateError(
                Reason.TEMPLATE_INVALID,
                f"store {self._name!r}: expected a prompt on page {query.page} that can be read",
                metadata={"store": self._name},
            )
        known = (query.page - 1) * query.size + len(records.templates)
        total = known if records.total is None else records.total
        return TemplatePage(templates=records.templates, total=total)

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

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def _list(
        self,
        prompt_id: str,
        below: str,
        read: Callable[[bytes], _Result],
        caller_key: str | None,
    ) -> _Result:
        ref = PromptRef(id=prompt_id)
        self._check_texts(ref)
        requests = PromptRequests(self._session(caller_key), ref, below=below)
        return await self._ask(requests.run(), read)

    async def _ask(self, asked: Awaitable[bytes], read: Callable[[bytes], _Result]) -> _Result:
        """Wait for a body, not too long, and read it."""
        try:
            async with asyncio.timeout(self._timeout_s):
                body = await asked
                if len(body) > _LARGE_BYTES:
                    return await asyncio.to_thread(read, body)
                return read(body)
        except TimeoutError:
            raise self._client.unavailable("timeout", "did not answer in time") from None
        except AnswerError as error:
            raise self._client.garbage(str(error)) from None

    def _tell_broken(self, broken: int) -> None:
        if broken:
            _log.warning(
                "prompts are broken, the others are listed",
                extra={"store": self._name, "broken": broken},
            )

    def _session(self, caller_key: str | None) -> Session:
        return Session(
            store=self._name,
            client=self._client,
            key=self._key(caller_key),
            blame=_blame(caller_key),
        )

    def _key(self, caller_key: str | None) -> str:
        key = caller_key if caller_key is not None else self._find_key()
        if not key:
            raise StoreError(
                Reason.STORE_AUTH,
                f"store {self._name!r} has no key: set {self._key_hint}",
                metadata={"store": self._name},
                blame=_blame(caller_key),
            )
        if not all("!" <= character <= "~" for character in key):
            raise StoreError(
                Reason.STORE_AUTH,
                f"store {self._name!r}: expected a key of letters, digits and punctuation",
                metadata={"store": self._name},
                blame=_blame(caller_key),
            )
        return key

    def _check_texts(self, ref: PromptRef) -> None:
        """Refuse what could not be sent, or would be taken for nothing at all."""
        check_path_id(ref.id, store=self._name)
        if not _is_unicode(ref.id):
            raise CallError(
                Reason.PROMPT_ID_INVALID,
                "prompt.id: expected Unicode text",
                metadata={"store": self._name},
            )
        for kind, value in (("version", ref.version), ("environment", ref.environment)):
            if value is None:
                continue
            if not value or not _is_unicode(value) or len(value.encode()) > _MAX_SELECTOR_BYTES:
                raise CallError(
                    Reason.SELECTOR_INVALID,
                    f"prompt.{kind}: expected a text of 1 to {_MAX_SELECTOR_BYTES} bytes",
                    metadata={"store": self._name, "id": ref.id},
                )

    def _read(self, body: bytes, ref: PromptRef) -> Template:
        try:
            return read_prompt(body, ref)
        except FieldError as error:
            place = ".".join(map(str, error.path))
            raise TemplateError(
                Reason.TEMPLATE_FORBIDDEN if error.forbidden else Reason.TEMPLATE_INVALID,
                f"prompt {ref.id!r} of store {self._name!r}, {place}: {error.problem}",
                metadata={"store": self._name, "id": ref.id},
            ) from None


def _blame(caller_key: str | None) -> Blame:
    return Blame.OPERATOR if caller_key is None else Blame.CALLER


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_same(one: Template, other: Template) -> bool:
    return (one.content_sha256, one.version, one.environment) == (
        other.content_sha256,
        other.version,
        other.environment,
    )


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
