"""What every store promises that is somebody's service, whatever that service answers."""

import asyncio
import base64
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import pytest
import trustme

from prompt_resolver_server.domain.errors import Blame, ResolverError, StoreError
from prompt_resolver_server.domain.prompts import PromptRef, Template
from prompt_resolver_server.templates.web import MAX_BYTES
from prompt_resolver_server.templates.web_store import WebStore
from tests.support.upstream import Answer, Exchange, Upstream, running_upstream
from tests.support.web_stores import HELLO, KEY, WEB_KINDS, WebKind


@pytest.fixture(params=WEB_KINDS, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> WebKind:
    made: WebKind = request.param
    return made


@pytest.fixture
async def api(kind: WebKind) -> AsyncIterator[Upstream]:
    """The service, which has one prompt."""
    async with running_upstream(answering("200 OK", kind.answer())) as upstream:
        yield upstream


@pytest.fixture
async def store(kind: WebKind, api: Upstream) -> AsyncIterator[WebStore]:
    made = kind.make(api.url)
    yield made
    await made.aclose()


async def failure(fetch: Awaitable[Template]) -> ResolverError:
    with pytest.raises(ResolverError) as caught:
        await fetch
    error = caught.value
    told = f"{error!r} {error.message} {error.metadata}"
    assert KEY not in told
    assert "key-of-fake" not in told
    assert error.metadata["store"] == "w"
    return error


def answering(status: str, body: bytes = b"", headers: str = "") -> Answer:
    async def answer(exchange: Exchange) -> None:
        await exchange.send_response(body, status=status, headers=headers)

    return answer


@pytest.mark.parametrize(
    "prompt_id",
    [
        *("", ".", "..", "../x", "a/../b", "..%2f..%2fadmin", "%2e%2e", "a?b=c", "a#b", "a\\b"),
        *("a\r\nX: y", "a\x00", "a\x7f", "a\x80", "a\x85b", "a\x9f", "\ud800"),
        *("/pr_1", "pr_1/", "http://elsewhere/x", "x" * 600),
    ],
)
async def test_no_id_reaches_anything_else(api: Upstream, store: WebStore, prompt_id: str) -> None:
    """An id that could reach anything but a prompt is refused, and nothing is asked."""
    error = await failure(store.fetch(PromptRef(id=prompt_id), None))

    assert error.reason == "PROMPT_ID_INVALID"
    assert api.exchanges == []


@pytest.mark.parametrize("selector", ["", "x" * 600, "\ud800"])
async def test_selectors_that_are_none(api: Upstream, store: WebStore, selector: str) -> None:
    """A selector that is empty, endless or no text is refused, and nothing is asked."""
    for ref in (
        PromptRef(id="pr_1", version=selector),
        PromptRef(id="pr_1", environment=selector),
    ):
        assert (await failure(store.fetch(ref, None))).reason == "SELECTOR_INVALID"

    assert api.exchanges == []


BODIES = [
    b'{"detail": "key-of-fake some text"}',
    b'{"message": "some text", "error": [{"path": ["query"]}]}',
    b'{"detail": [{"loc": ["query"], "msg": "some text", "type": "x"}]}',
    b"<html>some text</html>",
    b"",
]


@pytest.mark.parametrize("body", BODIES, ids=["text", "object", "list", "html", "empty"])
@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("401 Unauthorized", "STORE_AUTH"),
        ("403 Forbidden", "STORE_AUTH"),
        ("400 Bad Request", "STORE_UNAVAILABLE"),
        ("408 Request Timeout", "STORE_UNAVAILABLE"),
        ("409 Conflict", "STORE_UNAVAILABLE"),
        ("422 Unprocessable Entity", "STORE_UNAVAILABLE"),
        ("429 Too Many Requests", "STORE_UNAVAILABLE"),
        ("500 Internal Server Error", "STORE_UNAVAILABLE"),
        ("503 Service Unavailable", "STORE_UNAVAILABLE"),
        ("529 Overloaded", "STORE_UNAVAILABLE"),
    ],
)
async def test_statuses(
    api: Upstream, store: WebStore, status: str, reason: str, body: bytes
) -> None:
    """Each status has its reason, whatever the body says, and the body is not told."""
    api.answer = answering(status, body)

    error = await failure(store.fetch(HELLO, None))

    assert error.reason == reason
    assert "some text" not in f"{error.message} {error.metadata}"
    assert error.metadata["http_status"] == status[:3]
    assert len(api.exchanges) == 1


