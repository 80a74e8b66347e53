"""What the stores that are somebody's service have in common.

Whose key is sent and who is to blame for it, what cannot be sent at all, how long the requests of a
fetch may take together, who has to act on an answer that cannot be used, and that what is held is
only sent again once it has changed.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar
from weakref import WeakKeyDictionary

from ..domain.errors import Blame, Reason, StoreError, TemplateError
from ..domain.prompts import PromptRef, Template
from .formats.answers import AnswerError
from .formats.fields import FieldError
from .listing import ListQuery, TemplatePage
from .store import Account, check_ref, is_same
from .web import Validators, WebAnswer, WebClient
from .web_session import NOT_MODIFIED, Session

_log = logging.getLogger(__name__)

# Reading more than this takes longer than other calls should wait.
_LARGE_BYTES = 64 * 1024

_Result = TypeVar("_Result")


class WebStore(ABC):
    """A `TemplateStore` over an HTTP API. `name` is the store's own, for errors.

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
        self._validators: WeakKeyDictionary[Template, Validators] = WeakKeyDictionary()

    async def fetch(
        self, ref: PromptRef, held: Template | None, *, caller_key: str | None = None
    ) -> Template:
        """Return the template that the API answers with; see `TemplateStore.fetch`."""
        self._check(ref)
        session = self._session(caller_key, held)
        async with self._limited():
            answer = await self._request(session, ref)
            if held is not None and answer.status == NOT_MODIFIED:
                return held
            template = await self._decode(answer.body, lambda body: self._template(body, ref))
        if held is not None and is_same(template, held):
            template = held
        self._note(template, answer.validators)
        return template

    @property
    def base_url(self) -> str:
        """Where the API is."""
        return self._client.base_url

    def confirms(self, held: Template) -> bool:
        """Return False: the API would have to be asked."""
        return False

    def account(self) -> Account | None:
        """Return where the API is, and the configured key; see `AccountStore.account`."""
        key = self._find_key()
        return Account(self._client.base_url, key) if key else None

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    @abstractmethod
    def _authorize(self, key: str) -> Mapping[str, str]:
        """Return the headers that carry a key. Raises `ValueError` for what is none."""

    @abstractmethod
    async def _request(self, session: Session, ref: PromptRef) -> WebAnswer:
        """Return the answer that has the prompt, or is that it is what is held."""

    @abstractmethod
    def _read(self, body: bytes, ref: PromptRef) -> Template:
        """Return the template of a body. Raises `AnswerError` and `FieldError`."""

    def _check(self, ref: PromptRef) -> None:
        """Refuse what could not be sent, or would be taken for nothing at all."""
        check_ref(ref, store=self._name)

    def _session(self, caller_key: str | None, held: Template | None = None) -> Session:
        blame = Blame.OPERATOR if caller_key is None else Blame.CALLER
        key = caller_key if caller_key is not None else self._find_key()
        whose = "the configured key" if blame is Blame.OPERATOR else "the caller's key"
        return Session(
            store=self._name,
            client=self._client,
            headers=self._carry(key, blame),
            sent=whose if key else "a request without a key",
            blame=blame,
            ends_at=asyncio.get_running_loop().time() + self._timeout_s,
            known=self._validators.get(held) if held is not None else None,
        )

    def _carry(self, key: str | None, blame: Blame) -> Mapping[str, str]:
        """Return the headers that carry a key. Raises STORE_AUTH for what is none."""
        if not key:
            raise self._no_key(f"store {self._name!r} has no key: set {self._key_hint}", blame)
        try:
            if not all("!" <= character <= "~" for character in key):
                raise ValueError("expected a key of letters, digits and punctuation")
            return self._authorize(key)
        except ValueError as problem:
            raise self._no_key(f"store {self._name!r}: {problem}", blame) from None

    def _no_key(self, message: str, blame: Blame) -> StoreError:
        return StoreError(Reason.STORE_AUTH, message, metadata={"store": self._name}, blame=blame)

    @asynccontextmanager
    async def _limited(self) -> AsyncIterator[None]:
        """Limit how long some requests take together, and tell of an answer that is none."""
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
        except TimeoutError:
            raise self._client.unavailable("timeout", "did not answer in time") from None
        except AnswerError as error:
            raise self._client.garbage(str(error)) from None

    @staticmethod
    async def _decode(body: bytes, read: Callable[[bytes], _Result]) -> _Result:
        """Read a body, beside the event loop where that takes a while."""
        if len(body) > _LARGE_BYTES:
            return await asyncio.to_thread(read, body)
        return read(body)

    def _template(self, body: bytes, ref: PromptRef) -> Template:
        """Return the template of a body, or tell its author what to mend."""
        try:
            return self._read(body, ref)
        except FieldError as error:
            place = ".".join(map(str, error.path))
            raise TemplateError(
                Reason.TEMPLATE_FORBIDDEN if error.forbidden else Reason.TEMPLATE_INVALID,
                f"prompt {ref.id!r} of store {self._name!r}, {place}: {error.problem}",
                metadata={"store": self._name, "id": ref.id},
            ) from None

    def _page(
        self, query: ListQuery, templates: tuple[Template, ...], *, broken: int, total: int | None
    ) -> TemplatePage:
        """Return a page of a list without the prompts that are broken."""
        self._tell_broken(broken)
        if broken and not templates:
            # Whoever turns the pages takes an empty one for the end.
            raise TemplateError(
                Reason.TEMPLATE_INVALID,
                f"store {self._name!r}: expected a prompt on page {query.page} that can be read",
                metadata={"store": self._name},
            )
        known = (query.page - 1) * query.size + len(templates)
        return TemplatePage(templates=templates, total=known if total is None else total)

    def _tell_broken(self, broken: int) -> None:
        if broken:
            _log.warning(
                "prompts are broken, the others are listed",
                extra={"store": self._name, "broken": broken},
            )

    def _note(self, template: Template, validators: Validators | None) -> None:
        """Keep the validators of an answer for as long as its template is held by anybody."""
        if validators is not None:
            self._validators[template] = validators
        else:
            self._validators.pop(template, None)
