"""What every dialect promises of what is sent, tested on every dialect: nothing is lost silently.

Whatever a request says is in the body, or is named among what was dropped, or refused by its path.
"""

import base64
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from prompt_resolver_server.domain.answers import ModelRequest
from prompt_resolver_server.domain.errors import CallError, Reason
from prompt_resolver_server.domain.parameters import (
    NO_PARAMETERS,
    JsonObject,
    JsonSchema,
    Parameters,
    ResponseFormat,
    refusal,
)
from prompt_resolver_server.domain.prompts import (
    Media,
    Message,
    Part,
    Reasoning,
    Refusal,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)
from prompt_resolver_server.providers.dialect import WireRequest
from prompt_resolver_server.providers.wire.openais_own import OPENAIS_OWN
from tests.support.dialects import SUBJECTS, Subject

MARK = "only-this"
BYTES = b"only these bytes"
BASE64 = base64.b64encode(BYTES).decode()

SYSTEM = Message(role="system", content=(Text("Be brief."),))
HI = Message(role="user", content=(Text("Hi"),))
CALL = ToolCall(id="call-of-tool", name="find", arguments_json='{"a":1}')
CALLING = Message(role="assistant", tool_calls=(CALL,))
FOUND = Message(role="tool", tool_call_id="call-of-tool", content=(Text("2"),))
FIND = Tool(name="find", description="Finds.", parameters={"type": "object", "properties": {}})

SCHEMA = JsonSchema(name="n", schema={"type": "object", "title": MARK}, strict=True)
PARAMETERS = [
    pytest.param(parameters, value, id=f"{name}-{index}")
    for index, (parameters, value) in enumerate(
        [
            (Parameters(temperature=0.3125), 0.3125),
            (Parameters(top_p=0.9375), 0.9375),
            (Parameters(max_tokens=4321), 4321),
            (Parameters(stop=(MARK,)), MARK),
            (Parameters(presence_penalty=0.1875), 0.1875),
            (Parameters(frequency_penalty=0.4375), 0.4375),
            (Parameters(seed=98765), 98765),
            (Parameters(top_k=37), 37),
            (Parameters(reasoning_effort="none"), None),
            (Parameters(reasoning_effort="low"), None),
            (Parameters(reasoning_effort="high"), None),
            (Parameters(reasoning_effort="novel"), None),
            (Parameters(reasoning_effort="2345"), 2345),
            (Parameters(response_format=ResponseFormat(type="json_object")), None),
            (
                Parameters(response_format=ResponseFormat(type="json_schema", json_schema=SCHEMA)),
                MARK,
            ),
            (Parameters(parallel_tool_calls=False), None),
            (Parameters(extra={"novel": MARK}), MARK),
        ]
    )
    for name in (*parameters.names(),)
]
PARTS = [
    Text(MARK),
    Refusal(MARK),
    Media(kind="image", url=f"https://x.invalid/{MARK}.png", media_type="image/png"),
    Media(kind="image", data=BYTES, media_type="image/png"),
    Media(kind="image", url=f"data:image/png;base64,{BASE64}"),
    Media(kind="audio", url=f"https://x.invalid/{MARK}.wav", media_type="audio/wav"),
    Media(kind="audio", data=BYTES, media_type="audio/wav"),
    Media(kind="file", url=f"https://x.invalid/{MARK}.pdf", media_type="application/pdf"),
    Media(kind="file", data=BYTES, media_type="application/pdf", filename="a.pdf"),
    Media(kind="file", data=BYTES, media_type="application/novel"),
    Media(kind="file", data=BYTES),
]
THOUGHTS = [Reasoning(text=MARK), Reasoning(text=MARK, signature=b"s"), Reasoning(redacted=BYTES)]
ROLES: tuple[Role, ...] = ("system", "developer", "user", "assistant", "tool")


@pytest.fixture(params=SUBJECTS, scope="module", ids=lambda subject: str(subject.name))
def subject(request: pytest.FixtureRequest) -> Subject:
    subject: Subject = request.param
    return subject


def ask(*messages: Message, **changes: object) -> ModelRequest:
    fields: dict[str, object] = {
        "model": "some-model",
        "parameters": NO_PARAMETERS,
        "tools": (FIND,),
        **changes,
    }
    return ModelRequest(messages=messages or (SYSTEM, HI), **fields)  # type: ignore[arg-type]  # any fields


