"""Google's Gemini dialect: what is sent."""

import json
from typing import Any, cast

import pytest

from prompt_resolver_server.domain.answers import ModelRequest
from prompt_resolver_server.domain.parameters import (
    NO_PARAMETERS,
    Json,
    JsonObject,
    JsonSchema,
    Parameters,
    ResponseFormat,
    refusal,
)
from prompt_resolver_server.domain.prompts import (
    Media,
    Message,
    Reasoning,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)
from prompt_resolver_server.providers.dialect import Dialect, Quirks
from prompt_resolver_server.providers.dialects.gemini import GeminiDialect, VertexDialect
from tests.support.dialects.requests import HI, Requests, say
from tests.support.gemini import Fields

DIALECT = GeminiDialect()
REQUESTS = Requests(DIALECT)
build, refusal_of = REQUESTS.build, REQUESTS.refusal
HI_TURN: Fields = {"role": "user", "parts": [{"text": "Hi"}]}


def configuration(parameters: Parameters, model: str = "m") -> object:
    return build(parameters=parameters, model=model)[0].get("generationConfig")


def test_smallest_request() -> None:
    """What is not set is not sent."""
    assert build() == ({"contents": [HI_TURN]}, ())


def test_headers() -> None:
    """A key is in a header of its own, and in no URL."""
    assert DIALECT.headers(None) == {}
    assert DIALECT.headers("k") == {"x-goog-api-key": "k"}


@pytest.mark.parametrize(
    ("dialect", "model", "path"),
    [
        (DIALECT, "gemini-x", "/v1beta/models/gemini-x:"),
        (DIALECT, "models/gemini-x", "/v1beta/models/gemini-x:"),
        (DIALECT, "tunedModels/mine", "/v1beta/tunedModels/mine:"),
        (DIALECT, "a/v1/files", "/v1beta/models/a%2Fv1%2Ffiles:"),
        (DIALECT, "a?key=b#c", "/v1beta/models/a%3Fkey%3Db%23c:"),
        (VertexDialect(), "gemini-x", "/publishers/google/models/gemini-x:"),
        (VertexDialect(), "a/b?c", "/publishers/google/models/a%2Fb%3Fc:"),
        (VertexDialect(), "1234567890", "/endpoints/1234567890:"),
        (VertexDialect(), "gemini/1234567890", "/endpoints/1234567890:"),
    ],
)
def test_path(dialect: Dialect, model: str, path: str) -> None:
    """The model is in the path, where it decides of nothing else."""
    request = ModelRequest(model=model, messages=(HI,), parameters=NO_PARAMETERS)

    whole = dialect.build(request, stream=False, quirks=Quirks())
    stream = dialect.build(request, stream=True, quirks=Quirks())

    assert whole.path == f"{path}generateContent"
    assert stream.path == f"{path}streamGenerateContent?alt=sse"
    assert whole.body == stream.body


@pytest.mark.parametrize("model", ["../../v1/files", "models/..", "a/./b"])
def test_model_that_is_a_way_up(model: str) -> None:
    """A name that would lead somewhere else, were it read as a path, is no model's."""
    assert [each.field for each in refusal_of(model=model).violations] == ["model"]


def test_version() -> None:
    """The version of the API is the configured one where there is one."""
    request = ModelRequest(model="m", messages=(HI,), parameters=NO_PARAMETERS)

    wire = DIALECT.build(request, stream=False, quirks=Quirks(api_version="v1"))

    assert wire.path == "/v1/models/m:generateContent"


def test_parameters() -> None:
    """Every parameter has its field; extras are in the configuration, or beside it."""
    parameters = Parameters(
        temperature=0.0,
        top_p=0.5,
        max_tokens=10,
        stop=("a", "b"),
        seed=7,
        presence_penalty=0.0,
        frequency_penalty=0.1,
        top_k=3,
        parallel_tool_calls=True,
        response_format=ResponseFormat(
            type="json_schema", json_schema=JsonSchema(name="n", schema={"type": "object"})
        ),
        extra={"safetySettings": [], "cached_content": "c", "audioTimestamp": True},
    )

    body, dropped = build(parameters=parameters)

    assert dropped == ()
    assert {name: value for name, value in body.items() if name != "contents"} == {
        "safetySettings": [],
        "cached_content": "c",
        "generationConfig": {
            "audioTimestamp": True,
            "temperature": 0.0,
            "topP": 0.5,
            "maxOutputTokens": 10,
            "stopSequences": ["a", "b"],
            "seed": 7,
            "presencePenalty": 0.0,
            "frequencyPenalty": 0.1,
            "topK": 3,
            "responseMimeType": "application/json",
            "responseJsonSchema": {"type": "object"},
        },
    }


