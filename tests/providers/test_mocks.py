"""Mocks of providers that nobody here wrote: their answers are served, their faults told as such.

Their own faults are left as they are: llmock's verdict takes every truncated stream that is not
asked for again as one that was believed, and aimock counts no tokens of some answers.
"""

import json
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from grpc import StatusCode
from typing_extensions import Unpack

from prompt_resolver import CompleteOptions, PromptResolverError
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from tests.support.calls import VARIABLES, collect, failure, status_of
from tests.support.http import HttpDoor
from tests.support.mocks import LLMOCK, running_aimock, running_llmock
from tests.support.prompts import write_prompt
from tests.support.service import RunningService, running_service

pytestmark = pytest.mark.foreign

TEXT = "Bonjour Ada, how are you on this fine morning?"
FIXTURES = {
    "fixtures": [
        {
            "match": {"userMessage": "cut"},
            "response": {"content": TEXT},
            "truncateAfterChunks": 2,
            "latency": 20,
        },
        {"match": {"userMessage": "Ada"}, "response": {"content": TEXT}},
    ]
}


@dataclass(frozen=True)
class Row:
    """A dialect, and where a mock has it."""

    dialect: str
    path: str

    def provider(self, mock: HttpDoor) -> str:
        return (
            f"{{dialect: {self.dialect}, base_url: '{mock.url}{self.path}', api_key: key-of-mock,"
            f" breaker: false, idle_timeout_s: 0.5, first_byte_timeout_s: 0.5}}"
        )


OF_LLMOCK = [
    Row("openai", "/v1"),
    Row("anthropic", "/anthropic"),
    Row("gemini", "/gemini"),
    Row("cohere", "/cohere"),
]
OF_AIMOCK = [
    Row("openai", "/v1"),
    Row("anthropic", ""),
    Row("gemini", ""),
    Row("cohere", ""),
    Row("ollama", ""),
    Row("bedrock", ""),
    Row("azure", ""),
]

with_llmock = pytest.mark.parametrize("dialect", [row.dialect for row in OF_LLMOCK])
with_aimock = pytest.mark.parametrize("dialect", [row.dialect for row in OF_AIMOCK])


@asynccontextmanager
async def service_over(
    folder: Path, mock: HttpDoor, rows: list[Row]
) -> AsyncIterator[RunningService]:
    """A service with a provider for each row, and an alias that is tried again."""
    write_prompt(folder / "prompts", "greet", "<user>\nGreet {{name}} in French, please.\n</user>")
    providers = [f"  mock-{row.dialect}: {row.provider(mock)}\n" for row in rows]
    aliases = [
        f"  - model_name: {row.dialect}\n"
        f"    litellm_params: {{model: mock-{row.dialect}/m, prompt_id: greet, num_retries: 2}}\n"
        for row in rows
    ]
    config = (
        "stores: {local: {type: directory, path: prompts}}\n"
        f"providers:\n{''.join(providers)}model_list:\n{''.join(aliases)}"
    )
    async with running_service(folder, config) as service:
        yield service


@pytest.fixture(scope="module")
async def llmock(require_all: bool) -> AsyncIterator[HttpDoor]:
    """The address of llmock."""
    if not LLMOCK.exists() and not require_all:
        pytest.skip("llmock is not installed; make test sees to it")
    async with running_llmock() as door:
        yield door


@pytest.fixture(scope="module")
async def llmock_service(
    llmock: HttpDoor, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningService]:
    async with service_over(tmp_path_factory.mktemp("llmock"), llmock, OF_LLMOCK) as service:
        yield service


