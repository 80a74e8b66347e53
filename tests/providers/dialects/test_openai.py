"""OpenAI's dialect: what is sent, and what is made of what comes back."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_resolver_server.domain.answers import (
    Finish,
    Opened,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from prompt_resolver_server.domain.errors import Reason
from prompt_resolver_server.domain.parameters import (
    JsonSchema,
    Parameters,
    ResponseFormat,
)
from prompt_resolver_server.domain.prompts import (
    Media,
    Message,
    Part,
    Reasoning,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)
from prompt_resolver_server.providers.catalogue import CATALOGUE
from prompt_resolver_server.providers.dialect import NO_QUIRKS, InBandError, ProtocolError, Quirks
from prompt_resolver_server.providers.dialects.openai.dialect import OpenAIDialect
from tests.support.dialects.requests import HI, Requests
from tests.support.dialects.streams import Streams, answer_of
from tests.support.upstream import openai_answer, openai_events

DIALECT = OpenAIDialect()
REQUESTS = Requests(DIALECT)
build, refused = REQUESTS.build, REQUESTS.refused
feed = Streams(DIALECT).feed


def test_smallest_request() -> None:
    """What is not set is not sent."""
    assert build() == ({"model": "m", "messages": [{"role": "user", "content": "Hi"}]}, ())


def test_streamed_request() -> None:
    """A streamed request asks for its usage too."""
    body, _ = build(stream=True)

    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})


def test_parameters() -> None:
    """Every parameter has its field, and extras are passed on as they are."""
    parameters = Parameters(
        temperature=0.0,
        top_p=0.5,
        max_tokens=10,
        stop=("a", "b"),
        presence_penalty=0.1,
        frequency_penalty=0.2,
        seed=7,
        reasoning_effort="low",
        top_k=3,
        response_format=ResponseFormat(
            type="json_schema",
            json_schema=JsonSchema(name="n", schema={"type": "object"}, strict=True),
        ),
        extra={"logit_bias": {"1": -1}},
    )

    body, dropped = build(parameters=parameters)

    assert dropped == ()
    assert {k: v for k, v in body.items() if k not in ("model", "messages")} == {
        "temperature": 0.0,
        "top_p": 0.5,
        "max_tokens": 10,
        "stop": ["a", "b"],
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "seed": 7,
        "reasoning_effort": "low",
        "top_k": 3,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True},
        },
        "logit_bias": {"1": -1},
    }


@pytest.mark.parametrize("kind", ["text", "json_object"])
def test_response_formats(kind: str) -> None:
    """A form without a schema is its type alone."""
    form = ResponseFormat(type=kind)  # type: ignore[arg-type]  # from the list above
    body, _ = build(parameters=Parameters(response_format=form))

    assert body["response_format"] == {"type": kind}


def test_what_openai_itself_differs_in() -> None:
    """OpenAI's own API has another name for the limit, and no `top_k`."""
    parameters = Parameters(max_tokens=10, top_k=3)

    body, dropped = build(parameters=parameters, quirks=CATALOGUE["openai"].quirks)

    assert body["max_completion_tokens"] == 10
    assert "max_tokens" not in body
    assert "top_k" not in body
    assert dropped == ("top_k",)


def test_renamed_parameters() -> None:
    """A parameter that has another name at the provider goes by that one, and is told by ours."""
    quirks = Quirks(renames={"seed": "random_seed", "top_k": "k"}, lacks=frozenset({"top_k"}))

    body, dropped = build(parameters=Parameters(seed=7, top_k=3), quirks=quirks)

    assert {"seed", "top_k", "k"} & body.keys() == set()
    assert (body["random_seed"], dropped) == (7, ("top_k",))


