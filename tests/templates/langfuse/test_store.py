"""The `langfuse` store asks the API for what was named, and lists what it has."""

import base64
import json
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Mapping
from pathlib import Path

import pytest

from prompt_resolver_server.assembly.configuration import load_configuration
from prompt_resolver_server.assembly.stores import build_stores
from prompt_resolver_server.domain.errors import Blame, ResolverError
from prompt_resolver_server.domain.prompts import PromptRef
from prompt_resolver_server.templates.cache.source import Source
from prompt_resolver_server.templates.langfuse.store import LangfuseStore
from prompt_resolver_server.templates.listing import ListQuery
from prompt_resolver_server.templates.web import WebClient
from tests.support.langfuse import KEY, LangfuseApi, running_langfuse
from tests.support.upstream import Exchange

NAME = "team/say hello"
PATH = "/api/public/v2/prompts"
ENCODED = f"{PATH}/team%2Fsay%20hello"


@pytest.fixture
async def api() -> AsyncIterator[LangfuseApi]:
    """The API, with a prompt of three versions, whose second is in production, and others."""
    async with running_langfuse() as api:
        api.put(NAME, to=("staging",), prompt="one")
        api.put(NAME, prompt="two")
        api.put(NAME, to=(), prompt="three")
        api.put("Other", prompt="four").updated_at = "2026-06-01T12:00:00.000Z"
        api.put("draft", to=(), prompt="five")
        yield api


@pytest.fixture
async def store(api: LangfuseApi) -> AsyncIterator[LangfuseStore]:
    client = WebClient(name="f", base_url=api.url, timeout_s=5, tls=ssl.create_default_context())
    made = LangfuseStore(
        name="f", client=client, timeout_s=5, find_key=lambda: KEY, key_hint="the key"
    )
    yield made
    await made.aclose()


async def failure(asked: Awaitable[object]) -> ResolverError:
    with pytest.raises(ResolverError) as caught:
        await asked
    assert "key-of-fake" not in f"{caught.value.message} {caught.value.metadata}"
    return caught.value


def sources(environ: Mapping[str, str], path: Path | None = None) -> Mapping[str, Source]:
    loaded = load_configuration(path, environ)
    return build_stores(loaded, ssl.create_default_context()).sources


@pytest.mark.parametrize("place", ["LANGFUSE_HOST", "LANGFUSE_BASE_URL"])
async def test_is_there_by_the_environment(api: LangfuseApi, place: str) -> None:
    """The store is there without being configured, by the variables that the SDK reads."""
    public, _, secret = KEY.partition(":")
    environ = {
        place: api.url,
        "LANGFUSE_PUBLIC_KEY": public,
        "LANGFUSE_SECRET_KEY": secret,
    }
    source = sources(environ)["langfuse"]

    assert (await source.store.fetch(PromptRef(id=NAME), None)).version == "2"
    assert (source.selects, source.is_remote, source.ttl_s) == ("label", True, 60.0)
    await source.store.aclose()


async def test_configured(api: LangfuseApi, tmp_path: Path) -> None:
    """What is configured wins over the environment; each key comes from where it is set."""
    public, _, secret = KEY.partition(":")
    (tmp_path / "secret").write_text(f"{secret}\n")
    path = tmp_path / "config.yaml"
    path.write_text(
        f"stores: {{fuse: {{type: langfuse, base_url: '{api.url}/', public_key: {public},"
        f" secret_key: 'file:{tmp_path}/secret'}}}}"
    )
    store = sources({"LANGFUSE_HOST": "nonsense", "LANGFUSE_SECRET_KEY": "x"}, path)["fuse"].store

    assert (await store.fetch(PromptRef(id=NAME), None)).version == "2"
    await store.aclose()


