"""Everything that the contract can say arrives, and everything that a provider says comes back."""

import json
from typing import Any

import pytest
from google.protobuf import struct_pb2
from grpc import StatusCode

from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from tests.support.calls import VARIABLES, collect, failure, status_of
from tests.support.service import RunningService
from tests.support.upstream import Exchange, Upstream, openai_answer


def struct(values: dict[str, object]) -> struct_pb2.Struct:
    made = struct_pb2.Struct()
    made.update(values)  # type: ignore[arg-type]  # plain JSON
    return made


SCHEMA = struct({"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}})


async def test_tools(service: RunningService, upstream: Upstream) -> None:
    """The request's tools and its choice among them reach the provider, whole numbers whole."""
    await service.client.complete(
        "greet",
        variables=VARIABLES,
        tools=[
            pb.Tool(name="f", description="d", parameters=SCHEMA, strict=True),
            pb.Tool(name="g"),
            pb.Tool(name="f", description="the last one counts"),
        ],
        tool_choice=pb.ToolChoice(tool_name="g"),
    )

    body = upstream.exchanges[0].json
    assert body["tools"] == [
        {"type": "function", "function": {"name": "f", "description": "the last one counts"}},
        {"type": "function", "function": {"name": "g"}},
    ]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "g"}}


@pytest.mark.parametrize(
    ("mode", "word"),
    [
        (pb.ToolChoice.MODE_AUTO, "auto"),
        (pb.ToolChoice.MODE_NONE, "none"),
        (pb.ToolChoice.MODE_REQUIRED, "required"),
    ],
)
async def test_tool_choice(
    service: RunningService, upstream: Upstream, mode: pb.ToolChoice.Mode.ValueType, word: str
) -> None:
    """Every mode has its word, and comes back in the resolved prompt."""
    response = await service.client.complete(
        "greet",
        variables=VARIABLES,
        tools=[pb.Tool(name="f", parameters=SCHEMA)],
        tool_choice=pb.ToolChoice(mode=mode),
        include_resolved=True,
    )

    body = upstream.exchanges[0].json
    assert body["tool_choice"] == word
    assert '"minimum":1.0' not in upstream.exchanges[0].body.decode()
    assert body["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "f",
                "parameters": {
                    "type": "object",
                    "properties": {"n": {"type": "integer", "minimum": 1}},
                },
            },
        }
    ]
    assert response.resolved.tool_choice.mode == mode
    assert response.resolved.tools[0].parameters == SCHEMA


@pytest.mark.parametrize(
    ("tools", "choice"),
    [
        ([], pb.ToolChoice(mode=pb.ToolChoice.MODE_REQUIRED)),
        ([pb.Tool(name="f")], pb.ToolChoice(tool_name="g")),
        ([pb.Tool(name="f")], pb.ToolChoice()),
        ([pb.Tool(name="f")], pb.ToolChoice(tool_name="")),
        ([pb.Tool(name="f")], pb.ToolChoice(mode=pb.ToolChoice.MODE_UNSPECIFIED)),
        ([pb.Tool()], pb.ToolChoice(mode=pb.ToolChoice.MODE_AUTO)),
    ],
)
async def test_tools_that_contradict(
    service: RunningService, tools: list[pb.Tool], choice: pb.ToolChoice
) -> None:
    """A choice among tools that are not there, or of nothing, is refused."""
    error = await failure(
        service.client.complete("greet", variables=VARIABLES, tools=tools, tool_choice=choice)
    )

    assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")


@pytest.mark.parametrize(
    ("form", "wire"),
    [
        (pb.ResponseFormat(type=pb.ResponseFormat.TYPE_TEXT), {"type": "text"}),
        (pb.ResponseFormat(type=pb.ResponseFormat.TYPE_JSON_OBJECT), {"type": "json_object"}),
        (
            pb.ResponseFormat(
                type=pb.ResponseFormat.TYPE_JSON_SCHEMA,
                json_schema=pb.ResponseFormat.JsonSchema(name="n", schema=SCHEMA, strict=True),
            ),
            {
                "type": "json_schema",
                "json_schema": {
                    "name": "n",
                    "strict": True,
                    "schema": {
                        "type": "object",
                        "properties": {"n": {"type": "integer", "minimum": 1}},
                    },
                },
            },
        ),
    ],
)
async def test_response_formats(
    service: RunningService,
    upstream: Upstream,
    form: pb.ResponseFormat,
    wire: dict[str, object],
) -> None:
    """Every form of an answer reaches the provider, and comes back in the resolved prompt."""
    response = await service.client.complete(
        "greet",
        variables=VARIABLES,
        parameters=pb.ModelParameters(response_format=form),
        include_resolved=True,
    )

    assert upstream.exchanges[0].json["response_format"] == wire
    assert response.resolved.parameters.response_format == form


