"""Which prompt a call is about, and whether its caller may use what it names."""

from msgspec.structs import replace

from ..dispatch.notation import ModelName, Notation
from ..domain.aliases import Alias, Deployment
from ..domain.errors import invalid_request
from ..domain.permissions import Permissions
from ..domain.prompts import PromptRef
from ..templates.permitted import check_permitted
from ..templates.prompt_stores import PromptStores
from .queries import Query


def refer(ref: PromptRef, deployment: Deployment, requested: ModelName | None) -> PromptRef:
    """Fill what a reference leaves out from the alias; the call's own selector stays."""
    store = ref.store if ref.store is not None else deployment.store
    if ref.id or deployment.prompt is None:
        ref = ref if store == ref.store else replace(ref, store=store)
    else:
        selected = ref.version is not None or ref.environment is not None
        ref = replace(ref if selected else deployment.prompt, id=deployment.prompt.id, store=store)
    if requested is None or requested.store is None:
        return ref
    if ref.store not in (None, requested.store):
        raise invalid_request("model", f"expected no other store than {ref.store!r}")
    return replace(ref, store=requested.store)


def check_query(query: Query, alias: Alias, *, notation: Notation, stores: PromptStores) -> None:
    """Raise CALLER_FORBIDDEN unless the caller may use the prompt and the model that it names.

    What the alias brings needs no rule, and that is all there is where the call names nothing else.
    Every deployment is looked at, so that the answer does not depend on which of them serves.
    """
    asked, permissions = query.prompt, query.credentials.permissions
    requested, names_store = None, asked.store is not None
    if query.model is not None:
        requested = notation.read(query.model, permissions)
        names_store = names_store or requested.store is not None
        _check_model(requested, notation, permissions)
    if not (asked.id or names_store):
        return
    for deployment in alias.deployments:
        ref = refer(asked, deployment, requested)
        if names_store or deployment.store is None:
            check_permitted(ref, stores, permissions)
        else:
            permissions.check("prompt", ref.id)


def _check_model(requested: ModelName, notation: Notation, permissions: Permissions) -> None:
    if requested.model is None:
        return
    prefix = requested.prefix
    if prefix is not None and requested.store is None and not notation.has_owner(prefix):
        # It may be a store's name, and whether it is one is not told.
        permissions.check("store", prefix)
    permissions.check("model", requested.full_name)