@pytest.mark.parametrize(
    "name", ["contents", "systemInstruction", "toolConfig", "generationConfig", "candidate_count"]
)
def test_what_is_no_parameter(name: str) -> None:
    """What the prompt says, and how many answers there are, is nothing for extra parameters."""
    assert refusal(name) == "is set by this service"


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        (Parameters(reasoning_effort="max"), "reasoning_effort"),
        (Parameters(reasoning_effort="9" * 5000), "reasoning_effort"),
        (Parameters(parallel_tool_calls=False), "parallel_tool_calls"),
        (Parameters(seed=2**31), "seed"),
    ],
)
def test_parameter_that_the_provider_lacks(parameters: Parameters, name: str) -> None:
    """The template's is dropped and told, the caller's own is refused."""
    body, dropped = build(parameters=parameters, tools=(Tool(name="f"),))
    error = refusal_of(parameters=parameters, tools=(Tool(name="f"),), insisted=frozenset({name}))

    assert "generationConfig" not in body
    assert dropped == (name,)
    assert error.violations[0].field == f"parameters.{name}"


@pytest.mark.parametrize(
    ("model", "dropped"),
    [
        ("gemini-2.5-flash", ("response_format",)),
        ("models/gemini-2.0-flash", ("response_format",)),
        ("gemini-3-flash-preview", ()),
    ],
)
def test_form_beside_tools(model: str, dropped: tuple[str, ...]) -> None:
    """Models that refuse a form beside tools are asked for one of them, and that is told."""
    parameters = Parameters(response_format=ResponseFormat(type="json_object"))

    body, told = build(parameters=parameters, tools=(Tool(name="f"),), model=model)
    _, alone = build(parameters=parameters, model=model)

    assert (told, alone) == (dropped, ())
    assert ("generationConfig" in body) is not bool(dropped)
    if dropped:
        refusal_of(
            parameters=parameters,
            tools=(Tool(name="f"),),
            model=model,
            insisted=frozenset({"response_format"}),
        )


@pytest.mark.parametrize(
    "model",
    [
        *("gemini-3.1-pro-preview", "models/gemini-3-flash", "gemini-2.5"),
        *("gemini-flash-latest", "models/gemini-flash-lite-latest"),
    ],
)
def test_calls_that_another_model_made(model: str) -> None:
    """Where calls must be signed, those that nobody has signed are marked as somebody else's."""
    unsigned = ToolCall(id="", name="f", arguments_json="{}")
    signed = ToolCall(id="", name="g", arguments_json="{}", signature=b"c2ln")

    body, _ = build(
        HI,
        say("assistant", tool_calls=(unsigned, unsigned)),
        HI,
        say("assistant", tool_calls=(signed, unsigned)),
        model=model,
    )

    contents: Any = body["contents"]
    turns = [turn["parts"] for turn in contents if turn["role"] == "model"]
    signatures = [part.get("thoughtSignature") for parts in turns for part in parts]
    mark = None if model == "gemini-2.5" else "skip_thought_signature_validator"
    assert signatures == [mark, None, "c2ln", None]


@pytest.mark.parametrize("parallel", [True, False])
def test_parallel_calls_of_nothing(parallel: bool) -> None:
    """Without tools it makes no difference how many of them may be called at once."""
    insisting = frozenset({"parallel_tool_calls"})

    assert build(parameters=Parameters(parallel_tool_calls=parallel), insisted=insisting) == build()


@pytest.mark.parametrize(
    ("form", "wire"),
    [
        (ResponseFormat(type="text"), None),
        (ResponseFormat(type="json_object"), {"responseMimeType": "application/json"}),
    ],
)
def test_form(form: ResponseFormat, wire: Fields | None) -> None:
    """Plain text is what an answer is anyway; JSON without a schema is a media type."""
    assert configuration(Parameters(response_format=form)) == wire


