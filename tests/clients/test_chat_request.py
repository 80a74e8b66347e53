"""What is said to `completion` is read as the HTTP door reads it, or refused before any call."""

import base64
import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_resolver.chat.answer import write_answer
from prompt_resolver.chat.messages import read_messages
from prompt_resolver.chat.request import read_request
from prompt_resolver.requests import complete_request
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver_server.domain.answers import Credentials
from prompt_resolver_server.domain.parameters import Json
from prompt_resolver_server.http.openai.messages import read_messages as read_at_the_door
from prompt_resolver_server.http.openai.messages import read_tool_choice, read_tools
from prompt_resolver_server.http.openai.request import _LITELLMS
from prompt_resolver_server.resolving.resolver import Query
from prompt_resolver_server.rpc.decode import read_query
from prompt_resolver_server.settings.unused import _NOT_PARAMETERS

USER = {"role": "user", "content": "Hi"}
SCHEMA: dict[str, Json] = {
    "type": "object",
    "properties": {"a": {"enum": [1, 2.5, None, True, "x", []]}},
}


def read(model: object = None, messages: object = None, **options: object) -> Query:
    """Return what the service makes of it."""
    request = read_request(model, messages, options)
    wire = complete_request(pb.CompleteRequest, request.prompt_id, request.options)
    return read_query(wire, credentials=Credentials(), deadline=0)


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
encoded = st.binary(min_size=1, max_size=20).map(lambda data: base64.b64encode(data).decode())
parts = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "text": texts}),
    st.fixed_dictionaries({"type": st.just("refusal"), "refusal": texts}),
    st.fixed_dictionaries(
        {
            "type": st.just("image_url"),
            "image_url": st.one_of(
                st.just("https://images.example/a.png"),
                st.fixed_dictionaries(
                    {"url": st.just("https://images.example/a.png")},
                    optional={
                        "detail": st.sampled_from(["low", "high"]),
                        "format": st.just("image/png"),
                    },
                ),
            ),
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("input_audio"),
            "input_audio": st.fixed_dictionaries(
                {"data": encoded, "format": st.sampled_from(["wav", "mp3"])}
            ),
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("file"),
            "file": st.fixed_dictionaries(
                {"file_data": encoded.map("data:application/pdf;base64,{}".format)},
                optional={"filename": texts},
            ),
        }
    ),
    st.fixed_dictionaries(
        {
            "type": st.just("file"),
            "file": st.fixed_dictionaries(
                {"file_id": st.just("https://files.example/a")},
                optional={"filename": texts, "format": st.just("application/pdf")},
            ),
        }
    ),
)
calls = st.fixed_dictionaries(
    {
        "id": texts,
        "type": st.just("function"),
        "function": st.fixed_dictionaries({"name": texts, "arguments": st.text("{}1", max_size=9)}),
    },
    optional={"provider_specific_fields": st.fixed_dictionaries({"thought_signature": texts})},
)
thoughts = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("thinking"), "thinking": texts}, optional={"signature": texts}
    ),
    st.fixed_dictionaries({"type": st.just("redacted_thinking"), "data": texts}),
)


def is_signed(blocks: list[dict[str, str]]) -> bool:
    """Tell whether any of them is more than text, which answers tell as one."""
    return any("thinking" not in block or "signature" in block for block in blocks)


content = st.one_of(texts, st.lists(parts, min_size=1, max_size=4))
assistants = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": content},
    optional={
        "refusal": st.one_of(st.none(), st.just(""), texts),
        "tool_calls": st.lists(calls, max_size=3),
        "reasoning_content": texts,
        "thinking_blocks": st.lists(thoughts, max_size=3),
    },
)
messages = st.one_of(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "developer", "user"]), "content": content},
        optional={"name": texts},
    ),
    assistants,
    st.fixed_dictionaries({"role": st.just("tool"), "content": content, "tool_call_id": texts}),
)


@given(st.lists(messages, max_size=4))
def test_messages_mean_what_they_mean_at_the_door(conversation: list[Json]) -> None:
    """Whatever messages come, they are to the service what they are through the HTTP door."""
    assert read("a", conversation).messages == read_at_the_door(conversation)


@given(
    st.fixed_dictionaries(
        {"role": st.just("assistant"), "content": texts, "refusal": st.none()},
        optional={
            "tool_calls": st.lists(calls, min_size=1, max_size=3),
            "reasoning_content": texts,
        },
    )
)
def test_an_answer_can_be_sent_back(message: Mapping[str, object]) -> None:
    """A message becomes the contract's and, in an answer, itself again."""
    (wire,) = read_messages([message])

    answer = write_answer(pb.CompleteResponse(message=wire))

    assert answer.choices[0].message == message
    assert read_messages([answer.choices[0].message]) == [wire]


