"""The `humanloop` store asks the API for what was named, and tells its failures apart."""

import asyncio
import json
import logging
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from prompt_resolver_server.domain.errors import ResolverError, StoreError
from prompt_resolver_server.domain.prompts import PromptRef, Template
from prompt_resolver_server.logs import configure_logs
from prompt_resolver_server.templates.humanloop.store import HumanloopStore
from prompt_resolver_server.templates.web import WebClient
from tests.support.humanloop import (
    KEY,
    Document,
    HumanloopApi,
    environment,
    running_humanloop,
    send,
)
from tests.support.upstream import Answer, Exchange

HELLO = PromptRef(id="pr_1")


@pytest.fixture
async def api() -> AsyncIterator[HumanloopApi]:
    """The API, with one prompt of three versions; the second is the one that is deployed."""
    async with running_humanloop() as api:
        for number, to in (("1", "staging"), ("2", "production"), ("3", "")):
            api.put(
                "Team/Hello there",
                prompt_id="pr_1",
                version=f"prv_{number}",
                to=to,
                template=[{"role": "user", "content": f"text {number}"}],
            )
        yield api


@pytest.fixture
async def store(api: HumanloopApi) -> AsyncIterator[HumanloopStore]:
    made = make_store(api.url)
    yield made
    await made.aclose()


def make_store(url: str, *, timeout_s: float = 5) -> HumanloopStore:
    client = WebClient(
        name="h", base_url=url, timeout_s=timeout_s, tls=ssl.create_default_context()
    )
    return HumanloopStore(
        name="h",
        client=client,
        timeout_s=timeout_s,
        find_key=lambda: KEY,
        key_hint="stores.h.api_key or HUMANLOOP_API_KEY",
    )


async def test_a_prompt_that_was_moved(api: HumanloopApi, store: HumanloopStore) -> None:
    """A prompt that has another path is told by that, although its version is the one held."""
    held = await store.fetch(HELLO, None)
    api.prompts["pr_1"].path = "Team/Welcome"

    template = await store.fetch(HELLO, held)

    assert (template.name, template.location) == ("Welcome", "Team/Welcome")
    assert (template.version, template.content_sha256) == (held.version, held.content_sha256)
    assert await store.fetch(HELLO, template) is template


async def failure(fetch: Awaitable[Template]) -> ResolverError:
    with pytest.raises(ResolverError) as caught:
        await fetch
    error = caught.value
    assert KEY not in f"{error!r} {error.message} {error.metadata}"
    assert error.metadata["store"] == "h"
    return error


def answering(status: str, body: bytes = b"", headers: str = "") -> Answer:
    async def answer(exchange: Exchange) -> None:
        await exchange.send_response(body, status=status, headers=headers)

    return answer


async def test_by_id(api: HumanloopApi, store: HumanloopStore) -> None:
    """An id is asked for with one request, which brings the key and wants plain bytes."""
    template = await store.fetch(HELLO, None)

    assert (template.id, template.name, template.version) == ("pr_1", "Hello there", "prv_2")
    assert (template.location, template.environment) == ("Team/Hello there", "production")
    assert template.messages[0].text == "text 2"
    assert api.requests == ["GET /v5/prompts/pr_1"]
    assert api.exchanges[0].headers["x-api-key"] == KEY
    assert api.exchanges[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("ref", "query", "text", "environment"),
    [
        (PromptRef(id="pr_1", version="prv_3"), "?version_id=prv_3", "text 3", ""),
        (PromptRef(id="pr_1", version="prv_2"), "?version_id=prv_2", "text 2", ""),
        (PromptRef(id="pr_1", environment="staging"), "?environment=staging", "text 1", "staging"),
    ],
)
async def test_selectors(
    api: HumanloopApi,
    store: HumanloopStore,
    ref: PromptRef,
    query: str,
    text: str,
    environment: str,
) -> None:
    """A version and an environment are asked for, and what was asked for is told."""
    template = await store.fetch(ref, None)

    assert (template.messages[0].text, template.environment) == (text, environment)
    assert api.requests == [f"GET /v5/prompts/pr_1{query}"]


async def test_by_path(api: HumanloopApi, store: HumanloopStore) -> None:
    """A path is looked up for the id, which is then asked for with the selector."""
    template = await store.fetch(PromptRef(id="Team/Hello there", environment="staging"), None)

    assert (template.id, template.version) == ("pr_1", "prv_1")
    assert api.requests == [
        "POST /v5/files/retrieve-by-path",
        "GET /v5/prompts/pr_1?environment=staging",
    ]
    assert api.exchanges[0].json == {"path": "Team/Hello there"}
    assert {exchange.headers["x-api-key"] for exchange in api.exchanges} == {KEY}