@pytest.mark.parametrize(
    "form",
    [
        pb.ResponseFormat(),
        pb.ResponseFormat(type=pb.ResponseFormat.TYPE_JSON_SCHEMA),
        pb.ResponseFormat(
            type=pb.ResponseFormat.TYPE_TEXT, json_schema=pb.ResponseFormat.JsonSchema(name="n")
        ),
        pb.ResponseFormat(
            type=pb.ResponseFormat.TYPE_JSON_SCHEMA,
            json_schema=pb.ResponseFormat.JsonSchema(name="n"),
        ),
        pb.ResponseFormat(
            type=pb.ResponseFormat.TYPE_JSON_SCHEMA,
            json_schema=pb.ResponseFormat.JsonSchema(schema=SCHEMA),
        ),
    ],
)
async def test_response_formats_that_contradict(
    service: RunningService, form: pb.ResponseFormat
) -> None:
    """A form without what it needs, or with what it cannot have, is refused."""
    error = await failure(
        service.client.complete(
            "greet", variables=VARIABLES, parameters=pb.ModelParameters(response_format=form)
        )
    )

    assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")


async def test_order_of_fields(service: RunningService, upstream: Upstream) -> None:
    """A `Struct` has no order, and another in each process: providers get its fields sorted."""
    fields: dict[str, Any] = {letter: {"b": 1, "a": 2} for letter in "qwertyuiopasdfghjklzxcvbnm"}
    form = pb.ResponseFormat(
        type=pb.ResponseFormat.TYPE_JSON_SCHEMA,
        json_schema=pb.ResponseFormat.JsonSchema(name="n", schema=struct(fields)),
    )

    await service.client.complete(
        "greet",
        variables={**VARIABLES, "name": fields},
        tools=[pb.Tool(name="f", parameters=struct(fields))],
        parameters=pb.ModelParameters(response_format=form, extra=struct({"user": fields})),
    )

    body: Any = upstream.exchanges[0].json
    rendered = body["messages"][-1]["content"].removeprefix("Hello ")
    for sent in (
        json.loads(rendered[rendered.index("{") : rendered.rindex("}") + 1]),
        body["tools"][0]["function"]["parameters"],
        body["response_format"]["json_schema"]["schema"],
        body["user"],
    ):
        assert list(sent) == sorted(fields)
        assert {tuple(value) for value in sent.values()} == {("a", "b")}


async def test_all_parameters(service: RunningService, upstream: Upstream) -> None:
    """Every parameter reaches the provider, and comes back in the resolved prompt."""
    parameters = pb.ModelParameters(
        temperature=0.5,
        top_p=0.25,
        max_tokens=7,
        stop=["a", "b"],
        presence_penalty=-0.5,
        frequency_penalty=0.75,
        seed=2**60,
        reasoning_effort="low",
        top_k=3,
        extra=struct({"user": "u", "logit_bias": {"1": -1}}),
    )

    response = await service.client.complete(
        "greet", variables=VARIABLES, parameters=parameters, include_resolved=True
    )

    body = upstream.exchanges[0].json
    sent = {name: body[name] for name in body if name not in ("model", "messages")}
    assert sent == {
        "temperature": 0.5,
        "top_p": 0.25,
        "max_tokens": 7,
        "stop": ["a", "b"],
        "presence_penalty": -0.5,
        "frequency_penalty": 0.75,
        "seed": 2**60,
        "reasoning_effort": "low",
        "top_k": 3,
        "user": "u",
        "logit_bias": {"1": -1},
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert response.resolved.parameters == parameters


async def test_all_messages(service: RunningService, upstream: Upstream) -> None:
    """Messages of every role, with parts of every kind, come back in the resolved prompt."""
    messages = [
        pb.Message(role=pb.ROLE_DEVELOPER, content=[pb.ContentPart(text="d")]),
        pb.Message(
            role=pb.ROLE_USER,
            name="n",
            content=[
                pb.ContentPart(text="t"),
                pb.ContentPart(image=pb.Media(url="https://x.invalid/i", detail="high")),
                pb.ContentPart(image=pb.Media(data=b"i", media_type="image/png")),
                pb.ContentPart(audio=pb.Media(data=b"a", media_type="audio/wav")),
                pb.ContentPart(
                    file=pb.Media(data=b"f", media_type="application/pdf", filename="f.pdf")
                ),
            ],
        ),
        pb.Message(
            role=pb.ROLE_ASSISTANT,
            content=[
                pb.ContentPart(
                    reasoning=pb.Reasoning(text="r", signature=b"s", redacted=b"hidden")
                ),
                pb.ContentPart(reasoning=pb.Reasoning()),
                pb.ContentPart(refusal="no"),
            ],
            tool_calls=[pb.ToolCall(id="c", name="f", arguments_json="{}", signature=b"s")],
        ),
        pb.Message(role=pb.ROLE_TOOL, content=[pb.ContentPart(text="r")], tool_call_id="c"),
    ]

    response = await service.client.complete(
        "greet", variables=VARIABLES, messages=messages, include_resolved=True
    )

    assert list(response.resolved.messages)[2:] == messages
    sent = upstream.exchanges[0].json["messages"]
    assert isinstance(sent, list)
    assert [message["role"] for message in sent[2:]] == ["system", "user", "assistant", "tool"]
    assert [part["type"] for part in sent[3]["content"]] == [
        *("text", "image_url", "image_url", "input_audio", "file")
    ]
    assert sent[4]["content"] == [{"type": "refusal", "refusal": "no"}]


ANSWER = {
    "role": "assistant",
    "content": "a",
    "reasoning_content": "r",
    "refusal": "no",
    "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": '{"x":1}'}}],
}


