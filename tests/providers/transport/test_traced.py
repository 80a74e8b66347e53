"""What is told of requests to providers, for those who debug a prompt."""

import json
import logging
import shlex
import ssl

import pytest

from prompt_resolver_server.logs import REQUEST_LOG
from prompt_resolver_server.providers.transport.direct import DirectTransport
from prompt_resolver_server.providers.transport.traced import TracedTransport
from prompt_resolver_server.providers.transport.transport import HttpRequest, Timeouts
from tests.support.upstream import Upstream

TEXT = "It's \x1b[31m\r\n{} \x7f\x9b31m\u2028\u202e\u2066 é 好"


async def test_request_for_people(upstream: Upstream, caplog: pytest.LogCaptureFixture) -> None:
    """The command repeats the request, shows no key, and moves nothing on a terminal."""
    transport = TracedTransport(DirectTransport(tls=ssl.create_default_context()))
    request = HttpRequest(
        url=upstream.url.replace("://", "://someone:key-in-url@") + "/chat?key=key-in-query",
        headers={"Authorization": "Bearer key-of-fake", "x-own": "key-of-own"},
        body=json.dumps({"text": TEXT}, ensure_ascii=False).encode(),
        timeouts=Timeouts(connect_s=5, first_byte_s=5, idle_s=5),
    )
    with caplog.at_level(logging.DEBUG, REQUEST_LOG):
        async with transport.post(request) as response:
            assert response.status == 200
    await transport.aclose()

    (told,) = [each.getMessage() for each in caplog.records if each.name == REQUEST_LOG]
    assert "key-" not in told
    assert all(each.isprintable() for each in told.split("\n"))
    words = shlex.split(told.partition("\n")[2].replace("\\\n", ""))
    assert words[3] == f"{upstream.url}/chat"
    assert json.loads(words[words.index("-d") + 1]) == {"text": TEXT}
