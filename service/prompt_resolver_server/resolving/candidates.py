"""Candidates for a call: a prompt as one row serves it, and what its provider is asked."""

from msgspec.structs import replace

from ..dispatch.dispatcher import Dispatcher
from ..dispatch.orders import Order
from ..dispatch.route import Step
from ..domain.aliases import Alias, Deployment
from ..domain.values import Value
from .model_requests import make_model_request
from .preparer import Preparer
from .queries import Query, Resolution


class Candidate(Value, frozen=True):
    """A prompt as one of an alias' deployments serves it, and what its provider is asked."""

    resolution: Resolution
    order: Order

    @property
    def speaks_for_row(self) -> bool:
        """Whether it has its row's own key and model, so that what limits the one limits both."""
        return self.order.caller_key is None and self.order.choice.named_by != "caller"


class Candidates:
    """Makes the candidates of calls. All of them raise what is wrong with a prompt or a model."""

    def __init__(self, preparer: Preparer, dispatcher: Dispatcher) -> None:
        self._preparer = preparer
        self._dispatcher = dispatcher

    def first(self, resolution: Resolution, *, others: int) -> Candidate:
        """Return the one whose prompt the call was resolved to. `others` are those beside it."""
        return Candidate(resolution, self._order(resolution, resolution, others))

    async def next(
        self, step: Step, failed: Candidate, first: Resolution, *, others: int
    ) -> Candidate:
        """Return the one that a step leads to from one that failed. `others` are those after it."""
        if step.deployment is failed.resolution.deployment:
            resolution = failed.resolution
        elif step.alias is first.alias:
            resolution = await self._preparer.prepare(first.query, step.alias, step.deployment)
        else:
            query = _for_fallback(first, step.alias, step.deployment)
            resolution = await self._preparer.prepare(query, step.alias, step.deployment)
        return Candidate(resolution, self._order(resolution, first, others))

    def _order(self, resolution: Resolution, first: Resolution, others: int) -> Order:
        query, choice = resolution.query, resolution.choice
        request = make_model_request(resolution, first=first.choice)
        return Order(
            target=self._dispatcher.find(choice, resolution.deployment.row),
            choice=choice,
            request=request,
            terms=resolution.deployment.terms,
            caller_key=query.credentials.provider_keys.get(choice.provider.lower()),
            deadline=query.deadline,
            served=resolution.prompt.served,
            span=query.span,
            others=others,
        )


def _for_fallback(first: Resolution, alias: Alias, deployment: Deployment) -> Query:
    """Return the query that a fallback answers: with its own model, and its own prompt if it has.

    A prompt that the call itself names stays. A key that it brings for its prompt's store goes to
    that store alone.
    """
    query = replace(first.query, alias=alias.name, model=None)
    if deployment.prompt is not None and not query.prompt.id:
        if deployment.store != first.ref.store:
            query = replace(query, credentials=replace(query.credentials, store_key=None))
        return query
    served = first.prompt.served
    return replace(
        query,
        prompt=replace(first.ref, store=served.store) if served is not None else first.ref,
        variables={**first.deployment.variables, **query.variables},
    )
