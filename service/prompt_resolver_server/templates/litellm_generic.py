"""The `litellm_generic` store: prompts of whatever serves LiteLLM's Generic Prompt Management API.

    GET {api_base}/beta/litellm_prompt_management?prompt_id=

The API has no versions, so a version is the beginning of the hash of what is served, and no other
can be asked for. Some servers take a version or a label in the query: where the settings say under
which name, it is sent, and whether it is honoured is the server's to know. Elsewhere it is refused.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field
from typing_extensions import override

from ..domain.errors import Blame, CallError, Reason
from ..domain.parameters import Json
from ..domain.prompts import PromptRef, Template
from ..settings.fields import KeyText, NeededUrl, Seconds
from ..settings.model import StoreSettings
from ..settings.unused import is_parameter
from .formats.answers import (
    AnswerError,
    as_list,
    as_mapping,
    digest,
    read_document,
    read_optional_text,
)
from .formats.fields import FieldError
from .formats.openai_messages import read_message
from .formats.openai_parameters import (
    PARAMETERS,
    inside,
    read_openai_parameters,
    read_openai_tool_choice,
    read_openai_tools,
)
from .kind import Site, StoreKind
from .store import PROMPT_SEEN, PROMPT_UNSEEN, Account, prompt_not_found, version_not_found
from .web import WebAnswer, WebClient
from .web_session import Session
from .web_store import WebStore

_PATH = "/beta/litellm_prompt_management"
_ID = "prompt_id"
_TEMPLATE = "prompt_template"
_MODEL = "prompt_template_model"
_PARAMETERS = "prompt_template_optional_params"
_VERSION_DIGITS = 12
# How LiteLLM would call, which is the caller's to say here, and the configuration's.
_CALLING: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("stream", "drop_params"), (bool,)),
    **dict.fromkeys(("timeout", "request_timeout", "stream_timeout"), (int, float)),
    **dict.fromkeys(("num_retries", "max_retries"), (int,)),
    "stream_options": (dict,),
}
_SCALARS = (str, int, float, bool)


def _check_name(name: str) -> str:
    if not name or name == _ID:
        raise ValueError(f"expected the name of a parameter other than {_ID}")
    return name


def _read_query(value: Json) -> Json:
    """Return parameters as texts, as LiteLLM's client puts them in a query."""
    if not isinstance(value, dict) or not all(
        isinstance(item, _SCALARS) for item in value.values()
    ):
        raise ValueError("expected texts, numbers, true or false by name")
    return {
        _check_name(name): str(item).lower() if isinstance(item, bool) else str(item)
        for name, item in value.items()
    }


_Name = Annotated[str, AfterValidator(_check_name)]


class LiteLLMGenericSettings(StoreSettings):
    """A store that is a server of LiteLLM's Generic Prompt Management API."""

    type: Literal["litellm_generic"] = "litellm_generic"
    api_base: NeededUrl = Field(validation_alias=AliasChoices("api_base", "base_url"))
    """Where it is, without the API's own path. May be called `base_url`."""
    api_key: KeyText = None
    """Its key: text, `os.environ/NAME` or `file:/path`; unset: none is sent."""
    query: Annotated[dict[str, str], BeforeValidator(_read_query)] = Field(
        default_factory=dict,
        validation_alias=AliasChoices("query", "provider_specific_query_params"),
    )
    """What is added to each request. May be called `provider_specific_query_params`."""
    version_parameter: _Name | None = None
    """Under which name a version is sent; unset: it is compared with what is served."""
    label_parameter: _Name | None = None
    """Under which name an environment is sent; unset: none can be asked for."""
    variables: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """The variables that a call has to bring, by prompt: of the others nobody can tell whether they
    are any, or just braces."""
    timeout_s: Seconds = 5.0
    """How long a prompt may take to be fetched, whatever requests that takes."""


_SHAPING = {"query", "version_parameter", "label_parameter", "variables"}


