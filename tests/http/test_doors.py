"""Whichever door a request comes through, its provider is asked the same."""

import base64
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prompt_resolver import PromptResolverError
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from tests.support.http import HttpDoor
from tests.support.service import RunningService
from tests.support.upstream import Upstream

Fields = dict[str, Any]

URL = "https://images.invalid/1.png"
DATA = b"some bytes"
ENCODED = base64.b64encode(DATA).decode()
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
WORDS = TEXTS.filter(bool)
SCHEMA: Fields = {"type": "object", "properties": {"a": {"enum": [1, 2.5, None, True]}}}
PARTS = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, TEXTS),
    st.builds(lambda text: {"type": "refusal", "refusal": text}, TEXTS),
    st.sampled_from(
        [
            {"type": "image_url", "image_url": {"url": URL, "detail": "low"}},
            {"type": "input_audio", "input_audio": {"data": ENCODED, "format": "wav"}},
            {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{ENCODED}"}},
        ]
    ),
)
CALLS = st.builds(
    lambda name, text: {
        "id": "c1",
        "type": "function",
        "function": {"name": name, "arguments": text},
    },
    WORDS,
    TEXTS,
)


def messages(role: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Fields]:
    """Return messages of a role, with or without a name."""
    content = st.one_of(TEXTS, st.lists(PARTS, min_size=1, max_size=3))
    return st.fixed_dictionaries(
        {"role": st.just(role), "content": content, **fields}, optional={"name": WORDS}
    )


MESSAGES = st.one_of(
    messages("system"),
    messages("developer"),
    messages("user"),
    messages("assistant"),
    messages("assistant", tool_calls=st.lists(CALLS, min_size=1, max_size=2)),
    messages("tool", tool_call_id=WORDS),
)
# Some of them are out of bounds, which both doors have to see alike.
PARAMETERS = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(-0.5, 2.5),
        "top_p": st.floats(0, 1.5),
        "max_tokens": st.integers(-1, 5),
        "presence_penalty": st.floats(-2, 2),
        "frequency_penalty": st.floats(-2, 2),
        "seed": st.integers(-(2**63), 2**63 - 1),
        "reasoning_effort": st.sampled_from(["low", "5"]),
        "top_k": st.integers(0, 5),
        "parallel_tool_calls": st.booleans(),
        "stop": st.lists(WORDS, min_size=1, max_size=3),
    },
)


def to_part(part: Fields) -> pb.ContentPart:
    match part:
        case {"type": "text", "text": str(text)}:
            return pb.ContentPart(text=text)
        case {"type": "refusal", "refusal": str(text)}:
            return pb.ContentPart(refusal=text)
        case {"type": "image_url"}:
            return pb.ContentPart(image=pb.Media(url=URL, detail="low"))
        case {"type": "input_audio"}:
            return pb.ContentPart(audio=pb.Media(data=DATA, media_type="audio/wav"))
        case _:
            return pb.ContentPart(file=pb.Media(data=DATA, media_type="application/pdf"))


def to_message(message: Fields) -> pb.Message:
    match message:
        case {"role": str(role), "content": str() | list() as content, **rest}:
            parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
            wire = pb.Message(
                role=pb.Role.Value(f"ROLE_{role.upper()}"), content=map(to_part, parts)
            )
        case _:
            raise AssertionError(message)
    for name in ("name", "tool_call_id"):
        if name in rest:
            setattr(wire, name, rest[name])
    for call in rest.get("tool_calls", ()):
        function = call["function"]
        wire.tool_calls.add(
            id=call["id"], name=function["name"], arguments_json=function["arguments"]
        )
    return wire


async def ask_grpc(
    service: RunningService, said: list[Fields], parameters: Fields, *, tools: bool
) -> str:
    """Return the reason that a call fails for, empty if it does not."""
    tool = pb.Tool(name="look")
    tool.parameters.update(SCHEMA)
    try:
        await service.client.complete(
            alias="plain",
            messages=[to_message(each) for each in said],
            parameters=pb.ModelParameters(**parameters),
            tools=[tool] if tools else [],
        )
    except PromptResolverError as error:
        return error.reason
    return ""


async def ask_http(door: HttpDoor, said: list[Fields], parameters: Fields, *, tools: bool) -> str:
    """Return the same by way of the HTTP door."""
    tool = {"type": "function", "function": {"name": "look", "parameters": SCHEMA}}
    answer = await door.chat(
        model="plain", messages=said, **parameters, **({"tools": [tool]} if tools else {})
    )
    return "" if answer.status == 200 else str(answer.error["reason"])


@given(said=st.lists(MESSAGES, max_size=3), parameters=PARAMETERS, tools=st.booleans())
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=200,
)
async def test_doors_agree(
    door_service: RunningService,
    upstream: Upstream,
    said: list[Fields],
    parameters: Fields,
    tools: bool,
) -> None:
    """What is asked by gRPC and by HTTP reaches the provider as the same bytes, or fails alike."""
    upstream.exchanges.clear()

    reasons = (
        await ask_grpc(door_service, said, parameters, tools=tools),
        await ask_http(HttpDoor(door_service.http_url), said, parameters, tools=tools),
    )

    assert reasons[0] == reasons[1]
    sent = [json.loads(exchange.body) for exchange in upstream.exchanges]
    assert len(sent) == (0 if reasons[0] else 2)
    assert sent[:1] == sent[1:]
