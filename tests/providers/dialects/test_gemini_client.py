"""The vendor's own client sends what we send, and understands what the stand-in answers."""

import json
from collections.abc import AsyncIterator, Sequence

import pytest
from google import genai
from google.auth.credentials import AnonymousCredentials
from google.genai import errors, types

from prompt_resolver_server.domain.answers import Answer, ModelRequest
from prompt_resolver_server.domain.parameters import Json, JsonSchema, Parameters, ResponseFormat
from prompt_resolver_server.domain.prompts import (
    Media,
    Message,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)
from prompt_resolver_server.providers.dialects.gemini import GeminiDialect, VertexDialect
from tests.support.dialects.requests import Requests
from tests.support.dialects.streams import Streams
from tests.support.ends import ends_of
from tests.support.gemini import (
    BARE_CALL,
    CALL,
    SIGNATURE,
    SIGNED_TEXT,
    SIGNED_THOUGHT,
    THOUGHT,
    answer_gemini,
    chunk,
    error_of,
    frame,
    gemini_answer,
    gemini_error,
    gemini_stream,
)
from tests.support.remote import call_provider
from tests.support.upstream import Upstream, answer_with, stream_of

pytestmark = [
    # The client makes of aiohttp's session what aiohttp would rather not have made of it.
    pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning"),
]

SCHEMA: dict[str, Json] = {"type": "object", "properties": {"a": {"type": "integer"}}}
FORM: dict[str, Json] = {"type": "object", "additionalProperties": False}
SEALED = b"\x73\x69\x67\x6e\x65\x64"
"""What `SIGNATURE` says in base64, which is how the client has it."""
PNG = "image/png"
HI = Message(role="user", content=(Text("Hi"),))