@given(st.lists(thoughts, min_size=1, max_size=3).filter(is_signed))
def test_thoughts_can_be_sent_back(blocks: list[dict[str, str]]) -> None:
    """What a model thought is sent back with its signatures."""
    (wire,) = read_messages([{"role": "assistant", "content": "x", "thinking_blocks": blocks}])

    (again,) = read_messages([write_answer(pb.CompleteResponse(message=wire)).choices[0].message])

    assert again == wire


def test_where_a_signature_may_be() -> None:
    """A call's signature stands beside its function or in it, as LiteLLM has it."""
    fields: Json = {"thought_signature": "s"}
    function: dict[str, Json] = {"name": "f", "arguments": "{}"}
    calls: list[Json] = [
        {"id": "a", "function": function, "provider_specific_fields": fields},
        {"id": "b", "function": {**function, "provider_specific_fields": fields}},
        {"id": "c", "function": function, "provider_specific_fields": None},
    ]
    said: list[Json] = [{"role": "assistant", "tool_calls": calls}]

    for (message,) in (read("a", said).messages, read_at_the_door(said)):
        assert [call.signature for call in message.tool_calls] == [b"s", b"s", None]


def test_tools_mean_what_they_mean_at_the_door() -> None:
    """So do tools, and the choice of one."""
    tools: list[Json] = [
        {
            "type": "function",
            "function": {"name": "a", "description": "d", "parameters": SCHEMA, "strict": True},
        },
        {"type": "function", "function": {"name": "b"}},
    ]
    choices: list[Json] = [
        "auto",
        "none",
        "required",
        {"type": "function", "function": {"name": "a"}},
        None,
    ]
    for choice in choices:
        query = read("a", tools=tools, tool_choice=choice)
        assert query.tools == read_tools(tools)
        assert query.tool_choice == read_tool_choice(choice)


def test_parameters() -> None:
    """Every parameter has its field, and the others are passed on."""
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}}
    parameters = read(
        temperature=0,
        top_p=0.5,
        max_tokens=5,
        stop=["a", "b"],
        presence_penalty=1,
        frequency_penalty=-1.5,
        seed=2**53,
        reasoning_effort=12,
        response_format=form,
        top_k=3,
        parallel_tool_calls=True,
        user="u",
        logit_bias={"1": 5},
        mirostat=None,
        extra_body={"min_p": 0.1},
    ).parameters

    assert (parameters.temperature, parameters.top_p, parameters.max_tokens) == (0, 0.5, 5)
    assert (parameters.stop, parameters.seed, parameters.top_k) == (("a", "b"), 2**53, 3)
    assert (parameters.presence_penalty, parameters.frequency_penalty) == (1, -1.5)
    assert (parameters.reasoning_effort, parameters.parallel_tool_calls) == ("12", True)
    assert parameters.response_format is not None
    assert parameters.response_format.json_schema is not None
    assert parameters.response_format.json_schema.schema == SCHEMA
    assert parameters.extra == {"user": "u", "logit_bias": {"1": 5}, "min_p": 0.1}
    assert read(max_tokens=5.0).parameters.max_tokens == 5
    assert read(max_tokens=5, max_completion_tokens=7).parameters.max_tokens == 7
    newer = read(max_completion_tokens=7).parameters
    assert (newer.max_tokens, newer.limit_name) == (7, "max_completion_tokens")
    assert newer.extra == {}
    assert read(stop="x").parameters.stop == ("x",)
    for kind in ("text", "json_object"):
        assert read(response_format={"type": kind}).parameters.response_format is not None
    described = {"name": "n", "description": "A city", "schema": {"type": "object"}}
    told = read(response_format={"type": "json_schema", "json_schema": described}).parameters
    assert told.response_format is not None
    assert told.response_format.json_schema is not None
    assert told.response_format.json_schema.schema == {"description": "A city", "type": "object"}


@pytest.mark.parametrize(
    ("name", "model", "alias"),
    [
        ("humanloop/gpt-4o", "humanloop/gpt-4o", None),
        ("humanloop", "humanloop", None),
        ("openai/gpt-4o", "openai/gpt-4o", None),
        ("gpt-4o", None, "gpt-4o"),
        (None, None, None),
    ],
)
def test_models_and_aliases(name: str | None, model: str | None, alias: str | None) -> None:
    """A name with a slash, and the store's alone, is a model's; any other is an alias'."""
    query = read(name)

    assert (query.model, query.alias) == (model, alias)


def test_without_effect() -> None:
    """What asks for nothing, or for what is so anyway, changes nothing."""
    plain = read("a", [USER], prompt_id="p")

    assert plain == read(
        "a",
        (USER,),
        prompt_id="p",
        prompt_version=None,
        n=1,
        logprobs=False,
        modalities=["text"],
        temperature=None,
        ignore_prompt_manager_model=True,
        humanloop_api_key="",
        api_key=None,
    )


