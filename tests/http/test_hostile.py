"""What no client would send to the HTTP door is refused, and is no fault of the service."""

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from msgspec.structs import replace

from prompt_resolver_server.templates.formats.documents import encode_template
from tests.support.calls import VARIABLES
from tests.support.http import HttpDoor
from tests.support.service import RunningService, running_service
from tests.support.stores import make_template
from tests.support.upstream import Exchange, Upstream

GREET = {"model": "greeter", "prompt_variables": VARIABLES}
HUGE = "1" + "0" * 400


async def send_raw(url: str, data: bytes) -> bytes:
    """Send some bytes, and return what comes back until the connection closes."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(data)
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


def write_request(document: object, *lines: bytes) -> bytes:
    """Return a request of the door, with these lines in its head."""
    body = json.dumps(document).encode()
    head = [
        b"POST /v1/chat/completions HTTP/1.1",
        b"Host: x",
        b"Connection: close",
        b"Content-Length: %d" % len(body),
        *lines,
    ]
    return b"\r\n".join([*head, b"", body])


@pytest.fixture
async def locked_door(tmp_path: Path) -> AsyncIterator[HttpDoor]:
    """A door with a master key."""
    config = """
general_settings: {master_key: key-of-all}
model_list: [{model_name: m, litellm_params: {model: echo/m}}]
"""
    async with running_service(tmp_path, config) as service:
        yield HttpDoor(service.http_url)


@pytest.mark.parametrize("name", ["temperature", "top_p", "presence_penalty", "top_k", "seed"])
async def test_numbers_beyond_all_bounds(door: HttpDoor, upstream: Upstream, name: str) -> None:
    """A number that no float, or no field of the contract, can hold is refused by its name."""
    body = (
        f'{{"model": "plain", "messages": [{{"role": "user", "content": "x"}}], "{name}": {HUGE}}}'
    )

    answer = await door.send("POST", "/v1/chat/completions", body.encode())

    assert (answer.status, answer.error["param"]) == (400, name)
    assert upstream.exchanges == []


async def test_a_timeout_beyond_all_bounds(door: HttpDoor) -> None:
    """A timeout of any size is one: the longest deadline there is comes first."""
    body = json.dumps(GREET)[:-1] + f', "timeout": {HUGE}}}'

    answer = await door.send("POST", "/v1/chat/completions", body.encode())

    assert answer.status == 200


@pytest.mark.parametrize(
    "line", [b"Authorization: Bearer \xff\xfe", b"Authorization: Bearer \xc3\xa9"]
)
async def test_tokens_of_any_bytes(locked_door: HttpDoor, line: bytes) -> None:
    """A token that is no text is wrong, as any other that is not ours."""
    answer = await send_raw(locked_door.url, write_request({"model": "m"}, line))

    assert answer.startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("name", [b"x-provider-key-fake", b"x-prompt-store-key"])
async def test_keys_of_any_bytes(door: HttpDoor, upstream: Upstream, name: bytes) -> None:
    """A key that no provider and no store could have is refused, and goes nowhere."""
    answer = await send_raw(door.url, write_request(GREET, name + b": \xff\xfe"))

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert name in answer
    assert upstream.exchanges == []


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
async def test_compressed_bodies(door: HttpDoor, encoding: str) -> None:
    """A compressed body, which may be any size, is refused rather than unpacked."""
    body = gzip.compress(json.dumps(GREET).encode())

    answer = await door.send("POST", "/v1/chat/completions", body, content_encoding=encoding)

    assert (answer.status, answer.error["param"]) == (400, "content-encoding")


@pytest.mark.parametrize(
    "data",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET http://a:99999/ HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    ids=["http2", "two-hosts", "long", "length", "port"],
)
async def test_what_is_no_request(
    door: HttpDoor, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Bytes that are no request are refused, and write no errors into the log."""
    answer = await send_raw(door.url, data)

    assert b" 400 " in answer.splitlines()[0]
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("stream", [False, True])
async def test_deadline_in_a_header_tells_what_was_waited_for(
    door: HttpDoor, door_service: RunningService, upstream: Upstream, stream: bool
) -> None:
    """A deadline that passes while the provider works is told, and counted, as just that."""

    async def never(exchange: Exchange) -> None:
        await exchange.wait_closed()

    upstream.answer = never
    answer = await door.post(
        "/v1/chat/completions", {**GREET, "stream": stream}, x_request_timeout_ms="100"
    )

    assert (answer.status, answer.error["metadata"]) == (
        504,
        {"phase": "upstream", "attempts": "1"},
    )
    late = (
        'prompt_resolver_upstream_request_duration_seconds_count{model="small",'
        'outcome="deadline",provider="fake"}'
    )
    assert await door_service.metric(late) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://site.example"},
        {"origin": "null"},
        # As of a page whose name resolves to this machine.
        {"origin": "http://site.example", "host": "site.example"},
        {"sec_fetch_site": "cross-site"},
    ],
)
async def test_pages_of_other_sites(
    door: HttpDoor, upstream: Upstream, headers: dict[str, str]
) -> None:
    """No page that somebody looks at on this machine uses an open door, and the keys behind it."""
    asked = await door.post("/v1/chat/completions", GREET, **headers)
    listed = await door.get("/v1/models", **headers)

    assert (asked.status, listed.status) == (403, 403)
    assert asked.error["reason"] == "CALLER_FORBIDDEN"
    assert upstream.exchanges == []


async def test_pages_that_bring_a_token(locked_door: HttpDoor) -> None:
    """A page that has a token may use a door that asks for one, as may a user's own browser."""
    said = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    token = {"authorization": "Bearer key-of-all"}
    asked = await locked_door.post(
        "/v1/chat/completions", said, origin="https://site.example", **token
    )
    listed = await locked_door.get("/v1/models", sec_fetch_site="none", **token)

    assert (asked.status, listed.status) == (200, 200)


async def test_a_request_of_many_fields(door: HttpDoor, upstream: Upstream) -> None:
    """A request of more parameters than any provider has is refused before they are looked at."""
    answer = await door.chat(**{"model": "plain", **{f"parameter{i}": 1 for i in range(1000)}})

    assert (answer.status, answer.error["param"]) == (400, "body")
    assert upstream.exchanges == []


async def test_a_template_that_writes_headers(tmp_path: Path) -> None:
    """Whatever a prompt's document says of it, its headers are the ones that all prompts have."""
    claim = "x\r\nSet-Cookie: a=b"
    template = replace(make_template("p", claim, "Hi"), name=claim, content_sha256=claim)
    (tmp_path / "p.prompt.json").write_bytes(encode_template(template))
    config = f"stores: {{local: {{type: directory, path: {tmp_path}}}}}"
    async with running_service(tmp_path, config) as service:
        answer = await HttpDoor(service.http_url).get("/v5/prompts/p")

    assert answer.status == 200
    assert {answer.headers[f"x-prompt-{name}"] for name in ("name", "version", "sha256")} == {
        "x%0D%0ASet-Cookie: a=b"
    }
    assert "set-cookie" not in {name.lower() for name in answer.headers}
