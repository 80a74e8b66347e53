"""Answers in a form that the provider does not know, over sockets, in more than one dialect."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from msgspec.structs import replace

from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver_server.domain.answers import (
    Answer,
    Delta,
    ModelRequest,
    TextDelta,
    ToolCallDelta,
)
from prompt_resolver_server.domain.errors import CallError, Reason, UpstreamError
from prompt_resolver_server.domain.parameters import Json, JsonSchema, Parameters, ResponseFormat
from prompt_resolver_server.domain.prompts import Message, Text, Tool, ToolChoice
from prompt_resolver_server.providers.answer_tool import AnswerToolProvider
from prompt_resolver_server.providers.assembler import Assembler
from prompt_resolver_server.providers.catalogue import CATALOGUE, CatalogueRow
from prompt_resolver_server.providers.dialect import Dialect, Quirks
from prompt_resolver_server.providers.dialects import DIALECTS
from prompt_resolver_server.providers.transport.direct import DirectTransport
from tests.support.anthropic import answer_anthropic, anthropic_answer, anthropic_stream
from tests.support.remote import remote_provider
from tests.support.service import running_service
from tests.support.upstream import Exchange, Upstream, openai_answer

SCHEMA: dict[str, Json] = {"type": "object", "properties": {"a": {"type": "integer"}}}
FIND = Tool(name="find", parameters={"type": "object"})
ANSWER = "final_answer"
LACKING = frozenset({"json_schema"})

Call = tuple[str, str]
"""A tool's name, and the arguments."""


@dataclass(frozen=True, kw_only=True)
class Wire:
    """A dialect: how it writes an answer of a text and calls, and what it is asked."""

    dialect: Dialect
    whole: Callable[[str, Sequence[Call]], bytes]
    streamed: Callable[[str, Sequence[Call]], Sequence[bytes]]
    forced: Callable[[str], object]
    some: object

    def tools(self, exchange: Exchange) -> dict[str, object]:
        """Return the tools that are offered: their schemas by their names."""
        tools = exchange.json["tools"]
        assert isinstance(tools, list)
        functions = [tool.get("function", tool) for tool in tools]
        schemas = [each.get("input_schema", each.get("parameters")) for each in functions]
        return dict(zip((each["name"] for each in functions), schemas, strict=True))


def _blocks(text: str, calls: Sequence[Call]) -> list[dict[str, object]]:
    blocks: list[dict[str, object]] = [{"type": "text", "text": text}] if text else []
    return blocks + [
        {"type": "tool_use", "id": f"c{i}", "name": name, "input": json.loads(arguments)}
        for i, (name, arguments) in enumerate(calls)
    ]


def _stop(calls: Sequence[Call]) -> str:
    return "tool_use" if calls else "end_turn"


def _openai_call(number: int, call: Call) -> dict[str, object]:
    function = {"name": call[0], "arguments": call[1]}
    return {"index": number, "id": f"c{number}", "type": "function", "function": function}


def _openai_whole(text: str, calls: Sequence[Call]) -> bytes:
    listed = [_openai_call(number, call) for number, call in enumerate(calls)]
    message = {"role": "assistant", "content": text or None, "tool_calls": listed}
    # As OpenAI does where a tool had to be called.
    return openai_answer(choices=[{"index": 0, "message": message, "finish_reason": "stop"}])


def _openai_streamed(text: str, calls: Sequence[Call]) -> list[bytes]:
    deltas: list[dict[str, object]] = [{"content": text}] if text else []
    for number, (name, arguments) in enumerate(calls):
        deltas.append({"tool_calls": [_openai_call(number, (name, ""))]})
        deltas += [
            {"tool_calls": [{"index": number, "function": {"arguments": piece}}]}
            for piece in arguments
        ]
    choices: list[dict[str, object]] = [{"index": 0, "delta": delta} for delta in deltas]
    reason = "tool_calls" if calls else "stop"
    choices.append({"index": 0, "delta": {}, "finish_reason": reason})
    head = {"id": "chatcmpl-1", "model": "served-model"}
    chunks = [json.dumps({**head, "choices": [choice]}) for choice in choices]
    return [f"data: {chunk}\n\n".encode() for chunk in [*chunks, "[DONE]"]]