@pytest.mark.parametrize(
    ("renames", "field"),
    [
        ({"max_tokens": "max_completion_tokens"}, "max_completion_tokens"),
        ({"max_completion_tokens": "max_tokens"}, "max_tokens"),
    ],
)
def test_two_parameters_with_one_name(renames: dict[str, str], field: str) -> None:
    """Where two parameters have one name on the wire, the typed one counts; the other is told."""
    quirks = Quirks(renames=renames)
    extra = {"max_completion_tokens": 20}

    both, told = build(parameters=Parameters(max_tokens=10, extra=extra), quirks=quirks)
    one, nothing = build(parameters=Parameters(extra=extra), quirks=quirks)

    assert both[field] == 10
    assert told == ("max_completion_tokens",)
    assert one[field] == 20
    assert nothing == ()
    assert len(both) == len(one) == 3


def test_provider_without_parts_of_the_dialect() -> None:
    """What a provider refuses of the dialect is not sent: usage, a role, schemas of answers."""
    quirks = Quirks(lacks=frozenset({"stream_options"}), lacks_forms=frozenset({"json_schema"}))
    schema = ResponseFormat(
        type="json_schema", json_schema=JsonSchema(name="n", schema={"type": "object"})
    )
    messages = (Message(role="developer", content=(Text("a"),)), HI)

    body, dropped = build(
        *messages, parameters=Parameters(response_format=schema), quirks=quirks, stream=True
    )
    plain, nothing = build(
        parameters=Parameters(response_format=ResponseFormat(type="json_object")), quirks=quirks
    )
    fields = refused(
        parameters=Parameters(response_format=schema),
        quirks=quirks,
        insisted=frozenset({"response_format"}),
    )

    assert body == {
        "model": "m",
        "messages": [{"role": "system", "content": "a"}, {"role": "user", "content": "Hi"}],
        "stream": True,
    }
    assert dropped == ("response_format",)
    assert (plain["response_format"], nothing) == ({"type": "json_object"}, ())
    assert fields[0] == "parameters.response_format"


def test_provider_of_one_text() -> None:
    """A provider that takes no parts gets their text, and nothing that is none."""
    quirks = Quirks(one_text=True)
    image = Media(kind="image", url="https://x.invalid/a.png")

    body, _ = build(Message(role="user", content=(Text("a"), Text("b"))), quirks=quirks)
    fields = refused(Message(role="user", content=(Text("a"), image)), quirks=quirks)

    assert body["messages"] == [{"role": "user", "content": "ab"}]
    assert fields[0] == "messages[0].content[1]"


@pytest.mark.parametrize(
    ("model", "sent"), [("m", "accounts/a/models/m"), ("accounts/b/models/m",) * 2, ("m#b/c",) * 2]
)
def test_short_names_of_models(model: str, sent: str) -> None:
    """The short name of a model is made whole, and one that is whole stays."""
    quirks = Quirks(model_prefix="accounts/a/models/")

    assert build(model=model, quirks=quirks)[0]["model"] == sent


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        (Parameters(top_k=3), "top_k"),
        (Parameters(reasoning_effort="2048"), "reasoning_effort"),
        (Parameters(parallel_tool_calls=True), "parallel_tool_calls"),
    ],
)
def test_parameter_that_the_provider_lacks(parameters: Parameters, name: str) -> None:
    """What must be sent is refused, and anything else is dropped and told."""
    quirks = Quirks(lacks=frozenset({"top_k"}))

    body, dropped = build(parameters=parameters, quirks=quirks)
    fields = refused(parameters=parameters, quirks=quirks, insisted=frozenset({name}))

    assert name not in body
    assert dropped == (name,)
    assert fields[0] == f"parameters.{name}"