@pytest.fixture(scope="module")
async def aimock(
    require_all: bool, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[HttpDoor]:
    """The address of aimock."""
    missing = [tool for tool in ("npm", "node") if shutil.which(tool) is None]
    if missing:
        (pytest.fail if require_all else pytest.skip)(f"not installed: {', '.join(missing)}")
    folder = tmp_path_factory.mktemp("aimock")
    async with running_aimock(folder, json.dumps(FIXTURES)) as door:
        yield door


@pytest.fixture(scope="module")
async def aimock_service(
    aimock: HttpDoor, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningService]:
    async with service_over(tmp_path_factory.mktemp("service"), aimock, OF_AIMOCK) as service:
        yield service


async def plan(llmock: HttpDoor, *behaviours: Mapping[str, object]) -> None:
    """Have llmock forget what was, and do this with the requests to come."""
    await llmock.post("/_llmock/reset", {})
    if behaviours:
        planned = await llmock.post("/_llmock/scenario", {"behaviors": list(behaviours)})
        assert planned.status == 201, planned.body


async def upset(aimock: HttpDoor, **chaos: float) -> None:
    """Have aimock do this to every request to come."""
    assert (await aimock.post("/__aimock/chaos", {**chaos})).status == 200


async def fail(
    service: RunningService, dialect: str, **options: Unpack[CompleteOptions]
) -> PromptResolverError:
    """Call a provider that fails, in both ways, and return what is told, which is the same."""
    full: CompleteOptions = {"variables": VARIABLES, "model": f"mock-{dialect}/m", **options}
    error = await failure(service.client.complete("greet", **full))
    streamed = (await collect(service.client, **full)).error
    assert streamed is not None
    assert streamed.code == error.code
    # Who keeps a deadline first, the caller or the service, is a matter of luck.
    late = error.code == StatusCode.DEADLINE_EXCEEDED
    assert late or streamed.reason == error.reason
    return error


@with_llmock
async def test_answers_of_llmock(
    llmock: HttpDoor, llmock_service: RunningService, dialect: str
) -> None:
    """An answer is the same, whole and streamed, and its tokens are counted."""
    await plan(llmock, {"type": "reply", "text": TEXT, "times": None})

    await served(llmock_service, dialect, usage=True)


@with_aimock
async def test_answers_of_aimock(
    aimock: HttpDoor, aimock_service: RunningService, dialect: str
) -> None:
    """An answer is the same, whole and streamed."""
    await upset(aimock)

    await served(aimock_service, dialect, usage=False)


async def served(service: RunningService, dialect: str, *, usage: bool) -> None:
    model = f"mock-{dialect}/m"
    whole = await service.client.complete("greet", variables=VARIABLES, model=model)
    streamed = await collect(service.client, model=model)

    assert streamed.error is None
    assert whole.message.content[0].text == streamed.text == TEXT
    assert whole.finish_reason == streamed.finished.finish_reason == pb.FINISH_REASON_STOP
    if usage:
        assert whole.usage == streamed.finished.usage
        assert min(whole.usage.input_tokens, whole.usage.output_tokens) > 0


@with_llmock
async def test_tool_calls_of_llmock(
    llmock: HttpDoor, llmock_service: RunningService, dialect: str
) -> None:
    """A call of a tool arrives with its arguments, whole and streamed."""
    call = {"name": "look_up", "arguments": {"city": "Paris", "days": 3}}
    await plan(llmock, {"type": "reply", "tool_calls": [call], "times": None})
    tool = pb.Tool(name="look_up", description="Tells the weather.")
    tool.parameters.update({"type": "object", "properties": {"city": {"type": "string"}}})
    model = f"mock-{dialect}/m"

    whole = await llmock_service.client.complete(
        "greet", variables=VARIABLES, model=model, tools=[tool]
    )
    streamed = await collect(llmock_service.client, model=model, tools=[tool])

    deltas = [e.tool_call_delta for e in streamed.events if e.HasField("tool_call_delta")]
    pieces = "".join(delta.arguments_json_delta for delta in deltas)
    (said,) = whole.message.tool_calls
    assert (said.name, json.loads(said.arguments_json)) == tuple(call.values())
    assert (deltas[0].name, json.loads(pieces)) == tuple(call.values())
    assert whole.finish_reason == streamed.finished.finish_reason == pb.FINISH_REASON_TOOL_CALLS


@with_llmock
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, (StatusCode.INVALID_ARGUMENT, "UPSTREAM_REJECTED")),
        (401, (StatusCode.FAILED_PRECONDITION, "UPSTREAM_AUTH")),
        (403, (StatusCode.FAILED_PRECONDITION, "UPSTREAM_AUTH")),
        (404, (StatusCode.NOT_FOUND, "MODEL_NOT_FOUND")),
        (429, (StatusCode.RESOURCE_EXHAUSTED, "UPSTREAM_RATE_LIMITED")),
        (500, (StatusCode.UNAVAILABLE, "UPSTREAM_UNAVAILABLE")),
        (502, (StatusCode.UNAVAILABLE, "UPSTREAM_UNAVAILABLE")),
        (504, (StatusCode.UNAVAILABLE, "UPSTREAM_TIMEOUT")),
        (529, (StatusCode.UNAVAILABLE, "UPSTREAM_OVERLOADED")),
    ],
)
async def test_statuses_of_llmock(
    llmock: HttpDoor,
    llmock_service: RunningService,
    dialect: str,
    status: int,
    expected: tuple[StatusCode, str],
) -> None:
    """A failure has the status that the contract promises."""
    await plan(llmock, {"type": "fail", "status": status, "times": None})

    assert status_of(await fail(llmock_service, dialect)) == expected