async def test_one_segment_is_an_id_first(api: HumanloopApi, store: HumanloopStore) -> None:
    """One plain segment is tried as an id, and then looked up as a path."""
    api.put("hello", prompt_id="pr_9", template="x")

    assert (await store.fetch(PromptRef(id="hello"), None)).id == "pr_9"
    assert api.requests == [
        "GET /v5/prompts/hello",
        "POST /v5/files/retrieve-by-path",
        "GET /v5/prompts/pr_9",
    ]


@pytest.mark.parametrize(
    "prompt_id", ["Grüße", "日本/語", "a b", "x;y=1", "a&b", "a+b", "http://127.0.0.1/x"[7:]]
)
async def test_other_ids_are_paths(
    api: HumanloopApi, store: HumanloopStore, prompt_id: str
) -> None:
    """What is no plain segment stands in a body and in no address."""
    api.put(prompt_id, prompt_id="pr_9", template="x")

    assert (await store.fetch(PromptRef(id=prompt_id), None)).location == prompt_id
    assert api.requests == ["POST /v5/files/retrieve-by-path", "GET /v5/prompts/pr_9"]


@pytest.mark.parametrize(
    "answered", ["../environments", "..", "a//b", "pr_1?x=y", "pr%2f", "\ud800"]
)
async def test_no_answer_reaches_anything_else(
    api: HumanloopApi, store: HumanloopStore, answered: str
) -> None:
    """An id that the store answers for a path is checked like any other."""

    async def answer(exchange: Exchange) -> None:
        await send(exchange, {"id": answered, "type": "prompt"})

    api.fail = answer

    error = await failure(store.fetch(PromptRef(id="a/b"), None))

    assert error.metadata["problem"] == "garbage"
    assert len(api.requests) == 1


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"id": 5}', b'{"id": "pr_1"'])
async def test_garbage_for_a_path(api: HumanloopApi, store: HumanloopStore, body: bytes) -> None:
    """A path whose answer has no id in it is a failure of the store."""
    api.fail = answering("200 OK", body)

    error = await failure(store.fetch(PromptRef(id="a/b"), None))

    assert (error.reason, error.metadata["problem"]) == ("STORE_UNAVAILABLE", "garbage")


@pytest.mark.parametrize("selector", ["a&version_id=x", "a b", "é", "../x", "a#b?c%00"])
async def test_selectors_are_sent_as_they_are(
    api: HumanloopApi, store: HumanloopStore, selector: str
) -> None:
    """Whatever an environment is called, it is one value of the query."""
    api.put("p", prompt_id="pr_9", to=selector, template="x")

    template = await store.fetch(PromptRef(id="pr_9", environment=selector), None)

    assert template.environment == selector


@pytest.mark.parametrize(
    ("ref", "reason", "requests"),
    [
        (PromptRef(id="pr_2"), "PROMPT_NOT_FOUND", 1),
        (PromptRef(id="pr_2", version="prv_1"), "PROMPT_NOT_FOUND", 2),
        (PromptRef(id="pr_1", version="prv_9"), "VERSION_NOT_FOUND", 2),
        (PromptRef(id="pr_1", environment="nope"), "VERSION_NOT_FOUND", 2),
        (PromptRef(id="nobody"), "PROMPT_NOT_FOUND", 2),
        (PromptRef(id="nobody", environment="nope"), "PROMPT_NOT_FOUND", 3),
        (PromptRef(id="Team/nobody", environment="nope"), "PROMPT_NOT_FOUND", 1),
        (PromptRef(id="Team/Hello there", environment="nope"), "VERSION_NOT_FOUND", 2),
    ],
)
async def test_absent(
    api: HumanloopApi, store: HumanloopStore, ref: PromptRef, reason: str, requests: int
) -> None:
    """A prompt that is not there is told apart from one without such a version."""
    error = await failure(store.fetch(ref, None))

    assert (error.reason, len(api.requests)) == (reason, requests)


async def test_other_files_are_no_prompts(api: HumanloopApi, store: HumanloopStore) -> None:
    """A path that is of a tool or of a dataset is of no prompt."""
    api.put("Team/tool", prompt_id="tl_1", type="tool")

    error = await failure(store.fetch(PromptRef(id="Team/tool"), None))

    assert error.reason == "PROMPT_NOT_FOUND"


BODIES = [
    b'{"detail": "hl-key-1 some text"}',
    b'{"detail": {"description": "hl-key-1", "msg": "some text"}}',
    b'{"detail": [{"loc": ["query"], "msg": "some text", "type": "x"}]}',
    b"<html>some text</html>",
    b"",
]


@pytest.mark.parametrize("body", BODIES, ids=["text", "object", "list", "html", "empty"])
async def test_not_found(api: HumanloopApi, store: HumanloopStore, body: bytes) -> None:
    """What the API does not have is not there, whatever the body says, and the body is not told."""
    api.fail = answering("404 Not Found", body)

    error = await failure(store.fetch(HELLO, None))

    assert error.reason == "PROMPT_NOT_FOUND"
    assert "some text" not in f"{error.message} {error.metadata}"


@pytest.mark.parametrize("prompt_id", ["pr_1", "hello", "team/hello"])
async def test_page_in_place_of_the_api(
    api: HumanloopApi, store: HumanloopStore, prompt_id: str
) -> None:
    """A page that says "not found" says it of the API, as where that was closed."""

    async def parked(exchange: Exchange) -> None:
        page, kind = b"<html>This domain is for sale</html>", "text/html; charset=utf-8"
        await exchange.send_response(page, status="404 Not Found", content_type=kind)

    api.fail = parked

    error = await failure(store.fetch(PromptRef(id=prompt_id), None))

    assert (error.reason, error.metadata["http_status"]) == ("STORE_UNAVAILABLE", "404")


@pytest.mark.parametrize("status", ["400 Bad Request", "422 Unprocessable Entity"])
async def test_refused_selectors(api: HumanloopApi, store: HumanloopStore, status: str) -> None:
    """A selector that the store refuses is the caller's."""
    api.fail = answering(status)

    error = await failure(store.fetch(PromptRef(id="pr_1", version="nonsense"), None))

    assert error.reason == "SELECTOR_INVALID"
    assert error.message == "prompt.version: store 'h' refuses it"


GOOD = b'{"id": "pr_1", "version_id": "prv_1", "model": "m"%s}'


@pytest.mark.parametrize(
    "answer",
    [
        answering("200 OK", b"{}"),
        answering("200 OK", b'{"id": "pr_1"'),
        answering("200 OK", b'{"id": "\xff"}'),
        answering("200 OK", b'{"id": "pr_1", "model": "m"}'),
        answering("200 OK", b'{"version_id": "v", "model": "m"}'),
        answering("200 OK", b'{"id": "pr_1", "version_id": "v"}'),
        answering("200 OK", b'{"id": "pr_1", "version_id": "v", "model": 5}'),
        answering("200 OK", b'{"id": 5, "version_id": "v", "model": "m"}'),
        answering("200 OK", GOOD % b', "template": 5'),
        answering("200 OK", GOOD % b', "template": {}'),
        answering("200 OK", GOOD % b', "template": [["user", "x"]]'),
        answering("200 OK", GOOD % (b', "other": {"a": ' + b"[" * 500 + b"]" * 500 + b"}")),
    ],
)
async def test_garbage(api: HumanloopApi, store: HumanloopStore, answer: Answer) -> None:
    """An answer that makes no sense is a failure of the store, and a failure alone."""
    api.fail = answer

    error = await failure(store.fetch(HELLO, None))

    assert isinstance(error, StoreError)
    assert (error.reason, error.metadata["problem"]) == ("STORE_UNAVAILABLE", "garbage")

    api.fail = None
    assert (await store.fetch(HELLO, None)).id == "pr_1"


async def test_another_version_than_asked_for(api: HumanloopApi, store: HumanloopStore) -> None:
    """A store that answers a pin with another version is not believed."""
    api.fail = answering("200 OK", GOOD % b"")

    error = await failure(store.fetch(PromptRef(id="pr_1", version="prv_2"), None))

    assert error.metadata["problem"] == "garbage"


@pytest.mark.parametrize("answered", [{"id": "pr_9"}, {"id": "pr_9", "path": "Team/other"}])
async def test_another_prompt_than_asked_for(
    api: HumanloopApi, store: HumanloopStore, answered: Document
) -> None:
    """A store that answers with the prompt of another id is not believed."""
    body = json.dumps({"version_id": "prv_1", "model": "m", **answered}).encode()
    api.fail = answering("200 OK", body)

    error = await failure(store.fetch(PromptRef(id="pr_1", environment="staging"), None))

    assert (error.reason, error.metadata["problem"]) == ("STORE_UNAVAILABLE", "garbage")
    assert ": id: expected the" in error.message


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("hello", {"id": "pr_9", "path": "hello"}),
        ("Team/Hello there", {"id": "pr_1", "path": "Team/hello there"}),
        ("old/name", {"id": "old/name", "path": "new/name"}),
        ("pr_1", {"id": "pr_1", "path": "Team/Hello there"}),
        ("pr_1", {"id": "pr_1", "environments": []}),
        ("pr_1", {"id": "pr_1", "environments": [environment("qa"), environment("staging")]}),
        ("pr_1", {"id": "pr_1", "environments": [{"id": "env_1"}, "staging"]}),
        ("pr_1", {"id": "pr_1", "environments": [environment("production")]}),
    ],
)
async def test_what_may_be_the_prompt(
    api: HumanloopApi, store: HumanloopStore, asked: str, answered: Document
) -> None:
    """How the API spells a path, and where it says that a version is deployed, is its affair."""
    body = json.dumps({"version_id": "prv_1", "model": "m", **answered}).encode()
    api.fail = answering("200 OK", body)

    template = await store.fetch(PromptRef(id=asked, environment="staging"), None)

    assert (template.id, template.environment) == (answered["id"], "staging")