def test_tools() -> None:
    """Flat tools are wrapped, and the choice among them has its two forms."""
    tools = (
        Tool(name="f", description="d", parameters={"type": "object"}, strict=True),
        Tool(name="g"),
    )
    wrapped = [
        {
            "type": "function",
            "function": {
                "name": "f",
                "description": "d",
                "parameters": {"type": "object"},
                "strict": True,
            },
        },
        {"type": "function", "function": {"name": "g"}},
    ]

    named, _ = build(
        tools=tools,
        tool_choice=ToolChoice(tool_name="g"),
        parameters=Parameters(parallel_tool_calls=False),
    )
    required, _ = build(tools=tools, tool_choice=ToolChoice(mode="required"))
    none, _ = build(tool_choice=ToolChoice(mode="none"))

    assert named["tools"] == wrapped
    assert named["tool_choice"] == {"type": "function", "function": {"name": "g"}}
    assert named["parallel_tool_calls"] is False
    assert required["tool_choice"] == "required"
    assert "tool_choice" not in none


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (
            Message(role="developer", name="n", content=(Text("a"),)),
            {"role": "developer", "name": "n", "content": "a"},
        ),
        (
            Message(role="user", content=(Text("a"), Text("b"))),
            {
                "role": "user",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            },
        ),
        (
            Message(
                role="assistant", tool_calls=(ToolCall(id="c", name="f", arguments_json="{}"),)
            ),
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "c",
                        "type": "function",
                        "function": {"name": "f", "arguments": "{}"},
                    }
                ],
            },
        ),
        (
            Message(role="assistant", content=(Reasoning(text="thought"), Text("a"))),
            {"role": "assistant", "content": "a"},
        ),
        (Message(role="assistant", content=()), {"role": "assistant", "content": ""}),
        (
            Message(role="tool", tool_call_id="c", content=(Text("r"),)),
            {"role": "tool", "tool_call_id": "c", "content": "r"},
        ),
    ],
)
def test_messages(message: Message, wire: dict[str, object]) -> None:
    """Messages are sent in their roles, as plain text where they are no more than that."""
    body, _ = build(message, quirks=Quirks(knows_developer=True))

    assert body["messages"] == [wire]


def test_developer() -> None:
    """The developer speaks as the system, but to servers that are known to know the role."""
    said = Message(role="developer", content=(Text("a"),))

    elsewhere, _ = build(said)
    at_openai, _ = build(said, quirks=CATALOGUE["openai"].quirks)

    assert elsewhere["messages"] == [{"role": "system", "content": "a"}]
    assert at_openai["messages"] == [{"role": "developer", "content": "a"}]


def test_reasoning_that_is_wanted_back() -> None:
    """Where a provider wants it, what its model thought goes back, with calls in any case."""
    call = ToolCall(id="c", name="f", arguments_json="{}")
    quirks = Quirks(reasoning_field="reasoning_content")

    body, _ = build(
        HI,
        Message(role="assistant", content=(Reasoning(text="t"), Reasoning(text="u"), Text("a"))),
        Message(role="assistant", content=(Text("b"),)),
        Message(role="assistant", tool_calls=(call,)),
        quirks=quirks,
    )

    messages = body["messages"]
    assert isinstance(messages, list)
    thoughts = [message.get("reasoning_content") for message in messages]
    assert thoughts == [None, "tu", None, ""]
    assert [message["content"] for message in messages] == ["Hi", "a", "b", None]


@pytest.mark.parametrize("role", ["system", "assistant", "tool"])
def test_media_beside_the_users(role: str) -> None:
    """OpenAI itself takes images in the user's messages alone, which some other servers do not."""
    image = Media(kind="image", url="https://x.invalid/a.png")
    said = Message(role=role, content=(Text("a"), image))  # type: ignore[arg-type]  # of the list

    body, _ = build(said)
    fields = refused(said, quirks=CATALOGUE["openai"].quirks)

    assert "image_url" in str(body)
    assert fields[0] == "messages[0].content[1]"


