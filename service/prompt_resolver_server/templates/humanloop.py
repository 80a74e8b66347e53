"""The `humanloop` store: prompts that are served by Humanloop's v5 API, or by what speaks it.

An id is what the API calls an id, such as `pr_…`, or a path, such as `support/greeting`. One
segment of plain letters is tried as an id first. The API answers with the version that is deployed
to the environment asked for, or to the default one.
"""

import asyncio
import re
from collections.abc import Callable
from urllib.parse import quote

from ..errors import Blame, CallError, Reason, StoreError, TemplateError
from ..json_codec import encode_json
from ..prompts import PromptRef, Template
from .fields import FieldError
from .humanloop_prompt import AnswerError, read_document, read_prompt, read_required
from .store import check_path_id, prompt_not_found, version_not_found
from .web import WebAnswer, WebClient, WebRequest

_ID = re.compile(r"[A-Za-z0-9_.-]+")
_PROMPT_PREFIX = "pr_"
_MAX_SELECTOR_BYTES = 512

# Reading more than this takes longer than other calls should wait.
_LARGE_BYTES = 64 * 1024


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
        check_path_id(ref.id, store=self._name)
        self._check_texts(ref)
        fetch = _Fetch(self._name, self._client, ref, caller_key, self._key(caller_key))
        try:
            async with asyncio.timeout(self._timeout_s):
                body = await fetch.run()
                if len(body) > _LARGE_BYTES:
                    template = await asyncio.to_thread(self._read, body, ref)
                else:
                    template = self._read(body, ref)
        except TimeoutError:
            raise self._client.unavailable("timeout", "did not answer in time") from None
        return held if held is not None and _is_same(template, held) else template

    def confirms(self, held: Template) -> bool:
        """Return False: the API would have to be asked."""
        return False

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

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
        except AnswerError as error:
            raise self._client.garbage(str(error)) from None
        except FieldError as error:
            place = ".".join(map(str, error.path))
            raise TemplateError(
                Reason.TEMPLATE_FORBIDDEN if error.forbidden else Reason.TEMPLATE_INVALID,
                f"prompt {ref.id!r} of store {self._name!r}, {place}: {error.problem}",
                metadata={"store": self._name, "id": ref.id},
            ) from None


class _Fetch:
    """One fetch: the requests that it takes, all with the same key."""

    def __init__(
        self, name: str, client: WebClient, ref: PromptRef, caller_key: str | None, key: str
    ) -> None:
        self._name = name
        self._client = client
        self._ref = ref
        self._blame = _blame(caller_key)
        self._headers = {"X-API-KEY": key}
        self._selector = {
            name: value
            for name, value in (("version_id", ref.version), ("environment", ref.environment))
            if value is not None
        }

    async def run(self) -> bytes:
        """Return the body of the prompt that is looked for."""
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
        path = f"/prompts/{quote(prompt_id, safe='')}"
        answer = await self._client.send(
            WebRequest(method="GET", path=path, query=selector, headers=self._headers)
        )
        return self._body(answer, selected=bool(selector))

    async def _find_by_path(self) -> str | None:
        """Return the id of the prompt at a path, or None where there is none."""
        answer = await self._client.send(
            WebRequest(
                method="POST",
                path="/files/retrieve-by-path",
                headers={**self._headers, "Content-Type": "application/json"},
                body=encode_json({"path": self._ref.id}),
            )
        )
        body = self._body(answer, selected=False)
        if body is None:
            return None
        try:
            document = read_document(body)
            prompt_id = read_required(document, "id")
        except AnswerError as error:
            raise self._client.garbage(str(error)) from None
        kind = document.get("type")
        if kind is not None and kind != "prompt":
            raise prompt_not_found(self._ref, store=self._name, hint=": it is not a prompt")
        if not _ID.fullmatch(prompt_id) or prompt_id in (".", ".."):
            raise self._client.garbage("id: expected an id")
        return prompt_id

    async def _absence(self) -> StoreError:
        """Tell a prompt that is not there from one without such a version."""
        if self._selector and await self._get(self._ref.id, selected=False) is not None:
            return self._no_version()
        return self._no_prompt()

    def _no_prompt(self) -> StoreError:
        return prompt_not_found(self._ref, store=self._name)

    def _no_version(self) -> StoreError:
        return version_not_found(self._ref, store=self._name, known="the prompt itself is there")

    def _body(self, answer: WebAnswer, *, selected: bool) -> bytes | None:
        """Return an answer's body, or None for "not found", or raise what the status says."""
        status = answer.status
        match status:
            case 200:
                return answer.body
            case 404 if not answer.is_page:
                # A page says that the API itself is not there, as where it has been closed.
                return None
            case 401 | 403:
                whose = "the caller's" if self._blame is Blame.CALLER else "the configured"
                raise StoreError(
                    Reason.STORE_AUTH,
                    f"store {self._name!r} refuses {whose} key",
                    metadata={"store": self._name, "http_status": str(status)},
                    blame=self._blame,
                )
            case 400 | 422 if selected:
                kind = "version" if self._ref.version is not None else "environment"
                raise CallError(
                    Reason.SELECTOR_INVALID,
                    f"prompt.{kind}: store {self._name!r} refuses it",
                    metadata={"store": self._name, "id": self._ref.id},
                )
        raise self._client.unavailable(
            "status",
            f"answered with HTTP status {status}",
            retry_after_s=answer.retry_after_s,
            http_status=str(status),
        )


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