WIRES = {
    "openai": Wire(
        dialect=DIALECTS["openai"],
        whole=_openai_whole,
        streamed=_openai_streamed,
        forced=lambda name: {"type": "function", "function": {"name": name}},
        some="required",
    ),
    "anthropic": Wire(
        dialect=DIALECTS["anthropic"],
        whole=lambda text, calls: anthropic_answer(*_blocks(text, calls), stop=_stop(calls)),
        streamed=lambda text, calls: anthropic_stream(*_blocks(text, calls), stop=_stop(calls)),
        forced=lambda name: {"type": "tool", "name": name},
        some={"type": "any"},
    ),
}


@pytest.fixture(params=WIRES, ids=str)
def wire(request: pytest.FixtureRequest) -> Wire:
    return WIRES[request.param]


@dataclass(frozen=True)
class Scene:
    """A provider without forms, and the upstream whose answer a test decides."""

    wire: Wire
    upstream: Upstream
    provider: AnswerToolProvider

    def answering(self, text: str, *calls: Call) -> None:
        async def answer(exchange: Exchange) -> None:
            if not exchange.json.get("stream"):
                await exchange.send_response(self.wire.whole(text, calls))
                return
            await exchange.begin_stream()
            await exchange.send(b"".join(self.wire.streamed(text, calls)))
            exchange.writer.close()

        self.upstream.answer = answer

    async def ask(self, request: ModelRequest) -> tuple[Answer, list[Delta]]:
        """Return the answer, which is the same whole and streamed, and its deltas."""
        whole = await self.provider.complete(request, caller_key=None)
        deltas: list[Delta] = []

        async def emit(more: Sequence[Delta]) -> None:
            assert more
            deltas.extend(more)

        finish = await self.provider.stream(request, emit, caller_key=None)
        assembler = Assembler()
        assembler.add(deltas)
        streamed = assembler.finish(finish)
        assert streamed.message == whole.message
        assert streamed.finish.reason == whole.finish.reason
        return streamed, deltas


@pytest.fixture(params=[True, False], ids=["streamed", "whole"])
async def scene(
    request: pytest.FixtureRequest, upstream: Upstream, wire: Wire
) -> AsyncIterator[Scene]:
    transport = DirectTransport(tls=ssl.create_default_context())
    remote = remote_provider(
        wire.dialect, upstream.url, transport, stream_completions=request.param
    )
    provider = AnswerToolProvider(remote, name="p", lacking={"json_object", "json_schema"})
    yield Scene(wire, upstream, provider)
    await transport.aclose()


def asking(schema: dict[str, Json] | None = SCHEMA, **changes: object) -> ModelRequest:
    form = ResponseFormat(type="json_object")
    if schema is not None:
        named = JsonSchema(name="n", schema=schema)
        form = ResponseFormat(type="json_schema", json_schema=named)
    fields: dict[str, object] = {
        "model": "m",
        "messages": (Message(role="user", content=(Text("Hi"),)),),
        "parameters": Parameters(response_format=form),
        **changes,
    }
    return ModelRequest(**fields)  # type: ignore[arg-type]  # any fields


async def test_answer(scene: Scene) -> None:
    """The model must call a tool that has the form, and what it hands to it is its text."""
    scene.answering("", (ANSWER, '{"a":1}'))

    answer, deltas = await scene.ask(asking())

    assert answer.message.content == (Text('{"a":1}'),)
    assert answer.message.tool_calls == ()
    assert (answer.finish.reason, answer.finish.dropped) == ("stop", ())
    assert not any(isinstance(delta, ToolCallDelta) for delta in deltas)
    for exchange in scene.upstream.exchanges:
        assert scene.wire.tools(exchange) == {ANSWER: SCHEMA}
        assert exchange.json["tool_choice"] == scene.wire.forced(ANSWER)
        assert "response_format" not in exchange.json
        assert "output_config" not in exchange.json


