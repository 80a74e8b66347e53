"""The stores that are somebody's service, each with an answer of that service for a prompt."""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prompt_resolver_server.domain.prompts import PromptRef
from prompt_resolver_server.settings.secrets import FixedSecret
from prompt_resolver_server.templates.humanloop.store import HumanloopStore
from prompt_resolver_server.templates.langfuse.store import LangfuseStore
from prompt_resolver_server.templates.litellm_generic import (
    LiteLLMGenericSettings,
    LiteLLMGenericStore,
)
from prompt_resolver_server.templates.web import WebClient
from prompt_resolver_server.templates.web_store import WebStore

KEY = "name-of-fake:key-of-fake"
HELLO = PromptRef(id="pr_1")


@dataclass(frozen=True)
class WebKind:
    """A kind of store: how one is made, and what its service answers for `HELLO`.

    `good` has a place for further fields of the document. `authorize` tells which header a key
    comes in.
    """

    name: str
    build: Callable[[WebClient, float, str | None], WebStore]
    good: bytes
    authorize: tuple[str, str]

    def make(
        self,
        url: str,
        *,
        key: str | None = KEY,
        timeout_s: float = 5,
        tls: ssl.SSLContext | None = None,
        proxy: str | None = None,
    ) -> WebStore:
        """Return a store called `w`."""
        client = WebClient(
            name="w",
            base_url=url,
            timeout_s=timeout_s,
            tls=tls or ssl.create_default_context(),
            find_proxy=lambda _: proxy,
        )
        return self.build(client, timeout_s, key)

    def answer(self, fields: bytes = b"") -> bytes:
        """Return an answer with further fields in it, each of them after a comma."""
        return self.good % fields

    def key_of(self, headers: Mapping[str, str]) -> str:
        """Return what came as the key."""
        name, prefix = self.authorize
        return headers[name].removeprefix(prefix)


def _humanloop(client: WebClient, timeout_s: float, key: str | None) -> WebStore:
    return HumanloopStore(
        name="w", client=client, timeout_s=timeout_s, find_key=lambda: key, key_hint="the key"
    )


def _langfuse(client: WebClient, timeout_s: float, key: str | None) -> WebStore:
    return LangfuseStore(
        name="w", client=client, timeout_s=timeout_s, find_key=lambda: key, key_hint="the key"
    )


def _litellm_generic(client: WebClient, timeout_s: float, key: str | None) -> WebStore:
    settings = LiteLLMGenericSettings(
        api_base="http://127.0.0.1",
        api_key=FixedSecret(key or ""),
        label_parameter="label",
        timeout_s=timeout_s,
    )
    return LiteLLMGenericStore(settings, name="w", client=client)


WEB_KINDS = (
    WebKind(
        "humanloop",
        _humanloop,
        b'{"id": "pr_1", "version_id": "prv_1", "model": "m"%s}',
        ("x-api-key", ""),
    ),
    WebKind(
        "langfuse",
        _langfuse,
        b'{"name": "pr_1", "version": 1, "type": "text", "prompt": "one",'
        b' "labels": ["production", "latest"]%s}',
        ("authorization", "Basic "),
    ),
    WebKind(
        "litellm_generic",
        _litellm_generic,
        b'{"prompt_id": "pr_1", "prompt_template": [{"role": "user", "content": "one"}]%s}',
        ("authorization", "Bearer "),
    ),
)