async def test_time_is_capped_for_all_requests(api: HumanloopApi) -> None:
    """The requests that a fetch takes share its time."""
    store = make_store(api.url, timeout_s=0.5)
    await store.fetch(HELLO, None)

    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(0.3)
        await exchange.send_response(b"{}", status="404 Not Found")

    api.fail = slow

    error = await failure(store.fetch(PromptRef(id="hello", version="x"), None))

    assert error.metadata["problem"] == "timeout"
    await store.aclose()


Change = Callable[[HumanloopApi], object]


def change_tool(api: HumanloopApi) -> None:
    api.prompts["pr_1"].versions["prv_2"]["linked_tools"] = [
        {"name": "stock", "description": "another", "id": "tl_1", "version_id": "tlv_1"}
    ]


def change_display(api: HumanloopApi) -> None:
    api.prompts["pr_1"].versions["prv_2"] |= {"readme": "x", "total_logs_count": 5, "new": [1]}


def deploy_same_text(api: HumanloopApi) -> None:
    versions = api.prompts["pr_1"].versions
    api.put("", prompt_id="pr_1", version="prv_4", template=versions["prv_2"]["template"])


@pytest.mark.parametrize(
    ("change", "is_held", "same_content"),
    [
        (change_tool, False, False),
        (change_display, True, True),
        (deploy_same_text, False, True),
    ],
)
async def test_what_counts_as_a_change(
    api: HumanloopApi, store: HumanloopStore, change: Change, is_held: bool, same_content: bool
) -> None:
    """A held template is replaced by another version or content, a linked tool's included."""
    held = await store.fetch(HELLO, None)
    change(api)

    template = await store.fetch(HELLO, held)

    assert (template is held) is is_held
    assert (template.content_sha256 == held.content_sha256) is same_content


