"""The use case: fetch a prompt, render it, and have its model answer.

Every door comes through here, so that they all mean the same.
"""

import logging
import time
import weakref
from collections.abc import Awaitable, Mapping, Sequence

from ..catalogue import Catalogue
from ..dispatch.dispatcher import Dispatcher
from ..dispatch.notation import ModelChoice, Notation
from ..dispatch.route import Draw, pick
from ..domain.aliases import NO_FALLBACKS, NO_ROW, Alias, Deployment, Fallbacks, Terms
from ..domain.answers import Answer, Dispatch, Finish
from ..domain.errors import CallError, Reason, TemplateError, invalid_request
from ..domain.explaining import explaining
from ..domain.parameters import Json
from ..domain.permissions import Permissions
from ..domain.prompts import Message, PromptRef, ResolvedPrompt, ServedTemplate, Tool, ToolChoice
from ..metrics import Metrics
from ..rendering import Renderer, join
from ..templates.cache.inventory import Inventory
from ..templates.supply import TemplateSupply
from .candidates import Prepare
from .failover import Deliver, Failover
from .queries import Query, Resolution
from .references import check_query, refer
from .steps import tell_alias, tell_choice, tell_parameters, tell_rendered

__all__ = ["Query", "Resolution", "Resolver"]

_log = logging.getLogger(__name__)