@pytest.mark.parametrize(
    ("part", "wire"),
    [
        (
            Media(kind="audio", url="data:audio/wav;base64,AAE="),
            {"type": "input_audio", "input_audio": {"data": "AAE=", "format": "wav"}},
        ),
        (
            Media(kind="file", url="data:application/pdf;base64,AA=="),
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA=="}},
        ),
        (
            Media(kind="image", url="data:image/png;base64,AAE="),
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAE="}},
        ),
        (
            Media(kind="image", url="https://x.invalid/a.png", detail="low"),
            {"type": "image_url", "image_url": {"url": "https://x.invalid/a.png", "detail": "low"}},
        ),
        (
            Media(kind="image", data=b"\x00\x01", media_type="image/png"),
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAE="}},
        ),
        (
            Media(kind="audio", data=b"\x00\x01", media_type="audio/mpeg"),
            {"type": "input_audio", "input_audio": {"data": "AAE=", "format": "mp3"}},
        ),
        *(
            (
                Media(kind="audio", data=b"\x00\x01", media_type=media_type),
                {"type": "input_audio", "input_audio": {"data": "AAE=", "format": form}},
            )
            for media_type, form in (
                ("audio/mp3", "mp3"),
                ("audio/wave", "wav"),
                ("audio/x-wav", "wav"),
                ("audio/vnd.wave", "wav"),
            )
        ),
        (
            Media(kind="file", data=b"\x00", media_type="application/pdf", filename="a.pdf"),
            {
                "type": "file",
                "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"},
            },
        ),
        (Refusal("no"), {"type": "refusal", "refusal": "no"}),
    ],
)
def test_parts(part: Part, wire: dict[str, object]) -> None:
    """Images, sounds and documents are sent as the dialect has them."""
    body, _ = build(Message(role="user", content=(part,)))

    assert body["messages"] == [{"role": "user", "content": [wire]}]


@pytest.mark.parametrize(
    "part",
    [
        Media(kind="audio", url="https://x.invalid/a.wav"),
        Media(kind="audio", data=b"x", media_type="audio/flac"),
        Media(kind="file", url="https://x.invalid/a.pdf"),
    ],
)
def test_parts_that_the_dialect_lacks(part: Part) -> None:
    """Content that the dialect cannot carry is refused by its place, never left out."""
    fields = refused(HI, Message(role="user", content=(part,)))

    assert fields[0] == "messages[1].content[0]"


def test_whole_answer() -> None:
    """A whole answer has its text, its end and its usage."""
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }

    answer = DIALECT.parse(openai_answer("Hello", usage=usage))

    assert (answer.id, answer.message.content) == ("chatcmpl-1", (Text("Hello"),))
    assert answer.finish == Finish(
        reason="stop",
        raw_reason="stop",
        model="served-model",
        usage=Usage(input_tokens=10, output_tokens=5, cache_read_tokens=4, reasoning_tokens=3),
    )


def answer_with(finish: str = "stop", **message: object) -> bytes:
    fields = {"role": "assistant", "content": None, **message}
    choice = {"index": 0, "message": fields, "finish_reason": finish}
    return openai_answer(choices=[choice])


def test_answer_with_everything() -> None:
    """Reasoning, refusals and tool calls are told from text."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}

    thinking = DIALECT.parse(answer_with(content="a", reasoning_content="t", reasoning="t"))
    refusing = DIALECT.parse(answer_with(refusal="no"))
    calling = DIALECT.parse(answer_with(finish="tool_calls", tool_calls=[call]))

    assert thinking.message.content == (Reasoning(text="t"), Text("a"))
    assert refusing.message.content == (Refusal("no"),)
    assert refusing.finish.reason == "refusal"
    assert calling.message.tool_calls == (ToolCall(id="c", name="f", arguments_json='{"a":1}'),)
    assert calling.finish.reason == "tool_calls"


def test_stop_after_tool_calls() -> None:
    """A server that says "stop" after tool calls means the calls."""
    call = {"id": "c", "function": {"name": "f", "arguments": "{}"}}

    answer = DIALECT.parse(answer_with(tool_calls=[call]))

    assert (answer.finish.reason, answer.finish.raw_reason) == ("tool_calls", "stop")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b'{"choices": []}',
        b'{"choices": {}}',
        b'{"choices": [1]}',
        b'{"choices": [{}]}',
        b'{"choices": [{"message": {"content": "a"}}]}',
        b'{"choices": [{"message": {"content": "a"}, "finish_reason": null}]}',
        b'{"choices": [{"message": {"content": 1}, "finish_reason": "stop"}]}',
        b'{"choices": [{"message": {"content": "a"}, "finish_reason": "error"}]}',
        b'{"choices": [{"message": {"tool_calls": [{}]}, "finish_reason": "stop"}]}',
        b'{"choices": [{"message": "a", "finish_reason": "stop"}]}',
        b'{"error": {"message": "unknown"}}',
        b'{"error": "text"}',
        b"[" * 100_000,
        b'{"a": "\xff"}',
    ],
)
def test_answers_that_are_none(body: bytes) -> None:
    """What is not an answer of the dialect is never taken for one."""
    with pytest.raises(ProtocolError):
        DIALECT.parse(body)


def test_error_in_place_of_an_answer() -> None:
    """An error under 200 is an error, by its code or by its status."""
    with pytest.raises(InBandError) as by_code:
        DIALECT.parse(b'{"error": {"code": "context_length_exceeded"}}')
    with pytest.raises(InBandError) as by_status:
        DIALECT.parse(b'{"error": {"code": 429}}')

    assert (by_code.value.reason, by_code.value.status) == (Reason.CONTEXT_LENGTH, None)
    assert (by_status.value.reason, by_status.value.status) == (None, 429)


def event(**delta: object) -> bytes:
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n"


END = b'data: {"choices": [{"delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'


def test_stream() -> None:
    """A stream opens with the answer's id and model, and ends with its usage."""
    deltas, finish = feed(*openai_events("Hel", "lo"))

    assert deltas[0] == Opened(id="chatcmpl-1", model="served-model")
    assert finish == Finish(
        reason="stop",
        raw_reason="stop",
        model="served-model",
        usage=Usage(input_tokens=5, output_tokens=2),
    )