REQUEST = ModelRequest(
    model="some-model",
    messages=(
        Message(role="system", content=(Text("Be brief."),)),
        Message(role="developer", content=(Text("And kind."),)),
        Message(
            role="user",
            content=(
                Text("See."),
                Media(kind="image", data=b"\x00\x01", media_type=PNG),
                Media(kind="image", url="https://x.invalid/a.png"),
                Media(kind="audio", data=b"\x02", media_type="audio/wav"),
                Media(kind="file", url="https://x.invalid/b.pdf", filename="b.pdf"),
                Media(kind="file", url="data:application/pdf;base64,AAE="),
            ),
        ),
        Message(
            role="assistant",
            content=(
                Reasoning(text="Hm.", signature=SIGNATURE.encode()),
                Text("So."),
                Reasoning(signature=SIGNATURE.encode()),
            ),
            tool_calls=(
                ToolCall(
                    id="c1", name="find", arguments_json='{"a": 1}', signature=SIGNATURE.encode()
                ),
                ToolCall(id="c2", name="now", arguments_json=""),
            ),
        ),
        Message(role="tool", tool_call_id="c1", content=(Text('{"found": 2}'),)),
        Message(
            role="tool",
            tool_call_id="c2",
            content=(Text("noon"), Media(kind="image", data=b"\x03", media_type=PNG)),
        ),
        Message(role="user", content=(Text("And?"),)),
    ),
    parameters=Parameters(
        temperature=0.5,
        top_p=0.9,
        top_k=3,
        max_tokens=3000,
        stop=("END",),
        seed=7,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        reasoning_effort="low",
        response_format=ResponseFormat(
            type="json_schema", json_schema=JsonSchema(name="n", schema=FORM)
        ),
        extra={
            "safetySettings": [
                {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_ONLY_HIGH"}
            ],
            "labels": {"a": "b"},
            "mediaResolution": "MEDIA_RESOLUTION_LOW",
        },
    ),
    tools=(
        Tool(name="find", description="Finds.", parameters=SCHEMA),
        Tool(name="now"),
    ),
    tool_choice=ToolChoice(tool_name="find"),
)

CONTENTS = [
    types.Content(
        role="user",
        parts=[
            types.Part(text="See."),
            types.Part.from_bytes(data=b"\x00\x01", mime_type=PNG),
            types.Part.from_uri(file_uri="https://x.invalid/a.png"),
            types.Part.from_bytes(data=b"\x02", mime_type="audio/wav"),
            types.Part.from_uri(file_uri="https://x.invalid/b.pdf"),
            types.Part.from_bytes(data=b"\x00\x01", mime_type="application/pdf"),
        ],
    ),
    types.Content(
        role="model",
        parts=[
            types.Part(text="Hm.", thought=True, thought_signature=SEALED),
            types.Part(text="So.", thought_signature=SEALED),
            types.Part(
                function_call=types.FunctionCall(id="c1", name="find", args={"a": 1}),
                thought_signature=SEALED,
            ),
            types.Part(function_call=types.FunctionCall(id="c2", name="now", args={})),
        ],
    ),
    types.Content(
        role="user",
        parts=[
            types.Part(
                function_response=types.FunctionResponse(
                    id="c1", name="find", response={"found": 2}
                )
            ),
            types.Part(
                function_response=types.FunctionResponse(
                    id="c2",
                    name="now",
                    response={"output": "noon"},
                    parts=[types.FunctionResponsePart.from_bytes(data=b"\x03", mime_type=PNG)],
                )
            ),
            types.Part(text="And?"),
        ],
    ),
]

CONFIG = types.GenerateContentConfig(
    system_instruction=types.Content(
        parts=[types.Part(text="Be brief."), types.Part(text="And kind.")]
    ),
    temperature=0.5,
    top_p=0.9,
    top_k=3,
    max_output_tokens=3000,
    stop_sequences=["END"],
    seed=7,
    presence_penalty=0.1,
    frequency_penalty=0.2,
    thinking_config=types.ThinkingConfig(
        thinking_level=types.ThinkingLevel.LOW, include_thoughts=True
    ),
    response_mime_type="application/json",
    response_json_schema=FORM,
    safety_settings=[
        types.SafetySetting(
            category=types.HarmCategory.HARM_CATEGORY_HARASSMENT,
            threshold=types.HarmBlockThreshold.BLOCK_ONLY_HIGH,
        )
    ],
    labels={"a": "b"},
    media_resolution=types.MediaResolution.MEDIA_RESOLUTION_LOW,
    tools=[
        types.Tool(
            function_declarations=[
                types.FunctionDeclaration(
                    name="find", description="Finds.", parameters_json_schema=SCHEMA
                ),
                types.FunctionDeclaration(name="now"),
            ]
        )
    ],
    tool_config=types.ToolConfig(
        function_calling_config=types.FunctionCallingConfig(
            mode=types.FunctionCallingConfigMode.ANY, allowed_function_names=["find"]
        )
    ),
)

BODY = gemini_answer(SIGNED_THOUGHT, SIGNED_TEXT, CALL, BARE_CALL)
STREAM = b"".join(gemini_stream(THOUGHT, SIGNED_TEXT, CALL, BARE_CALL))


@pytest.fixture
def upstream(upstream: Upstream) -> Upstream:
    """A provider that speaks the dialect."""
    return upstream.speak(answer_gemini)


class Token(AnonymousCredentials):
    """Credentials with a token that is good for all of a test."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the library's
        self.token = "token-of-fake"

    def refresh(self, request: object) -> None:
        pass


@pytest.fixture
async def client(upstream: Upstream) -> AsyncIterator[genai.client.AsyncClient]:
    """The client, as it calls AI Studio's API in the version that we call."""
    options = types.HttpOptions(base_url=upstream.url, api_version="v1beta")
    async with genai.Client(api_key="key-of-fake", http_options=options).aio as client:
        yield client


@pytest.fixture
async def cloud(upstream: Upstream) -> AsyncIterator[genai.client.AsyncClient]:
    """The client, as it calls Vertex AI."""
    options = types.HttpOptions(base_url=upstream.url)
    async with genai.Client(
        vertexai=True,
        project="some-project",
        location="some-region1",
        credentials=Token(),
        http_options=options,
    ).aio as client:
        yield client


async def ask(client: genai.client.AsyncClient, model: str, *, stream: bool) -> None:
    """Send the same request as the client does."""
    if not stream:
        await client.models.generate_content(model=model, contents=CONTENTS, config=CONFIG)
        return
    async for _ in await client.models.generate_content_stream(
        model=model, contents=CONTENTS, config=CONFIG
    ):
        pass


def normal(document: Json) -> Json:
    """Return a document with its names as the API's reference has them.

    The API takes `mime_type` for `mimeType`, and the client writes some of its names so.
    """
    match document:
        case dict():
            return {_camel(name): normal(value) for name, value in document.items()}
        case list():
            return [normal(each) for each in document]
        case _:
            return document


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.title() for word in others)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_same_request(
    upstream: Upstream, client: genai.client.AsyncClient, stream: bool
) -> None:
    """The same call is the same request, to its last field and in all headers that matter."""
    await call_provider(GeminiDialect(), upstream.url, REQUEST, stream=stream)
    await ask(client, "some-model", stream=stream)

    ours, theirs = upstream.exchanges
    assert ours.json == normal(json.loads(theirs.body))
    assert (ours.method, ours.path) == (theirs.method, theirs.path)
    for name in ("x-goog-api-key", "content-type"):
        assert ours.headers[name] == theirs.headers[name], name
    assert "authorization" not in ours.headers


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_same_request_to_vertex(
    upstream: Upstream, cloud: genai.client.AsyncClient, stream: bool
) -> None:
    """Below a project's location the request is that of the client, too."""
    base_url = f"{upstream.url}/v1beta1/projects/some-project/locations/some-region1"

    await call_provider(VertexDialect(), base_url, REQUEST, stream=stream)
    await ask(cloud, "some-model", stream=stream)

    ours, theirs = upstream.exchanges
    assert ours.json == normal(json.loads(theirs.body))
    assert (ours.method, ours.path) == (theirs.method, theirs.path)


