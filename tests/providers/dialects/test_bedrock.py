"""Bedrock's Converse dialect: what is sent."""

import base64
import json
import re
from typing import Any

import pytest

from prompt_resolver_server.domain.answers import ModelRequest
from prompt_resolver_server.domain.parameters import (
    NO_PARAMETERS,
    Json,
    JsonObject,
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
from prompt_resolver_server.providers.dialect import Quirks
from prompt_resolver_server.providers.dialects.bedrock import BedrockDialect
from tests.support.bedrock import Fields
from tests.support.dialects.requests import HI, Requests, say

DIALECT = BedrockDialect()
REQUESTS = Requests(DIALECT)
build, refusal, refused = REQUESTS.build, REQUESTS.refusal, REQUESTS.refused
CLAUDE = "us.anthropic.claude-sonnet-4-20250514-v1:0"
TOOL = Tool(name="find")
CALL = ToolCall(id="c", name="find", arguments_json='{"a": [1, 2.5]}')
FORM = ResponseFormat(
    type="json_schema", json_schema=JsonSchema(name="n", schema={"type": "object"}, strict=True)
)


def fields(**changes: object) -> dict[str, object]:
    """Return the fields that parameters make, where none is dropped."""
    body, dropped = build(**changes)
    assert dropped == ()
    return {name: value for name, value in body.items() if name != "messages"}


def turns(*messages: Message) -> object:
    return build(*messages)[0]["messages"]


def test_smallest_request() -> None:
    """What is not set is not sent."""
    assert build() == ({"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}, ())


def test_headers() -> None:
    """A key goes as a bearer's token. Without one a signature lets the request in."""
    assert DIALECT.headers(None) == {}
    assert DIALECT.headers("k") == {"Authorization": "Bearer k"}


@pytest.mark.parametrize(
    ("model", "segment"),
    [
        ("amazon.nova-lite-v1:0", "amazon.nova-lite-v1%3A0"),
        (
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.m.v1:0",
            "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.m.v1%3A0",
        ),
        ("a?b#c%d é~", "a%3Fb%23c%25d%20%C3%A9~"),
    ],
)
def test_paths(model: str, segment: str) -> None:
    """All of a model's id is one segment of the path, whatever is in it."""
    request = ModelRequest(model=model, messages=(HI,), parameters=NO_PARAMETERS)

    whole = DIALECT.build(request, stream=False, quirks=Quirks())
    streamed = DIALECT.build(request, stream=True, quirks=Quirks())

    assert whole.path == f"/model/{segment}/converse"
    assert streamed.path == f"/model/{segment}/converse-stream"
    assert streamed.body == whole.body


@pytest.mark.parametrize(
    "model", ["invoke/m", "agent/a/b", "us-east-1/m", "../m", "a/arn:b", ".", "..", "arn:a/../b"]
)
def test_other_routes(model: str) -> None:
    """What LiteLLM would send another way, and what leads elsewhere, is refused."""
    assert refused(model=model) == ["model"]


def test_parameters() -> None:
    """Every parameter that all models know has its field."""
    parameters = Parameters(
        temperature=0.0,
        top_p=0.5,
        max_tokens=10,
        stop=("a", "b"),
        reasoning_effort="low",
        response_format=FORM,
    )

    assert fields(parameters=parameters) == {
        "inferenceConfig": {
            "temperature": 0.0,
            "topP": 0.5,
            "maxTokens": 10,
            "stopSequences": ["a", "b"],
        },
        "outputConfig": {
            "effort": "low",
            "textFormat": {
                "type": "json_schema",
                "structure": {"jsonSchema": {"name": "n", "schema": '{"type":"object"}'}},
            },
        },
    }


def test_extra_parameters() -> None:
    """Extra parameters go where the API has them, and those it does not know to the model."""
    parameters = Parameters(
        temperature=0.5,
        extra={
            "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
            "performanceConfig": {"latency": "optimized"},
            "requestMetadata": {"a": "b"},
            "promptVariables": {"a": {"text": "b"}},
            "serviceTier": {"type": "flex"},
            "additionalModelResponseFieldPaths": ["/stop_sequence"],
            "inferenceConfig": {"maxTokens": 3, "temperature": 0.1},
            "outputConfig": {"effort": "high"},
            "anthropic_beta": ["b"],
            "additionalModelRequestFields": {"top_k": 4},
        },
    )

    assert fields(parameters=parameters) == {
        "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
        "performanceConfig": {"latency": "optimized"},
        "requestMetadata": {"a": "b"},
        "promptVariables": {"a": {"text": "b"}},
        "serviceTier": {"type": "flex"},
        "additionalModelResponseFieldPaths": ["/stop_sequence"],
        "inferenceConfig": {"maxTokens": 3, "temperature": 0.5},
        "outputConfig": {"effort": "high"},
        "additionalModelRequestFields": {"top_k": 4, "anthropic_beta": ["b"]},
    }


def test_tools_among_extra_parameters() -> None:
    """Which tools there are is no parameter's to say."""
    parameters = Parameters(extra={"toolConfig": {"tools": []}})

    assert refused(parameters=parameters) == ["parameters.extra.toolConfig"]


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        (Parameters(seed=1), "seed"),
        (Parameters(presence_penalty=0.0), "presence_penalty"),
        (Parameters(frequency_penalty=-0.5), "frequency_penalty"),
        (Parameters(top_k=3), "top_k"),
        (Parameters(temperature=1.5), "temperature"),
        (Parameters(stop=("a", "")), "stop"),
        (Parameters(parallel_tool_calls=False), "parallel_tool_calls"),
        (Parameters(reasoning_effort="minimal"), "reasoning_effort"),
        (Parameters(reasoning_effort="2048"), "reasoning_effort"),
        (Parameters(response_format=ResponseFormat(type="json_object")), "response_format"),
    ],
)
def test_parameter_that_the_provider_lacks(parameters: Parameters, name: str) -> None:
    """What the API lacks is dropped and told, unless the caller insists on it."""
    body, dropped = build(parameters=parameters)

    assert (set(body), dropped) == ({"messages"}, (name,))
    assert refused(parameters=parameters, insisted=frozenset({name})) == [f"parameters.{name}"]


@pytest.mark.parametrize(
    "parameters",
    [
        Parameters(parallel_tool_calls=True),
        Parameters(response_format=ResponseFormat(type="text")),
    ],
)
def test_parameters_that_change_nothing(parameters: Parameters) -> None:
    """What asks for no more than the API does anyway is not missing from the request."""
    assert fields(parameters=parameters, insisted=frozenset(parameters.names())) == {}


def test_stops_of_anthropics_models() -> None:
    """Blanks end an answer of most models, and are refused by those of Anthropic's."""
    parameters = Parameters(stop=("\n",))

    assert fields(parameters=parameters) == {"inferenceConfig": {"stopSequences": ["\n"]}}
    assert build(parameters=parameters, model=CLAUDE)[1] == ("stop",)


def test_texts_that_are_blank() -> None:
    """Texts of white space alone are left out, as the API refuses them, wherever they are."""
    blank = Text(" \n")

    body, dropped = build(
        say("system", blank),
        say("user", blank, Text(" a ")),
        say("assistant", blank),
        say("user", Text("b"), Refusal("\t")),
    )

    said = [{"role": "user", "content": [{"text": " a "}, {"text": "b"}]}]
    assert (body["messages"], body.get("system"), dropped) == (said, None, ())


def test_answer_that_is_begun() -> None:
    """An answer that the model is to go on with ends in no white space, as the API demands."""
    begun = say("assistant", Text(" a\n"), Text(" b \n"))

    body, _ = build(HI, begun)
    ended, _ = build(HI, begun, HI)

    for told, last in ((body, " b"), (ended, " b \n")):
        messages = told["messages"]
        assert isinstance(messages, list)
        assert messages[1]["content"] == [{"text": " a\n"}, {"text": last}]


def test_ids_of_another_provider() -> None:
    """A call and its result are sent with an id that the API takes, and still belong together."""
    call = ToolCall(id="functions.find:0", name="find", arguments_json="{}")

    body, _ = build(
        HI,
        say("assistant", tool_calls=(call,)),
        say("tool", Text("r"), tool_call_id="functions.find:0"),
    )

    messages = body["messages"]
    assert isinstance(messages, list)
    called, answered = (message["content"][0] for message in messages[1:])
    call_id = called["toolUse"]["toolUseId"]
    assert re.fullmatch("functions_find_0_[0-9a-f]+", call_id)
    assert answered["toolResult"]["toolUseId"] == call_id


def test_schema_of_open_objects() -> None:
    """A schema that names an object's fields is sent as the API wants it: with no others."""
    schema = JsonSchema(name="n", schema={"type": "object", "properties": {"a": {}}})
    form = ResponseFormat(type="json_schema", json_schema=schema)

    body, _ = build(parameters=Parameters(response_format=form))

    config = body["outputConfig"]
    assert isinstance(config, dict)
    assert json.loads(config["textFormat"]["structure"]["jsonSchema"]["schema"]) == {
        "type": "object",
        "properties": {"a": {}},
        "additionalProperties": False,
    }


def test_top_p_that_changes_nothing() -> None:
    """A `top_p` of 1 beside a temperature, which newer models refuse, is left out and told."""
    both = Parameters(top_p=1.0, temperature=0.5)

    body, dropped = build(parameters=both)

    assert (body["inferenceConfig"], dropped) == ({"temperature": 0.5}, ("top_p",))
    insisted = fields(parameters=both, insisted=frozenset({"top_p"}))
    assert insisted == {"inferenceConfig": {"temperature": 0.5, "topP": 1.0}}


def test_models_of_anthropic() -> None:
    """Where a model is known to be Anthropic's, its own words are known, too."""
    thinking = {"type": "enabled", "budget_tokens": 2048}

    assert fields(model=CLAUDE, parameters=Parameters(top_k=3)) == {
        "additionalModelRequestFields": {"top_k": 3}
    }
    assert fields(model=CLAUDE, parameters=Parameters(reasoning_effort="2048", extra={"a": 1})) == {
        "additionalModelRequestFields": {"a": 1, "thinking": thinking}
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"reasoning_effort": "2048"},
        {"extra": {"thinking": {"type": "enabled", "budget_tokens": 2048}}},
        {"extra": {"additionalModelRequestFields": {"thinking": {"type": "adaptive"}}}},
    ],
)
def test_parameters_of_a_model_that_thinks(changes: Fields) -> None:
    """A model that thinks takes nothing that changes how it samples."""
    sampling = Parameters(temperature=0.3, top_p=0.5, top_k=3, **changes)  # type: ignore[arg-type]  # any
    harmless = Parameters(temperature=1.0, top_p=0.95, **changes)  # type: ignore[arg-type]  # any

    assert build(model=CLAUDE, parameters=sampling)[1] == ("temperature", "top_p", "top_k")
    assert build(model=CLAUDE, parameters=harmless)[1] == ()


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        (Parameters(reasoning_effort="12"), "reasoning_effort"),
        (Parameters(reasoning_effort="-1"), "reasoning_effort"),
        (Parameters(reasoning_effort="2048", max_tokens=2048), "max_tokens"),
    ],
)
def test_tokens_that_contradict_each_other(parameters: Parameters, field: str) -> None:
    """Numbers of tokens that the model would refuse are told by their field."""
    assert refused(model=CLAUDE, parameters=parameters) == [f"parameters.{field}"]