@given(
    st.lists(st.tuples(st.text(max_size=6), st.integers(0, 2), st.booleans()), max_size=12),
    st.integers(1, 200),
)
def test_streamed_texts(told: list[tuple[str, int, bool]], size: int) -> None:
    """A stream's text is that of its events, however alike they are, and wherever they are cut."""
    events = [
        json.dumps(
            {"id": "1", "created": created, "choices": [{"delta": {"content": text}}]},
            ensure_ascii=in_ascii,
        )
        for text, created, in_ascii in told
    ]
    stream = b"".join(b"data: %b\n\n" % event.encode() for event in events) + END
    reader = DIALECT.read_stream(NO_QUIRKS)
    cuts = range(0, len(stream), size)
    deltas = [delta for cut in cuts for delta in reader.feed(stream[cut : cut + size])]

    texts = [delta.text for delta in deltas if isinstance(delta, TextDelta)]
    assert "".join(texts) == "".join(text for text, _, _ in told)
    assert reader.chunks == len(told) + 2
    assert reader.finish is not None


FULL = {"prompt_tokens": 10, "completion_tokens": 5}


@pytest.mark.parametrize(
    "told",
    [
        [{"choices": [{"delta": {}, "usage": FULL}]}],
        [{"choices": [{"delta": {}, "usage": {"prompt_tokens": 9}}], "usage": FULL}],
        [{"usage": FULL}, {"usage": {}}],
        [{"usage": FULL}, {"usage": {"prompt_tokens": None}}],
        [{"usage": {"prompt_tokens": 10}}, {"usage": {"completion_tokens": 5}}],
        [{"usage": {"prompt_tokens": 10, "completion_tokens": 1}}, {"usage": FULL}],
    ],
    ids=["in a choice", "in both", "emptied", "a null", "in parts", "growing"],
)
def test_streamed_usage(told: Sequence[object]) -> None:
    """Usage is what was said last of each count, in whichever event, and in a choice too."""
    counted = [b"data: " + json.dumps(each).encode() + b"\n\n" for each in told]
    _, finish = feed(event(content="a"), *counted, END)

    assert finish is not None
    assert finish.usage == Usage(input_tokens=10, output_tokens=5)


@pytest.mark.parametrize(
    ("reasons", "reason"),
    [(("length", "stop"), "length"), (("stop", "length"), "length"), (("", "stop"), "stop")],
)
def test_two_streamed_reasons(reasons: Sequence[str], reason: str) -> None:
    """An answer that was cut does not become a whole one by a stop that follows."""
    ends = [
        b'data: {"choices": [{"delta": {}, "finish_reason": "%s"}]}\n\n' % each.encode()
        for each in reasons
    ]
    _, finish = feed(event(content="a"), *ends, b"data: [DONE]\n\n")

    assert finish is not None
    assert finish.reason == reason