@pytest.mark.parametrize("model", ["tunedModels/mine", "models/some-model"])
async def test_models_by_their_resource(
    upstream: Upstream, client: genai.client.AsyncClient, model: str
) -> None:
    """A model that is written as a resource is at the path where the client finds it."""
    wire = Requests(GeminiDialect()).wire(model=model)

    await ask(client, model, stream=False)

    assert wire.path == upstream.exchanges[0].path


@pytest.mark.parametrize(
    ("parameters", "config"),
    [
        (
            Parameters(reasoning_effort="2048"),
            types.GenerateContentConfig(
                thinking_config=types.ThinkingConfig(thinking_budget=2048, include_thoughts=True)
            ),
        ),
        (
            Parameters(reasoning_effort="none"),
            types.GenerateContentConfig(thinking_config=types.ThinkingConfig(thinking_budget=0)),
        ),
        (
            Parameters(response_format=ResponseFormat(type="json_object")),
            types.GenerateContentConfig(response_mime_type="application/json"),
        ),
        (
            Parameters(extra={"serviceTier": "flex", "cachedContent": "cachedContents/c"}),
            types.GenerateContentConfig(
                service_tier=types.ServiceTier.FLEX, cached_content="cachedContents/c"
            ),
        ),
        (
            Parameters(extra={"responseLogprobs": True, "logprobs": 2}),
            types.GenerateContentConfig(response_logprobs=True, logprobs=2),
        ),
    ],
)
async def test_same_parameters(
    upstream: Upstream,
    client: genai.client.AsyncClient,
    parameters: Parameters,
    config: types.GenerateContentConfig,
) -> None:
    """Parameters that do not go together are those of the client one by one, too."""
    ours, _ = Requests(GeminiDialect()).build(parameters=parameters)

    await client.models.generate_content(model="m", contents="Hi", config=config)

    theirs = normal(json.loads(upstream.exchanges[0].body))
    assert isinstance(theirs, dict)
    assert {"generationConfig": {}, **ours} == {"generationConfig": {}, **theirs}


@pytest.mark.parametrize(
    ("choice", "mode"),
    [
        (ToolChoice(mode="auto"), types.FunctionCallingConfigMode.AUTO),
        (ToolChoice(mode="none"), types.FunctionCallingConfigMode.NONE),
        (ToolChoice(mode="required"), types.FunctionCallingConfigMode.ANY),
    ],
)
async def test_same_tool_choice(
    upstream: Upstream,
    client: genai.client.AsyncClient,
    choice: ToolChoice,
    mode: types.FunctionCallingConfigMode,
) -> None:
    """The choice among tools is the client's mode."""
    ours, _ = Requests(GeminiDialect()).build(tools=(Tool(name="now"),), tool_choice=choice)

    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[types.FunctionDeclaration(name="now")])],
        tool_config=types.ToolConfig(
            function_calling_config=types.FunctionCallingConfig(mode=mode)
        ),
    )
    await client.models.generate_content(model="m", contents="Hi", config=config)

    theirs = normal(json.loads(upstream.exchanges[0].body))
    assert isinstance(theirs, dict)
    assert ours["toolConfig"] == theirs["toolConfig"]


async def test_whole_answer(upstream: Upstream, client: genai.client.AsyncClient) -> None:
    """The client reads the stand-in's whole answer as we do, field by field."""
    upstream.answer = answer_with(BODY)
    theirs = await client.models.generate_content(model="m", contents="Hi")

    check_same([theirs], GeminiDialect().parse(BODY))


async def test_streamed_answer(upstream: Upstream, client: genai.client.AsyncClient) -> None:
    """The client reads the stand-in's streamed answer as we do, field by field."""
    upstream.answer = stream_of(STREAM)
    stream = await client.models.generate_content_stream(model="m", contents="Hi")
    theirs = [each async for each in stream]

    check_same(theirs, Streams(GeminiDialect(), to_the_end=True).assemble(STREAM))