@pytest.mark.parametrize("environ", [{}, {"LANGFUSE_PUBLIC_KEY": "public"}])
async def test_no_key(environ: Mapping[str, str]) -> None:
    """Without both keys a call is told what to set. Empty is unset."""
    empty = {"LANGFUSE_HOST": "", "LANGFUSE_SECRET_KEY": ""}
    store = sources({**empty, **environ})["langfuse"].store

    error = await failure(store.fetch(PromptRef(id=NAME), None))

    assert error.reason == "STORE_AUTH"
    assert error.message.endswith(
        "set stores.langfuse.public_key and secret_key,"
        " or LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY"
    )
    await store.aclose()


@pytest.mark.parametrize(
    ("ref", "selector", "text", "environment"),
    [
        (PromptRef(id=NAME), "label=production", "two", "production"),
        (PromptRef(id=NAME, environment="staging"), "label=staging", "one", "staging"),
        (PromptRef(id=NAME, environment="latest"), "label=latest", "three", "latest"),
        (PromptRef(id=NAME, version="1"), "version=1", "one", ""),
    ],
)
async def test_fetches(
    api: LangfuseApi,
    store: LangfuseStore,
    ref: PromptRef,
    selector: str,
    text: str,
    environment: str,
) -> None:
    """One request asks for a version or a label, with both keys; a folder is part of the name."""
    template = await store.fetch(ref, None)

    assert (template.messages[0].text, template.environment) == (text, environment)
    assert api.requests == [f"GET {ENCODED}?{selector}&resolve=true"]
    scheme, _, sent = api.exchanges[0].headers["authorization"].partition(" ")
    assert (scheme, base64.b64decode(sent).decode()) == ("Basic", KEY)


@pytest.mark.parametrize(
    "name", ["Grüße", "日本/語", "a b", "x;y=1", "a&b=c", "a+b", "a:b@c", "..."]
)
async def test_names_are_one_segment(api: LangfuseApi, store: LangfuseStore, name: str) -> None:
    """Whatever a prompt is called, its name is one segment of the path."""
    api.put(name, prompt="x")

    assert (await store.fetch(PromptRef(id=name), None)).id == name
    assert api.requests[0].partition("?")[0].count("/") == PATH.count("/") + 1


@pytest.mark.parametrize(
    "ref",
    [
        *(
            PromptRef(id=NAME, version=each)
            for each in ("0", "-1", "1.0", "01", "v1", "٣", "9" * 10)
        ),
        *(PromptRef(id=NAME, environment=each) for each in ("Prod", "a b", "é", "x" * 37, "a&b")),
    ],
)
async def test_selectors_that_are_none(
    api: LangfuseApi, store: LangfuseStore, ref: PromptRef
) -> None:
    """A version that is no number, or a label that Langfuse would not take, is not asked for."""
    assert (await failure(store.fetch(ref, None))).reason == "SELECTOR_INVALID"
    assert api.requests == []


@pytest.mark.parametrize(
    ("ref", "reason", "told"),
    [
        (PromptRef(id="nobody"), "PROMPT_NOT_FOUND", "has no prompt 'nobody'"),
        (PromptRef(id="nobody", version="1"), "PROMPT_NOT_FOUND", "has no prompt 'nobody'"),
        (
            PromptRef(id=NAME, version="9"),
            "VERSION_NOT_FOUND",
            "has no version '9'; it has the versions 1, 2, 3 and the labels latest, production, s",
        ),
        (
            PromptRef(id=NAME, environment="nope"),
            "VERSION_NOT_FOUND",
            "has no environment 'nope'; it has the versions 1, 2, 3",
        ),
        (
            PromptRef(id="draft"),
            "VERSION_NOT_FOUND",
            "has no environment 'production'; it has the versions 1 and the labels latest",
        ),
    ],
)
async def test_absent(
    api: LangfuseApi, store: LangfuseStore, ref: PromptRef, reason: str, told: str
) -> None:
    """A prompt that is not there is told apart from one that has other versions."""
    error = await failure(store.fetch(ref, None))

    assert error.reason == reason
    assert told in error.message
    assert len(api.requests) == 2


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"data": []}', b'{"data": [{}], "meta": {}}'])
@pytest.mark.parametrize(
    ("ref", "reason", "told"),
    [
        (PromptRef(id=NAME), "PROMPT_NOT_FOUND", "has no prompt"),
        (
            PromptRef(id=NAME, version="2"),
            "VERSION_NOT_FOUND",
            "the store does not tell",
        ),
    ],
)
@pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
async def test_list_that_is_none(
    api: LangfuseApi,
    store: LangfuseStore,
    ref: PromptRef,
    reason: str,
    told: str,
    body: bytes,
    status: str,
) -> None:
    """That a prompt is not there needs no list of prompts to be true."""

    async def answer(exchange: Exchange) -> None:
        of_list = exchange.path.startswith(f"{PATH}?")
        await exchange.send_response(body, status=status if of_list else "404 Not Found")

    api.fail = answer

    error = await failure(store.fetch(ref, None))

    assert error.reason == reason
    assert told in error.message