def build(subject: Subject, request: ModelRequest, *, stream: bool = True) -> WireRequest:
    return subject.dialect.build(request, stream=stream, quirks=subject.quirks)


def refused(
    subject: Subject, request: ModelRequest, reason: Reason = Reason.PARAMETER_UNSUPPORTED
) -> list[str]:
    """Return the paths of what a request is refused for."""
    with pytest.raises(CallError) as caught:
        build(subject, request)
    assert caught.value.reason is reason
    assert MARK not in caught.value.message
    return [violation.field for violation in caught.value.violations]


def leaves(value: object) -> Iterator[object]:
    match value:
        case dict():
            for name, inner in value.items():
                yield name
                yield from leaves(inner)
        case list():
            for inner in value:
                yield from leaves(inner)
        case _:
            yield value


def holds(wire: WireRequest, mark: object) -> bool:
    """Tell whether a body has a value in it, or a text inside of one."""
    found = list(leaves(json.loads(wire.body)))
    if isinstance(mark, str):
        return any(isinstance(each, str) and mark in each for each in found)
    return any(each == mark and not isinstance(each, bool) for each in found)


def says(subject: Subject, wire: WireRequest, than: ModelRequest) -> bool:
    """Tell whether a request is another than that for what was asked before."""
    before = build(subject, than)
    return (wire.path, wire.body) != (before.path, before.body)


@pytest.mark.parametrize(("parameters", "value"), PARAMETERS)
def test_parameters(subject: Subject, parameters: Parameters, value: object) -> None:
    """A parameter is sent, or dropped and named; one that is insisted on is sent or refused."""
    name = next(iter(parameters.extra), *parameters.names())
    request = ask(parameters=parameters)
    insisting = ask(parameters=parameters, insisted=frozenset({name}))

    wire = build(subject, request)

    if name in wire.dropped:
        assert value is None or not holds(wire, value)
        assert refused(subject, insisting) == [f"parameters.{name}"]
    else:
        assert says(subject, wire, ask())
        assert value is None or holds(wire, value)
        assert build(subject, insisting).body == wire.body
    assert set(wire.dropped) <= {name}


@pytest.mark.parametrize("name", sorted(OPENAIS_OWN))
def test_openais_own(subject: Subject, name: str) -> None:
    """What OpenAI alone has a name for is sent to nobody else; insisted on, it is refused."""
    request = ask(parameters=Parameters(extra={name: MARK}))
    insisting = replace(request, insisted=frozenset({name}))

    wire = build(subject, request)

    if name in subject.shares:
        assert holds(wire, MARK)
        assert wire.dropped == ()
        assert build(subject, insisting).body == wire.body
    else:
        assert wire.body == build(subject, ask()).body
        assert wire.dropped == (name,)
        assert refused(subject, insisting) == [f"parameters.{name}"]


@pytest.mark.parametrize(
    "parameters", [Parameters(presence_penalty=0.0), Parameters(frequency_penalty=0.0)]
)
def test_penalty_of_nothing(subject: Subject, parameters: Parameters) -> None:
    """A penalty of 0 changes nothing; where it is left out, that is told all the same."""
    wire = build(subject, ask(parameters=parameters))

    assert wire.dropped == (() if holds(wire, 0) else parameters.names())


@pytest.mark.parametrize(
    "parameters",
    [
        Parameters(response_format=ResponseFormat(type="text")),
        Parameters(parallel_tool_calls=True),
    ],
    ids=["response_format", "parallel_tool_calls"],
)
def test_what_is_so_anyway(subject: Subject, parameters: Parameters) -> None:
    """What every API does anyway is never refused, nor told as left out."""
    insisted = frozenset(parameters.names())

    assert build(subject, ask(parameters=parameters, insisted=insisted)).dropped == ()


def test_other_name_of_the_limit(subject: Subject) -> None:
    """What somebody called the limit is OpenAI's to know; everybody else is told of the limit."""
    limit = Parameters(max_tokens=4321)
    named = replace(limit, limit_name="max_completion_tokens")

    wire = build(subject, ask(parameters=named))

    assert holds(wire, 4321)
    assert holds(wire, "max_completion_tokens") == ("max_completion_tokens" in subject.shares)
    if "max_completion_tokens" not in subject.shares:
        assert wire == build(subject, ask(parameters=limit))
    assert wire.dropped == ()


