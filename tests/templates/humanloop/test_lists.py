"""The `humanloop` store lists what the API lists, with the key of whoever asks."""

import json
import logging
from collections.abc import AsyncIterator, Awaitable

import pytest

from prompt_resolver_server.domain.errors import Blame, ResolverError
from prompt_resolver_server.templates.humanloop.store import HumanloopStore
from prompt_resolver_server.templates.listing import ListQuery
from prompt_resolver_server.templates.web import MAX_BYTES
from tests.support.humanloop import KEY, HumanloopApi, running_humanloop
from tests.templates.humanloop.test_store import answering, make_store


@pytest.fixture
async def api() -> AsyncIterator[HumanloopApi]:
    """The API, with two prompts, one of them in two versions."""
    async with running_humanloop() as api:
        api.put("Team/Hi", prompt_id="pr_1", version="prv_1", to="staging", template="one")
        api.put("Team/Hi", prompt_id="pr_1", version="prv_2", template="two")
        api.put("Other", prompt_id="pr_2", template=[{"role": "user", "content": "three"}])
        yield api


@pytest.fixture
async def store(api: HumanloopApi) -> AsyncIterator[HumanloopStore]:
    made = make_store(api.url)
    yield made
    await made.aclose()


async def failure(listing: Awaitable[object]) -> ResolverError:
    with pytest.raises(ResolverError) as caught:
        await listing
    error = caught.value
    assert KEY not in f"{error!r} {error.message} {error.metadata}"
    return error


async def test_prompts(api: HumanloopApi, store: HumanloopStore) -> None:
    """A page is the API's own page, whose question has what was asked and nothing else."""
    page = await store.list_prompts(ListQuery(page=2, size=1))

    assert [(each.id, each.location) for each in page.templates] == [("pr_2", "Other")]
    assert page.total == 2
    query = ListQuery(name="a&b", sort_by="name", order="desc")
    await store.list_prompts(query)
    assert api.requests == [
        "GET /v5/prompts?page=2&size=1",
        "GET /v5/prompts?page=1&size=10&name=a%26b&sort_by=name&order=desc",
    ]
    assert api.exchanges[0].headers["x-api-key"] == KEY


async def test_beyond_the_last_page(store: HumanloopStore) -> None:
    """The page beyond the last is empty."""
    page = await store.list_prompts(ListQuery(page=3, size=1))

    assert (page.templates, page.total) == ((), 2)


@pytest.mark.parametrize("prompt_id", ["pr_1", "Team/Hi"])
async def test_versions(store: HumanloopStore, prompt_id: str) -> None:
    """All versions are listed, by the prompt's id or by its path."""
    versions = await store.list_versions(prompt_id)

    assert [(each.version, each.messages[0].text) for each in versions] == [
        ("prv_1", "one"),
        ("prv_2", "two"),
    ]
    assert all(each.as_text and each.created_at is not None for each in versions)


@pytest.mark.parametrize("prompt_id", ["pr_1", "Team/Hi"])
async def test_environments(store: HumanloopStore, prompt_id: str) -> None:
    """All environments are listed, with what is deployed to them."""
    environments = await store.list_environments(prompt_id)

    assert [
        (each.id, each.name, each.tag, each.template and each.template.version)
        for each in environments
    ] == [
        ("env_staging", "staging", "other", "prv_1"),
        ("env_production", "production", "default", "prv_2"),
    ]


@pytest.mark.parametrize("prompt_id", ["pr_none", "nothing", "Team/none"])
async def test_not_found(store: HumanloopStore, prompt_id: str) -> None:
    """A prompt that is not there has no versions and no environments to list."""
    for listing in (store.list_versions(prompt_id), store.list_environments(prompt_id)):
        assert (await failure(listing)).reason == "PROMPT_NOT_FOUND"


async def test_no_id_reaches_anything_else(api: HumanloopApi, store: HumanloopStore) -> None:
    """An id that could reach anything but a prompt's lists is refused, and nothing is asked."""
    for prompt_id in ("", "..", "a?b", "a#b", "pr_1/"):
        for listing in (store.list_versions(prompt_id), store.list_environments(prompt_id)):
            assert (await failure(listing)).reason == "PROMPT_ID_INVALID"
    assert api.requests == []


async def test_whose_key(api: HumanloopApi, store: HumanloopStore) -> None:
    """A caller's key is used in place of the store's, and it is the caller's if it is refused."""
    error = await failure(store.list_prompts(ListQuery(), caller_key="other"))

    assert (error.reason, error.blame) == ("STORE_AUTH", Blame.CALLER)
    assert api.exchanges[0].headers["x-api-key"] == "other"


