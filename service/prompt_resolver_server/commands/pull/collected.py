"""A prompt as its store has it: its versions, and which of them is deployed where."""

from collections.abc import Mapping, Sequence
from functools import partial

from msgspec import field

from ...domain.errors import Reason, ResolverError
from ...domain.prompts import PromptRef, Template
from ...domain.values import Value
from ...templates.directory.layout import ENDING
from ...templates.listing import Environment, ListingStore
from ...templates.store import TemplateStore
from .retries import Retries


class Selection(Value, frozen=True, kw_only=True):
    """Which versions to copy: all, or those that are deployed, to anything or to these."""

    shown = ("environments", "deployed_only")

    environments: tuple[str, ...] = ()
    deployed_only: bool = False


class Collected(Value, frozen=True, kw_only=True):
    """A prompt with its versions by name, and the version that each environment has.

    `id` is the store's and `path` the one that it gets in the directory. `served` is what is served
    without a selector, if anything is, and `named_default` the environment that the store calls the
    default one.
    """

    shown = ("id", "path")

    id: str
    path: str
    served: Template | None = None
    versions: Mapping[str, Template] = field(default_factory=dict)
    environments: Mapping[str, str] = field(default_factory=dict)
    named_default: str = ""

    @property
    def default(self) -> str | None:
        """The environment whose version is served without a selector; None: it is none's."""
        served = self.served
        if served is None:
            return None
        for name in (served.environment, self.named_default):
            if self.environments.get(name) == served.version:
                return name
        return None


def path_of(template: Template) -> str:
    """Return the path of a prompt: where people find it, without the ending of a file's name."""
    return template.location.removesuffix(ENDING) or template.id


class Collector:
    """Collects prompts from a store."""

    def __init__(self, store: TemplateStore, selection: Selection, retries: Retries) -> None:
        self._store = store
        self.selection = selection
        self._retries = retries

    async def collect(self, prompt_id: str) -> Collected | None:
        """Return a prompt; None where none of its versions is selected. Raises `ResolverError`."""
        store, found, deployed = self._store, dict[str, Template](), dict[str, str]()
        named_default = ""
        if isinstance(store, ListingStore):
            for version in await self._retries.ask(partial(store.list_versions, prompt_id)):
                found[version.version] = version
            environments = await self._retries.ask(partial(store.list_environments, prompt_id))
            deployed = await self._deployed(prompt_id, environments, found)
            named_default = next((each.name for each in environments if each.tag == "default"), "")
        for name in self.selection.environments:
            if name not in deployed:
                template = await self._fetch(PromptRef(id=prompt_id, environment=name), found)
                if template is not None:
                    deployed[name] = template.version
        served = await self._fetch(PromptRef(id=prompt_id), found)
        return self._select(served, found, deployed, named_default)

    async def _fetch(self, ref: PromptRef, found: dict[str, Template]) -> Template | None:
        """Return a template, and add it to what is found; None where there is none to serve."""
        try:
            template = await self._retries.ask(partial(self._store.fetch, ref, None))
        except ResolverError as error:
            # A store may not tell a prompt without a default version from one that is not there.
            absent = error.reason is Reason.PROMPT_NOT_FOUND and found
            if absent or error.reason is Reason.VERSION_NOT_FOUND:
                return None
            raise
        found.setdefault(template.version, template)
        return template

    async def _deployed(
        self, prompt_id: str, environments: Sequence[Environment], found: dict[str, Template]
    ) -> dict[str, str]:
        deployed = {}
        for each in environments:
            template = each.template
            if template is None:
                # Nothing is deployed there, or what no list has, as it is broken: that is told.
                ref = PromptRef(id=prompt_id, environment=each.name)
                template = await self._fetch(ref, found)
            if template is not None:
                found.setdefault(template.version, template)
                deployed[each.name] = template.version
        return deployed

    def _select(
        self,
        served: Template | None,
        found: Mapping[str, Template],
        deployed: Mapping[str, str],
        named_default: str,
    ) -> Collected | None:
        wanted = self.selection.environments
        if wanted:
            deployed = {name: version for name, version in deployed.items() if name in wanted}
            if served is not None:
                ways = (served.environment, named_default)
                served = served if served.version in map(deployed.get, ways) else None
        if wanted or self.selection.deployed_only:
            kept = {*deployed.values(), *((served.version,) if served is not None else ())}
            found = {name: template for name, template in found.items() if name in kept}
        if not found:
            return None
        first = next(iter(found.values()))
        return Collected(
            id=first.id,
            path=path_of(first),
            served=served,
            versions=found,
            environments=deployed,
            named_default=named_default,
        )
