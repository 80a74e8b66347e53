"""Prepares prompts: fetched, filled in, and with a model and parameters, as one row serves them."""

import logging
import time
from collections.abc import Awaitable, Mapping, Sequence

from ..dispatch.notation import ModelChoice, Notation
from ..domain.aliases import Alias, Deployment
from ..domain.errors import TemplateError, invalid_request
from ..domain.explaining import explaining
from ..domain.parameters import Json
from ..domain.prompts import Message, PromptRef, ResolvedPrompt, ServedTemplate, Tool, ToolChoice
from ..metrics import Metrics
from ..rendering import Renderer, join
from ..templates.prompt_stores import PromptStores
from .queries import Query, Resolution
from .references import refer
from .steps import tell_alias, tell_choice, tell_parameters, tell_rendered

_log = logging.getLogger(__name__)


class Preparer:
    """Prepares the prompts of queries, for whichever deployment is to serve them."""

    def __init__(
        self,
        *,
        stores: PromptStores,
        renderer: Renderer,
        notation: Notation,
        metrics: Metrics,
    ) -> None:
        self._stores = stores
        self._renderer = renderer
        self._notation = notation
        self._metrics = metrics
        self._told: set[tuple[str, str, str]] = set()

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

    def _fetch(
        self, query: Query, ref: PromptRef, deployment: Deployment
    ) -> Awaitable[ServedTemplate] | None:
        """Return what gets the template, or None for an alias without one."""
        if not ref.id and query.alias is not None and deployment.prompt is None:
            if ref != PromptRef(id="", store=ref.store):
                raise invalid_request("prompt.id", "expected an id, as the alias has none")
            return None
        return self._stores.get(
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
        pair = (alias, choice.full_name, choice.passed_over)
        if pair not in self._told:
            self._told.add(pair)
            _log.warning(
                "an alias and its template name different models",
                extra={"alias": alias, "served": pair[1], "passed_over": choice.passed_over},
            )


def _add_tools(own: tuple[Tool, ...], added: tuple[Tool, ...]) -> tuple[Tool, ...]:
    return tuple({tool.name: tool for tool in (*own, *added)}.values())


def _check_tool_choice(choice: ToolChoice, tools: Sequence[Tool]) -> None:
    if choice.mode in ("auto", "none"):
        return
    names = [tool.name for tool in tools]
    if not names or (choice.tool_name is not None and choice.tool_name not in names):
        raise invalid_request("tool_choice", "expected a tool of the template or of the request")