async def test_strict_form(scene: Scene) -> None:
    """A form that must be kept to is a tool's whose schema must be kept to."""
    strict = JsonSchema(name="n", schema=SCHEMA, strict=True)
    form = ResponseFormat(type="json_schema", json_schema=strict)
    scene.answering("", (ANSWER, '{"a":1}'))

    await scene.ask(asking(parameters=Parameters(response_format=form)))

    for exchange in scene.upstream.exchanges:
        tools = exchange.json["tools"]
        assert isinstance(tools, list)
        assert [each.get("function", each)["strict"] for each in tools] == [True]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (None, '{"a":{"b":{}}}'),
        (None, "{}"),
        ({"type": "array", "items": {"$ref": "#/$defs/n"}, "$defs": {"n": SCHEMA}}, "[1,2,3]"),
        ({"type": ["object", "null"]}, "null"),
        ({"type": "string"}, '"a } b"'),
        ({"enum": ["a", "b"]}, '"a"'),
        ({"anyOf": [SCHEMA, {"type": "null"}]}, "null"),
    ],
)
async def test_answer_that_is_wrapped(
    scene: Scene, schema: dict[str, Json] | None, value: str
) -> None:
    """An answer of any object, or of none, is the tool's one argument, and its text without it."""
    scene.answering("", (ANSWER, f'{{"answer":{value}}}'))

    answer, _ = await scene.ask(asking(schema))

    assert answer.message.content == (Text(value),)
    offered = scene.wire.tools(scene.upstream.exchanges[0])[ANSWER]
    assert isinstance(offered, dict)
    assert (offered["type"], offered["required"]) == ("object", ["answer"])
    assert offered["properties"]["answer"].get("type") == (schema or {"type": "object"}).get("type")
    assert offered.get("$defs") == (schema or {}).get("$defs")


async def test_own_tools(scene: Scene) -> None:
    """The model may call its own tools before it answers, and must do the one or the other."""
    request = asking(tools=(FIND,))

    scene.answering("Let me see.", ("find", '{"q":1}'))
    calling, _ = await scene.ask(request)
    scene.answering("Here it is:", (ANSWER, '{"a":1}'))
    answering, _ = await scene.ask(request)

    assert calling.message.text == "Let me see."
    assert [call.name for call in calling.message.tool_calls] == ["find"]
    assert calling.finish.reason == "tool_calls"
    assert answering.message.content == (Text('{"a":1}'),)
    assert answering.finish.reason == "stop"
    for exchange in scene.upstream.exchanges:
        assert list(scene.wire.tools(exchange)) == ["find", ANSWER]
        assert exchange.json["tool_choice"] == scene.wire.some


async def test_several_calls(scene: Scene) -> None:
    """Calls of the model's own tools are counted without that which is the answer."""
    scene.answering("", (ANSWER, '{"a":1}'), ("find", '{"q":1}'), (ANSWER, '{"a":2}'))

    answer, deltas = await scene.ask(asking(tools=(FIND,)))

    assert answer.message.text == '{"a":1}'
    assert [call.name for call in answer.message.tool_calls] == ["find"]
    assert answer.finish.reason == "tool_calls"
    assert {delta.index for delta in deltas if isinstance(delta, ToolCallDelta)} == {0}


async def test_text_and_calls_before_the_answer(scene: Scene) -> None:
    """What the model says before it answers is no part of the answer, whatever it calls between."""
    scene.answering("Let me see.", ("find", '{"q":1}'), (ANSWER, '{"a":1}'))

    answer, _ = await scene.ask(asking(tools=(FIND,)))

    assert answer.message.content == (Text('{"a":1}'),)
    assert [call.name for call in answer.message.tool_calls] == ["find"]