@pytest.mark.parametrize("key", ["public", "public:", ":secret"])
async def test_keys_are_two(api: LangfuseApi, store: LangfuseStore, key: str) -> None:
    """A key without its other half is whose it is to mend."""
    error = await failure(store.fetch(PromptRef(id=NAME), None, caller_key=key))

    assert (error.reason, error.blame) == ("STORE_AUTH", Blame.CALLER)
    assert error.message == "store 'f': expected a key of the form public:secret"
    assert api.requests == []


async def test_label_moves(api: LangfuseApi, store: LangfuseStore) -> None:
    """A label that moves to another version takes what is served with it, even if texts agree."""
    held = await store.fetch(PromptRef(id=NAME), None)
    assert await store.fetch(PromptRef(id=NAME), held) is held
    api.put(NAME, prompt="two")

    template = await store.fetch(PromptRef(id=NAME), held)

    assert (held.version, template.version) == ("2", "4")
    assert template.content_sha256 == held.content_sha256


async def test_unchanged_is_not_sent_again(api: LangfuseApi, store: LangfuseStore) -> None:
    """What is held is asked for by the name that Langfuse gave it."""
    held = await store.fetch(PromptRef(id=NAME), None)

    assert await store.fetch(PromptRef(id=NAME), held) is held
    assert [("if-none-match" in each.headers) for each in api.exchanges] == [False, True]


@pytest.mark.parametrize(
    ("query", "names", "total"),
    [
        (ListQuery(), ["Other", NAME], 2),
        (ListQuery(size=1), ["Other"], 2),
        (ListQuery(size=1, page=2), [NAME], 2),
        (ListQuery(page=3), [], 2),
        (ListQuery(name="HELLO"), [NAME], 1),
        (ListQuery(name="nowhere"), [], 0),
        (ListQuery(sort_by="name", order="desc"), [NAME, "Other"], 2),
        (ListQuery(sort_by="updated_at"), [NAME, "Other"], 2),
        (ListQuery(sort_by="updated_at", order="desc", size=1), ["Other"], 2),
    ],
)
async def test_lists(store: LangfuseStore, query: ListQuery, names: list[str], total: int) -> None:
    """Prompts are listed as they are in production, found by a part of their names."""
    page = await store.list_prompts(query)

    assert ([each.id for each in page.templates], page.total) == (names, total)
    assert all(each.environment == "production" for each in page.templates)


async def test_lists_page_by_page(api: LangfuseApi, store: LangfuseStore) -> None:
    """A part of a name is looked for on all of the API's pages."""
    for number in range(250):
        api.put(f"many/{number:03}", prompt="x")

    page = await store.list_prompts(ListQuery(name="many/24", size=20))

    assert [each.id for each in page.templates] == [f"many/24{digit}" for digit in range(10)]
    assert len([each for each in api.requests if f"{PATH}?" in each]) == 3


