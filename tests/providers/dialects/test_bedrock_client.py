"""The vendor's own client sends what we send, and understands what the stand-in answers."""

import json
from base64 import b64decode
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import pytest
from botocore.exceptions import ClientError, EventStreamError

from prompt_resolver_server.domain.answers import Answer, ModelRequest
from prompt_resolver_server.domain.errors import Reason
from prompt_resolver_server.domain.parameters import (
    NO_PARAMETERS,
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
from prompt_resolver_server.providers.dialect import NO_QUIRKS, InBandError, Quirks
from prompt_resolver_server.providers.dialects.bedrock import BedrockDialect
from prompt_resolver_server.providers.dialects.bedrock.media import _FORMATS
from tests.support.bedrock import (
    BARE_CALL,
    CALL,
    CITED,
    REDACTED,
    TEXT,
    THINKING,
    Fields,
    answer_bedrock,
    bedrock_answer,
    bedrock_stream,
    delta,
    event,
    exception,
    stream_of,
)
from tests.support.botocore import BedrockClient
from tests.support.dialects.streams import Streams
from tests.support.ends import ends_of
from tests.support.upstream import Exchange, Upstream, answer_with

DIALECT = BedrockDialect()
CLAUDE = "us.anthropic.claude-sonnet-4-20250514-v1:0"
ARN = "arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/abc123"
HI = Message(role="user", content=(Text("Hi"),))
TOOLS = (
    Tool(name="find", description="Finds.", parameters={"properties": {"a": {}}}, strict=True),
    Tool(name="now"),
)
CALLS = (
    ToolCall(id="c1", name="find", arguments_json='{"a": [1, 2.5, null, "ü"], "b": {}}'),
    ToolCall(id="c2", name="now", arguments_json=""),
)
EVERYTHING = (THINKING, REDACTED, TEXT, CITED, CALL, BARE_CALL)


def say(*parts: Part) -> Message:
    return Message(role="user", content=parts)


def request(
    *messages: Message, model: str = "amazon.nova-lite-v1:0", **fields: object
) -> ModelRequest:
    parameters = {"parameters": NO_PARAMETERS, **fields}
    return ModelRequest(model=model, messages=messages or (HI,), **parameters)  # type: ignore[arg-type]  # any fields


REQUESTS = {
    "smallest": request(),
    "arn": request(model=ARN),
    "texts": request(
        Message(role="system", content=(Text("Be brief."), Text("And 世界."))),
        Message(role="developer", content=(Text("Now."),)),
        HI,
        say(Text(' \u2028 "\\ \x7f')),
        Message(role="assistant", content=(Text("So."), Refusal("No."))),
        HI,
    ),
    "media": request(
        say(
            Text("See."),
            Media(kind="image", data=b"\x00\xff" * 99, media_type="image/png"),
            Media(kind="image", url="s3://some-bucket/a.webp", media_type="image/webp"),
            Media(kind="file", data=b"a", media_type="text/plain", filename="a_b.txt"),
            Media(kind="file", url="data:application/pdf;base64,AAE="),
            Media(kind="audio", data=b"\x00", media_type="audio/wav"),
        )
    ),
    "reasoning": request(
        HI,
        Message(
            role="assistant",
            content=(
                Reasoning(text="Hm.", signature=b"s"),
                Reasoning(redacted=b"AP8="),
                Text("So."),
            ),
        ),
        HI,
    ),
    "tools": request(
        HI,
        Message(role="assistant", tool_calls=CALLS),
        Message(role="tool", tool_call_id="c1", content=(Text("1"), Text("2"))),
        Message(
            role="tool",
            tool_call_id="c2",
            content=(Media(kind="image", data=b"a", media_type="image/gif"),),
        ),
        HI,
        tools=TOOLS,
    ),
    **{
        f"choice {choice.mode or choice.tool_name}": request(tools=TOOLS, tool_choice=choice)
        for choice in (
            ToolChoice(mode="auto"),
            ToolChoice(mode="required"),
            ToolChoice(mode="none"),
            ToolChoice(tool_name="find"),
        )
    },
    "parameters": request(
        model=CLAUDE,
        parameters=Parameters(
            temperature=0.3,
            top_p=0.95,
            top_k=3,
            max_tokens=10,
            stop=("a", "b"),
            reasoning_effort="xhigh",
            response_format=ResponseFormat(
                type="json_schema",
                json_schema=JsonSchema(name="n", schema={"type": "object", "properties": {}}),
            ),
            extra={
                "anthropic_beta": ["b"],
                "guardrailConfig": {
                    "guardrailIdentifier": "g",
                    "guardrailVersion": "1",
                    "trace": "enabled",
                },
                "performanceConfig": {"latency": "optimized"},
                "requestMetadata": {"a": "b"},
                "promptVariables": {"a": {"text": "b"}},
                "serviceTier": {"type": "flex"},
                "additionalModelResponseFieldPaths": ["/stop_sequence"],
            },
        ),
    ),
    "thinking": request(
        model=CLAUDE, parameters=Parameters(reasoning_effort="2048", max_tokens=3000)
    ),
}


@pytest.fixture
def upstream(upstream: Upstream) -> Upstream:
    """A provider that speaks Bedrock's dialect."""
    return upstream.speak(answer_bedrock)


@pytest.fixture
def client(upstream: Upstream) -> Iterator[BedrockClient]:
    with closing(BedrockClient(upstream.url)) as client:
        yield client


@pytest.mark.parametrize("sent", REQUESTS.values(), ids=REQUESTS)
async def test_same_request(client: BedrockClient, upstream: Upstream, sent: ModelRequest) -> None:
    """For what we send there is a call that makes the client send the same, to the same path."""
    whole = DIALECT.build(sent, stream=False, quirks=Quirks())
    streamed = DIALECT.build(sent, stream=True, quirks=Quirks())
    call = client.call_of(json.loads(whole.body))

    await client.converse(modelId=sent.model, **call)
    await client.converse_stream(modelId=sent.model, **call)

    ours = [(wire.path, json.loads(wire.body)) for wire in (whole, streamed)]
    assert [(exchange.path, exchange.json) for exchange in upstream.exchanges] == ours
    assert (whole.dropped, streamed.dropped) == ((), ())


@pytest.mark.parametrize("kind", ["image", "audio", "file"])
async def test_formats(client: BedrockClient, kind: Any) -> None:
    """Every format that we name is one of the API's."""
    for media_type in _FORMATS[kind]:
        sent = request(say(Media(kind=kind, data=b"a", media_type=media_type)))
        client.call_of(json.loads(DIALECT.build(sent, stream=False, quirks=Quirks()).body))


def as_content(answer: Answer) -> list[Fields]:
    """Return an answer's content in the client's words."""
    blocks: list[Fields] = []
    for part in answer.message.content:
        match part:
            case Text():
                blocks.append({"text": part.text})
            case Reasoning(redacted=bytes() as redacted):
                blocks.append({"reasoningContent": {"redactedContent": b64decode(redacted)}})
            case Reasoning(signature=bytes() as signature):
                text = {"text": part.text, "signature": signature.decode()}
                blocks.append({"reasoningContent": {"reasoningText": text}})
    for call in answer.message.tool_calls:
        arguments = json.loads(call.arguments_json)
        use = {"toolUseId": call.id, "name": call.name, "input": arguments}
        blocks.append({"toolUse": use})
    return blocks


def as_usage(answer: Answer) -> list[int | None]:
    """Return an answer's counts; those of the cache are counted among the prompt's."""
    usage = answer.finish.usage
    assert usage is not None
    counts = (usage.cache_read_tokens, usage.cache_write_tokens)
    fresh = (usage.input_tokens or 0) - sum(count or 0 for count in counts)
    return [fresh, usage.output_tokens, *counts]


def counts_of(usage: Fields) -> list[object]:
    names = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
    return [usage.get(name) for name in names]


async def test_whole_answer(client: BedrockClient, upstream: Upstream) -> None:
    """The client reads of a whole answer what we read of it."""
    blocks = (THINKING, REDACTED, TEXT, CALL, BARE_CALL)
    upstream.answer = answer_with(bedrock_answer(*blocks, stop="tool_use"))
    theirs = await client.converse(modelId="m", messages=[])
    ours = DIALECT.parse(bedrock_answer(*blocks, stop="tool_use"))

    assert as_content(ours) == theirs["output"]["message"]["content"]
    assert ours.finish.raw_reason == theirs["stopReason"]
    assert as_usage(ours) == counts_of(theirs["usage"])


def put_together(events: Sequence[Fields]) -> list[Fields]:
    """Return the content that the client's events make, in the plainest way."""
    blocks: dict[int, Any] = {}
    for each in events:
        match each:
            case {"contentBlockStart": {"contentBlockIndex": int(index), "start": start}}:
                assert isinstance(start, dict)
                blocks[index] = {"toolUse": {**start["toolUse"], "input": ""}}
            case {"contentBlockDelta": {"contentBlockIndex": int(index), "delta": piece}}:
                match piece:
                    case {"text": text}:
                        blocks.setdefault(index, {"text": ""})["text"] += text
                    case {"toolUse": {"input": text}}:
                        blocks[index]["toolUse"]["input"] += text
                    case {"reasoningContent": {"redactedContent": sealed}}:
                        blocks[index] = {"reasoningContent": {"redactedContent": sealed}}
                    case {"reasoningContent": dict() as thought}:
                        empty = {"reasoningContent": {"reasoningText": {"text": ""}}}
                        whole = blocks.setdefault(index, empty)["reasoningContent"]["reasoningText"]
                        for name, text in thought.items():
                            whole[name] = whole.get(name, "") + text
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}")
    return [blocks[index] for index in sorted(blocks)]


