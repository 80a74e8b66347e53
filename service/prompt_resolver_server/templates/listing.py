"""What a store may do beside `TemplateStore`: tell which prompts, versions and environments it has.

It is optional. Lists are for people and their tools: nothing of them is cached.
"""

from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

from ..domain.prompts import Template
from ..domain.values import Value

SortBy = Literal["created_at", "updated_at", "name"]
Order = Literal["asc", "desc"]

MAX_PAGE_SIZE = 100
"""How many prompts a page may have."""


class ListQuery(Value, frozen=True, kw_only=True):
    """Which prompts to list: a page from 1, at most `MAX_PAGE_SIZE` of them, in which order.

    `name` is a part of the prompts' names, in whatever case. What is None is the store's to choose.
    """

    shown = ("page", "size", "sort_by", "order")

    page: int = 1
    size: int = 10
    name: str | None = None
    sort_by: SortBy | None = None
    order: Order | None = None


class TemplatePage(Value, frozen=True, kw_only=True):
    """A page of prompts, each in the version that is served without a selector.

    One that has none is in a version of the store's choice, or left out. `total` is how many
    prompts all pages have together. A page beyond the last is empty, and no other is.
    """

    shown = ("total",)

    templates: tuple[Template, ...]
    total: int


class Environment(Value, frozen=True, kw_only=True):
    """An environment, and the version that is deployed to it, if one is; `tag` as the store says.

    The default environment is the one whose tag is `default`.
    """

    shown = ("id", "name", "tag")

    id: str
    name: str
    tag: str
    created_at: datetime | None = None
    template: Template | None = None


@runtime_checkable
class ListingStore(Protocol):
    """A store that can tell what it has. `caller_key` is as in `TemplateStore.fetch`.

    All of these raise what `TemplateStore.fetch` raises. A prompt that is broken is in no list: it
    is logged, and the others are listed.
    """

    async def list_prompts(
        self, query: ListQuery, *, caller_key: str | None = None
    ) -> TemplatePage:
        """Return a page of the prompts that there are."""
        ...

    async def list_versions(
        self, prompt_id: str, *, caller_key: str | None = None
    ) -> tuple[Template, ...]:
        """Return all versions of a prompt."""
        ...

    async def list_environments(
        self, prompt_id: str, *, caller_key: str | None = None
    ) -> tuple[Environment, ...]:
        """Return the environments that a prompt may be deployed to."""
        ...