async def page(exchange: Exchange, status: str) -> None:
    html, kind = b"<html>Just a moment...</html>", "text/html; charset=utf-8"
    await exchange.send_response(html, status=status, content_type=kind)


@pytest.mark.parametrize("ref", [HELLO, PromptRef(id="pr_1", environment="staging")])
@pytest.mark.parametrize("status", ["400 Bad Request", "403 Forbidden", "404 Not Found"])
async def test_page_in_place_of_the_api(
    api: Upstream, store: WebStore, ref: PromptRef, status: str
) -> None:
    """What a page says is said by a firewall, a login or whoever owns the address: not the API."""
    api.answer = partial(page, status=status)

    error = await failure(store.fetch(ref, None))

    assert (error.reason, error.metadata["http_status"]) == ("STORE_UNAVAILABLE", status[:3])
    assert "answered with a page" in error.message


async def test_page_that_asks_for_a_key(api: Upstream, store: WebStore) -> None:
    """401 is about the key in whatever form it comes: a proxy that wants one sends a page."""
    api.answer = partial(page, status="401 Unauthorized")

    assert (await failure(store.fetch(HELLO, None))).reason == "STORE_AUTH"


@pytest.mark.parametrize("status", ["400 Bad Request", "422 Unprocessable Entity"])
async def test_refused_selectors(api: Upstream, store: WebStore, status: str) -> None:
    """A selector that the service refuses is the caller's."""
    api.answer = answering(status)

    error = await failure(store.fetch(PromptRef(id="pr_1", environment="nonsense"), None))

    assert error.reason == "SELECTOR_INVALID"
    assert error.message == "prompt.environment: store 'w' refuses it"


@pytest.mark.parametrize(
    "status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent"]
)
async def test_redirects_are_not_followed(api: Upstream, store: WebStore, status: str) -> None:
    """A redirect leads nowhere, and least of all with the key."""
    async with running_upstream() as elsewhere:
        api.answer = answering(status, headers=f"Location: {elsewhere.url}\r\n")

        error = await failure(store.fetch(HELLO, None))

    assert error.reason == "STORE_UNAVAILABLE"
    assert elsewhere.exchanges == []


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
async def test_wait_is_told(api: Upstream, store: WebStore, status: str) -> None:
    """How long the service asks to wait is told to the caller."""
    api.answer = answering(status, headers="Retry-After: 7\r\n")

    assert (await failure(store.fetch(HELLO, None))).retry_after_s == 7.0


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
async def test_whose_key(api: Upstream, kind: WebKind, store: WebStore, status: str) -> None:
    """A key that is refused is the operator's, or the caller's who brought it."""
    api.answer = answering(status)

    ours = await failure(store.fetch(HELLO, None))
    theirs = await failure(store.fetch(HELLO, None, caller_key="an:other"))

    assert (ours.blame, ours.message) == (
        Blame.OPERATOR,
        "store 'w' refuses the configured key",
    )
    assert (theirs.blame, theirs.message) == (Blame.CALLER, "store 'w' refuses the caller's key")
    sent = [kind.key_of(exchange.headers) for exchange in api.exchanges]
    if kind.name == "langfuse":
        sent = [base64.b64decode(key).decode() for key in sent]
    assert sent == [KEY, "an:other"]


