"""Model strings: `<provider>/<model>`, `<store>/<model>` and `<store>/<provider>/<model>`.

The first part is looked up as a store, then as a provider. `<store>` alone and `<store>/auto` leave
the model to the template. A name without a provider is one of OpenAI's, which carry no prefix in
this notation, unless it is known from elsewhere whose it is.
"""

from collections.abc import Container, Mapping
from typing import Literal

from msgspec.structs import replace

from ..domain.aliases import Deployment
from ..domain.errors import Blame, CallError, Reason
from ..domain.permissions import UNLIMITED, Permissions
from ..domain.prompts import Template
from ..domain.values import Value

DEFAULT_PROVIDER = "openai"

HUMANLOOP_PROVIDERS: Mapping[str, str] = {
    "google": "gemini",
    "mock": "echo",
    "openai_azure": "azure",
}
"""The providers whose names here are not Humanloop's, by Humanloop's."""

_ROUTES: Mapping[str, str] = {"bedrock": "converse/"}
"""What may stand before a provider's model in LiteLLM's notation, to name the API that is meant:
the only one that is spoken here."""


NamedBy = Literal["caller", "alias", "template", "nobody"]


Author = Literal["alias", "template"]
"""Who sets a model and parameters beside the caller."""


class ModelName(Value, frozen=True, kw_only=True):
    """A model string, taken apart; `prefix` stands before the model and is no store's name."""

    shown = ("store", "prefix", "model")

    store: str | None = None
    prefix: str | None = None
    model: str | None = None

    @property
    def full_name(self) -> str:
        """The model as it was named, without the store; empty if none was."""
        model = self.model or ""
        return model if self.prefix is None else f"{self.prefix}/{model}"


class ModelChoice(Value, frozen=True, kw_only=True):
    """The model that was chosen, whose it is, and who named it. Empty if nobody named one.

    `passed_over` is the other model where the alias and the template name different ones.
    `meant_elsewhere` are those of the two that were written for another provider: the one that they
    name, or where they name none, the one that the other names.
    """

    shown = ("provider", "model", "named_by")

    provider: str = ""
    model: str = ""
    named_by: NamedBy = "nobody"
    passed_over: str = ""
    meant_elsewhere: frozenset[Author] = frozenset()

    @property
    def full_name(self) -> str:
        """The model with its provider before it, if that is known."""
        return f"{self.provider}/{self.model}" if self.provider else self.model

    @property
    def author(self) -> str:
        """Whose signatures the model reads: its maker's, where that is known, else its provider's.

        Anthropic's models read each other's wherever they are served.
        """
        is_claude = self.provider == "bedrock" and "anthropic." in self.model
        return "anthropic" if is_claude else self.provider


_NO_CHOICE = ModelChoice()