@pytest.mark.parametrize(
    ("model", "effort", "thinking"),
    [
        ("gemini-3-flash", "minimal", {"includeThoughts": True, "thinkingLevel": "MINIMAL"}),
        ("gemini-3-flash", "high", {"includeThoughts": True, "thinkingLevel": "HIGH"}),
        ("gemini-3-flash", "none", {"thinkingBudget": 0}),
        ("gemini-3-flash", "2048", {"includeThoughts": True, "thinkingBudget": 2048}),
        ("gemini-2.5-flash", "low", {"includeThoughts": True, "thinkingBudget": 1024}),
        ("models/gemini-2.5-flash", "medium", {"includeThoughts": True, "thinkingBudget": 8192}),
        ("gemini-2.5-flash", "high", {"includeThoughts": True, "thinkingBudget": 24576}),
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}),
        ("gemini-2.5-flash", "0", {"thinkingBudget": 0}),
        ("gemini-2.5-flash", "-1", {"includeThoughts": True, "thinkingBudget": -1}),
    ],
)
def test_thinking(model: str, effort: str, thinking: Fields) -> None:
    """A word is a level, a number a budget; older models know budgets alone."""
    told = configuration(Parameters(reasoning_effort=effort), model)

    assert told == {"thinkingConfig": thinking}


def test_levels_of_later_models() -> None:
    """A level that has no budget is none for a model that knows budgets alone."""
    parameters = Parameters(reasoning_effort="xhigh")

    assert build(parameters=parameters, model="gemini-2.5-pro")[1] == ("reasoning_effort",)
    assert build(parameters=parameters, model="gemini-3-pro")[1] == ()


def test_thinking_of_extra_parameters() -> None:
    """What extra parameters say of the same field is kept beside what ours says of it."""
    given: dict[str, Json] = {"thinkingConfig": {"includeThoughts": False, "thinkingLevel": "LOW"}}

    alone = configuration(Parameters(extra=given))
    both = configuration(Parameters(extra=given, reasoning_effort="high"))
    budget = configuration(Parameters(extra=given, reasoning_effort="1024"))

    assert alone == given
    assert budget == {"thinkingConfig": {"includeThoughts": False, "thinkingBudget": 1024}}
    assert both == {"thinkingConfig": {"includeThoughts": False, "thinkingLevel": "HIGH"}}


def test_tools() -> None:
    """Tools are declared with their JSON Schema as it is."""
    schema: dict[str, Json] = {"type": "object", "properties": {"a": {"$ref": "#/$defs/x"}}}
    tools = (Tool(name="f", description="d", parameters=schema), Tool(name="g"))

    body, _ = build(tools=tools)

    assert body["tools"] == [
        {
            "functionDeclarations": [
                {"name": "f", "description": "d", "parametersJsonSchema": schema},
                {"name": "g"},
            ]
        }
    ]
    assert "toolConfig" not in body


@pytest.mark.parametrize(
    ("choice", "strict", "wire"),
    [
        (None, None, None),
        (None, True, {"mode": "VALIDATED"}),
        (ToolChoice(mode="auto"), None, {"mode": "AUTO"}),
        (ToolChoice(mode="auto"), True, {"mode": "VALIDATED"}),
        (ToolChoice(mode="none"), True, {"mode": "NONE"}),
        (ToolChoice(mode="required"), True, {"mode": "ANY"}),
        (ToolChoice(tool_name="f"), None, {"mode": "ANY", "allowedFunctionNames": ["f"]}),
    ],
)
def test_tool_choice(choice: ToolChoice | None, strict: bool | None, wire: Fields | None) -> None:
    """The choice among tools is a mode, which has strict tools kept to, too."""
    body, _ = build(tools=(Tool(name="f", strict=strict),), tool_choice=choice)
    without, _ = build(tool_choice=choice)

    assert body.get("toolConfig") == (wire and {"functionCallingConfig": wire})
    assert "toolConfig" not in without