def test_tools() -> None:
    """A tool has its schema, and the rest of what is known of it."""
    tools = (
        Tool(name="find", description="Finds.", parameters={"properties": {}}, strict=True),
        Tool(name="now"),
    )

    assert fields(tools=tools) == {
        "toolConfig": {
            "tools": [
                {
                    "toolSpec": {
                        "name": "find",
                        "description": "Finds.",
                        "inputSchema": {"json": {"type": "object", "properties": {}}},
                        "strict": True,
                    }
                },
                {"toolSpec": {"name": "now", "inputSchema": {"json": {"type": "object"}}}},
            ]
        }
    }


@pytest.mark.parametrize(
    ("choice", "wire"),
    [
        (ToolChoice(mode="auto"), {"auto": {}}),
        (ToolChoice(mode="required"), {"any": {}}),
        (ToolChoice(tool_name="find"), {"tool": {"name": "find"}}),
    ],
)
def test_tool_choice(choice: ToolChoice, wire: Fields) -> None:
    """Which tool is to be called has its field, where there are tools."""
    config = fields(tools=(TOOL,), tool_choice=choice)["toolConfig"]

    assert isinstance(config, dict)
    assert config["toolChoice"] == wire
    assert fields(tool_choice=choice) == {}


def test_no_tools() -> None:
    """The API cannot forbid tools: it is told of none, unless the conversation has calls of one."""
    asked: Fields = {"tools": (TOOL,), "tool_choice": ToolChoice(mode="none")}
    called = say("assistant", tool_calls=(CALL,)), say("tool", Text("1"), tool_call_id="c")

    assert fields(**asked) == {}
    body, dropped = build(HI, *called, **asked)
    assert (set(body), dropped) == ({"messages", "toolConfig"}, ("tool_choice",))
    insisted = frozenset({"tool_choice"})
    assert refused(HI, *called, **asked, insisted=insisted) == ["tool_choice"]