@pytest.mark.parametrize("schema", [SCHEMA, {"type": "array"}], ids=["object", "wrapped"])
@pytest.mark.parametrize("stream_completions", [True, False], ids=["streamed", "whole"])
async def test_answer_that_was_cut(
    upstream: Upstream, schema: dict[str, Json], stream_completions: bool
) -> None:
    """Where the tool was handed what is no JSON, there is no answer, unless its length is told."""
    calls = [(ANSWER, '{"answer": [{"a":"x')]
    ends = iter([b"tool_calls", b"tool_calls", b"length"])

    async def answer(exchange: Exchange) -> None:
        end = next(ends)
        if not exchange.json.get("stream"):
            await exchange.send_response(_openai_whole("", calls).replace(b'"stop"', b'"%b"' % end))
            return
        await exchange.begin_stream()
        events = b"".join(_openai_streamed("", calls))
        await exchange.send(
            events.replace(b'"finish_reason": "tool_calls"', b'"finish_reason":"%b"' % end)
        )
        exchange.writer.close()

    upstream.answer = answer
    transport = DirectTransport(tls=ssl.create_default_context())
    wire = WIRES["openai"]
    remote = remote_provider(
        wire.dialect, upstream.url, transport, stream_completions=stream_completions
    )
    provider = AnswerToolProvider(remote, name="p", lacking={"json_schema"})

    for call in (
        provider.complete(asking(schema), caller_key=None),
        provider.stream(asking(schema), _ignore, caller_key=None),
    ):
        with pytest.raises(UpstreamError) as caught:
            await call
        assert caught.value.reason is Reason.UPSTREAM_PROTOCOL
    told = await provider.complete(asking(schema), caller_key=None)

    assert told.finish.reason == "length"
    assert told.message.text.endswith('[{"a":"x')
    await transport.aclose()


async def test_name_that_is_taken(scene: Scene) -> None:
    """A tool of the model's own that has the name remains its own."""
    scene.answering("", (ANSWER, '{"q":1}'))
    own, _ = await scene.ask(asking(tools=(Tool(name=ANSWER),)))
    scene.answering("", (f"{ANSWER}_", '{"a":1}'))
    answer, _ = await scene.ask(asking(tools=(Tool(name=ANSWER),)))

    assert [call.name for call in own.message.tool_calls] == [ANSWER]
    assert answer.message.content == (Text('{"a":1}'),)


async def test_no_tool_may_be_called(scene: Scene) -> None:
    """Where the model may call no tool of its own, it must answer."""
    scene.answering("", (ANSWER, "{}"))

    answer, _ = await scene.ask(asking(tools=(FIND,), tool_choice=ToolChoice(mode="none")))

    assert answer.message.content == (Text("{}"),)
    assert scene.upstream.exchanges[0].json["tool_choice"] == scene.wire.forced(ANSWER)


@pytest.mark.parametrize("choice", [ToolChoice(mode="required"), ToolChoice(tool_name="find")])
async def test_tool_that_must_be_called(scene: Scene, choice: ToolChoice) -> None:
    """Where the model must call a tool of its own, there is no text to have a form, as is told."""
    scene.answering("", ("find", '{"q":1}'))

    answer, _ = await scene.ask(asking(tools=(FIND,), tool_choice=choice))

    assert answer.finish.dropped == ("response_format",)
    assert answer.finish.reason == "tool_calls"
    assert list(scene.wire.tools(scene.upstream.exchanges[0])) == ["find"]


async def test_model_that_calls_nothing(scene: Scene) -> None:
    """A model that answers in text all the same is passed on as it is."""
    scene.answering('{"a": 1}')

    answer, _ = await scene.ask(asking())

    assert answer.message.content == (Text('{"a": 1}'),)