def test_system() -> None:
    """The system and the developer speak before the conversation, in their order."""
    body, _ = build(
        say("system", Text("a"), Text("")),
        HI,
        say("developer", Text("b")),
        say("user", Text("there")),
    )

    assert body["systemInstruction"] == {"parts": [{"text": "a"}, {"text": "b"}]}
    assert body["contents"] == [{"role": "user", "parts": [{"text": "Hi"}, {"text": "there"}]}]


def test_turns() -> None:
    """Messages of one side make one turn; the results of tools come first in theirs."""
    calls = (
        ToolCall(id="c1", name="f", arguments_json='{"a": 1}', signature=b"s"),
        ToolCall(id="c2", name="g", arguments_json=""),
    )

    body, _ = build(
        say("user", Text("Hi"), name="Ada"),
        say("assistant", Text("Let me see."), tool_calls=calls),
        say("user", Text("Quick!")),
        say("tool", Text("1"), tool_call_id="c1"),
        say("tool", Text('{"b": '), Refusal("2}"), tool_call_id="c2"),
        say("assistant", Refusal("I won't.")),
        say("assistant", Text("Or")),
    )

    assert body["contents"] == [
        HI_TURN,
        {
            "role": "model",
            "parts": [
                {"text": "Let me see."},
                {
                    "functionCall": {"id": "c1", "name": "f", "args": {"a": 1}},
                    "thoughtSignature": "s",
                },
                {"functionCall": {"id": "c2", "name": "g", "args": {}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "c1", "name": "f", "response": {"output": "1"}}},
                {"functionResponse": {"id": "c2", "name": "g", "response": {"b": 2}}},
                {"text": "Quick!"},
            ],
        },
        {"role": "model", "parts": [{"text": "I won't."}, {"text": "Or"}]},
    ]


@pytest.mark.parametrize("text", ["", "[1]", "null", "noon", '{"a":' * 200 + "1" + "}" * 200])
def test_result_that_is_no_object(text: str) -> None:
    """What a tool says is an object, or is in one."""
    body, _ = build(HI, say("tool", Text(text), name="f"))

    (turn,) = cast("list[dict[str, list[object]]]", body["contents"])
    assert turn["parts"][0] == {"functionResponse": {"name": "f", "response": {"output": text}}}


def test_what_is_left_out() -> None:
    """What the API has no place for, and an answer can do without, is told."""
    seen = Media(kind="image", url="https://x.invalid/a.png", detail="low", filename="a.png")
    plain = Media(kind="image", url="https://x.invalid/a.png", detail="auto")

    _, told = build(say("user", seen, name="Ada"))
    _, nothing = build(say("user", plain), say("tool", Text("1"), name="f"))

    assert told == ("name", "detail", "filename")
    assert nothing == ()


def test_names_of_calls() -> None:
    """A result has the name of the last call with its id, else the one of its own message."""
    first = say("assistant", tool_calls=(ToolCall(id="c", name="f", arguments_json="{}"),))
    then = say("assistant", tool_calls=(ToolCall(id="c", name="g", arguments_json="{}"),))
    result = say("tool", Text("1"), tool_call_id="c", name="h")

    body, _ = build(HI, first, result, then, result)
    alone, _ = build(HI, result)

    assert [
        part["functionResponse"]["name"]
        for turn in cast("list[dict[str, list[dict[str, dict[str, str]]]]]", body["contents"])
        for part in turn["parts"]
        if "functionResponse" in part
    ] == ["f", "g"]
    assert '"name": "h"' in json.dumps(alone)


def test_reasoning() -> None:
    """Signatures go back in their place, as they came; what nobody signed is left out."""
    body, _ = build(
        HI,
        say("assistant", Reasoning(text="unsigned")),
        say("user", Text("there")),
        say(
            "assistant",
            Reasoning(text="t", signature=b"s"),
            Reasoning(redacted=b"r"),
            Text("a"),
            Reasoning(signature=b"u"),
            Reasoning(signature=b"v"),
        ),
    )

    assert body["contents"] == [
        {"role": "user", "parts": [{"text": "Hi"}, {"text": "there"}]},
        {
            "role": "model",
            "parts": [
                {"text": "t", "thought": True, "thoughtSignature": "s"},
                {"text": "a", "thoughtSignature": "u"},
                {"text": "", "thoughtSignature": "v"},
            ],
        },
    ]


