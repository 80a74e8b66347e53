"""What the log tells of calls, at both doors."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from prompt_resolver import PromptResolverError
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver.v1 import prompt_resolver_pb2_grpc
from prompt_resolver_server.domain.errors import Blame, Reason, ResolverError
from prompt_resolver_server.entry import record
from prompt_resolver_server.logs import JsonFormatter
from prompt_resolver_server.rpc.status import to_status
from tests.support.calls import VARIABLES
from tests.support.http import HttpDoor
from tests.support.raw import open_channel
from tests.support.service import RunningService, running_service
from tests.support.upstream import Exchange, Upstream

if TYPE_CHECKING:
    from prompt_resolver.v1.prompt_resolver_pb2_grpc import PromptResolverAsyncStub

TRACE = "0af7651916cd43dd8448eb211c80319c"
ASKED = {"x-request-id": "call-7", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
CONFIG = """
stores: {{local: {{type: directory, path: {prompts}}}}}
providers: {{fake: {{dialect: openai, base_url: '{url}'}}}}
model_list:
  - {{model_name: a, litellm_params: {{model: fake/m, prompt_id: greet, num_retries: 1}}}}
"""

ANSWERED = pb.ResolveRequest(alias="a")
ANSWERED.variables.update(VARIABLES)


@pytest.fixture
async def service(
    tmp_path: Path, prompts: Path, upstream: Upstream
) -> AsyncIterator[RunningService]:
    config = CONFIG.format(prompts=prompts, url=upstream.url)
    async with running_service(tmp_path, config) as running:
        yield running


@pytest.fixture
async def stub(service: RunningService) -> "AsyncIterator[PromptResolverAsyncStub]":
    async with open_channel(service.address) as channel:
        yield prompt_resolver_pb2_grpc.PromptResolverStub(channel)


class Log:
    """The lines that calls have in the log."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog
        self.level(logging.INFO)

    def level(self, level: int) -> None:
        self._caplog.set_level(level, record.__name__)

    @property
    def lines(self) -> list[dict[str, object]]:
        formatter = JsonFormatter()
        return [
            json.loads(formatter.format(each))
            for each in self._caplog.records
            if each.name == record.__name__
        ]

    def line(self) -> dict[str, object]:
        """Return the only line, without what is another one each time."""
        (line,) = self.lines
        assert isinstance(line["duration_s"], float)
        assert 0 < line["duration_s"] < 60
        return {k: v for k, v in line.items() if k not in ("time", "logger", "duration_s")}


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    return Log(caplog)


async def fail(exchange: Exchange) -> None:
    await exchange.send_response(b"", status="503 X")


SERVED = {"prompt": "greet", "store": "local", "cache": "miss", "alias": "a"}
IDS = {"caller": "", "request_id": "call-7", "trace_id": TRACE}
FAILED = {
    **SERVED,
    **IDS,
    "level": "warning",
    "message": "a call failed",
    "reason": "UPSTREAM_UNAVAILABLE",
    "provider": "fake",
    "attempts": 2,
}


async def test_call_that_fails(service: RunningService, upstream: Upstream, log: Log) -> None:
    """A failed call has one line, with who asked for what, what served it, and how it went."""
    upstream.answer = fail
    with pytest.raises(PromptResolverError) as caught:
        await service.client.complete("", alias="a", variables=VARIABLES, credentials=ASKED)

    line = log.line()
    assert line.pop("details") == caught.value.metadata
    assert line.pop("version")
    method = "prompt_resolver.v1.PromptResolver/Complete"
    assert line == {**FAILED, "method": method, "code": "UNAVAILABLE"}


async def test_http_call_that_fails(service: RunningService, upstream: Upstream, log: Log) -> None:
    """The same call has the same line at the HTTP door."""
    upstream.answer = fail
    document = {"model": "a", "prompt_variables": VARIABLES}
    answer = await HttpDoor(service.http_url, ASKED).post("/v1/chat/completions", document)

    line = log.line()
    assert line.pop("details")
    assert line.pop("version")
    assert line == {**FAILED, "method": "chat.completions", "code": str(answer.status)}


async def test_call_that_succeeds(service: RunningService, log: Log) -> None:
    """A call that succeeds has a line with the same in it at debug level, and otherwise none."""
    await service.client.complete("", alias="a", variables=VARIABLES, credentials=ASKED)
    assert log.lines == []

    log.level(logging.DEBUG)
    await service.client.complete("", alias="a", variables=VARIABLES, credentials=ASKED)

    line = log.line()
    assert line.pop("version")
    assert line == {
        **SERVED,
        **IDS,
        "cache": "hit",
        "level": "debug",
        "message": "a call ended",
        "method": "prompt_resolver.v1.PromptResolver/Complete",
        "code": "OK",
        "reason": "",
        "provider": "fake",
        "attempts": 1,
    }


async def test_http_call_that_succeeds(service: RunningService, log: Log) -> None:
    """The HTTP door is as quiet, and tells as much when it is asked to."""
    door = HttpDoor(service.http_url, ASKED)
    await door.get("/v1/models")
    assert log.lines == []

    log.level(logging.DEBUG)
    await door.get("/v1/models")

    line = log.line()
    assert line == {
        **IDS,
        "level": "debug",
        "message": "a call ended",
        "method": "models",
        "code": "200",
        "reason": "",
    }