@pytest.mark.parametrize(
    ("model", "options", "name"),
    [
        ("humanloop/gpt-4o", {}, "openai"),
        ("humanloop/anthropic/claude", {}, "anthropic"),
        ("anthropic/claude", {}, "anthropic"),
        ("humanloop/auto", {"custom_llm_provider": "Mistral"}, "mistral"),
        ("support", {"custom_llm_provider": "openai"}, "openai"),
        (None, {"custom_llm_provider": "openai"}, "openai"),
    ],
)
def test_whose_key_it_is(model: str | None, options: Mapping[str, object], name: str) -> None:
    """A key is sent under the name of the provider that the model's name or the call tells."""
    request = read_request(model, None, {"api_key": "k", **options})

    assert request.options["credentials"] == {f"x-provider-key-{name}": "k"}


def test_versions() -> None:
    """A version may be a number, and an environment has two names."""
    assert read("a", prompt_id="p", prompt_version=2).prompt.version == "2"
    for options in ({"prompt_label": "x"}, {"prompt_environment": "x", "prompt_label": "x"}):
        assert read("a", prompt_id="p", **options).prompt.environment == "x"


def test_what_only_litellm_knows() -> None:
    """What the HTTP door refuses as a setting of LiteLLM's is refused here, and reaches nobody."""
    names = {*_LITELLMS, *_NOT_PARAMETERS, "input_cost_per_token", "fallbacks", "model_list"}
    for name in names:
        if not name.startswith("ignore_prompt_manager"):
            with pytest.raises(ValueError, match=f"{name}: a setting of LiteLLM's"):
                read_request(None, None, {name: 1})


def test_labels() -> None:
    """Labels are text, and what is none is told as JSON."""
    labels = {"team": "a", "ids": [1, {"x": None}]}

    further = {"litellm_session_id": "s1", "litellm_metadata": {"team": "b", "cost_center": 7}}

    request = read_request(
        None, None, {"metadata": labels, "timeout": 3, "stream_options": None, **further}
    )

    assert request.options["labels"] == {
        "team": "a",
        "ids": '[1,{"x":null}]',
        "litellm_session_id": "s1",
        "cost_center": "7",
    }
    parameters = request.options["parameters"]
    assert parameters is None or not parameters.extra.fields
    assert request.options["timeout_s"] == 3
    assert not request.with_usage


DEEP: object = 1
for _ in range(40):
    DEEP = [DEEP]
SECRET = "value-of-the-caller"