@pytest.mark.parametrize(
    ("part", "wire"),
    [
        (
            Media(kind="image", data=b"\x00\x01", media_type="image/png", detail="low"),
            {"inlineData": {"mimeType": "image/png", "data": "AAE="}},
        ),
        (
            Media(kind="audio", data=b"\x00", media_type="audio/wav"),
            {"inlineData": {"mimeType": "audio/wav", "data": "AA=="}},
        ),
        (
            Media(kind="image", url="data:image/png;base64,AAE%3D", media_type="image/gif"),
            {"inlineData": {"mimeType": "image/png", "data": "AAE="}},
        ),
        (
            Media(kind="image", url="DATA:,%00%01", media_type="image/gif"),
            {"inlineData": {"mimeType": "image/gif", "data": "AAE="}},
        ),
        (
            Media(kind="file", url="https://x.invalid/a.pdf?b", filename="a.pdf"),
            {"fileData": {"fileUri": "https://x.invalid/a.pdf?b", "mimeType": "application/pdf"}},
        ),
        (
            Media(kind="image", url="gs://bucket/a", media_type="image/webp"),
            {"fileData": {"fileUri": "gs://bucket/a", "mimeType": "image/webp"}},
        ),
        (
            Media(kind="file", url="https://x.invalid/watch?v=1"),
            {"fileData": {"fileUri": "https://x.invalid/watch?v=1"}},
        ),
    ],
)
def test_media(part: Media, wire: Fields) -> None:
    """Media are sent as what is in them, or by their URL, where tools return them, too."""
    body, _ = build(say("user", Text("See:"), part))
    returned, _ = build(HI, say("tool", part, name="f"))

    assert body["contents"] == [{"role": "user", "parts": [{"text": "See:"}, wire]}]
    response = {"name": "f", "response": {"output": ""}, "parts": [wire]}
    assert returned["contents"] == [
        {"role": "user", "parts": [{"functionResponse": response}, {"text": "Hi"}]}
    ]


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (say("user", Media(kind="image", data=b"x")), "messages[1].content[0]"),
        (say("user", Text("a"), Media(kind="image", url="data:,x")), "messages[1].content[1]"),
        (say("user", Media(kind="image", url="data:nothing")), "messages[1].content[0]"),
        (say("tool", Media(kind="image", data=b"x"), name="f"), "messages[1].content[0]"),
        (
            say("system", Media(kind="image", url="https://x.invalid/a.png")),
            "messages[1].content[0]",
        ),
        (say("user", Text("a"), Reasoning(text="t")), "messages[1].content[1]"),
        (say("tool", Reasoning(text="t"), name="f"), "messages[1].content[0]"),
        (
            say("assistant", Reasoning(text="t", signature=b"\xff")),
            "messages[1].content[0].reasoning",
        ),
        (
            say("assistant", tool_calls=(ToolCall(id="c", name="f", arguments_json="[]"),)),
            "messages[1].tool_calls[0].arguments_json",
        ),
        (
            say(
                "assistant",
                tool_calls=(ToolCall(id="c", name="f", arguments_json="", signature=b"\xff"),),
            ),
            "messages[1].tool_calls[0].signature",
        ),
        (say("tool", Text("1"), tool_call_id="unknown"), "messages[1].tool_call_id"),
    ],
)
def test_content_that_cannot_be_sent(message: Message, field: str) -> None:
    """What the dialect cannot carry is told by its place."""
    assert refusal_of(HI, message).violations[0].field == field


@pytest.mark.parametrize(
    ("extra", "left_out"),
    [
        ({"service_tier": "flex", "serviceTier": "default"}, ()),
        ({"service_tier": "default"}, ("service_tier",)),
        ({"logprobs": 2, "responseLogprobs": True}, ()),
        ({"logprobs": True, "top_logprobs": 2}, ("logprobs", "top_logprobs")),
    ],
)
def test_names_that_openai_has_too(extra: JsonObject, left_out: tuple[str, ...]) -> None:
    """What the API has by a name of OpenAI's is sent, unless it says what only OpenAI's could."""
    body, dropped = build(parameters=Parameters(extra=extra))

    config = body.get("generationConfig", {})
    assert isinstance(config, dict)
    assert {**body, **config}.keys() & extra.keys() == extra.keys() - set(left_out)
    assert dropped == left_out