def test_streamed_tool_calls() -> None:
    """A tool call's id and name come once, even from servers that repeat them."""
    function = {"name": "f", "arguments": '{"a"'}
    repeated = {"name": "f", "arguments": ":1}"}
    deltas, finish = feed(
        event(tool_calls=[{"index": 0, "id": "c", "function": function}]),
        event(tool_calls=[{"index": 0, "id": "c", "function": repeated}]),
        event(tool_calls=[{"index": 1, "id": "d", "function": {"name": "g"}}]),
        END,
    )

    assert deltas[1:] == [
        ToolCallDelta(index=0, id="c", name="f", arguments_json='{"a"'),
        ToolCallDelta(index=0, arguments_json=":1}"),
        ToolCallDelta(index=1, id="d", name="g"),
    ]
    assert finish is not None
    assert finish.reason == "tool_calls"


def test_streamed_reasoning_and_refusal() -> None:
    """Reasoning and refusals are told from text."""
    deltas, finish = feed(event(reasoning_content="t"), event(refusal="no"), END)

    assert deltas[1:] == [ReasoningDelta(Reasoning(text="t")), RefusalDelta("no")]
    assert finish is not None
    assert finish.reason == "refusal"


def test_content_in_chunks() -> None:
    """Content that is a list of chunks is told by their kinds, whole and streamed."""
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "t"}]}
    chunks = [thinking, {"type": "reference", "reference_ids": [1]}, {"type": "text", "text": "a"}]

    whole = DIALECT.parse(answer_with(content=chunks))
    deltas, _ = feed(event(content=chunks), event(content="b"), END)

    assert whole.message.content == (Reasoning(text="t"), Text("a"))
    assert deltas[1:] == [ReasoningDelta(Reasoning(text="t")), TextDelta("a"), TextDelta("b")]


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
ARGUMENTS = st.dictionaries(
    TEXTS, st.recursive(st.none() | st.floats() | TEXTS, st.lists, max_leaves=4), max_size=3
)


@given(
    text=TEXTS,
    thought=TEXTS,
    calls=st.lists(st.tuples(TEXTS, TEXTS, ARGUMENTS.map(json.dumps)), max_size=3),
)
def test_sent_back(text: str, thought: str, calls: list[tuple[str, str, str]]) -> None:
    """What a model said goes back to the letter, however odd it is."""
    called = [
        {"id": f"{i}{call_id}", "type": "function", "function": {"name": name, "arguments": said}}
        for i, (call_id, name, said) in enumerate(calls)
    ]
    pieces = [{"index": i, **call} for i, call in enumerate(called)]
    deltas, finish = feed(
        event(reasoning_content=thought), event(content=text), event(tool_calls=pieces), END
    )
    quirks = Quirks(reasoning_field="reasoning_content")

    body, _ = build(answer_of(deltas, finish).message, quirks=quirks)

    assert body["messages"] == [
        {"role": "assistant", "content": text, "reasoning_content": thought}
        | ({"tool_calls": called} if called else {})
    ]


def test_other_choices_are_ignored() -> None:
    """Only the first choice is asked for, so no other is mixed into it."""
    other = b'data: {"choices": [{"index": 1, "delta": {"content": "x"}}]}\n\n'

    deltas, _ = feed(event(content="a"), other, END)

    assert deltas[1:] == [TextDelta("a")]


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (b'data: {"error": {"code": 500}}\n\n', InBandError),
        (b'data: {"id": 1, "choices": {}, "error": {"code": 500}}\n\n', InBandError),
        (b'event: error\ndata: {"message": "x"}\n\n', ProtocolError),
        (b"data: [DONE]\n\n", InBandError),
        (b"data: nonsense\n\n", ProtocolError),
    ],
)
def test_text_before_a_failure(failure: bytes, kind: type[Exception]) -> None:
    """Text that arrives together with a failure is told before it."""
    reader = DIALECT.read_stream(NO_QUIRKS)

    deltas = reader.feed(event(content="a") + event(content="b") + failure)

    assert deltas[1:] == [TextDelta("ab")]
    assert isinstance(reader.failure, kind)
    assert reader.feed(event(content="c")) == []