async def test_whole_answer(service: RunningService, upstream: Upstream) -> None:
    """Reasoning, text, refusal, tool calls and all counts of an answer come back."""
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 0,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }

    async def answer(exchange: Exchange) -> None:
        choice = {"message": ANSWER, "finish_reason": "content_filter"}
        await exchange.send_response(openai_answer(choices=[choice], usage=usage))

    upstream.answer = answer

    response = await service.client.complete("greet", variables=VARIABLES)

    assert response.message == pb.Message(
        role=pb.ROLE_ASSISTANT,
        content=[
            pb.ContentPart(reasoning=pb.Reasoning(text="r")),
            pb.ContentPart(text="a"),
            pb.ContentPart(refusal="no"),
        ],
        tool_calls=[pb.ToolCall(id="c", name="f", arguments_json='{"x":1}')],
    )
    assert response.finish_reason == pb.FINISH_REASON_REFUSAL
    assert response.raw_finish_reason == "content_filter"
    assert response.usage == pb.Usage(
        input_tokens=9, output_tokens=0, cache_read_tokens=4, reasoning_tokens=3
    )
    assert response.usage.HasField("output_tokens")


async def test_streamed_answer(service: RunningService, upstream: Upstream) -> None:
    """Reasoning, text, refusal and tool calls come back as they arrive."""

    async def answer(exchange: Exchange) -> None:
        await exchange.begin_stream()
        for delta in (
            {"reasoning_content": "r"},
            {"content": "a"},
            {"refusal": "no"},
            {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f"}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"x":1}'}}]},
        ):
            choice = {"index": 0, "delta": delta, "finish_reason": None}
            await exchange.send(b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n")
        end = {"index": 0, "delta": {}, "finish_reason": "tool_calls"}
        await exchange.send(b"data: " + json.dumps({"choices": [end]}).encode() + b"\n\n")
        await exchange.send(b"data: [DONE]\n\n")
        exchange.writer.close()

    upstream.answer = answer

    streamed = await collect(service.client)

    event = pb.CompleteStreamResponse
    assert streamed.kinds[0] == "started"
    assert streamed.events[1:-1] == [
        event(reasoning_delta=pb.Reasoning(text="r")),
        event(text_delta="a"),
        event(refusal_delta="no"),
        event(tool_call_delta=pb.ToolCallDelta(index=0, id="c", name="f")),
        event(tool_call_delta=pb.ToolCallDelta(index=0, arguments_json_delta='{"x":1}')),
    ]
    assert streamed.finished.finish_reason == pb.FINISH_REASON_REFUSAL
    assert not streamed.finished.HasField("usage")


async def test_parameter_that_is_refused(service: RunningService, upstream: Upstream) -> None:
    """A parameter that cannot be sent is refused by its name, and nothing is sent."""
    asked = pb.ModelParameters(reasoning_effort="1024")

    error = await failure(service.client.complete("greet", variables=VARIABLES, parameters=asked))

    assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "PARAMETER_UNSUPPORTED")
    assert error.violations[0].field == "parameters.reasoning_effort"
    assert upstream.exchanges == []


async def test_labels_are_logged(
    service: RunningService, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    """A call's labels go to the log, and not to the provider."""
    caplog.set_level("INFO")

    await service.client.complete("greet", variables=VARIABLES, labels={"team": "returns"})

    (record,) = [each for each in caplog.records if each.getMessage() == "a completion begins"]
    assert vars(record)["labels"] == {"team": "returns"}
    assert b"returns" not in upstream.exchanges[0].body