class Notation:
    """Reads model strings, knowing which stores and providers there are.

    A store that a caller may not use is none in what it names.
    """

    def __init__(self, *, stores: Container[str], providers: Container[str]) -> None:
        self._stores = stores
        self._providers = providers

    def read(self, text: str, permissions: Permissions = UNLIMITED) -> ModelName:
        """Take a model string apart."""
        store = None
        first, slash, rest = text.partition("/")
        if first in self._stores and permissions.allow("store", first):
            store, text = first, rest
            if text in ("", "auto"):
                return ModelName(store=store)
            first, slash, rest = text.partition("/")
        if slash and first and rest:
            return ModelName(store=store, prefix=first, model=rest)
        return ModelName(store=store, model=text)

    def has_provider(self, name: str) -> bool:
        """Tell whether there is a provider of this name."""
        return name in self._providers

    def has_owner(self, prefix: str) -> bool:
        """Tell whether what stands before a model is a provider's name, or Humanloop's for it."""
        return self.provider_name(prefix) in self._providers

    def names_owner(self, text: str, permissions: Permissions = UNLIMITED) -> bool:
        """Tell whether a model string begins with a store that there is, or with a provider."""
        first, slash, _ = text.partition("/")
        if first in self._stores and permissions.allow("store", first):
            return True
        return bool(slash) and self.has_owner(first)

    def choose(
        self, *, requested: ModelName | None, deployment: Deployment, template: Template | None
    ) -> ModelChoice:
        """Return the model that answers: the request's, else the alias', else the template's.

        A deployment that prefers the template's model comes last. Raises PROVIDER_UNKNOWN if the
        caller names a provider that there is not; what an alias or a template names is judged when
        it is used.
        """
        of_template = self._of_template(template)
        if requested is not None and requested.model is not None:
            chosen = self._of_request(requested, requested.model, template)
            return _compare(chosen, self.of_alias(deployment), of_template)
        if deployment.model is None:
            return of_template
        of_alias = self.of_alias(deployment)
        candidates = [of_alias, of_template]
        if deployment.prefer_template_model:
            candidates.reverse()
        named = [choice for choice in candidates if choice.model]
        if not named:
            return ModelChoice()
        first, last = named[0], named[-1]
        if (first.provider, first.model) == (last.provider, last.model):
            return first
        return _compare(replace(first, passed_over=last.full_name), of_alias, of_template)

    def _of_request(
        self, requested: ModelName, model: str, template: Template | None
    ) -> ModelChoice:
        if requested.prefix is None:
            of_template = template.provider if template is not None else None
            return self._choose(of_template or DEFAULT_PROVIDER, model, "caller")
        choice = self._choose(requested.prefix, model, "caller")
        if choice.provider not in self._providers:
            raise CallError(
                Reason.PROVIDER_UNKNOWN,
                f"model: no provider {requested.prefix!r} is configured",
                metadata={"provider": requested.prefix},
                blame=Blame.CALLER,
            )
        return choice

    def of_alias(self, deployment: Deployment) -> ModelChoice:
        """Return the model that an alias' deployment names, empty where it names none."""
        if deployment.model is None or (name := self.read(deployment.model)).model is None:
            return _NO_CHOICE
        if deployment.provider:
            # Whose model it is has been said, so a prefix that says the same is not part of its
            # name.
            same = name.prefix == deployment.provider
            model = name.model if same or name.prefix is None else f"{name.prefix}/{name.model}"
            return self._choose(deployment.provider, model, "alias")
        return self._choose(name.prefix or DEFAULT_PROVIDER, name.model, "alias")

    def _of_template(self, template: Template | None) -> ModelChoice:
        if template is None or not template.model:
            return _NO_CHOICE
        if template.provider:
            return self._choose(template.provider, template.model, "template")
        prefix, slash, rest = template.model.partition("/")
        if not slash:
            return self._choose(DEFAULT_PROVIDER, template.model, "template")
        return self._choose(prefix, rest, "template")

    def _choose(self, name: str, model: str, named_by: NamedBy) -> ModelChoice:
        provider = self.provider_name(name)
        if provider in _ROUTES:
            model = model.removeprefix(_ROUTES[provider])
        return ModelChoice(provider=provider, model=model, named_by=named_by)

    def provider_name(self, name: str) -> str:
        """Return a provider's name here, for a store that may use Humanloop's name for it."""
        return name if name in self._providers else HUMANLOOP_PROVIDERS.get(name, name)


def _compare(chosen: ModelChoice, of_alias: ModelChoice, of_template: ModelChoice) -> ModelChoice:
    """Return a choice that tells whose parameters were written for another provider."""
    here = ("", chosen.provider)
    elsewhere: list[Author] = []
    if (of_alias.provider or of_template.provider) not in here:
        elsewhere.append("alias")
    if (of_template.provider or of_alias.provider) not in here:
        elsewhere.append("template")
    return replace(chosen, meant_elsewhere=frozenset(elsewhere)) if elsewhere else chosen