@pytest.mark.parametrize(
    "chunk",
    [
        event(content=1),
        event(tool_calls=[1]),
        event(tool_calls=[{"index": -1}]),
        event(tool_calls=[{"index": "a"}]),
        event(tool_calls=[{"index": 2**40}]),
        b'data: {"choices": [{"delta": []}]}\n\n',
        b'data: {"usage": []}\n\n',
    ],
)
def test_events_that_are_none(chunk: bytes) -> None:
    """An event that is not of the dialect is never taken for one."""
    with pytest.raises(ProtocolError):
        feed(event(content="a"), chunk)


@pytest.mark.parametrize(("total", "output"), [(399, 387), (13, 1), (None, 1)])
def test_reasoning_that_is_counted_beside(total: int | None, output: int) -> None:
    """What a model reasoned is of its output, though some count it beside, as their totals tell."""
    usage = {
        "prompt_tokens": 12,
        "completion_tokens": 1,
        "total_tokens": total,
        "completion_tokens_details": {"reasoning_tokens": 386},
    }

    answer = DIALECT.parse(openai_answer("a", usage=usage))

    assert answer.finish.usage == Usage(input_tokens=12, output_tokens=output, reasoning_tokens=386)


def test_choice_without_a_number() -> None:
    """A server that numbers no choice has one."""
    choices = [{"index": None, "delta": {"content": "a"}, "finish_reason": "stop"}]
    deltas, finish = feed(f"data: {json.dumps({'id': 'i', 'choices': choices})}\n\n".encode(), END)

    assert deltas[1:] == [TextDelta("a")]
    assert finish is not None


def test_counts_that_are_none() -> None:
    """A count that is no count is unknown, and the answer still stands."""
    usage = {"prompt_tokens": -1, "completion_tokens": True}

    answer = DIALECT.parse(openai_answer("a", usage=usage))

    assert answer.finish.usage == Usage()


def test_call_that_is_never_named() -> None:
    """A stream with a call that names no tool is no answer, however well it ends."""
    reader = DIALECT.read_stream(NO_QUIRKS)

    reader.feed(event(tool_calls=[{"index": 0, "id": "c"}]) + END)

    assert reader.finish is None
    assert isinstance(reader.failure, ProtocolError)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("context_length_exceeded", Reason.CONTEXT_LENGTH),
        ("exceed_context_size_error", Reason.CONTEXT_LENGTH),
        ("string_above_max_length", Reason.CONTEXT_LENGTH),
        ("content_policy_violation", Reason.CONTENT_BLOCKED),
        ("content_filter", Reason.CONTENT_BLOCKED),
        ("insufficient_quota", Reason.UPSTREAM_QUOTA),
        ("billing_hard_limit_reached", Reason.UPSTREAM_QUOTA),
        ("model_not_found", Reason.MODEL_NOT_FOUND),
        ("DeploymentNotFound", Reason.MODEL_NOT_FOUND),
        ("rate_limit_exceeded", Reason.UPSTREAM_RATE_LIMITED),
        ("rate_limit_error", Reason.UPSTREAM_RATE_LIMITED),
        ("overloaded_error", Reason.UPSTREAM_OVERLOADED),
        ("engine_overloaded", Reason.UPSTREAM_OVERLOADED),
        ("server_error", Reason.UPSTREAM_UNAVAILABLE),
        ("service_unavailable", Reason.UPSTREAM_UNAVAILABLE),
        ("novel", None),
        (3, None),
    ],
)
def test_words_of_errors(word: object, reason: Reason | None) -> None:
    """An error is told by its code, or else by its type."""
    for error in ({"code": word}, {"type": word}, {"code": "novel", "type": word}):
        assert DIALECT.classify(400, json.dumps({"error": error}).encode()) == reason