async def test_forbidden_parameters(api: HumanloopApi, store: HumanloopStore) -> None:
    """A prompt that would decide where its request goes is its author's to mend."""
    api.prompts["pr_1"].versions["prv_2"]["other"] = {"api_base": "http://evil"}

    error = await failure(store.fetch(HELLO, None))

    assert error.reason == "TEMPLATE_FORBIDDEN"
    assert "other.api_base: refused" in error.message
    assert "evil" not in error.message


async def test_large_answers_hold_nobody_up(api: HumanloopApi, store: HumanloopStore) -> None:
    """A large prompt is read beside the event loop."""
    message = {"role": "user", "content": "x" * 100}
    api.prompts["pr_1"].versions["prv_2"]["template"] = [message] * 5000

    assert len((await store.fetch(HELLO, None)).messages) == 5000


async def test_nothing_is_logged(
    api: HumanloopApi, store: HumanloopStore, capfd: pytest.CaptureFixture[str]
) -> None:
    """The HTTP client's own log, which tells addresses, is not written."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logs("debug")
    try:
        await store.fetch(PromptRef(id="pr_1", environment="staging"), None)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)

    told = capfd.readouterr().err
    assert "pr_1" not in told
    assert KEY not in told


def test_costs_nothing_until_it_is_used() -> None:
    """The HTTP client is imported by the first fetch, and not by the service's start."""
    program = "import sys, prompt_resolver_server.app; print('httpx' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert done.stdout.strip() == b"False"


async def test_many_at_once(api: HumanloopApi, store: HumanloopStore) -> None:
    """The first fetches that come together share one client."""
    refs = [PromptRef(id="pr_1", version=f"prv_{1 + n % 3}") for n in range(60)]

    templates = await asyncio.gather(*(store.fetch(ref, None) for ref in refs))

    assert [template.version for template in templates] == [ref.version for ref in refs]