async def test_arrives_piece_by_piece(scene: Scene) -> None:
    """What the tool is handed is emitted as it arrives: the rest comes when the first part did."""
    seen = asyncio.Event()
    arguments = json.dumps({"a": "x" * 100})

    async def answer(exchange: Exchange) -> None:
        events = scene.wire.streamed("", [(ANSWER, arguments)])
        middle = len(events) // 2
        await exchange.begin_stream()
        await exchange.send(b"".join(events[:middle]))
        await seen.wait()
        await exchange.send(b"".join(events[middle:]))
        exchange.writer.close()

    scene.upstream.answer = answer
    texts: list[str] = []

    async def emit(more: Sequence[Delta]) -> None:
        texts.extend(delta.text for delta in more if isinstance(delta, TextDelta))
        if texts:
            seen.set()

    await scene.provider.stream(asking(), emit, caller_key=None)

    assert json.loads("".join(texts)) == json.loads(arguments)


async def test_plain_text_is_left_alone(scene: Scene) -> None:
    """A request without a form is sent as it is, and so is its answer passed on."""
    scene.answering("Hello", ("find", '{"q":1}'))

    answer, _ = await scene.ask(asking(parameters=Parameters(), tools=(FIND,)))

    assert answer.message.text == "Hello"
    assert list(scene.wire.tools(scene.upstream.exchanges[0])) == ["find"]
    assert "tool_choice" not in scene.upstream.exchanges[0].json


async def test_model_that_thinks_first(upstream: Upstream) -> None:
    """Where nothing makes a model call the tool, its form is refused, or told to be no promise."""
    upstream.answer = answer_anthropic
    transport = DirectTransport(tls=ssl.create_default_context())
    remote = remote_provider(WIRES["anthropic"].dialect, upstream.url, transport)
    provider = AnswerToolProvider(remote, name="p", lacking={"json_object"})
    form = ResponseFormat(type="json_object")
    request = asking(parameters=Parameters(response_format=form, reasoning_effort="2048"))
    insisting = replace(request, insisted=frozenset({"response_format"}))

    for call in (
        provider.complete(insisting, caller_key=None),
        provider.stream(insisting, _ignore, caller_key=None),
    ):
        with pytest.raises(CallError) as caught:
            await call
        assert [each.field for each in caught.value.violations] == ["parameters.response_format"]
    assert upstream.exchanges == []

    answer = await provider.complete(request, caller_key=None)

    assert answer.finish.dropped == ("response_format",)
    assert "tool_choice" not in upstream.exchanges[0].json
    await transport.aclose()


async def test_row_that_lacks_a_form(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider whose row says what it lacks is asked for that by the tool, and for no more."""
    quirks = Quirks(lacks_forms=LACKING)
    row = CatalogueRow(dialect="openai", base_url=None, key_optional=True, quirks=quirks)
    monkeypatch.setitem(cast("dict[str, CatalogueRow]", CATALOGUE), "formless", row)
    said = pb.Message(role=pb.ROLE_USER, content=[pb.ContentPart(text="Hi")])
    config = f"""
providers: {{formless: {{base_url: '{upstream.url}'}}}}
model_list: [{{model_name: a, litellm_params: {{model: formless/m}}}}]
"""
    async with running_service(tmp_path, config) as service:
        for kind in (pb.ResponseFormat.TYPE_JSON_OBJECT, pb.ResponseFormat.TYPE_JSON_SCHEMA):
            form = pb.ResponseFormat(type=kind)
            if kind == pb.ResponseFormat.TYPE_JSON_SCHEMA:
                form.json_schema.name = "n"
                form.json_schema.schema.update(SCHEMA)
            parameters = pb.ModelParameters(response_format=form)
            await service.client.complete(alias="a", messages=[said], parameters=parameters)

    known, lacking = (exchange.json for exchange in upstream.exchanges)
    assert known["response_format"] == {"type": "json_object"}
    assert "tools" not in known
    assert "response_format" not in lacking
    assert lacking["tool_choice"] == WIRES["openai"].forced(ANSWER)


async def _ignore(deltas: Sequence[Delta]) -> None:
    pass