def test_calls_of_tools_that_are_gone() -> None:
    """A conversation with calls needs tools: without any, those are told that were called."""
    other = ToolCall(id="d", name="now", arguments_json="")
    called = say("assistant", tool_calls=(CALL, other)), say("tool", Text("1"), tool_call_id="c")
    config = {
        "tools": [
            {"toolSpec": {"name": "find", "inputSchema": {"json": {"type": "object"}}}},
            {"toolSpec": {"name": "now", "inputSchema": {"json": {"type": "object"}}}},
        ]
    }

    assert build(HI, *called, *called)[0]["toolConfig"] == config
    body, dropped = build(HI, *called, tool_choice=ToolChoice(mode="none"))
    assert (body["toolConfig"], dropped) == (config, ())


def test_not_to_think() -> None:
    """Where no effort is wanted, a model of Anthropic's is told not to think."""
    asked = Parameters(reasoning_effort="none", temperature=0.5)

    assert fields(model=CLAUDE, parameters=asked) == {
        "inferenceConfig": {"temperature": 0.5},
        "additionalModelRequestFields": {"thinking": {"type": "disabled"}},
    }
    assert build(parameters=asked)[1] == ("reasoning_effort",)


def test_calls_without_a_thought() -> None:
    """Who has not thought before the last calls goes on without: the API would refuse it."""
    asked: Fields = {"model": CLAUDE, "parameters": Parameters(reasoning_effort="2048")}
    result = say("tool", Text("1"), tool_call_id="c")
    thoughtless = HI, say("assistant", Reasoning(text="Hm."), tool_calls=(CALL,)), result
    thought = say("assistant", Reasoning(text="Hm.", signature=b"s"), tool_calls=(CALL,)), result

    body, dropped = build(*thoughtless, **asked)
    assert ("additionalModelRequestFields" in body, dropped) == (False, ("reasoning_effort",))
    loop = *thought, *thoughtless[1:]
    body, dropped = build(*thoughtless, HI, *loop, **asked)
    assert ("additionalModelRequestFields" in body, dropped) == (True, ())
    insisted = frozenset({"reasoning_effort"})
    fields = ["parameters.reasoning_effort"]
    assert refused(*thoughtless, **asked, insisted=insisted) == fields


