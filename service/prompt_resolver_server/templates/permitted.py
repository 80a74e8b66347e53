"""Which prompts of which stores a caller may use, before anything is fetched, and in lists."""

from msgspec.structs import replace

from ..permissions import Permissions
from ..prompts import PromptRef, Template
from .cache.source import store_unknown
from .listing import MAX_PAGE_SIZE, ListingStore, ListQuery, TemplatePage
from .supply import TemplateSupply


def check_permitted(ref: PromptRef, supply: TemplateSupply, permissions: Permissions) -> None:
    """Raise CALLER_FORBIDDEN unless a caller may use both the prompt and its store.

    A chain is a store of its own. Where the caller may use a store that there is not, the error
    names no others than it may use: STORE_UNKNOWN.
    """
    if not permissions.are_limited:
        return
    store = ref.store if ref.store is not None else supply.default_store
    permissions.check("store", store)
    # An empty id is no prompt's, and its store says so.
    if ref.id:
        permissions.check("prompt", ref.id)
    if store not in supply.stores:
        known = [name for name in supply.stores if permissions.allow("store", name)]
        raise store_unknown(store, known)


async def list_permitted(
    store: ListingStore, query: ListQuery, permissions: Permissions, *, caller_key: str | None
) -> TemplatePage:
    """Return a page of those of a store's prompts that a caller may use, by their id or their path.

    All pages of the store are read, as each prompt that is not shown has the next in its place.
    """
    first = (query.page - 1) * query.size
    shown: list[Template] = []
    read = total = 0
    while True:
        whole = replace(query, page=1 + read // MAX_PAGE_SIZE, size=MAX_PAGE_SIZE)
        page = await store.list_prompts(whole, caller_key=caller_key)
        for template in page.templates:
            if permissions.allow("prompt", template.id) or permissions.allow(
                "prompt", template.path
            ):
                if first <= total < first + query.size:
                    shown.append(template)
                total += 1
        read += MAX_PAGE_SIZE
        if not page.templates or read >= page.total:
            return TemplatePage(templates=tuple(shown), total=total)
