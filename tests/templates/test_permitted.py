"""Which prompts a caller finds in the lists of a store."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from prompt_resolver_server.domain.permissions import Globs, Permissions
from prompt_resolver_server.domain.prompts import Template
from prompt_resolver_server.templates.listing import Environment, ListQuery, TemplatePage
from prompt_resolver_server.templates.permitted import list_permitted
from tests.support.stores import make_template


class PagedStore:
    """A store that lists as many prompts on a page as it is asked to."""

    def __init__(self, templates: Sequence[Template]) -> None:
        self._templates = tuple(templates)
        self.queries: list[ListQuery] = []

    async def list_prompts(
        self, query: ListQuery, *, caller_key: str | None = None
    ) -> TemplatePage:
        assert caller_key == "key-of-caller"
        self.queries.append(query)
        start = (query.page - 1) * query.size
        return TemplatePage(
            templates=self._templates[start : start + query.size], total=len(self._templates)
        )

    async def list_versions(
        self, prompt_id: str, *, caller_key: str | None = None
    ) -> tuple[Template, ...]:
        raise NotImplementedError

    async def list_environments(
        self, prompt_id: str, *, caller_key: str | None = None
    ) -> tuple[Environment, ...]:
        raise NotImplementedError


def make_store(count: int) -> PagedStore:
    """Return a store with so many prompts: every third one is at a path below `mine`."""
    folders = ("mine", "others", "theirs")
    return PagedStore(
        [
            replace(make_template(f"pr_{i}", "1"), location=f"{folders[i % 3]}/{i}.prompt")
            for i in range(count)
        ]
    )


async def pages(store: PagedStore, *globs: str, size: int) -> tuple[list[list[str]], int]:
    """Return the ids on all pages, and how many prompts there are said to be."""
    permissions = Permissions({"prompt": Globs.of(globs)})
    found: list[list[str]] = []
    while True:
        query = ListQuery(page=len(found) + 1, size=size, name="x", sort_by="name", order="desc")
        page = await list_permitted(store, query, permissions, caller_key="key-of-caller")
        if not page.templates:
            return found, page.total
        found.append([template.id for template in page.templates])


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
async def test_pages(count: int) -> None:
    """What may not be seen is on no page, counts in no total, and leaves no gap."""
    store = make_store(count)

    found, total = await pages(store, "mine/*", size=20)

    mine = [f"pr_{i}" for i in range(0, count, 3)]
    assert [each for page in found for each in page] == mine
    assert all(len(page) == 20 for page in found[:-1])
    assert total == len(mine)
    assert {(q.name, q.sort_by, q.order, q.size) for q in store.queries} == {
        ("x", "name", "desc", 100)
    }


async def test_both_names() -> None:
    """A prompt is listed to whom may use it by its id, or by its path."""
    found, total = await pages(make_store(9), "pr_1", "theirs/5", size=10)

    assert (found, total) == ([["pr_1", "pr_5"]], 2)