async def test_streamed_answer(client: BedrockClient, upstream: Upstream) -> None:
    """The client reads of a streamed answer what we read of it."""
    messages = bedrock_stream(THINKING, REDACTED, TEXT, CALL, BARE_CALL, stop="tool_use")
    upstream.answer = stream_of(*messages)

    theirs = await client.converse_stream(modelId="m", messages=[])
    ours = Streams(DIALECT).assemble(*messages)

    assert as_content(ours) == put_together(theirs)
    *_, stop, metadata = theirs
    assert ours.finish.raw_reason == stop["messageStop"]["stopReason"]
    assert as_usage(ours) == counts_of(metadata["metadata"]["usage"])


async def test_stand_in(client: BedrockClient, upstream: Upstream) -> None:
    """All that the stand-in streams is what the client knows of a stream: it skips none of it."""
    messages = bedrock_stream(*EVERYTHING)
    upstream.answer = stream_of(*messages)

    events = await client.converse_stream(modelId="m", messages=[])

    assert len(events) == len(messages)
    assert not [each for each in events if "SDK_UNKNOWN_MEMBER" in str(each)]


async def test_failure_inside(client: BedrockClient, upstream: Upstream) -> None:
    """What the client takes for a failure inside of a stream is one to us."""
    messages = [
        event("messageStart", role="assistant"),
        delta(0, text="Hello"),
        exception("throttlingException", "m"),
    ]
    upstream.answer = stream_of(*messages)
    reader = DIALECT.read_stream(NO_QUIRKS)

    with pytest.raises(EventStreamError, match="throttlingException"):
        await client.converse_stream(modelId="m", messages=[])
    for message in messages:
        reader.feed(message)

    assert isinstance(reader.failure, InBandError)
    assert reader.failure.reason is Reason.UPSTREAM_RATE_LIMITED


