"""The `humanloop_export` store lists the prompts that it would serve, and no others."""

import json
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from prompt_resolver_server.domain.errors import ResolverError
from prompt_resolver_server.templates.humanloop_export.store import HumanloopExportStore
from prompt_resolver_server.templates.listing import ListQuery
from tests.support.humanloop_export import (
    age,
    tool_record,
    two_prompts,
    write_deployments,
    write_export,
    write_file,
)
from tests.support.opened import files_opened


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """An export of three prompts and a tool; `Team/Hi` is the newest."""
    api = two_prompts()
    api.put("a", prompt_id="pr_9", template="nine")
    export = write_export(tmp_path / "export", api.prompts.values())
    record = api.prompts["pr_1"].document("prv_2")
    path = export / "files" / "pr_1" / "file.json"
    path.write_text(json.dumps({**record, "created_at": "2025-06-01T00:00:00Z"}))
    write_file(export, tool_record("tl_1", "tool"))
    age(export)
    return export


@pytest.fixture
async def store(export: Path) -> AsyncIterator[HumanloopExportStore]:
    store = HumanloopExportStore(name="old", path=export)
    yield store
    await store.aclose()


async def ids(store: HumanloopExportStore, query: ListQuery | None = None) -> list[str]:
    page = await store.list_prompts(query or ListQuery())
    return [template.id for template in page.templates]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (ListQuery(), ["pr_2", "pr_1", "pr_9"]),
        (ListQuery(order="desc"), ["pr_9", "pr_1", "pr_2"]),
        (ListQuery(sort_by="name"), ["pr_1", "pr_2", "pr_9"]),
        (ListQuery(sort_by="created_at", order="desc", size=1), ["pr_1"]),
        (ListQuery(sort_by="updated_at"), ["pr_2", "pr_1", "pr_9"]),
        (ListQuery(name="HI"), ["pr_1"]),
        (ListQuery(name="team"), []),
        (ListQuery(size=2, page=2), ["pr_9"]),
        (ListQuery(size=2, page=3), []),
        (ListQuery(size=1, page=999_999_999), []),
    ],
)
async def test_pages(store: HumanloopExportStore, query: ListQuery, expected: list[str]) -> None:
    """Prompts are listed by path, or as was asked, and a page beyond the last is empty."""
    assert await ids(store, query) == expected


async def test_total(store: HumanloopExportStore) -> None:
    """A page tells how many prompts there are, each in its default version."""
    page = await store.list_prompts(ListQuery(name="Hi"))

    (template,) = page.templates
    assert (page.total, template.version, template.environment) == (1, "prv_2", "production")


async def test_no_default(store: HumanloopExportStore, export: Path) -> None:
    """A prompt without a default version is listed in the version that the export lists."""
    document = {**two_prompts().prompts["pr_1"].document("prv_1"), "environments": []}
    write_file(export, document, {"prv_1": document})

    page = await store.list_prompts(ListQuery(name="Hi"))

    assert [(each.version, each.environment) for each in page.templates] == [("prv_1", "")]


async def test_broken(
    store: HumanloopExportStore, export: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is broken or interrupted is on no page, counts for none, and is told of once."""
    caplog.set_level(logging.WARNING)
    files = export / "files"
    (files / "pr_1" / "versions" / "prv_2").write_text("secret")
    (files / "pr_2" / "file.json").write_text("secret")
    write_file(export, {"id": "pr_3", "type": "prompt", "path": "Empty"})
    write_file(export, {"id": "pr_4", "type": "prompt", "path": "Interrupted"}, done=False)

    page = await store.list_prompts(ListQuery(size=1))
    await ids(store)

    assert ([each.id for each in page.templates], page.total) == (["pr_9"], 1)
    (record,) = caplog.records
    assert (vars(record)["broken"], vars(record)["listed"]) == (3, 1)
    assert "secret" not in str(vars(record))


async def test_broken_where_it_stands(store: HumanloopExportStore, export: Path) -> None:
    """A prompt that is broken after it was listed gives its place to the next, and comes back."""
    assert await ids(store, ListQuery(size=1)) == ["pr_2"]
    path = export / "files" / "pr_2" / "versions" / "prv_1"
    content = path.read_text()

    path.write_text("broken")
    assert await ids(store, ListQuery(size=1)) == ["pr_1"]
    path.write_text(content)
    assert await ids(store, ListQuery(size=1)) == ["pr_2"]


async def test_reads_what_it_has_to(store: HumanloopExportStore) -> None:
    """Once all prompts are known, those on the page are read, and no others."""
    await ids(store, ListQuery(size=1))

    with files_opened() as files:
        await ids(store, ListQuery(size=1))

    assert {Path(name).parent.parent.name for name in files if "versions" in name} == {"pr_2"}


@pytest.mark.parametrize("prompt_id", ["pr_1", "Team/Hi"])
async def test_versions(store: HumanloopExportStore, prompt_id: str) -> None:
    """All versions are listed, by the prompt's id or by its path."""
    versions = await store.list_versions(prompt_id)

    assert [(each.version, each.environment) for each in versions] == [
        ("prv_1", ""),
        ("prv_2", "production"),
    ]


async def test_environments(
    store: HumanloopExportStore, export: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The environments are listed with what is deployed to them, as far as it can be read."""
    caplog.set_level(logging.WARNING)
    (export / "files" / "pr_1" / "versions" / "prv_1").write_text("broken")

    found = await store.list_environments("Team/Hi")
    versions = await store.list_versions("Team/Hi")

    told = [(each.name, each.tag, each.template and each.template.version) for each in found]
    assert told == [("production", "default", "prv_2"), ("staging", "other", None)]
    assert [each.version for each in versions] == ["prv_2"]
    assert [vars(record)["broken"] for record in caplog.records] == [1, 1]


async def test_of_none(store: HumanloopExportStore, export: Path) -> None:
    """A prompt that is not there has neither versions nor environments; a broken one says so."""
    write_deployments(export / "files" / "pr_9", {})
    os.unlink(export / "files" / "pr_2" / "file.json")

    assert await store.list_environments("a") == ()
    for prompt_id, reason in (("pr_none", "PROMPT_NOT_FOUND"), ("pr_2", "TEMPLATE_INVALID")):
        for listing in (store.list_versions, store.list_environments):
            with pytest.raises(ResolverError) as caught:
                await listing(prompt_id)
            assert caught.value.reason == reason