async def test_callers_key_alone(api: Upstream, kind: WebKind) -> None:
    """A caller's key serves where none is configured; without either, it is told what to set."""
    store = kind.make(api.url, key=None)

    assert await store.fetch(HELLO, None, caller_key=KEY)
    error = await failure(store.fetch(HELLO, None))

    assert error.reason == "STORE_AUTH"
    assert "store 'w' has no key: set " in error.message
    assert len(api.exchanges) == 1
    await store.aclose()


@pytest.mark.parametrize("key", ["a:\r\nX: y", "a:clé", "a: b", "\x00", " a:b", "a:b\n", "\ud800"])
async def test_keys_that_no_header_holds(api: Upstream, kind: WebKind, key: str) -> None:
    """A key that cannot be sent is refused here, by whosesoever it is, and not told."""
    store = kind.make(api.url, key=key)

    ours = await failure(store.fetch(HELLO, None))
    theirs = await failure(store.fetch(HELLO, None, caller_key=key))

    assert (ours.reason, ours.blame) == ("STORE_AUTH", Blame.OPERATOR)
    assert (theirs.reason, theirs.blame) == ("STORE_AUTH", Blame.CALLER)
    assert api.exchanges == []


async def test_sessions_are_not_shared(api: Upstream, store: WebStore) -> None:
    """A cookie that came with one caller's answer is not sent with another's request."""
    api.answer = answering("200 OK", b"{}", "Set-Cookie: session=1; Path=/\r\n")

    for key in ("a:a", "b:b"):
        await failure(store.fetch(HELLO, None, caller_key=key))

    assert len(api.exchanges) == 2
    assert all("cookie" not in each.headers for each in api.exchanges)


