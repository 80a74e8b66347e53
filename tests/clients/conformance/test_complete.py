"""Every client has models answer, whole and streamed."""

import json
from collections.abc import Mapping, Sequence

import grpc

from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from tests.support.conformance import GREETED, Scene
from tests.support.driver import Driver, Failure, text_of
from tests.support.faulty import DELTAS, OF_TOMORROW, FaultyServer, NewerServer
from tests.support.prompts import write_prompt
from tests.support.upstream import Exchange

TEXT = 'Bonjour, Ada. <b>&amp;</b> \\ " é 🦜\n'
# An integer of 32 bits does not hold it, and a double not the other.
MANY, SEED = 2**40, 2**53 + 1
USAGE = {"prompt_tokens": MANY, "completion_tokens": 2, "total_tokens": MANY + 2}
LARGE = "x" * (2 * 1024 * 1024)
TOOL, ARGUMENTS = "look_up", '{"city": "Zürich", "days": 3}'


class Streaming:
    """A provider that streams an answer, an event for each delta."""

    def __init__(self, deltas: Sequence[Mapping[str, object]], finish: str) -> None:
        choices = [[{"index": 0, "delta": delta, "finish_reason": None}] for delta in deltas]
        last = [{"index": 0, "delta": {}, "finish_reason": finish}]
        about = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        events = [{**about, "choices": each} for each in (*choices, last)]
        events.append({**about, "choices": [], "usage": USAGE})
        self._lines = [f"data: {json.dumps(event)}\n\n".encode() for event in events]

    async def answer(self, exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.send(b"".join(self._lines) + b"data: [DONE]\n\n")
        exchange.writer.close()


async def test_text(driver: Driver, scene: Scene) -> None:
    """An answer has the same text, tokens and end, whole and streamed."""
    scene.upstream.answer = Streaming([{"content": each} for each in TEXT], "stop").answer

    whole = (await driver.do("complete", prompt="greet", variables=GREETED)).completed
    answer = await driver.do("complete_stream", prompt="greet", variables=GREETED)

    answer.check()
    events = answer.streamed
    kinds = [event.WhichOneof("event") for event in events]
    finished = events[-1].finished
    assert kinds == ["started", *["text_delta"] * (len(kinds) - 2), "finished"]
    assert text_of([whole.message]) == ["".join(event.text_delta for event in events)] == [TEXT]
    assert whole.finish_reason == finished.finish_reason == pb.FINISH_REASON_STOP
    assert whole.usage == finished.usage == pb.Usage(input_tokens=MANY, output_tokens=2)
    assert whole.prompt.version == events[0].started.prompt.version


async def test_tool_call(driver: Driver, scene: Scene) -> None:
    """A tool call has the same name and arguments, whole and streamed."""
    call = {"index": 0, "id": "call_1", "type": "function"}
    first = {**call, "function": {"name": TOOL, "arguments": ""}}
    rest = [{"index": 0, "function": {"arguments": each}} for each in ARGUMENTS]
    deltas = [{"tool_calls": [each]} for each in (first, *rest)]
    scene.upstream.answer = Streaming(deltas, "tool_calls").answer

    whole = (await driver.do("complete", prompt="greet", variables=GREETED)).completed
    answer = await driver.do("complete_stream", prompt="greet", variables=GREETED)

    answer.check()
    parts = [event.tool_call_delta for event in answer.streamed[1:-1]]
    streamed = pb.ToolCall(
        id="".join(part.id for part in parts),
        name="".join(part.name for part in parts),
        arguments_json="".join(part.arguments_json_delta for part in parts),
    )
    expected = pb.ToolCall(id="call_1", name=TOOL, arguments_json=ARGUMENTS)
    assert list(whole.message.tool_calls) == [streamed] == [expected]
    assert whole.finish_reason == pb.FINISH_REASON_TOOL_CALLS
    assert answer.streamed[-1].finished.finish_reason == pb.FINISH_REASON_TOOL_CALLS


async def test_model(driver: Driver, scene: Scene) -> None:
    """A caller's model wins over the prompt's."""
    completed = await driver.do("complete", prompt="greet", variables=GREETED, model="other/mine")

    assert completed.completed.provider == "other"
    assert [exchange.json["model"] for exchange in scene.upstream.exchanges] == ["mine"]


async def test_large_integer(driver: Driver, scene: Scene) -> None:
    """An integer of 64 bits comes whole, where a double would not hold it."""
    write_prompt(scene.prompts, "seeded", "<user>\nHello\n</user>", seed=SEED)

    resolved = (await driver.do("resolve", prompt="seeded")).resolved

    assert resolved.parameters.seed == SEED


async def test_stream_without_its_end(driver: Driver) -> None:
    """A stream that ends well but without `finished` fails: half an answer is none."""
    with FaultyServer().serve() as address:
        await driver.connect(address)
        answer = await driver.do("complete_stream", prompt="greet", variables=GREETED)

    assert [event.text_delta for event in answer.streamed] == ["Half an ans"]
    assert answer.failure.code == "INTERNAL"
    assert answer.failure.reason == "STREAM_INCOMPLETE"
    assert answer.failure.domain == "prompt-resolver"


async def _call_all(driver: Driver, server: FaultyServer) -> list[Failure]:
    """Have a server called by every method, and return how the completions failed."""
    with server.serve() as address:
        await driver.connect(address)
        (await driver.do("resolve", prompt="greet", variables=GREETED)).check()
        whole = await driver.do("complete", prompt="greet", variables=GREETED)
        streamed = await driver.do("complete_stream", prompt="greet", variables=GREETED)
    return [whole.failure, streamed.failure]


async def test_busy(driver: Driver) -> None:
    """Where the server is busy, `Resolve` is tried three times, and a completion once."""
    server = FaultyServer(refuses=grpc.StatusCode.UNAVAILABLE)

    failures = await _call_all(driver, server)

    assert [(each.code, each.reason) for each in failures] == [("UNAVAILABLE", "")] * 2
    assert server.calls == {"Resolve": 3, "Complete": 1, "CompleteStream": 1}


async def test_busy_with_large_requests(driver: Driver) -> None:
    """A `Resolve` is tried three times also where it is larger than what gRPC keeps by itself."""
    server = FaultyServer(refuses=grpc.StatusCode.UNAVAILABLE)
    with server.serve() as address:
        await driver.connect(address)
        (await driver.do("resolve", prompt="x", variables={"text": LARGE})).check()

    assert server.calls == {"Resolve": 3}


async def test_not_begun(driver: Driver) -> None:
    """What a stopping server has cancelled before it began is tried again, completions too."""
    server = FaultyServer(refuses=grpc.StatusCode.CANCELLED)

    failures = await _call_all(driver, server)

    assert [each.code for each in failures] == ["CANCELLED"] * 2
    assert server.calls == {"Resolve": 3, "Complete": 3, "CompleteStream": 3}


async def test_begun(driver: Driver) -> None:
    """A completion that was begun is not sent again, whoever cancels it; what came is not lost."""
    server = FaultyServer(refuses=grpc.StatusCode.CANCELLED, begins=True)
    with server.serve() as address:
        await driver.connect(address)
        whole = await driver.do("complete", prompt="greet", variables=GREETED)
        streamed = await driver.do("complete_stream", prompt="greet", variables=GREETED)

    assert whole.failure.code == streamed.failure.code == "CANCELLED"
    assert server.calls == {"Complete": 1, "CompleteStream": 1}
    assert len(streamed.streamed) == DELTAS


async def test_newer_server(driver: Driver) -> None:
    """What a client does not know or cannot read of what a server says is no hindrance."""
    with NewerServer().serve() as address:
        await driver.connect(address)
        resolved = (await driver.do("resolve", prompt="x")).resolved
        failure = (await driver.do("complete", prompt="x")).failure

    assert [message.role for message in resolved.messages] == [OF_TOMORROW]
    assert text_of(resolved.messages) == ["Hello"]
    assert (failure.code, failure.reason) == ("FAILED_PRECONDITION", "OF_TOMORROW")
    assert failure.metadata == {"of": "faulty"}