async def test_order_that_is_not_known(api: LangfuseApi, store: LangfuseStore) -> None:
    """An order that the API does not know is refused rather than made up."""
    error = await failure(store.list_prompts(ListQuery(sort_by="created_at")))

    assert error.reason == "NOT_IMPLEMENTED"
    assert api.requests == []


async def test_lists_versions_and_labels(store: LangfuseStore) -> None:
    """All versions of a prompt are listed, and its labels, each with the version it points at."""
    versions = await store.list_versions(NAME)
    environments = await store.list_environments(NAME)

    assert [(each.version, each.messages[0].text) for each in versions] == [
        ("1", "one"),
        ("2", "two"),
        ("3", "three"),
    ]
    assert [
        (each.name, each.tag, each.template and each.template.version) for each in environments
    ] == [("latest", "other", "3"), ("production", "default", "2"), ("staging", "other", "1")]


async def test_nothing_to_list(store: LangfuseStore) -> None:
    """Versions and labels of a prompt that is not there are not found."""
    for asked in (store.list_versions("nobody"), store.list_environments("nobody")):
        assert (await failure(asked)).reason == "PROMPT_NOT_FOUND"


async def test_broken_ones_are_left_out(
    api: LangfuseApi, store: LangfuseStore, caplog: pytest.LogCaptureFixture
) -> None:
    """What is broken, or called as no prompt may be here, is counted, and the others are listed."""
    caplog.set_level(logging.WARNING)
    api.put("broken", prompt="x", config={"temperature": -1})
    api.put("why?", prompt="x")

    page = await store.list_prompts(ListQuery())

    assert [each.id for each in page.templates] == ["Other", NAME]
    assert [vars(record)["broken"] for record in caplog.records] == [2]


async def test_failing_lists(api: LangfuseApi, store: LangfuseStore) -> None:
    """A list whose prompts the API does not answer for fails as one of them would."""
    good = api.answer

    async def answer(exchange: Exchange) -> None:
        if f"{PATH}/" in exchange.path:
            await exchange.send_response(b"", status="503 Down", headers="Retry-After: 7\r\n")
        else:
            api.fail = None
            await good(exchange)
            api.fail = answer

    api.fail = answer

    error = await failure(store.list_prompts(ListQuery()))

    assert (error.metadata["http_status"], error.retry_after_s) == ("503", 7.0)


META = {"page": 1, "limit": 10, "totalItems": 1, "totalPages": 1}
ROW = {"name": "x", "versions": [1], "labels": ["production"]}


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"data": [], "meta": 5},
        {"data": 5, "meta": META},
        {"data": ["x"], "meta": META},
        {"data": [{**ROW, "name": ""}], "meta": META},
        {"data": [{**ROW, "versions": ["1"]}], "meta": META},
        {"data": [{**ROW, "labels": [5]}], "meta": META},
        {"data": [], "meta": {**META, "totalItems": -1}},
        {"data": [], "meta": {**META, "totalPages": "1"}},
    ],
)
async def test_lists_that_are_none(
    api: LangfuseApi, store: LangfuseStore, document: object
) -> None:
    """A list that is none of Langfuse's is a failure of the store."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send_response(json.dumps(document).encode())

    api.fail = answer

    error = await failure(store.list_prompts(ListQuery()))

    assert (error.reason, error.metadata["problem"]) == ("STORE_UNAVAILABLE", "garbage")


async def test_lists_without_end(api: LangfuseApi, store: LangfuseStore) -> None:
    """A list of more prompts than anybody reads is not gone through."""

    async def answer(exchange: Exchange) -> None:
        body = {"data": [], "meta": {**META, "totalPages": 101}}
        await exchange.send_response(json.dumps(body).encode())

    api.fail = answer

    error = await failure(store.list_prompts(ListQuery(name="x")))

    assert error.metadata["problem"] == "too_large"
    assert len(api.requests) == 1
