"""Answers are to `completion`'s callers what they are to those of the HTTP door."""

import copy
import json
import pickle
from collections.abc import Sequence
from typing import Any

import grpc
import pytest

from prompt_resolver import ChatCompletion, ChatCompletionChunk
from prompt_resolver.chat.answer import ChunkWriter, write_answer
from prompt_resolver.chat.records import Message as MessageRecord
from prompt_resolver.errors import StreamIncompleteError
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver_server.domain.answers import (
    Answer,
    Delta,
    Dispatch,
    Finish,
    FinishReason,
    Opened,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from prompt_resolver_server.domain.parameters import NO_PARAMETERS
from prompt_resolver_server.domain.prompts import (
    Message,
    Reasoning,
    Refusal,
    ResolvedPrompt,
    ServedTemplate,
    Text,
    ToolCall,
)
from prompt_resolver_server.http.openai.answer import ChunkWriter as DoorsChunkWriter
from prompt_resolver_server.http.openai.answer import write_answer as write_at_the_door
from prompt_resolver_server.rpc.encode_answer import write_completed, write_delta, write_finished
from tests.support.stores import make_template

PROMPT = ResolvedPrompt(
    messages=(),
    model="m",
    provider="fake",
    parameters=NO_PARAMETERS,
    tools=(),
    tool_choice=None,
    served=ServedTemplate(
        template=make_template("p", "v1"),
        store="told",
        cache="stale",
        age_s=1.5,
        stale=True,
        reason="deployed",
    ),
)
DISPATCH = Dispatch(prompt=PROMPT, attempts=(), upstream_s=0, waited_s=0)
ALL = Usage(
    input_tokens=5,
    output_tokens=2,
    cache_read_tokens=1,
    cache_write_tokens=3,
    reasoning_tokens=4,
)
CALL = ToolCall(id="c", name="look", arguments_json='{"a": 1}')
SIGNED = ToolCall(id="d", name="look", arguments_json="{}", signature=b"s")
MESSAGES = {
    "text": (Text("Hel"), Text("lo")),
    "nothing": (),
    "refusal": (Refusal("No"),),
    "thought": (Reasoning(text="Hm"), Text("Hello")),
    "signed": (Reasoning(text="Hm", signature=b"s"), Reasoning(redacted=b"r"), Text("Hello")),
}
REASONS: Sequence[tuple[FinishReason, str]] = [
    ("stop", "stop"),
    ("length", "length"),
    ("tool_calls", "tool_calls"),
    ("content_filter", "content_filter"),
    ("refusal", "stop"),
    ("refusal", "refused"),
    ("other", "pause"),
]
OURS = ("provider", "prompt", "dropped_parameters", "cost", "created")


def finish(reason: FinishReason = "stop", raw: str = "stop", usage: Usage | None = ALL) -> Finish:
    return Finish(reason=reason, raw_reason=raw, model="served", usage=usage, dropped=("top_k",))


def common(document: dict[str, object]) -> dict[str, object]:
    """Return what both tell, without what only one of them does."""
    return {name: value for name, value in document.items() if name not in OURS}


@pytest.mark.parametrize("parts", MESSAGES.values(), ids=MESSAGES)
@pytest.mark.parametrize("calls", [(), (CALL,), (CALL, SIGNED)])
def test_messages(
    parts: tuple[Text | Refusal | Reasoning, ...], calls: tuple[ToolCall, ...]
) -> None:
    """Whatever a model says is told in the same fields."""
    message = Message(role="assistant", content=parts, tool_calls=calls)
    answer = Answer(id="a", message=message, finish=finish())

    ours = write_answer(write_completed(answer, DISPATCH, include_resolved=False))

    assert common(ours) == common(json.loads(write_at_the_door(answer, "")))


@pytest.mark.parametrize(("reason", "raw"), REASONS)
@pytest.mark.parametrize("usage", [ALL, Usage(input_tokens=1), Usage(output_tokens=0)])
def test_ends(reason: FinishReason, raw: str, usage: Usage) -> None:
    """So are the reasons why it ends, and its usage."""
    message = Message(role="assistant", content=(Text("x"),))
    answer = Answer(id="a", message=message, finish=finish(reason, raw, usage))

    ours = write_answer(write_completed(answer, DISPATCH, include_resolved=False))

    assert common(ours) == common(json.loads(write_at_the_door(answer, "")))


def test_streams() -> None:
    """So is everything that comes in a stream."""
    deltas: list[Delta] = [
        Opened(id="a", model="served"),
        ReasoningDelta(Reasoning(text="Hm")),
        ReasoningDelta(Reasoning(signature=b"s")),
        ReasoningDelta(Reasoning(redacted=b"r")),
        TextDelta("Hello"),
        RefusalDelta("No"),
        ToolCallDelta(index=0, id="c", name="look", arguments_json="{"),
        ToolCallDelta(index=0, arguments_json="}", signature=b"s"),
    ]
    theirs = DoorsChunkWriter("", with_usage=True)
    events = theirs.deltas(deltas) + theirs.finish(finish(), None)
    expected = [json.loads(event[6:]) for event in events.decode().strip().split("\n\n")[:-1]]

    writer = ChunkWriter(with_usage=True)
    chunks = [
        chunk
        for delta in deltas
        for chunk in writer.write(write_delta(delta, PROMPT, include_resolved=False))
    ]
    chunks += writer.write(write_finished(finish(), DISPATCH))
    writer.end()

    assert list(map(common, chunks)) == list(map(common, expected))
    blocks = [block for chunk in chunks for block in told(chunk, "thinking_blocks")]
    assert blocks == [
        {"index": 0, "type": "thinking", "thinking": "Hm", "signature": "s"},
        {"index": 1, "type": "redacted_thinking", "data": "r"},
    ]
    signed = [
        call.provider_specific_fields for chunk in chunks for call in told(chunk, "tool_calls")
    ]
    assert signed == [None, {"thought_signature": "s"}]


def told(chunk: ChatCompletionChunk, name: str) -> Sequence[Any]:
    """Return what a chunk adds to a list of the message's."""
    return [each for choice in chunk.choices for each in choice.delta.get(name) or ()]


def test_what_served_it() -> None:
    """An answer tells its prompt, its provider and the parameters that were left out."""
    message = Message(role="assistant", content=(Text("x"),))
    answer = Answer(id="", message=message, finish=finish())

    ours = write_answer(write_completed(answer, DISPATCH, include_resolved=False))

    assert ours.id.startswith("chatcmpl-")
    assert (ours.provider, ours.model, ours.dropped_parameters) == ("fake", "served", ["top_k"])
    assert ours.prompt is not None
    assert (ours.prompt.id, ours.prompt.version, ours.prompt.store) == ("p", "v1", "told")
    assert (ours.prompt.cache, ours.prompt.age, ours.prompt.stale) == ("stale", 1.5, True)
    assert write_answer(pb.CompleteResponse()).prompt is None


def test_a_stream_without_an_end() -> None:
    """A stream that a service ends without telling so is no whole answer."""
    writer = ChunkWriter(with_usage=False)
    writer.write(pb.CompleteStreamResponse(started=pb.Started(model="m")))

    assert writer.write(pb.CompleteStreamResponse()) == []
    with pytest.raises(StreamIncompleteError) as caught:
        writer.end()
    assert (caught.value.code, caught.value.reason, caught.value.domain) == (
        *(grpc.StatusCode.INTERNAL, "STREAM_INCOMPLETE"),
        "prompt-resolver",
    )


def test_records() -> None:
    """An answer is read by attribute, by item, and as what it is: a dict."""
    message = Message(role="assistant", content=(Text("x"),))
    answer = Answer(id="a", message=message, finish=finish())
    ours = write_answer(write_completed(answer, DISPATCH, include_resolved=False))
    said = ours.choices[0].message

    assert said.content == said["content"] == said.get("content") == "x"
    assert said.tool_calls is said["tool_calls"] is said.get("tool_calls") is None
    assert "content" in said
    assert "tool_calls" not in said
    assert set(said) == {"role", "content", "refusal"}
    with pytest.raises(AttributeError, match="'Message' has no field 'nonsense'"):
        said.nonsense  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(KeyError):
        said["nonsense"]
    said.content = "masked"
    assert said["content"] == "masked"


def test_records_are_data() -> None:
    """An answer becomes JSON and plain data, and is copied and pickled as what it is."""
    ours = ChatCompletion(id="a", choices=[{"message": MessageRecord(content="x")}])
    plain = {"id": "a", "choices": [{"message": {"content": "x"}}]}

    assert json.loads(ours.json()) == json.loads(ours.model_dump_json()) == plain
    assert json.loads(json.dumps(ours)) == plain
    for copied in (ours.model_dump(), ours.to_dict()):
        assert copied == plain
        assert type(copied) is type(copied["choices"][0]["message"]) is dict
    for again in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        assert again == ours
        assert type(again) is ChatCompletion
        assert type(again["choices"][0]["message"]) is MessageRecord
    assert ChatCompletionChunk().usage is None


def test_data_as_pydantic_gives_it() -> None:
    """Records take pydantic's words for how their data is to look, and leave out what is None."""
    ours = ChatCompletion(id="a", usage=None, choices=[{"message": {"content": None, "role": "x"}}])
    short = {"id": "a", "choices": [{"message": {"role": "x"}}]}

    assert ours.model_dump(mode="json", by_alias=True, exclude_unset=True) == ours
    assert ours.model_dump(exclude_none=True) == ours.to_dict(exclude_none=True) == short
    assert json.loads(ours.model_dump_json(exclude_none=True)) == short
    assert ours.model_dump_json(indent=2) == json.dumps(ours, indent=2)
    with pytest.raises(TypeError, match="nonsense"):
        ours.model_dump(nonsense=True)  # type: ignore[call-arg]


def test_parts_of_calls() -> None:
    """A call in a stream tells its id, its type and its name once, as its types say."""
    writer = ChunkWriter(with_usage=False)
    first, then = (
        call
        for delta in (
            pb.ToolCallDelta(index=1, id="c", name="look", arguments_json_delta="{"),
            pb.ToolCallDelta(index=1, arguments_json_delta="}"),
        )
        for chunk in writer.write(pb.CompleteStreamResponse(tool_call_delta=delta))
        for call in chunk.choices[0].delta.tool_calls or ()
    )
    names: list[str | None] = [first.id, first.type, first.function.name]
    missing: list[None] = [then.id, then.type, then.function.name]  # type: ignore[list-item]

    assert names == ["c", "function", "look"]
    assert missing == [None] * 3
    assert (first.index, first.function.arguments + then.function.arguments) == (1, "{}")
    assert first.provider_specific_fields is None