async def cut(exchange: Exchange) -> None:
    await exchange.send(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"id"')
    exchange.writer.close()


async def cut_chunked(exchange: Exchange) -> None:
    await exchange.send(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"id"\r\n')
    exchange.writer.close()


async def reset_in_the_body(exchange: Exchange) -> None:
    await exchange.send(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"id"')
    exchange.reset()


@pytest.mark.parametrize(
    "answer",
    [
        answering("200 OK", b""),
        answering("200 OK", b"<html>"),
        answering("200 OK", b"[]"),
        answering("200 OK", b"null"),
        answering("200 OK", b"{}"),
        answering("200 OK", b'{"name": "pr_1"'),
        answering("200 OK", b'{"name": "\xff"}'),
        answering("200 OK", b"[" * 100_000),
        answering("200 OK", b"\x1f\x8b\x08 nonsense", "Content-Encoding: gzip\r\n"),
        answering("304 Not Modified"),
        cut,
        cut_chunked,
        reset_in_the_body,
    ],
)
async def test_garbage(api: Upstream, kind: WebKind, store: WebStore, answer: Answer) -> None:
    """An answer that makes no sense is a failure of the service, and a failure alone."""
    api.answer = answer

    error = await failure(store.fetch(HELLO, None))

    assert isinstance(error, StoreError)
    assert (error.reason, error.metadata["problem"]) == ("STORE_UNAVAILABLE", "garbage")

    api.answer = answering("200 OK", kind.answer())
    assert await store.fetch(HELLO, None)


async def test_compressed(api: Upstream, kind: WebKind, store: WebStore) -> None:
    """A body that says that it is compressed is not unpacked."""
    api.answer = answering("200 OK", kind.answer(), "Content-Encoding: gzip\r\n")

    error = await failure(store.fetch(HELLO, None))

    assert error.metadata["problem"] == "garbage"
    assert api.exchanges[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("status", ["204 No Content", "201 Created", "206 Partial Content"])
async def test_other_successes(api: Upstream, store: WebStore, status: str) -> None:
    """A success other than 200 is none."""
    api.answer = answering(status)

    assert (await failure(store.fetch(HELLO, None))).reason == "STORE_UNAVAILABLE"


async def test_size_is_capped(api: Upstream, kind: WebKind, store: WebStore) -> None:
    """An answer as large as the cap is read; a larger one, and one without end, is not."""
    padding = MAX_BYTES - len(kind.answer(b', "x": ""'))
    api.answer = answering("200 OK", kind.answer(b', "x": "%s"' % (b"x" * padding)))
    assert (await store.fetch(HELLO, None)).size == MAX_BYTES

    api.answer = answering("200 OK", kind.answer(b', "x": "%s"' % (b"x" * (padding + 1))))
    assert (await failure(store.fetch(HELLO, None))).metadata["problem"] == "too_large"

    async def endless(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while not exchange.writer.is_closing():
            await exchange.send(b" " * 65536)

    api.answer = endless
    assert (await failure(store.fetch(HELLO, None))).metadata["problem"] == "too_large"


async def test_many_pieces(api: Upstream, kind: WebKind) -> None:
    """An answer in very many pieces, all of which are there, keeps nobody else waiting."""
    store, turns = kind.make(api.url, timeout_s=60), 0

    async def shredded(exchange: Exchange) -> None:
        await exchange.begin_stream(chunked=True)
        pieces = [b"1\r\n%c\r\n" % byte for byte in kind.answer() + b" " * 50_000]
        await exchange.send(b"".join(pieces) + b"0\r\n\r\n")

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    api.answer = answering("200 OK", kind.answer())
    await store.fetch(HELLO, None)
    api.answer = shredded
    async with asyncio.TaskGroup() as group:
        others = group.create_task(take_turns())
        await store.fetch(HELLO, None)
        others.cancel()
    await store.aclose()

    assert turns > 400


async def wait(exchange: Exchange) -> None:
    await exchange.wait_closed()


async def drip(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while not exchange.writer.is_closing():
        await exchange.send(b" ")
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("answer", [wait, drip])
async def test_time_is_capped(api: Upstream, kind: WebKind, answer: Answer) -> None:
    """A service that is silent, or never gets to its end, is waited for so long and no longer."""
    api.answer = answer
    store = kind.make(api.url, timeout_s=0.5)

    error = await failure(store.fetch(HELLO, None))

    assert (error.reason, error.metadata["problem"]) == ("STORE_UNAVAILABLE", "timeout")
    await store.aclose()


async def test_caller_who_leaves(api: Upstream, kind: WebKind, store: WebStore) -> None:
    """A fetch that is given up ends its request."""
    gone = asyncio.Event()

    async def silent(exchange: Exchange) -> None:
        await exchange.wait_closed()
        gone.set()

    await store.fetch(HELLO, None)
    api.answer = silent
    api.arrived.clear()
    fetch = asyncio.create_task(store.fetch(HELLO, None))
    await api.arrived.wait()

    fetch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetch

    await gone.wait()


async def test_unreachable(kind: WebKind) -> None:
    """A service that refuses connections, or whose name is unknown, is unavailable."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        refused = f"http://127.0.0.1:{taken.getsockname()[1]}"
        for url in (refused, "http://nowhere.invalid", "nonsense", "http://[", "http://é\x00"):
            store = kind.make(url)
            error = await failure(store.fetch(HELLO, None))
            assert (error.reason, error.metadata["problem"]) == (
                "STORE_UNAVAILABLE",
                "unreachable",
            )
            await store.aclose()


async def test_reset(api: Upstream, store: WebStore) -> None:
    """A connection that is reset before the answer is unavailability."""

    async def reset(exchange: Exchange) -> None:
        exchange.reset()

    api.answer = reset

    assert (await failure(store.fetch(HELLO, None))).metadata["problem"] == "unreachable"


async def test_certificates_are_checked(kind: WebKind) -> None:
    """A service that cannot prove who it is gets no key; one that can is asked."""
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with running_upstream(answering("200 OK", kind.answer()), tls=server) as upstream:
        suspicious, trustful = kind.make(upstream.url), kind.make(upstream.url, tls=trusting)

        error = await failure(suspicious.fetch(HELLO, None))
        assert error.metadata["problem"] == "tls"
        assert upstream.exchanges == []

        assert (await trustful.fetch(HELLO, None)).id == "pr_1"
        for store in (suspicious, trustful):
            await store.aclose()


async def test_proxy(kind: WebKind) -> None:
    """A proxy is asked for the whole address; one that cannot be used is told."""
    async with running_upstream(answering("200 OK", kind.answer())) as proxy:
        store = kind.make("http://store.invalid/v5", proxy=proxy.url.removesuffix("/v1"))
        assert (await store.fetch(HELLO, None)).id == "pr_1"
        assert proxy.exchanges[0].path.startswith("http://store.invalid/v5/")
        await store.aclose()

    store = kind.make("http://store.invalid/v5", proxy="ftp://user:secret@x")
    error = await failure(store.fetch(HELLO, None))
    assert error.metadata["problem"] == "proxy"
    assert "secret" not in error.message


async def test_large_answers(api: Upstream, kind: WebKind, store: WebStore) -> None:
    """A large answer, which is read beside the event loop, fails as a small one does."""
    api.answer = answering("200 OK", b'{"x": "%s"}' % (b"x" * 100_000))

    assert (await failure(store.fetch(HELLO, None))).metadata["problem"] == "garbage"


async def silent(exchange: Exchange) -> None:
    await exchange.wait_closed()


@pytest.mark.parametrize(
    "then",
    [
        *map(answering, ("401 Unauthorized", "405 Method Not Allowed", "429 Too Many Requests")),
        *map(answering, ("302 Found", "500 Internal Server Error")),
        *(partial(page, status="404 Not Found"), cut, silent),
    ],
)
@pytest.mark.parametrize(
    ("ref", "reason"),
    [
        (HELLO, "PROMPT_NOT_FOUND"),
        (PromptRef(id="pr_1", environment="staging"), "VERSION_NOT_FOUND"),
    ],
)
async def test_what_refines_an_absence_may_fail(
    api: Upstream, kind: WebKind, ref: PromptRef, reason: str, then: Answer
) -> None:
    """What the API does not have is not there, whatever comes of asking it for more."""
    store = kind.make(api.url, timeout_s=1)

    async def absent(exchange: Exchange) -> None:
        await exchange.send_response(b"{}", status="404 Not Found")
        api.answer = then

    api.answer = absent

    assert (await failure(store.fetch(ref, None))).reason == reason
    await store.aclose()


class Validating:
    """A service that names the state of its one prompt by headers, and says if it is unchanged."""

    def __init__(self, kind: WebKind) -> None:
        self.body = kind.answer()
        self.headers = {"ETag": 'W/"1"'}
        self.asked: list[tuple[str, str]] = []

    async def __call__(self, exchange: Exchange) -> None:
        asked = (
            exchange.headers.get("if-none-match", ""),
            exchange.headers.get("if-modified-since", ""),
        )
        self.asked.append(asked)
        named = self.headers.get("ETag", ""), self.headers.get("Last-Modified", "")
        head = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        if any(asked) and asked == named:
            await exchange.send(f"HTTP/1.1 304 Not Modified\r\n{head}\r\n".encode())
        else:
            await exchange.send_response(self.body, headers=head)


@pytest.fixture
def service(api: Upstream, kind: WebKind) -> Validating:
    """The service, which validates."""
    api.answer = service = Validating(kind)
    return service


WHEN = "Sun, 22 Nov 2026 12:00:30 GMT"
SOON = "Sun, 22 Nov 2026 12:00:31 GMT"
LATER = "Sun, 22 Nov 2026 12:00:32 GMT"


@pytest.mark.parametrize(
    ("headers", "asked"),
    [
        ({"ETag": '"1"'}, ('"1"', "")),
        ({"ETag": 'W/"1"'}, ('W/"1"', "")),
        ({"Last-Modified": WHEN, "Date": LATER}, ("", WHEN)),
        ({"ETag": '"1"', "Last-Modified": WHEN}, ('"1"', WHEN)),
    ],
)
async def test_unchanged(
    service: Validating, store: WebStore, headers: dict[str, str], asked: tuple[str, str]
) -> None:
    """What is held is asked for only if it has changed, and is kept where it has not."""
    service.headers = headers
    held = await store.fetch(HELLO, None)

    assert await store.fetch(HELLO, held) is held
    assert await store.fetch(HELLO, held) is held
    assert service.asked == [("", ""), asked, asked]


@pytest.mark.parametrize("date", [WHEN, SOON, "", "soon", "Sun, 22 Nov 99999 12:00:30 GMT"])
async def test_changed_within_a_second(service: Validating, store: WebStore, date: str) -> None:
    """What may be changed again within the second of its last change is asked for as it is."""
    service.headers = {"Last-Modified": WHEN, **({"Date": date} if date else {})}
    held = await store.fetch(HELLO, None)

    assert await store.fetch(HELLO, held) is held
    assert service.asked == [("", ""), ("", "")]


async def test_changed(service: Validating, kind: WebKind, store: WebStore) -> None:
    """What has changed comes with another name, by which it is asked for from then on."""
    held = await store.fetch(HELLO, None)
    service.headers = {"ETag": '"2"'}
    service.body = kind.answer().replace(b"one", b"two").replace(b"prv_1", b"prv_2")

    changed = await store.fetch(HELLO, held)
    assert changed is not held
    assert await store.fetch(HELLO, changed) is changed
    assert [etag for etag, _ in service.asked] == ["", 'W/"1"', '"2"']


async def test_renamed(service: Validating, store: WebStore) -> None:
    """What is served under another name, and is the same, is asked for by the newer one."""
    held = await store.fetch(HELLO, None)
    service.headers = {"ETag": '"2"'}

    assert await store.fetch(HELLO, held) is held
    assert await store.fetch(HELLO, held) is held
    assert [etag for etag, _ in service.asked] == ["", 'W/"1"', '"2"']


async def test_names_no_more(service: Validating, store: WebStore) -> None:
    """What came without a name is not asked for by the one that it had before."""
    held = await store.fetch(HELLO, None)
    service.headers = {}

    assert await store.fetch(HELLO, held) is held
    assert await store.fetch(HELLO, held) is held
    assert [etag for etag, _ in service.asked] == ["", 'W/"1"', ""]


Fetch = Callable[[WebStore, Template], Awaitable[Template]]


@pytest.mark.parametrize(
    "fetch",
    [
        lambda store, _: store.fetch(HELLO, None),
        lambda store, held: store.fetch(HELLO, held, caller_key="an:other"),
        lambda store, held: store.fetch(PromptRef(id="pr_1", environment="latest"), held),
    ],
    ids=["nothing held", "another key", "another selector"],
)
async def test_validators_are_of_one_request(
    service: Validating, store: WebStore, fetch: Fetch
) -> None:
    """A name is sent with the very request that it came with, and by whom its answer is held."""
    held = await store.fetch(HELLO, None)

    assert await fetch(store, held) is not None
    assert service.asked == [("", "")] * 2


@pytest.mark.parametrize("etag", ["x" * 600, "\x01", "é", ""])
async def test_validators_that_are_none(service: Validating, store: WebStore, etag: str) -> None:
    """A name that is endless, or no text that a header holds, is not kept."""
    service.headers = {"ETag": etag}
    held = await store.fetch(HELLO, None)

    assert await store.fetch(HELLO, held) is held
    assert service.asked == [("", "")] * 2


async def test_validators_are_forgotten(service: Validating, store: WebStore) -> None:
    """The name of what nobody holds any more takes no memory."""
    for _ in range(20):
        await store.fetch(HELLO, None)

    assert len(store._validators) <= 1