class LiteLLMGenericStore(WebStore):
    """A server of the API as a store. It lists nothing."""

    def __init__(self, settings: LiteLLMGenericSettings, *, name: str, client: WebClient) -> None:
        key = settings.api_key
        super().__init__(
            name=name,
            client=client,
            timeout_s=settings.timeout_s,
            find_key=key.reveal if key is not None else lambda: None,
            key_hint=f"stores.{name}.api_key",
        )
        self._settings = settings
        self._shape = settings.model_dump_json(include=_SHAPING)

    @override
    def account(self) -> Account | None:
        """Return where the API is and what shapes its answers, and the configured key, if any."""
        key = self._find_key()
        if key is None and self._settings.api_key is not None:
            return None
        return Account(f"{self._client.base_url} {self._shape}", key or "")

    @override
    def _check(self, ref: PromptRef) -> None:
        super()._check(ref)
        if ref.environment is not None and self._settings.label_parameter is None:
            raise CallError(
                Reason.SELECTOR_INVALID,
                f"prompt.environment: store {self._name!r} has none;"
                f" stores.{self._name}.label_parameter would say how to ask for one",
                metadata={"store": self._name, "id": ref.id},
            )

    @override
    def _carry(self, key: str | None, blame: Blame) -> Mapping[str, str]:
        # The API may be open to all.
        needed = key is not None or self._settings.api_key is not None
        return super()._carry(key, blame) if needed else {}

    @override
    def _authorize(self, key: str) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {key}"}

    @override
    async def _request(self, session: Session, ref: PromptRef) -> WebAnswer:
        selector = self._selector(ref)
        query = {**self._settings.query, _ID: ref.id}
        answer = await session.get(_PATH, {**query, **selector})
        found = session.find(answer, selected=ref if selector else None)
        if found is not None:
            return found
        if not selector:
            raise prompt_not_found(ref, store=self._name)
        is_there = await session.refine(_is_there(session, query))
        if is_there is False:
            raise prompt_not_found(ref, store=self._name)
        known = PROMPT_SEEN if is_there else PROMPT_UNSEEN
        raise version_not_found(ref, store=self._name, known=known)

    @override
    def _read(self, body: bytes, ref: PromptRef) -> Template:
        template = read_prompt(body, ref, self._settings.variables.get(ref.id, ()))
        pinned = ref.version if self._settings.version_parameter is None else None
        if pinned not in (None, template.version, template.content_sha256):
            known = f"its only version is {template.version!r}"
            raise version_not_found(ref, store=self._name, known=known)
        return template

    def _selector(self, ref: PromptRef) -> Mapping[str, str]:
        named = (
            (self._settings.version_parameter, ref.version),
            (self._settings.label_parameter, ref.environment),
        )
        return {name: value for name, value in named if name is not None and value is not None}


async def _is_there(session: Session, query: Mapping[str, str]) -> bool:
    return session.find(await session.get(_PATH, query)) is not None


def read_prompt(body: bytes, ref: PromptRef, variables: tuple[str, ...] = ()) -> Template:
    """Return the template of an answer; `variables` are those that a call has to bring.

    Raises `AnswerError` and `FieldError`.
    """
    document = read_document(body)
    items = as_list(document.get(_TEMPLATE), (_TEMPLATE,))
    if not items:
        raise AnswerError((_TEMPLATE,), "expected messages, got an empty list")
    options = _read_options(document.get(_PARAMETERS))
    model = read_optional_text(document, _MODEL)
    content_sha256 = digest({"messages": items, "model": model, "parameters": options})
    with inside(_PARAMETERS):
        return Template(
            id=ref.id,
            name=ref.id.rpartition("/")[2],
            version=content_sha256[:_VERSION_DIGITS],
            environment=ref.environment or "",
            content_sha256=content_sha256,
            location=ref.id,
            size=len(body),
            language="braces",
            messages=tuple(
                read_message(item, (_TEMPLATE, index), thoughts="thinking_blocks")
                for index, item in enumerate(items)
            ),
            model=model or None,
            parameters=read_openai_parameters(options, _read_extra(options)),
            tools=read_openai_tools(options.get("tools"), ("tools",)),
            tool_choice=read_openai_tool_choice(options.get("tool_choice"), ("tool_choice",)),
            schema={"type": "object", "required": list(variables)} if variables else None,
        )


def _read_options(value: Json) -> dict[str, Json]:
    """Return the parameters that are set and mean something here.

    A budget of thoughts is the effort that it is here.
    """
    given = as_mapping(value, (_PARAMETERS,)) if value is not None else {}
    options: dict[str, Json] = {
        name: item
        for name, item in given.items()
        if item is not None and not isinstance(item, _CALLING.get(name, ()))
    }
    if options.get("n") == 1:
        # One answer is what there is.
        del options["n"]
    match options.get("thinking"):
        case {"type": "enabled", "budget_tokens": int(budget)}:
            del options["thinking"]
            options["reasoning_effort"] = budget
    return options


def _read_extra(options: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return the parameters that have no name of their own here."""
    extra = {
        name: value
        for name, value in options.items()
        if name not in PARAMETERS and name not in ("tools", "tool_choice")
    }
    for name in extra:
        if not is_parameter(name):
            raise FieldError((name,), "refused, as it is LiteLLM's own setting", forbidden=True)
    return extra


def _build(settings: LiteLLMGenericSettings, site: Site) -> LiteLLMGenericStore:
    client = site.web_client(base_url=settings.api_base, timeout_s=settings.timeout_s)
    return LiteLLMGenericStore(settings, name=site.name, client=client)


KIND = StoreKind(settings=LiteLLMGenericSettings, build=_build)