class Resolver:
    """Resolves prompts and has them answered.

    `terms` are those of calls that name no alias, and `fallbacks` the aliases that answer in their
    place. `draw` decides which of an alias' deployments serves, and how long to wait before a
    retry.
    """

    def __init__(
        self,
        *,
        templates: TemplateSupply,
        renderer: Renderer,
        notation: Notation,
        aliases: Mapping[str, Alias],
        terms: Terms,
        dispatcher: Dispatcher,
        metrics: Metrics,
        draw: Draw,
        fallbacks: Fallbacks = NO_FALLBACKS,
    ) -> None:
        self._templates = templates
        self._renderer = renderer
        self._notation = notation
        self._aliases = aliases
        self._no_alias = Alias(
            name="", deployments=(Deployment(row=NO_ROW, terms=terms),), fallbacks=fallbacks
        )
        self._cooldowns = dispatcher.cooldowns
        self._metrics = metrics
        self._draw = draw
        self._failover = Failover(
            prepare=_without_keeping(self),
            aliases=aliases,
            dispatcher=dispatcher,
            metrics=metrics.upstream,
            draw=draw,
        )
        self._catalogue = Catalogue(templates)
        self._told: set[tuple[str, str, str]] = set()

    @property
    def catalogue(self) -> Catalogue:
        """Prompts as their stores have them."""
        return self._catalogue

    @property
    def templates(self) -> TemplateSupply:
        """Where the templates come from."""
        return self._templates

    @property
    def inventory(self) -> Inventory:
        """What the cache of templates holds."""
        return self._templates.inventory

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
            check_query(query, alias, notation=self._notation, supply=self._templates)
        deployments = self._cooldowns.free(alias.deployments)
        resolution = await self.prepare(query, alias, pick(deployments, self._draw))
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

    async def prepare(self, query: Query, alias: Alias, deployment: Deployment) -> Resolution:
        """Return the prompt as one of an alias' deployments serves it."""
        began = time.perf_counter()
        explained = explaining() is not None
        if explained:
            tell_alias(alias, deployment)
        requested = None
        if query.model is not None:
            requested = self._notation.read(query.model, query.credentials.permissions)
        ref = refer(query.prompt, deployment, requested)
        fetching = self._fetch(query, ref, deployment)
        served = await fetching if fetching is not None else None
        template = served.template if served is not None else None
        choice = self._notation.choose(
            requested=requested, deployment=deployment, template=template
        )
        if choice.passed_over and query.alias is not None:
            self._tell_passed_over(choice, query.alias)
        parameters = query.parameters
        if template is not None:
            parameters = parameters.over(template.parameters)
        parameters = parameters.over(deployment.parameters)
        variables = query.variables
        if deployment.variables:
            variables = {**deployment.variables, **variables}
        if explained:
            tell_choice(choice)
            tell_parameters(query, template, deployment)
        messages = await self._messages(served, variables, query)
        if explained and template is not None:
            tell_rendered(template, messages, variables)
        tools = template.tools if template is not None else ()
        prompt = ResolvedPrompt(
            messages=messages,
            model=choice.model,
            provider=choice.provider,
            parameters=parameters,
            tools=_add_tools(tools, query.tools) if query.tools else tools,
            tool_choice=query.tool_choice
            or (template.tool_choice if template is not None else None),
            served=served,
        )
        if prompt.tool_choice is not None:
            _check_tool_choice(prompt.tool_choice, prompt.tools)
        return Resolution(
            query=query,
            alias=alias,
            deployment=deployment,
            ref=ref,
            prompt=prompt,
            choice=choice,
            began=began,
        )

    def _find_alias(self, name: str) -> Alias:
        alias = self._aliases.get(name)
        if alias is None:
            raise _alias_unknown(name)
        return alias

    def _fetch(
        self, query: Query, ref: PromptRef, deployment: Deployment
    ) -> Awaitable[ServedTemplate] | None:
        """Return what gets the template, or None for an alias without one."""
        if not ref.id and query.alias is not None and deployment.prompt is None:
            if ref != PromptRef(id="", store=ref.store):
                raise invalid_request("prompt.id", "expected an id, as the alias has none")
            return None
        return self._templates.get(
            ref,
            refresh=query.refresh,
            deadline=query.deadline,
            caller_key=query.credentials.store_key,
        )

    async def _messages(
        self, served: ServedTemplate | None, variables: Mapping[str, Json], query: Query
    ) -> tuple[Message, ...]:
        """Return the rendered template's messages and the caller's among them."""
        if served is None:
            return join((), (), named=query.placeholders, messages=query.messages, policy="append")
        started = time.perf_counter()
        try:
            rendered = await self._renderer.render(
                served.template,
                variables,
                deadline=query.deadline,
                caller=query.credentials.caller,
            )
        except TemplateError as error:
            error.metadata["store"] = served.store
            raise
        self._metrics.renderings.observe(time.perf_counter() - started)
        if not (query.messages or query.placeholders):
            return rendered.messages
        return join(
            rendered.messages,
            rendered.placeholders,
            named=query.placeholders,
            messages=query.messages,
            policy=query.message_policy,
        )

    def _tell_passed_over(self, choice: ModelChoice, alias: str) -> None:
        """Log, once for each pair, that an alias and its template name different models."""
        pair = (alias, choice.model, choice.passed_over)
        if pair not in self._told:
            self._told.add(pair)
            _log.warning(
                "an alias and its template name different models",
                extra={"alias": alias, "served": choice.model, "passed_over": choice.passed_over},
            )


def _without_keeping(resolver: Resolver) -> Prepare:
    """Return what prepares candidates of a resolver, for a part of it.

    Where the one kept the other, each that is replaced would stay until cycles are looked for.
    """
    alive = weakref.ref(resolver)

    async def prepare(query: Query, alias: Alias, deployment: Deployment) -> Resolution:
        found = alive()
        assert found is not None
        return await found.prepare(query, alias, deployment)

    return prepare


def _alias_unknown(name: str) -> CallError:
    """Return the error for an alias that is not configured."""
    return CallError(
        Reason.ALIAS_UNKNOWN,
        f"alias: no alias {name!r} is configured",
        metadata={"alias": name},
    )


def _add_tools(own: tuple[Tool, ...], added: tuple[Tool, ...]) -> tuple[Tool, ...]:
    return tuple({tool.name: tool for tool in (*own, *added)}.values())


def _check_tool_choice(choice: ToolChoice, tools: Sequence[Tool]) -> None:
    if choice.mode in ("auto", "none"):
        return
    names = [tool.name for tool in tools]
    if not names or (choice.tool_name is not None and choice.tool_name not in names):
        raise invalid_request("tool_choice", "expected a tool of the template or of the request")