async def test_refusal(client: BedrockClient, upstream: Upstream) -> None:
    """What the client takes for a refusal by its name is one to us by its status."""
    body = b'{"message": "m"}'

    async def refuse(exchange: Exchange) -> None:
        await exchange.send_response(
            body,
            status="424 Failed Dependency",
            headers="x-amzn-ErrorType: ModelErrorException:http://internal.amazon.com/\r\n",
        )

    upstream.answer = refuse

    with pytest.raises(ClientError) as caught:
        await client.converse(modelId="m", messages=[])

    assert caught.value.response["Error"]["Code"] == "ModelErrorException"
    assert DIALECT.classify(424, body) is Reason.UPSTREAM_UNAVAILABLE


async def test_ends(client: BedrockClient) -> None:
    """Every end that the client knows has a word of ours, or is none of an answer."""
    ends = ends_of(DIALECT, client.words("StopReason"), lambda word: bedrock_answer(stop=word))

    assert ends == {
        "end_turn": "stop",
        "stop_sequence": "stop",
        "max_tokens": "length",
        "model_context_window_exceeded": "length",
        "tool_use": "tool_calls",
        "content_filtered": "content_filter",
        "guardrail_intervened": "content_filter",
        "malformed_model_output": "failure",
        "malformed_tool_use": "failure",
    }