def check_same(theirs: Sequence[types.GenerateContentResponse], ours: Answer) -> None:
    """Fail unless the client's responses say what our answer does."""
    parts = [part for each in theirs for part in each.parts or ()]
    calls = [part for part in parts if part.function_call is not None]
    thoughts = "".join(part.text or "" for part in parts if part.thought)
    text = "".join(part.text or "" for part in parts if not part.thought)
    assert thoughts == "".join(
        part.text for part in ours.message.content if isinstance(part, Reasoning)
    )
    assert text == ours.message.text
    assert [seal for part in parts if (seal := part.thought_signature)] == [SEALED] * len(
        [part for part in parts if part.thought_signature]
    )
    assert len(calls) == len(ours.message.tool_calls) == 2
    for part, call in zip(calls, ours.message.tool_calls, strict=True):
        function = part.function_call
        assert function is not None
        assert (function.name, function.args) == (call.name, json.loads(call.arguments_json))
        assert function.id in (call.id, None)
        assert bool(part.thought_signature) == (call.signature == SIGNATURE.encode())
    last = theirs[-1]
    assert (last.response_id, last.model_version) == (ours.id, ours.finish.model)
    assert last.candidates is not None
    assert last.candidates[0].finish_reason == ours.finish.raw_reason
    counts, usage = last.usage_metadata, ours.finish.usage
    assert counts is not None
    assert usage is not None
    assert usage.cache_read_tokens == counts.cached_content_token_count == 3
    assert usage.reasoning_tokens == counts.thoughts_token_count == 3
    assert usage.input_tokens is not None
    assert usage.output_tokens is not None
    # All that there is, by the API's own sum.
    assert usage.input_tokens + usage.output_tokens == counts.total_token_count == 17


@pytest.mark.parametrize(
    "failure",
    [
        frame(error_of("UNAVAILABLE", code=503)),
        gemini_error("UNAVAILABLE", code=503).replace(b"\n", b"\r\n"),
    ],
    ids=["event", "plain"],
)
async def test_failure_on_the_way(
    upstream: Upstream, client: genai.client.AsyncClient, failure: bytes
) -> None:
    """The client, too, knows failures between a stream's events, as events or as plain JSON."""
    portions = (frame(chunk({"text": "Hel"})), failure)
    upstream.answer = stream_of(*portions)
    with pytest.raises(errors.ServerError) as caught:
        async for _ in await client.models.generate_content_stream(model="m", contents="Hi"):
            pass
    reader, _ = Streams(GeminiDialect(), to_the_end=True).read(b"".join(portions))

    assert caught.value.status == "UNAVAILABLE"
    assert reader.failure is not None
    assert "UNAVAILABLE" in repr(reader.failure)


async def test_refusal(upstream: Upstream, client: genai.client.AsyncClient) -> None:
    """The client knows the stand-in's refusals by their status."""
    body = gemini_error("RESOURCE_EXHAUSTED", code=429)
    upstream.answer = answer_with(body, status="429 Too Many Requests")
    with pytest.raises(errors.ClientError) as caught:
        await client.models.generate_content(model="m", contents="Hi")

    assert (caught.value.code, caught.value.status) == (429, "RESOURCE_EXHAUSTED")


async def test_blocked_prompt(upstream: Upstream, client: genai.client.AsyncClient) -> None:
    """What the client has as a blocked prompt is one."""
    body = json.dumps({"promptFeedback": {"blockReason": "SAFETY"}}).encode()
    upstream.answer = answer_with(body)
    theirs = await client.models.generate_content(model="m", contents="Hi")

    assert theirs.prompt_feedback is not None
    assert theirs.prompt_feedback.block_reason == types.BlockedReason.SAFETY


def test_ends() -> None:
    """Every end that the client knows has a word of ours, or is none of an answer in text."""
    words = [each.value for each in types.FinishReason]

    ends = ends_of(GeminiDialect(), words, lambda word: gemini_answer(finish=word))

    assert {word for word, end in ends.items() if end == "content_filter"} == {
        *("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"),
        *("IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "MODEL_ARMOR"),
    }
    assert {word for word, end in ends.items() if end == "failure"} == {
        *("FINISH_REASON_UNSPECIFIED", "OTHER", "MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE"),
        *("UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE"),
    }
    assert {word for word, end in ends.items() if end == "other"} == {
        *("ESCALATION", "PUP_LIMITED_DISABLED", "CONTINUATION", "IMAGE_OTHER", "NO_IMAGE")
    }
    assert (ends["STOP"], ends["MAX_TOKENS"]) == ("stop", "length")
