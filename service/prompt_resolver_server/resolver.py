"""The use case: fetch a prompt, render it, and have its model answer.

Every door comes through here, so that they all mean the same.
"""

import logging
import time
from collections.abc import Collection, Mapping, Sequence

from msgspec import field
from msgspec.structs import replace

from .aliases import Alias
from .answers import Answer, Credentials, Dispatch, Emit, Finish, ModelRequest
from .dispatch.dispatcher import Dispatcher
from .dispatch.notation import ModelChoice, ModelName, Notation
from .errors import CallError, Reason, TemplateError, Violation, invalid_request
from .metrics import Metrics
from .parameters import NO_PARAMETERS, Json, Parameters
from .prompts import (
    Message,
    MessagePolicy,
    PromptRef,
    ResolvedPrompt,
    ServedTemplate,
    Template,
    Tool,
    ToolChoice,
)
from .rendering import Renderer
from .templates.cache import TemplateCache
from .templates.inventory import Inventory
from .values import Value

_log = logging.getLogger(__name__)


class Query(Value, frozen=True, kw_only=True):
    """What a caller asks, whichever door it came through. The fields are those of the contract.

    `deadline` is on the event loop's clock.
    """

    shown = ("prompt", "alias")

    prompt: PromptRef
    deadline: float
    variables: Mapping[str, Json] = field(default_factory=dict)
    model: str | None = None
    messages: tuple[Message, ...] = ()
    message_policy: MessagePolicy = "append"
    parameters: Parameters = NO_PARAMETERS
    refresh: bool = False
    alias: str | None = None
    placeholders: frozenset[str] = frozenset()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    credentials: Credentials = field(default_factory=Credentials)


class Resolution(Value, frozen=True, kw_only=True):
    """A resolved prompt, with the query that it answers and the model that was chosen for it."""

    query: Query
    prompt: ResolvedPrompt
    choice: ModelChoice


class Resolver:
    """Resolves prompts and has them answered."""

    def __init__(
        self,
        *,
        templates: TemplateCache,
        renderer: Renderer,
        notation: Notation,
        aliases: Mapping[str, Alias],
        dispatcher: Dispatcher,
        metrics: Metrics,
    ) -> None:
        self._templates = templates
        self._renderer = renderer
        self._notation = notation
        self._aliases = aliases
        self._dispatcher = dispatcher
        self._metrics = metrics
        self._told: set[tuple[str, str, str]] = set()

    @property
    def inventory(self) -> Inventory:
        """What the cache of templates holds."""
        return self._templates.inventory

    @property
    def aliases(self) -> Collection[str]:
        """The names of the aliases."""
        return self._aliases.keys()

    def find_model(self, name: str) -> tuple[str | None, str | None]:
        """Tell whether a name is an alias or a model: as the one or the other of the two returned.

        What is no alias is a model only if it names a store or a provider. Raises ALIAS_UNKNOWN.
        """
        if name in self._aliases:
            return name, None
        if not self._notation.names_owner(name):
            raise alias_unknown(name)
        return None, name

    async def resolve(self, query: Query) -> Resolution:
        """Return the rendered prompt. Calls no model."""
        alias = self._find_alias(query.alias) if query.alias is not None else None
        requested = self._notation.read(query.model) if query.model is not None else None
        served = await self._fetch(query, alias, requested)
        template = served.template if served is not None else None
        choice = self._notation.choose(requested=requested, alias=alias, template=template)
        if choice.passed_over and query.alias is not None:
            self._tell_passed_over(choice, query.alias)
        parameters = query.parameters
        variables = query.variables
        if template is not None:
            parameters = parameters.over(template.parameters)
        if alias is not None:
            parameters = parameters.over(alias.parameters)
            variables = {**alias.variables, **variables}
        prompt = ResolvedPrompt(
            messages=_join(self._render(served, variables), query, template),
            model=choice.model,
            provider=choice.provider,
            parameters=parameters,
            tools=_add_tools(template.tools if template is not None else (), query.tools),
            tool_choice=query.tool_choice
            or (template.tool_choice if template is not None else None),
            served=served,
        )
        if prompt.tool_choice is not None:
            _check_tool_choice(prompt.tool_choice, prompt.tools)
        return Resolution(query=query, prompt=prompt, choice=choice)

    async def complete(self, resolution: Resolution) -> tuple[Answer, Dispatch]:
        """Return the model's whole answer to a resolved prompt, and how it came about."""
        query = resolution.query
        return await self._dispatcher.complete(
            resolution.choice,
            _model_request(resolution),
            alias=query.alias,
            credentials=query.credentials,
            deadline=query.deadline,
        )

    async def stream(self, resolution: Resolution, emit: Emit) -> tuple[Finish, Dispatch]:
        """Emit the model's answer to a resolved prompt as it arrives, and return how it ended."""
        query = resolution.query
        return await self._dispatcher.stream(
            resolution.choice,
            _model_request(resolution),
            emit,
            alias=query.alias,
            credentials=query.credentials,
            deadline=query.deadline,
        )

    def _find_alias(self, name: str) -> Alias:
        alias = self._aliases.get(name)
        if alias is None:
            raise alias_unknown(name)
        return alias

    async def _fetch(
        self, query: Query, alias: Alias | None, requested: ModelName | None
    ) -> ServedTemplate | None:
        """Return the template, or None for an alias without one."""
        if query.placeholders:
            # No store served so far has templates with placeholders; what belongs in one must not
            # be lost in silence.
            name = min(query.placeholders)
            raise invalid_request(f"placeholders.{name}", "expected a placeholder of the template")
        ref = query.prompt if alias is None else _complete_ref(query.prompt, alias)
        if requested is not None and requested.store is not None:
            if ref.store not in (None, requested.store):
                raise invalid_request("model", f"expected no other store than {ref.store!r}")
            ref = replace(ref, store=requested.store)
        if not ref.id and alias is not None and alias.prompt is None:
            if ref != PromptRef(id="", store=ref.store):
                raise invalid_request("prompt.id", "expected an id, as the alias has none")
            return None
        return await self._templates.get(
            ref,
            refresh=query.refresh,
            deadline=query.deadline,
            caller_key=query.credentials.store_key,
        )

    def _render(
        self, served: ServedTemplate | None, variables: Mapping[str, Json]
    ) -> tuple[Message, ...]:
        if served is None:
            return ()
        started = time.perf_counter()
        try:
            messages = self._renderer.render(served.template, variables)
        except TemplateError as error:
            error.metadata["store"] = served.store
            raise
        self._metrics.rendered(time.perf_counter() - started)
        return messages

    def _tell_passed_over(self, choice: ModelChoice, alias: str) -> None:
        """Log, once for each pair, that an alias and its template name different models."""
        pair = (alias, choice.model, choice.passed_over)
        if pair not in self._told:
            self._told.add(pair)
            _log.warning(
                "an alias and its template name different models",
                extra={"alias": alias, "served": choice.model, "passed_over": choice.passed_over},
            )