@with_llmock
@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_of_llmock(
    llmock: HttpDoor, llmock_service: RunningService, dialect: str, status: int
) -> None:
    """The time to wait is told to the millisecond, where it is given so."""
    await plan(llmock, {"type": "fail", "status": status, "retry_after": 1.25, "times": None})

    assert (await fail(llmock_service, dialect)).retry_after_s == 1.25


@with_llmock
@pytest.mark.parametrize("kind", ["disconnect", "truncate", "malformed"])
@pytest.mark.parametrize("after", [0, 1, 2, 5])
async def test_streams_of_llmock_that_break(
    llmock: HttpDoor, llmock_service: RunningService, dialect: str, kind: str, after: int
) -> None:
    """A stream that breaks is no answer, and what was told of it is its beginning."""
    fault = {"type": "stream_fault", "kind": kind, "after_chunks": after, "times": None}
    await plan(llmock, {"type": "reply", "text": TEXT, "times": None}, fault)
    model = f"mock-{dialect}/m"

    error = await failure(llmock_service.client.complete("greet", variables=VARIABLES, model=model))
    streamed = await collect(llmock_service.client, model=model)

    cut = (StatusCode.UNAVAILABLE, "UPSTREAM_TRUNCATED")
    no_protocol = (StatusCode.INTERNAL, "UPSTREAM_PROTOCOL")
    expected = no_protocol if kind == "malformed" else cut
    assert status_of(error) == status_of(streamed.error) == expected
    assert TEXT.startswith(streamed.text)
    assert "finished" not in streamed.kinds


@with_llmock
@pytest.mark.parametrize(
    "fault",
    [
        {"type": "delay", "seconds": 3},
        {"type": "slow_first_token", "seconds": 3},
        {"type": "stream_fault", "kind": "stall", "stall_seconds": 3, "after_chunks": 0},
        {"type": "stream_fault", "kind": "stall", "stall_seconds": 3, "after_chunks": 3},
    ],
    ids=["delay", "slow first token", "stall at first", "stall"],
)
async def test_silence_of_llmock(
    llmock: HttpDoor, llmock_service: RunningService, dialect: str, fault: dict[str, object]
) -> None:
    """Silence is a timeout: the provider's, or the caller's own if that is shorter."""
    text = {"type": "reply", "text": TEXT, "times": None}
    await plan(llmock, text, {**fault, "times": None})

    error = await fail(llmock_service, dialect)
    sooner = await fail(llmock_service, dialect, timeout_s=0.2)

    assert status_of(error) == (StatusCode.UNAVAILABLE, "UPSTREAM_TIMEOUT")
    assert sooner.code == StatusCode.DEADLINE_EXCEEDED