def test_what_a_server_lacks(subject: Subject) -> None:
    """What a server of the dialect is known to lack is not sent, extra parameters among it."""
    lacks = subject.quirks.lacks | {"max_tokens", "novel"}
    extra: JsonObject = {"novel": MARK, "kept": "kept"}
    request = ask(parameters=Parameters(max_tokens=4321, temperature=0.5, extra=extra))
    quirks = replace(subject.quirks, lacks=lacks)

    wire = subject.dialect.build(request, stream=True, quirks=quirks)

    assert wire.dropped == ("max_tokens", "novel")
    assert not holds(wire, 4321)
    assert not holds(wire, MARK)
    assert holds(wire, 0.5)
    assert holds(wire, "kept")


@pytest.mark.parametrize(
    "message",
    [SYSTEM, Message(role="developer", content=(Text("Be brief."),))],
    ids=["system", "developer"],
)
def test_nobody_but_the_system(subject: Subject, message: Message) -> None:
    """What the system says is sent without a conversation, or known to be no message."""
    try:
        wire = build(subject, ask(message))
    except CallError:
        assert refused(subject, ask(message), Reason.MESSAGES_MISSING) == ["messages"]
    else:
        assert holds(wire, "Be brief.")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
def test_content(subject: Subject, role: Role, part: Part) -> None:
    """Whatever a message says is sent, or refused by its place, whoever says it."""
    request, index = conversation(role, part)
    mark = BASE64 if isinstance(part, Media) and MARK not in (part.url or "") else MARK

    try:
        wire = build(subject, request)
    except CallError:
        (path,) = refused(subject, request)
        assert path.startswith(f"messages[{index}].content[1]")
        assert not isinstance(part, Text)
    else:
        assert holds(wire, mark)
        assert holds(wire, "Before.")
        assert holds(wire, "After.")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("part", THOUGHTS, ids=["plain", "signed", "sealed"])
def test_thoughts(subject: Subject, role: Role, part: Part) -> None:
    """What a model thought is sent where its provider reads it, and hides nothing else."""
    request, index = conversation(role, part)

    try:
        wire = build(subject, request)
    except CallError:
        (path,) = refused(subject, request)
        assert path.startswith(f"messages[{index}].content[1]")
        assert role != "assistant"
    else:
        assert holds(wire, "Before.")
        assert holds(wire, "After.")


def conversation(role: Role, part: Part) -> tuple[ModelRequest, int]:
    """Return a conversation with a message of a role that has a part in it, and where it is."""
    call_id = CALL.id if role == "tool" else None
    content = (Text("Before."), part, Text("After."))
    message = Message(role=role, content=content, tool_call_id=call_id)
    messages: tuple[Message, ...]
    match role:
        case "tool":
            messages = (HI, CALLING, message, HI)
        case "assistant":
            messages = (SYSTEM, HI, message, HI)
        case _:
            messages = (message, HI)
    return ask(*messages), messages.index(message)


def test_tools(subject: Subject) -> None:
    """All that a tool says of itself is sent."""
    schema = {"type": "object", "properties": {MARK: {"type": "string"}}}
    tool = Tool(name="name-of-tool", description="What it does.", parameters=schema)  # type: ignore[arg-type]  # plain data

    wire = build(subject, ask(tools=(tool, FIND)))

    assert all(holds(wire, mark) for mark in ("name-of-tool", "What it does.", MARK, "find"))


def test_strict_tool(subject: Subject) -> None:
    """That calls must keep to a tool's schema is sent, or dropped and named."""
    tool = Tool(
        name=FIND.name, description=FIND.description, parameters=FIND.parameters, strict=True
    )

    wire = build(subject, ask(tools=(tool,)))

    assert says(subject, wire, ask()) or wire.dropped == ("strict",)


@pytest.mark.parametrize(
    "choice",
    [ToolChoice(mode="none"), ToolChoice(mode="required"), ToolChoice(tool_name="find")],
    ids=["none", "required", "named"],
)
def test_tool_choice(subject: Subject, choice: ToolChoice) -> None:
    """Which tool to call is sent, or dropped and named; insisted on, it is sent or refused."""
    wire = build(subject, ask(tool_choice=choice))

    if "tool_choice" in wire.dropped:
        insisting = ask(tool_choice=choice, insisted=frozenset({"tool_choice"}))
        assert refused(subject, insisting) == ["tool_choice"]
    else:
        assert says(subject, wire, ask())