def alias_unknown(name: str) -> CallError:
    """Return the error for an alias that is not configured."""
    return CallError(
        Reason.ALIAS_UNKNOWN,
        f"alias: no alias {name!r} is configured",
        metadata={"alias": name},
    )


def _join(
    rendered: tuple[Message, ...], query: Query, template: Template | None
) -> tuple[Message, ...]:
    """Return the template's messages and, by the query's policy, the caller's after them."""
    if template is not None and query.messages:
        match query.message_policy:
            case "ignore":
                return rendered
            case "without_user_turn" if any(each.role == "user" for each in rendered):
                return rendered
    return rendered + query.messages


def _complete_ref(ref: PromptRef, alias: Alias) -> PromptRef:
    """Fill what a reference leaves out from the alias; the call's own selector stays."""
    store = ref.store if ref.store is not None else alias.store
    if ref.id or alias.prompt is None:
        return replace(ref, store=store)
    selected = ref.version is not None or ref.environment is not None
    return replace(ref if selected else alias.prompt, id=alias.prompt.id, store=store)


def _add_tools(own: tuple[Tool, ...], added: tuple[Tool, ...]) -> tuple[Tool, ...]:
    if not added:
        return own
    return tuple({tool.name: tool for tool in (*own, *added)}.values())


def _check_tool_choice(choice: ToolChoice, tools: Sequence[Tool]) -> None:
    if choice.mode in ("auto", "none"):
        return
    names = [tool.name for tool in tools]
    if not names or (choice.tool_name is not None and choice.tool_name not in names):
        raise invalid_request("tool_choice", "expected a tool of the template or of the request")


def _model_request(resolution: Resolution) -> ModelRequest:
    resolved, asked = resolution.prompt, resolution.query.parameters
    if not resolved.model:
        raise CallError(
            Reason.MODEL_MISSING,
            "model: expected a model from the request, the alias or the template, got none",
            violations=(Violation("model", "missing"),),
        )
    if not resolved.messages:
        raise CallError(
            Reason.MESSAGES_MISSING,
            "messages: expected a message from the template or the request, got none",
            violations=(Violation("messages", "missing"),),
        )
    return ModelRequest(
        model=resolved.model,
        messages=resolved.messages,
        parameters=resolved.parameters,
        tools=resolved.tools,
        tool_choice=resolved.tool_choice,
        insisted=frozenset((*asked.names(), *asked.extra)),
    )