@with_llmock
async def test_verdict_of_llmock(
    llmock: HttpDoor, llmock_service: RunningService, dialect: str
) -> None:
    """As a client, this service waits as it is told, tries again where it may, and then stops."""
    limited: dict[str, object] = {"type": "fail", "status": 429, "retry_after": 0.3}
    failing: dict[str, object] = {"type": "fail", "status": 503, "retry_after": 0}
    cut: dict[str, object] = {"type": "stream_fault", "kind": "truncate", "after_chunks": 0}

    await plan(llmock, limited, failing)
    whole = await llmock_service.client.complete(alias=dialect, variables=VARIABLES)
    assert len(whole.attempts) == 3
    assert await verdict(llmock) == (3, [])

    await plan(llmock, limited, cut)
    streamed = await collect(llmock_service.client, "", alias=dialect)
    assert len(streamed.finished.attempts) == 3
    assert await verdict(llmock) == (3, [])

    await plan(llmock, {**failing, "times": None})
    error = await failure(llmock_service.client.complete(alias=dialect, variables=VARIABLES))
    assert error.code == StatusCode.UNAVAILABLE
    assert await verdict(llmock) == (3, [])


async def verdict(llmock: HttpDoor) -> tuple[object, object]:
    """Return how many requests llmock has had, and what it finds wrong with who sent them."""
    told = (await llmock.get("/_llmock/verdict")).json
    return told["attempts"], told["findings"]


@with_llmock
async def test_refused_requests_of_llmock(
    llmock: HttpDoor, llmock_service: RunningService, dialect: str
) -> None:
    """A request that is refused is not sent again."""
    await plan(llmock, {"type": "fail", "status": 400, "times": None})

    error = await failure(llmock_service.client.complete(alias=dialect, variables=VARIABLES))

    assert error.reason == "UPSTREAM_REJECTED"
    assert await verdict(llmock) == (1, [])


@with_aimock
@pytest.mark.parametrize(
    ("chaos", "expected"),
    [
        ({"dropRate": 1}, (StatusCode.UNAVAILABLE, "UPSTREAM_UNAVAILABLE")),
        ({"malformedRate": 1}, (StatusCode.INTERNAL, "UPSTREAM_PROTOCOL")),
        ({"disconnectRate": 1}, (StatusCode.UNAVAILABLE, "UPSTREAM_UNAVAILABLE")),
        ({"rateLimitRate": 1}, (StatusCode.RESOURCE_EXHAUSTED, "UPSTREAM_RATE_LIMITED")),
        ({"latencyMs": 2000}, (StatusCode.UNAVAILABLE, "UPSTREAM_TIMEOUT")),
    ],
    ids=["drop", "malformed", "disconnect", "rate limit", "latency"],
)
async def test_chaos_of_aimock(
    aimock: HttpDoor,
    aimock_service: RunningService,
    dialect: str,
    chaos: dict[str, float],
    expected: tuple[StatusCode, str],
) -> None:
    """A failure has the status that the contract promises, and a limit tells how long it lasts."""
    await upset(aimock, **chaos)

    error = await fail(aimock_service, dialect)

    assert status_of(error) == expected
    assert (error.retry_after_s is not None) == ("rateLimitRate" in chaos)


@with_aimock
async def test_streams_of_aimock_that_break(
    aimock: HttpDoor, aimock_service: RunningService, dialect: str
) -> None:
    """A stream that breaks is no answer, and what was told of it is its beginning."""
    await upset(aimock)
    options: CompleteOptions = {"variables": {"name": "cut"}, "model": f"mock-{dialect}/m"}

    error = await failure(aimock_service.client.complete("greet", **options))
    streamed = await collect(aimock_service.client, **options)

    expected = (StatusCode.UNAVAILABLE, "UPSTREAM_TRUNCATED")
    assert status_of(error) == status_of(streamed.error) == expected
    assert TEXT.startswith(streamed.text)
    assert "finished" not in streamed.kinds