WRONG: list[tuple[Mapping[str, object], str]] = [
    ({"model": 5}, "model: expected text, got int"),
    ({"model": ""}, "model: expected text, got an empty one"),
    ({"messages": "x"}, "messages: expected a list, got str"),
    ({"messages": [SECRET]}, "messages[0]: expected a mapping, got str"),
    ({"messages": [{}]}, "messages[0].role: expected one of system, developer"),
    ({"messages": [{"role": SECRET}]}, "messages[0].role: expected one of"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content: expected text or a"),
    (
        {"messages": [USER, {"role": "user", "content": [{"type": "text", "text": 1}]}]},
        "messages[1].content[0]: expected a part",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "video"}]}]},
        "messages[0].content[0]: expected a part of type text",
    ),
    (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_audio", "input_audio": {"data": "aa==", "format": "ogg"}}
                    ],
                }
            ]
        },
        "input_audio.format: expected wav or mp3",
    ),
    (
        {
            "messages": [
                {"role": "user", "content": [{"type": "file", "file": {"file_data": SECRET}}]}
            ]
        },
        "file.file_data: expected a data URL in base64",
    ),
    (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_audio", "input_audio": {"data": "-", "format": "wav"}}
                    ],
                }
            ]
        },
        "input_audio.data: expected base64",
    ),
    (
        {
            "messages": [
                {"role": "user", "content": [{"type": "file", "file": {"file_id": SECRET}}]}
            ]
        },
        "messages[0].content[0].file.file_id: expected file_data, or the URL",
    ),
    (
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "a", "detail": 1}}],
                }
            ]
        },
        "messages[0].content[0].image_url.detail: expected text, got int",
    ),
    (
        {"messages": [{"role": "assistant", "tool_calls": [{"id": "x"}]}]},
        "messages[0].tool_calls[0]: expected a call of a function",
    ),
    (
        {"messages": [{"role": "assistant", "thinking_blocks": [{"type": "x"}]}]},
        "messages[0].thinking_blocks[0]: expected a thinking",
    ),
    (
        {"messages": [{"role": "assistant", "function_call": {}}]},
        "messages[0].function_call: not carried",
    ),
    ({"tools": [{"type": "web_search"}]}, "tools[0].type: expected function"),
    ({"tools": [{"type": "function"}]}, "tools[0].function: expected a mapping, got NoneType"),
    (
        {"tools": [{"type": "function", "function": {"name": "a", "description": 1}}]},
        "tools[0].function.description: expected text",
    ),
    ({"tool_choice": SECRET}, "tool_choice: expected auto, none, required or a function"),
    ({"prompt_id": 5}, "prompt_id: expected text, got int"),
    ({"prompt_id": ""}, "prompt_id: expected text, got an empty one"),
    ({"prompt_variables": [1]}, "prompt_variables: expected a mapping, got list"),
    ({"prompt_variables": {1: 2}}, "prompt_variables: expected text as the names in it, got int"),
    (
        {"prompt_variables": {"a": [{"b": object()}]}},
        "prompt_variables.a[0].b: expected what JSON can say, got object",
    ),
    ({"prompt_variables": {"a": 2**53 + 1}}, "prompt_variables.a: expected a number up to 2**53"),
    ({"prompt_variables": {"a": DEEP}}, "expected at most 30 levels of nesting"),
    ({"prompt_variables": {"a": "\ud800" + SECRET}}, "expected text that is Unicode"),
    ({"prompt_version": ""}, "prompt_version: expected text, got an empty one"),
    ({"prompt_version": True}, "prompt_version: expected text, got bool"),
    ({"prompt_version": 2.0}, "prompt_version: expected text, got float"),
    ({"prompt_version": "1", "prompt_label": "x"}, "prompt_version: expected a version or an"),
    ({"prompt_label": "a", "prompt_environment": "b"}, "prompt_label: expected no other"),
    ({"append_messages": 1}, "append_messages: expected true or false, got int"),
    ({"timeout": 0}, "timeout: expected a number of seconds above 0"),
    ({"timeout": float("inf")}, "timeout: expected a number of seconds above 0"),
    ({"timeout": "5"}, "timeout: expected a number, got str"),
    ({"metadata": ["x"]}, "metadata: expected a mapping, got list"),
    ({"metadata": {"x": object()}}, "metadata.x: expected what JSON can say, got object"),
    ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage: expected true or"),
    ({"temperature": "hot"}, "temperature: expected a number, got str"),
    ({"temperature": True}, "temperature: expected a number, got bool"),
    ({"max_tokens": 1.5}, "max_tokens: expected a whole number, got float"),
    ({"max_tokens": 2**40}, "max_tokens: expected a smaller number"),
    ({"stop": [1]}, "stop[0]: expected text, got int"),
    ({"reasoning_effort": 1.5}, "reasoning_effort: expected a word or a whole number"),
    ({"response_format": Query}, "response_format: expected a mapping"),
    ({"response_format": {"type": "xml"}}, "response_format.type: expected text, json_object"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema: expected a"),
    ({"extra_body": 5}, "extra_body: expected a mapping, got int"),
    ({"client": object()}, "client: expected what JSON can say, got object"),
    ({"n": 2}, "n: not carried"),
    ({"logprobs": True}, "logprobs: not carried"),
    ({"api_key": "k"}, "api_key: expected custom_llm_provider"),
    ({"api_key": "k", "model": "humanloop"}, "api_key: expected custom_llm_provider"),
    ({"api_key": "k", "model": "humanloop/auto"}, "api_key: expected custom_llm_provider"),
    ({"api_key": "k", "model": "support"}, "api_key: expected custom_llm_provider"),
    ({"api_key": "k", "model": "a b/x"}, "custom_llm_provider: expected the name of a provider"),
    ({"custom_llm_provider": "openai"}, "custom_llm_provider: expected together with api_key"),
    ({"humanloop_api_key": f"{SECRET}\n"}, "humanloop_api_key: expected printable ASCII"),
    ({"humanloop_api_key": 5}, "humanloop_api_key: expected text, got int"),
]


@pytest.mark.parametrize(("said", "told"), WRONG, ids=[told for _, told in WRONG])
def test_what_is_none(said: Mapping[str, object], told: str) -> None:
    """What cannot be meant is refused with its place, and without what was said."""
    options = {name: value for name, value in said.items() if name not in ("model", "messages")}
    with pytest.raises((TypeError, ValueError)) as caught:
        read_request(said.get("model"), said.get("messages"), options)

    assert told in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_boundary() -> None:
    """Numbers up to 2**53, and thirty levels, arrive as they are."""
    levels: object = 1
    for _ in range(28):
        levels = {"x": levels}
    request = read_request(None, None, {"prompt_variables": {"a": -(2**53), "deep": levels}})

    variables = request.options["variables"]
    assert variables is not None
    assert json.dumps(levels).count("x") == 28
    assert variables["a"] == -(2**53)