def test_tool_round_trip(subject: Subject) -> None:
    """A call goes back with its arguments, and its result with what it is the result of."""
    call = ToolCall(id="call-of-tool", name="find", arguments_json=f'{{"{MARK}":12345}}')
    other = ToolCall(id="call-of-other", name="now", arguments_json="")
    calling = Message(role="assistant", content=(Text("So."),), tool_calls=(call, other))
    found = Message(role="tool", tool_call_id="call-of-tool", content=(Text("result-1"),))
    now = Message(role="tool", tool_call_id="call-of-other", content=(Text("result-2"),))

    wire = build(subject, ask(HI, calling, found, now, HI, tools=(FIND, Tool(name="now"))))

    assert all(holds(wire, mark) for mark in ("So.", "now", MARK, "result-1", "result-2"))


@pytest.mark.parametrize(
    "arguments",
    ["[1]", "3", " ", '{"only-this":', "only-this", '{"a":' * 200 + "1" + "}" * 200],
    ids=["list", "number", "blank", "half", "text", "deep"],
)
def test_arguments_that_are_no_object(subject: Subject, arguments: str) -> None:
    """Arguments that are no JSON object are sent as the model wrote them, or refused."""
    call = ToolCall(id="c", name="find", arguments_json=arguments)
    message = Message(role="assistant", tool_calls=(CALL, call))
    request = ask(HI, message, FOUND)

    try:
        wire = build(subject, request)
    except CallError:
        assert refused(subject, request) == ["messages[1].tool_calls[1].arguments_json"]
    else:
        assert holds(wire, arguments)


def test_arguments_that_are_null(subject: Subject) -> None:
    """Arguments of `null`, as some models write where there are none, are taken for none."""
    call = ToolCall(id="c", name="find", arguments_json="null")

    wire = build(subject, ask(HI, Message(role="assistant", tool_calls=(CALL, call)), FOUND))

    assert holds(wire, "find")


def test_extra_parameters_replace_nothing(subject: Subject) -> None:
    """An extra parameter takes the place of nothing else that is sent, whatever it is called."""
    schema = ResponseFormat(type="json_schema", json_schema=SCHEMA)
    parameters = Parameters(temperature=0.5, max_tokens=9, response_format=schema)
    request = ask(SYSTEM, HI, CALLING, FOUND, parameters=parameters)
    body = json.loads(build(subject, request).body)

    for name in body:
        if refusal(name) is not None:
            # The door lets none of these in.
            continue
        extended = Parameters(
            temperature=0.5, max_tokens=9, response_format=schema, extra={name: MARK}
        )
        changed = ask(SYSTEM, HI, CALLING, FOUND, parameters=extended)
        try:
            wire = build(subject, changed)
        except CallError:
            (path,) = refused(subject, changed)
            assert path.startswith("parameters.")
        else:
            assert json.loads(wire.body)[name] == body[name], name


def test_request(subject: Subject) -> None:
    """A request is JSON that names no key, below the base URL, and is the same each time."""
    wire = build(subject, ask())

    assert wire.path.startswith("/")
    assert "key" not in wire.path
    assert isinstance(json.loads(wire.body), dict)
    assert build(subject, ask()) == wire
    assert wire.dropped == ()


@given(
    model=st.text(st.characters(codec="utf-8"), min_size=1)
    | st.text("a./\\%:?#2eF", min_size=1)
    | st.sampled_from(["models/../../x", "tunedModels/..", "a:b?alt=media", "a\r\nHost: b"])
)
def test_name_of_a_model(model: str) -> None:
    """Whatever a model is called, its name is one segment of a path, and nothing else in a URL."""
    for subject in SUBJECTS:
        usual = urlsplit(build(subject, ask()).path)
        paths: list[str] = []
        with suppress(CallError):
            paths.append(build(subject, ask(model=model)).path)
        for path in paths:
            parts = urlsplit(path)
            assert re.fullmatch(r"/[!-~]+", path)
            assert (parts.query, parts.fragment) == (usual.query, "")
            assert parts.path.count("/") <= usual.path.count("/")
            assert not {".", ".."} & set(re.split(r"[/\\]", unquote(parts.path)))