async def test_broken(
    api: HumanloopApi, store: HumanloopStore, caplog: pytest.LogCaptureFixture
) -> None:
    """A prompt that is broken is left out, and counted in the log."""
    caplog.set_level(logging.WARNING)
    api.put("Broken", prompt_id="pr_0", max_tokens=0)
    api.prompts["pr_1"].versions["prv_2"]["max_tokens"] = 0

    page = await store.list_prompts(ListQuery())
    versions = await store.list_versions("pr_1")
    environments = await store.list_environments("pr_1")

    assert [each.id for each in page.templates] == ["pr_2"]
    assert [each.version for each in versions] == ["prv_1"]
    assert [each.template is None for each in environments] == [False, True]
    assert [vars(record)["broken"] for record in caplog.records] == [2, 1, 1]


async def test_page_of_broken_ones(api: HumanloopApi, store: HumanloopStore) -> None:
    """A page of which nothing is left is an error: whoever turns pages takes it for the last."""
    api.put("Broken", prompt_id="pr_3", max_tokens=0)

    error = await failure(store.list_prompts(ListQuery(page=3, size=1)))

    assert error.reason == "TEMPLATE_INVALID"


RECORD = {"id": "pr_1", "version_id": "prv_1", "model": "m"}


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"<html>", b"[]", b"5", b"{}", b'{"records": 5}', b'{"records": [5]}'),
        b'{"records": [{}]}',
        b'{"records": [{"id": "pr_1", "model": "m"}]}',
        json.dumps({"records": [{**RECORD, "template": 5}]}).encode(),
    ],
)
async def test_garbage(api: HumanloopApi, store: HumanloopStore, body: bytes) -> None:
    """A list that makes no sense is a failure of the store."""
    api.fail = answering("200 OK", body)

    for listing in (store.list_prompts(ListQuery()), store.list_versions("pr_1")):
        error = await failure(listing)
        assert (error.reason, error.metadata["problem"]) == ("STORE_UNAVAILABLE", "garbage")


@pytest.mark.parametrize("body", [b"", b"{}", b"[5]", b"[{}]", b'[{"id": "e"}]', b'[{"id": 5}]'])
async def test_garbage_for_environments(
    api: HumanloopApi, store: HumanloopStore, body: bytes
) -> None:
    """A list of environments that makes no sense is a failure of the store, too."""
    api.fail = answering("200 OK", body)

    assert (await failure(store.list_environments("pr_1"))).metadata["problem"] == "garbage"


@pytest.mark.parametrize("total", ["x", -1, None, True])
async def test_no_total(api: HumanloopApi, store: HumanloopStore, total: object) -> None:
    """Where the API tells no total, it is as many as are known."""
    api.fail = answering("200 OK", json.dumps({"records": [RECORD], "total": total}).encode())

    assert (await store.list_prompts(ListQuery(page=3, size=5))).total == 11


async def test_no_list(api: HumanloopApi, store: HumanloopStore) -> None:
    """An API without a list of prompts is one that does not answer, not one without prompts."""
    api.fail = answering("404 Not Found", b"{}")

    assert (await failure(store.list_prompts(ListQuery()))).reason == "STORE_UNAVAILABLE"


async def test_size(api: HumanloopApi, store: HumanloopStore) -> None:
    """A list may be larger than a prompt, up to a cap of its own."""
    padding = b" " * 2 * MAX_BYTES
    api.fail = answering("200 OK", padding + b'{"records": []}')
    assert (await store.list_prompts(ListQuery())).templates == ()
    assert await store.list_versions("pr_1") == ()

    api.fail = answering("200 OK", padding * 4 + b'{"records": []}')
    assert (await failure(store.list_prompts(ListQuery()))).metadata["problem"] == "too_large"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2025-05-01T12:00:00.000000", "2025-05-01T12:00:00+00:00"),
        ("2025-05-01T12:00:00Z", "2025-05-01T12:00:00+00:00"),
        ("2025-05-01T12:00:00+02:00", "2025-05-01T12:00:00+02:00"),
        ("yesterday", "None"),
        (5, "None"),
        (None, "None"),
    ],
)
async def test_moments(
    api: HumanloopApi, store: HumanloopStore, written: object, expected: str
) -> None:
    """When a version came about is read where it is told, in UTC unless told otherwise."""
    record = {**RECORD, "created_at": written}
    api.fail = answering("200 OK", json.dumps({"records": [record]}).encode())

    (version,) = await store.list_versions("pr_1")

    assert str(version.created_at and version.created_at.isoformat()) == expected
