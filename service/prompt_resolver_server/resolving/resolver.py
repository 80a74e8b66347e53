"""The use case: fetch a prompt, render it, and have its model answer.

Every door comes through here, so that they all mean the same.
"""

import time
from collections.abc import Mapping, Sequence

from ..catalogue import Catalogue
from ..dispatch.dispatcher import Dispatcher
from ..dispatch.notation import Notation
from ..dispatch.route import Draw, pick
from ..domain.aliases import NO_FALLBACKS, NO_ROW, Alias, Deployment, Fallbacks, Terms
from ..domain.answers import Answer, Dispatch, Finish
from ..domain.errors import CallError, Reason
from ..domain.permissions import Permissions
from ..metrics import Metrics
from ..rendering import Renderer
from ..templates.cache.inventory import Inventory
from ..templates.prompt_stores import PromptStores
from .failover import Deliver, Failover
from .preparer import Preparer
from .queries import Query, Resolution
from .references import check_query

__all__ = ["Query", "Resolution", "Resolver"]


class Resolver:
    """Resolves prompts and has them answered.

    `terms` are those of calls that name no alias, and `fallbacks` the aliases that answer in their
    place. `draw` decides which of an alias' deployments serves, and how long to wait before a
    retry.
    """

    def __init__(
        self,
        *,
        stores: PromptStores,
        renderer: Renderer,
        notation: Notation,
        aliases: Mapping[str, Alias],
        terms: Terms,
        dispatcher: Dispatcher,
        metrics: Metrics,
        draw: Draw,
        fallbacks: Fallbacks = NO_FALLBACKS,
    ) -> None:
        self._stores = stores
        self._notation = notation
        self._aliases = aliases
        self._no_alias = Alias(
            name="", deployments=(Deployment(row=NO_ROW, terms=terms),), fallbacks=fallbacks
        )
        self._cooldowns = dispatcher.cooldowns
        self._metrics = metrics
        self._draw = draw
        self._preparer = Preparer(
            stores=stores, renderer=renderer, notation=notation, metrics=metrics
        )
        self._failover = Failover(
            preparer=self._preparer,
            aliases=aliases,
            dispatcher=dispatcher,
            metrics=metrics.upstream,
            draw=draw,
        )
        self._catalogue = Catalogue(stores)

    @property
    def catalogue(self) -> Catalogue:
        """Prompts as their stores have them."""
        return self._catalogue

    @property
    def stores(self) -> PromptStores:
        """The stores that prompts come from."""
        return self._stores

    @property
    def inventory(self) -> Inventory:
        """What the cache of templates holds."""
        return self._stores.inventory

    def list_aliases(self, permissions: Permissions) -> Sequence[str]:
        """Return the names of the aliases that may be used."""
        return [name for name in self._aliases if permissions.allow("alias", name)]

    def check_alias(self, name: str, permissions: Permissions) -> None:
        """Raise CALLER_FORBIDDEN or ALIAS_UNKNOWN for what is no alias that may be used."""
        permissions.check("alias", name)
        self._find_alias(name)

    def find_model(self, name: str, permissions: Permissions) -> tuple[str | None, str | None]:
        """Tell whether a name is an alias or a model: as the one or the other of the two returned.

        What is no alias is a model only if it names a store or a provider. An alias or a store that
        may not be used is none. Raises CALLER_FORBIDDEN and ALIAS_UNKNOWN.
        """
        if name in self._aliases and permissions.allow("alias", name):
            return name, None
        if not self._notation.names_owner(name, permissions):
            permissions.check("alias", name)
            # It may begin with a store's name, and whether it does is not told.
            permissions.check("store", name.partition("/")[0])
            raise _alias_unknown(name)
        return None, name

    def has_prompt(self, alias: str) -> bool:
        """Tell whether any row of an alias has a prompt of its own."""
        return any(row.prompt is not None for row in self._find_alias(alias).deployments)

    async def resolve(self, query: Query) -> Resolution:
        """Return the rendered prompt. Calls no model. Raises CALLER_FORBIDDEN before anything."""
        query.span.asked(query.prompt, query.alias)
        permissions = query.credentials.permissions
        alias = self._no_alias
        if query.alias is not None:
            permissions.check("alias", query.alias)
            alias = self._find_alias(query.alias)
        if permissions.rules:
            check_query(query, alias, notation=self._notation, stores=self._stores)
        deployments = self._cooldowns.free(alias.deployments)
        resolution = await self._preparer.prepare(query, alias, pick(deployments, self._draw))
        if (served := resolution.prompt.served) is not None:
            query.span.served(served)
        return resolution

    async def complete(self, resolution: Resolution) -> tuple[Answer, Dispatch]:
        """Return the model's whole answer to a resolved prompt, and how it came about."""
        answer, dispatch = await self._failover.complete(resolution)
        self._conclude("complete", resolution, dispatch)
        return answer, dispatch

    async def stream(self, resolution: Resolution, deliver: Deliver) -> tuple[Finish, Dispatch]:
        """Deliver the model's answer to a resolved prompt as it arrives; return how it ended."""
        finish, dispatch = await self._failover.stream(resolution, deliver)
        self._conclude("stream", resolution, dispatch)
        return finish, dispatch

    def _conclude(self, method: str, resolution: Resolution, dispatch: Dispatch) -> None:
        """Count an answered call, and have its span tell what served it in the end."""
        seconds = time.perf_counter() - resolution.began - dispatch.waited_s
        self._metrics.upstream.answered(method, seconds)
        span = resolution.query.span
        if (served := dispatch.prompt.served) is not resolution.prompt.served and served:
            span.served(served)
        if dispatch.cost is not None:
            span.charged(dispatch.cost)

    def _find_alias(self, name: str) -> Alias:
        alias = self._aliases.get(name)
        if alias is None:
            raise _alias_unknown(name)
        return alias


def _alias_unknown(name: str) -> CallError:
    """Return the error for an alias that is not configured."""
    return CallError(
        Reason.ALIAS_UNKNOWN,
        f"alias: no alias {name!r} is configured",
        metadata={"alias": name},
    )
