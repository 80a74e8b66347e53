"""Whether a call may name what it names, whichever of an alias' deployments serves it."""

import pytest
from prometheus_client import CollectorRegistry

from prompt_resolver_server.dispatch.notation import Notation
from prompt_resolver_server.domain.aliases import Alias, Deployment
from prompt_resolver_server.domain.answers import Credentials
from prompt_resolver_server.domain.errors import CallError
from prompt_resolver_server.domain.permissions import Globs, Permissions
from prompt_resolver_server.domain.prompts import PromptRef
from prompt_resolver_server.metrics import Metrics
from prompt_resolver_server.resolving.queries import Query
from prompt_resolver_server.resolving.references import check_query
from prompt_resolver_server.templates.cache.cache import TemplateCache
from prompt_resolver_server.templates.cache.source import Source
from prompt_resolver_server.templates.prompt_stores import PromptStores
from tests.support.stores import ToldStore, make_template

STORES = ("main", "side")
OWN = PromptRef(id="own", store="side")
OF_SIDE = Deployment(store="side", prompt=OWN)
OF_NONE = Deployment(model="fake/small")


def forbidden(
    rules: dict[str, str], *deployments: Deployment, ref: PromptRef, model: str | None = None
) -> str | None:
    """Return what kind of thing a caller with these rules is refused, if anything."""
    store = ToldStore(make_template("p", "1"))
    cache = TemplateCache(
        sources={name: Source(store, 60) for name in STORES},
        default_store="main",
        metrics=Metrics(CollectorRegistry(), version="test"),
    )
    notation = Notation(stores=STORES, providers={"fake", "side"})
    permissions = Permissions({kind: Globs.of([glob]) for kind, glob in rules.items()})  # type: ignore[misc]
    query = Query(
        prompt=ref, deadline=0, credentials=Credentials(permissions=permissions), model=model
    )
    alias = Alias(name="a", deployments=deployments or (Deployment(),))
    try:
        check_query(query, alias, notation=notation, stores=PromptStores(cache, {}))
    except CallError as error:
        assert store.fetches == []
        return error.metadata["kind"]
    return None


@pytest.mark.parametrize("deployments", [(OF_SIDE, OF_NONE), (OF_NONE, OF_SIDE)])
def test_every_deployment(deployments: tuple[Deployment, ...]) -> None:
    """A prompt that the call names must be within the rules wherever the draw may look for it."""
    named = PromptRef(id="mine")

    assert forbidden({"store": "side"}, *deployments, ref=named) == "store"
    assert forbidden({"store": "main"}, *deployments, ref=named) is None
    assert forbidden({"prompt": "own"}, *deployments, ref=named) == "prompt"


def test_what_the_call_leaves_to_the_alias() -> None:
    """Who names nothing, or a version alone, gets what the alias brings."""
    for ref in (PromptRef(id=""), PromptRef(id="", version="1")):
        assert forbidden({"prompt": "", "store": "", "model": ""}, OF_SIDE, ref=ref) is None


def test_a_store_in_place_of_the_alias() -> None:
    """In another store, an alias' prompt is another prompt, which needs a rule as well."""
    elsewhere = PromptRef(id="", store="main")

    assert forbidden({"prompt": "mine"}, OF_SIDE, ref=elsewhere) == "prompt"
    assert forbidden({"prompt": "own"}, OF_SIDE, ref=elsewhere) is None


@pytest.mark.parametrize(
    ("model", "rule", "expected"),
    [
        ("fake/small", "fake/small", None),
        ("main/fake/small", "fake/small", None),
        ("fake/small", "fake/big", "model"),
        ("main/fake/small", "main/*", "model"),
        ("small", "fake/*", "model"),
        ("small", "small", None),
        ("main/auto", "", None),
        ("main", "", None),
    ],
)
def test_models(model: str, rule: str, expected: str | None) -> None:
    """A model is matched as the call names it, without the store; no model needs no rule."""
    assert forbidden({"model": rule}, ref=PromptRef(id="p"), model=model) == expected


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("main/fake/small", None),
        ("absent/small", "store"),
        # It is a provider as well, and as such may be used.
        ("side/small", None),
        ("fake/small", None),
        ("fake/side/small", None),
    ],
)
def test_stores_in_models(model: str, expected: str | None) -> None:
    """A store that may not be used is none, and what may be a store is not told from one."""
    assert forbidden({"store": "main"}, ref=PromptRef(id="p"), model=model) == expected