async def test_path_that_is_not_served(service: RunningService, log: Log) -> None:
    """What was answered, and has a line for completeness alone, has it at debug level."""
    door = HttpDoor(service.http_url, ASKED)
    log.level(logging.DEBUG)

    assert (await door.get("/v2/elsewhere")).status == 404

    line = log.line()
    assert (line["level"], line["code"], line["message"]) == ("debug", "404", "a call ended")


async def test_id_that_was_made(stub: "PromptResolverAsyncStub", log: Log) -> None:
    """A caller that gives no id is told the one in the log, and one that does is told nothing."""
    told = await fail_with(stub, {})
    again = await fail_with(stub, ASKED)
    log.level(logging.DEBUG)
    call = stub.Resolve(ANSWERED)
    await call
    at_debug = dict(await call.trailing_metadata() or ())

    assert len(told["x-request-id"]) == 32
    assert "x-request-id" not in again
    ids = [line["request_id"] for line in log.lines]
    assert ids == [told["x-request-id"], "call-7", at_debug["x-request-id"]]


async def test_no_id_without_a_line(stub: "PromptResolverAsyncStub", log: Log) -> None:
    """A call of which nothing is logged has no id."""
    call = stub.Resolve(ANSWERED)
    await call

    assert log.lines == []
    assert "x-request-id" not in dict(await call.trailing_metadata() or ())


async def fail_with(
    stub: "PromptResolverAsyncStub", metadata: Mapping[str, str]
) -> Mapping[str, str | bytes]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Resolve(pb.ResolveRequest(alias="nobody"), metadata=tuple(metadata.items()))
    return dict(caught.value.trailing_metadata())


@pytest.mark.parametrize(
    "name", ["a\nb", 'x","level":"error', "\x1b[31mred", "\x7f", "\u2028", "\x9b", "\0"]
)
async def test_lines_that_callers_forge(
    service: RunningService, log: Log, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """Whatever a caller names, its line is one line of plain text, and says it as it is."""
    with pytest.raises(PromptResolverError):
        await service.client.resolve(name, alias=name, variables=VARIABLES)

    formatter = JsonFormatter()
    lines = [formatter.format(each) for each in caplog.records if each.name == record.__name__]
    assert all(line.isascii() and line.isprintable() for line in lines)
    assert (log.line()["prompt"], log.line()["alias"]) == (name, name)


async def test_names_without_end(service: RunningService, log: Log) -> None:
    """What a caller names is cut where it is longer than a name may be."""
    with pytest.raises(PromptResolverError):
        await service.client.resolve("p" * 100_000, alias="a" * 100_000)

    assert len(json.dumps(log.line())) < 2_000


async def test_caller_that_leaves(service: RunningService, upstream: Upstream, log: Log) -> None:
    """A call that its caller gives up has a line at debug level only: nothing is wrong here."""
    log.level(logging.DEBUG)
    begun, left = asyncio.Event(), asyncio.Event()

    async def wait(exchange: Exchange) -> None:
        begun.set()
        await exchange.wait_closed()
        left.set()

    upstream.answer = wait
    call = asyncio.ensure_future(service.client.complete("", alias="a", variables=VARIABLES))
    await begun.wait()
    call.cancel()
    await left.wait()
    while not log.lines:
        await asyncio.to_thread(lambda: None)

    line = log.line()
    assert (line["level"], line["code"], line["reason"]) == ("debug", "CANCELLED", "CANCELLED")
    assert (line["provider"], line["attempts"]) == ("fake", 1)


def test_labels_without_measure() -> None:
    """However many labels a call has, and however long they are, a log tells some of each."""
    labels = {f"{number:03}" + "n" * 300: "v" * 300 for number in range(100)}

    told = record.cut_labels(labels)

    assert len(told) == 64
    assert {len(name) for name in told} == {len(value) for value in told.values()} == {256}
    assert record.cut_labels({"team": "returns"}) == {"team": "returns"}


@pytest.mark.parametrize("blame", Blame)
@pytest.mark.parametrize("reason", Reason)
def test_whom_a_failure_concerns(reason: Reason, blame: Blame) -> None:
    """Operators are warned of what no caller can mend, as gRPC's status tells, at either door."""
    error = ResolverError(reason, "text", blame=blame)
    code = to_status(error, repeatable=True).code
    of_caller = code in {
        *(grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND),
        *(grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED),
        grpc.StatusCode.UNIMPLEMENTED,
    }

    assert record.level_of(error) == (logging.INFO if of_caller else logging.WARNING)


async def test_key_that_is_refused_over_http(
    service: RunningService, upstream: Upstream, log: Log
) -> None:
    """A provider's refusal of the service's own key is a warning at the HTTP door, too."""

    async def refuse(exchange: Exchange) -> None:
        await exchange.send_response(b"{}", status="401 Unauthorized")

    upstream.answer = refuse
    document = {"model": "a", "prompt_variables": VARIABLES}
    await HttpDoor(service.http_url).post("/v1/chat/completions", document)

    line = log.line()
    assert (line["level"], line["reason"], line["code"]) == ("warning", "UPSTREAM_AUTH", "400")
