"""Which prompts of which stores a caller may use, before anything is fetched, and in lists."""

from itertools import count

from msgspec.structs import replace

from ..domain.permissions import Permissions, forbidden
from ..domain.prompts import PromptRef, Template
from .cache.source import store_unknown
from .listing import MAX_PAGE_SIZE, ListingStore, ListQuery, TemplatePage
from .prompt_stores import PromptStores


def check_permitted(ref: PromptRef, stores: PromptStores, permissions: Permissions) -> None:
    """Raise CALLER_FORBIDDEN unless a caller may use both the prompt and its store.

    A chain is a store of its own. Where the caller may use a store that there is not, the error
    names no others than it may use: STORE_UNKNOWN.
    """
    if not permissions.are_limited:
        return
    store = ref.store if ref.store is not None else stores.default_store
    if not permissions.allow("store", store):
        # The caller is told of no name that it has not said.
        raise forbidden(
            "store", "the default store" if ref.store is None else f"the store {store!r}"
        )
    # An empty id is no prompt's, and its store says so.
    if ref.id:
        permissions.check("prompt", ref.id)
    if store not in stores.names:
        known = [name for name in stores.names if permissions.allow("store", name)]
        raise store_unknown(store, known)


async def list_permitted(
    store: ListingStore, query: ListQuery, permissions: Permissions, *, caller_key: str | None
) -> TemplatePage:
    """Return a page of those of a store's prompts that a caller may use, by their id or their path.

    All pages of the store are read, as each prompt that is not shown has the next in its place.
    """
    first = (query.page - 1) * query.size
    shown: list[Template] = []
    total = 0
    for number in count(1):
        whole = replace(query, page=number, size=MAX_PAGE_SIZE)
        page = await store.list_prompts(whole, caller_key=caller_key)
        if not page.templates:
            break
        for template in page.templates:
            names = (template.id, template.path)
            if any(permissions.allow("prompt", name) for name in names):
                if first <= total < first + query.size:
                    shown.append(template)
                total += 1
    return TemplatePage(templates=tuple(shown), total=total)