def test_calls_of_one_id() -> None:
    """No two calls have one id, as the API refuses that, and each result goes to its own."""
    other = ToolCall(id="c", name="now", arguments_json="")
    found, told = (say("tool", Text(each), tool_call_id="c") for each in "12")
    conversation = (
        *(HI, say("assistant", tool_calls=(CALL,)), found),
        *(say("assistant", tool_calls=(other, other)), found, told),
    )

    sent = turns(*conversation)

    assert isinstance(sent, list)
    blocks = [block for turn in sent for block in turn["content"]]
    calls = [block["toolUse"]["toolUseId"] for block in blocks if "toolUse" in block]
    results = [block["toolResult"] for block in blocks if "toolResult" in block]
    assert calls == ["c", "c_2", "c_3"]
    assert [(each["toolUseId"], each["content"][0]["text"]) for each in results] == [
        *(("c", "1"), ("c_2", "1"), ("c_3", "2")),
    ]


def test_tool_choice_of_a_model_that_thinks() -> None:
    """Nothing makes a model call a tool that thinks first."""
    thinking: Fields = {"model": CLAUDE, "parameters": Parameters(reasoning_effort="2048")}
    asked: Fields = {**thinking, "tools": (TOOL,), "tool_choice": ToolChoice(mode="required")}

    assert build(**asked)[1] == ("tool_choice",)
    assert refused(**asked, insisted=frozenset({"tool_choice"})) == ["tool_choice"]
    assert build(**{**asked, "tool_choice": ToolChoice(mode="auto")})[1] == ()


def test_what_an_answer_can_do_without() -> None:
    """What the API has no place for, and no answer needs, is left out and told."""
    image = Media(kind="image", data=b"a", media_type="image/png", detail="low")

    assert build(say("user", image, name="Ada"))[1] == ("name", "detail")
    assert build(say("user", Media(kind="image", data=b"a", media_type="image/png")))[1] == ()


def test_system() -> None:
    """The system speaks before the conversation, in blocks, and so does the developer."""
    body, _ = build(say("system", Text("A"), Text("")), HI, say("developer", Text("B")))

    assert body["system"] == [{"text": "A"}, {"text": "B"}]
    assert body["messages"] == [{"role": "user", "content": [{"text": "Hi"}]}]


def test_turns() -> None:
    """Turns alternate, and the results of parallel calls come first in theirs."""
    calls = (CALL, ToolCall(id="d", name="now", arguments_json=""))

    assert turns(
        HI,
        say("assistant", Text("So."), Refusal("No."), tool_calls=calls),
        say("user", Text("And?")),
        say("tool", Text("1"), tool_call_id="c"),
        say("tool", tool_call_id="d"),
    ) == [
        {"role": "user", "content": [{"text": "Hi"}]},
        {
            "role": "assistant",
            "content": [
                {"text": "So."},
                {"text": "No."},
                {"toolUse": {"toolUseId": "c", "name": "find", "input": {"a": [1, 2.5]}}},
                {"toolUse": {"toolUseId": "d", "name": "now", "input": {}}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"toolResult": {"toolUseId": "c", "content": [{"text": "1"}]}},
                {"toolResult": {"toolUseId": "d", "content": []}},
                {"text": "And?"},
            ],
        },
    ]


def test_reasoning() -> None:
    """Reasoning goes back as it came, with its signature or sealed; what is not signed does not."""
    thoughts = (
        Reasoning(text="Hm.", signature=b"s"),
        Reasoning(redacted=b"AP8="),
        Reasoning(text="Unsigned."),
    )

    assert turns(HI, say("assistant", *thoughts, Text("So.")))[1] == {  # type: ignore[index]  # a list
        "role": "assistant",
        "content": [
            {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "s"}}},
            {"reasoningContent": {"redactedContent": "AP8="}},
            {"text": "So."},
        ],
    }
    assert refused(HI, say("assistant", Reasoning(text="a", signature=b"\xff"))) == [
        "messages[1].content[0].reasoning"
    ]


@pytest.mark.parametrize(
    ("part", "wire"),
    [
        (
            Media(kind="image", data=b"\x00\x01", media_type="image/jpeg"),
            {"image": {"format": "jpeg", "source": {"bytes": "AAE="}}},
        ),
        (
            Media(kind="image", url="data:image/webp;base64,AAE=", detail="high"),
            {"image": {"format": "webp", "source": {"bytes": "AAE="}}},
        ),
        (
            Media(kind="image", url="s3://bucket/a.png", media_type="IMAGE/PNG"),
            {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://bucket/a.png"}}}},
        ),
        (
            Media(kind="audio", data=b"\x00\x01", media_type="audio/mpeg"),
            {"audio": {"format": "mp3", "source": {"bytes": "AAE="}}},
        ),
        (
            Media(kind="file", data=b"\x00\x01", media_type="application/pdf"),
            {"document": {"format": "pdf", "name": "document", "source": {"bytes": "AAE="}}},
        ),
        (
            Media(kind="file", url="data:text/plain;charset=utf-8,%00%01", filename="a.txt"),
            {"document": {"format": "txt", "name": "a", "source": {"bytes": "AAE="}}},
        ),
    ],
)
def test_media(part: Part, wire: Fields) -> None:
    """Images, sounds and documents are sent as bytes, or as places in S3."""
    assert turns(say("user", Text("a"), part)) == [
        {"role": "user", "content": [{"text": "a"}, wire]}
    ]


def test_document_without_a_text() -> None:
    """The API refuses a turn that has a document and no text: a dot stands beside it."""
    document = Media(kind="file", data=b"a", media_type="text/plain")
    called = HI, say("assistant", tool_calls=(CALL,)), say("tool", Text("1"), tool_call_id="c")

    def last(*messages: Message) -> list[Fields]:
        sent: Any = turns(*messages)
        content: list[Fields] = sent[-1]["content"]
        return content

    alone = last(*called, say("user", document))
    beside = last(say("user", Text(" "), document), say("user", Text("b")))
    image = last(say("user", Media(kind="image", data=b"a", media_type="image/png")))

    assert [sorted(block) for block in alone] == [["toolResult"], ["document"], ["text"]]
    assert alone[-1] == {"text": "."}
    assert [sorted(block) for block in beside] == [["document"], ["text"]]
    assert beside[-1] == {"text": "b"}
    assert [sorted(block) for block in image] == [["image"]]


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("report_v2 (final).2024.pdf", "report v2 (final) 2024"),
        ("bericht: größe.pdf", "bericht gr e"),
        ("  a \t\n b.pdf", "a b"),
        ("no-ending[1]", "no-ending[1]"),
        ("分期.pdf", "document"),
        (".pdf", "document"),
        ("a" * 300, "a" * 200),
    ],
)
def test_names_of_documents(filename: str, name: str) -> None:
    """A document's name has in it what the API takes."""
    document = Media(kind="file", data=b"a", media_type="text/plain", filename=filename)

    assert named(say("user", document)) == [name]


def test_names_that_differ() -> None:
    """No two documents of a request have one name, which the API refuses."""
    a = Media(kind="file", data=b"a", media_type="text/plain", filename="A.txt")
    b = Media(kind="file", data=b"b", media_type="text/csv", filename="a.csv")
    bare = Media(kind="file", data=b"c", media_type="text/html")
    long = Media(kind="file", data=b"d", media_type="text/html", filename="l" * 200)

    names = named(say("user", a, bare), HI, say("user", b, bare, long, long))

    assert names == ["A", "document", "a 2", "document 2", "l" * 200, "l" * 198 + " 2"]


def named(*messages: Message) -> list[object]:
    """Return the names of the documents of messages."""
    sent = turns(*messages)
    assert isinstance(sent, list)
    return [
        block["document"]["name"]
        for turn in sent
        for block in turn["content"]
        if "document" in block
    ]


def test_media_of_a_tool() -> None:
    """A tool may return images and documents, too."""
    image = Media(kind="image", data=b"\x00", media_type="image/gif")

    assert turns(say("tool", Text("1"), image, tool_call_id="c")) == [
        {
            "role": "user",
            "content": [
                {
                    "toolResult": {
                        "toolUseId": "c",
                        "content": [
                            {"text": "1"},
                            {"image": {"format": "gif", "source": {"bytes": "AA=="}}},
                        ],
                    }
                }
            ],
        }
    ]


@pytest.mark.parametrize(
    "message",
    [
        say("user", Media(kind="image", url="https://x.invalid/a.png", media_type="image/png")),
        say("user", Media(kind="image", data=b"a", media_type="image/tiff")),
        say("user", Media(kind="image", data=b"a")),
        say("user", Media(kind="image", url="data:image/png")),
        say("assistant", Media(kind="image", data=b"a", media_type="image/png")),
        say("user", Media(kind="file", data=b"a", media_type="application/zip")),
        say("user", Media(kind="audio", data=b"a", media_type="audio/midi")),
        say("tool", Media(kind="audio", data=b"a", media_type="audio/wav"), tool_call_id="c"),
        say("system", Media(kind="image", data=b"a", media_type="image/png")),
    ],
)
def test_parts_that_the_dialect_lacks(message: Message) -> None:
    """A part that the API cannot carry is refused by its place, before anything is fetched."""
    assert refused(message) == ["messages[0].content[0]"]


def test_bytes_come_through() -> None:
    """All bytes of what is sent arrive."""
    data = bytes(range(256))

    sent = turns(say("user", Media(kind="image", data=data, media_type="image/png")))

    assert isinstance(sent, list)
    assert base64.b64decode(sent[0]["content"][0]["image"]["source"]["bytes"]) == data


def test_models_of_openais() -> None:
    """A model of OpenAI's is told what it knows from there, and so is any in words of its own."""
    given: dict[str, Json] = {"logit_bias": {"1": 2}}
    own: JsonObject = {"additionalModelRequestFields": given}

    assert fields(model="openai.gpt-oss-20b-1:0", parameters=Parameters(extra=given)) == own
    assert fields(model="amazon.nova-lite-v1:0", parameters=Parameters(extra=own)) == own
