"""Tool calls arrive whole, however a server cuts, numbers and names them."""

import json
from typing import Any, TypeAlias

import pytest

from prompt_resolver_server.domain.answers import Finish, ToolCallDelta
from prompt_resolver_server.domain.prompts import ToolCall
from prompt_resolver_server.providers.assembler import Assembler
from prompt_resolver_server.providers.dialect import ProtocolError
from prompt_resolver_server.providers.dialects.openai.tool_calls import ToolCallReader

Piece: TypeAlias = dict[str, Any]

FINISH = Finish(reason="tool_calls", raw_reason="tool_calls", model="m")


def piece(
    call_id: object = None,
    name: str | None = None,
    arguments: object = None,
    index: object = None,
) -> Piece:
    fields: Piece = {
        "index": index,
        "id": call_id,
        "function": {"name": name, "arguments": arguments},
    }
    return {name: value for name, value in fields.items() if value is not None}


def read(*pieces: Piece | list[Piece]) -> list[tuple[str, str, str]]:
    """Return the calls that pieces make, each of them alone in its event or in a list."""
    reader, assembler = ToolCallReader(), Assembler()
    for each in pieces:
        assembler.add(reader.take(each if isinstance(each, list) else [each]))
    reader.end()
    calls = assembler.finish(FINISH).message.tool_calls
    assert all(isinstance(call, ToolCall) for call in calls)
    return [(call.id, call.name, call.arguments_json) for call in calls]


A_AND_B = [("a", "f", "{}"), ("b", "g", "[]")]


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param(
            [piece("a", "f", "{}", 0), piece("b", "g", "[]", 1)],
            id="numbered",
        ),
        pytest.param(
            [piece("a", "f", "{}"), piece("b", "g", "[]")],
            id="not numbered",
        ),
        pytest.param(
            [piece("a", "f", "{"), piece(None, None, "}"), piece("b", "g"), piece("", "", "[]")],
            id="not numbered, in pieces",
        ),
        pytest.param(
            [piece("a", "f", "{}", 0), piece("b", "g", "[]", 0)],
            id="all with the same number",
        ),
        pytest.param(
            [piece("a", "f", "{", 0), piece("a", "f", "}", 0), piece("b", "g", "[]", 1)],
            id="id and name repeated",
        ),
        pytest.param(
            [piece("a", "f", "{", 0), piece("x", None, "}", 0), piece("b", "g", "[]", 1)],
            id="another id with each piece",
        ),
        pytest.param(
            [piece(None, None, "{", 0), piece("a", "f", "}", 0), piece("b", "g", "[]", 1)],
            id="id and name late",
        ),
        pytest.param(
            [piece("a", None, None, 0), piece(None, "f", "{}", 0), piece("b", "g", "[]", 5)],
            id="name after the id, a number left out",
        ),
        pytest.param(
            [piece(None, "f", "{}", 0), piece("a", None, None, 0), piece("b", "g", "[]", 1)],
            id="id after the name",
        ),
        pytest.param(
            [
                piece("a", "f", "{", 0),
                piece("b", "g", "[", 1),
                piece(None, None, "}", 0),
                piece(None, None, "]", 1),
            ],
            id="interleaved",
        ),
    ],
)
def test_two_calls(pieces: list[Piece]) -> None:
    """Two calls are two calls, each with its id, its name and all of its arguments."""
    assert read(*pieces) == A_AND_B


def test_call_without_a_name() -> None:
    """A call that never names its tool is no call."""
    with pytest.raises(ProtocolError, match="the tool's name"):
        read(piece("a", None, "{}", 0))


@pytest.mark.parametrize("index", [-1, True, "-1", "one", "", "9" * 5000, 0.0, 2**31])
def test_numbers_that_are_none(index: object) -> None:
    """A number that is none is refused."""
    with pytest.raises(ProtocolError, match="whole number"):
        read(piece("a", "f", "{}", index))


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param(
            [piece("", "f", "{}", 0), piece("", "g", "[]", 0)],
            id="all with the same number",
        ),
        pytest.param(
            [piece("", "f", "{", 0), piece("", "", "}", 0), piece("", "g", "[]", 0)],
            id="all with the same number, in pieces",
        ),
        pytest.param(
            [piece(None, "f", "{}"), piece(None, "g", "[]")],
            id="not numbered",
        ),
        pytest.param(
            [[piece(None, "f", "{}"), piece(None, "g", "[]")]],
            id="not numbered, in one list",
        ),
        pytest.param(
            [[piece(None, "f", "{}", 0), piece(None, "g", "[]", 1)]],
            id="numbered, in one list",
        ),
    ],
)
def test_two_calls_without_ids(pieces: list[Piece | list[Piece]]) -> None:
    """Calls that have no ids are told apart by their names."""
    assert read(*pieces) == [("", "f", "{}"), ("", "g", "[]")]


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param(
            [piece("", "f", '{"a": 1}', 0), piece("", "f", '{"a": 2}', 0)],
            id="whole",
        ),
        pytest.param(
            [
                *(piece(None, "f", each) for each in ('{"a"', ": 1}", '{"a": ', "2}")),
                piece(None, "f", ""),
            ],
            id="the name with every piece",
        ),
        pytest.param(
            [
                *(piece("", "f", "", 0), piece("", "", '{"a": 1}', 0)),
                *(piece("", "f", "", 0), piece("", "", '{"a"', 0), piece("", "", ": 2}", 0)),
            ],
            id="the name first",
        ),
        pytest.param(
            [[piece(None, "f", '{"a": 1}'), piece(None, "f", '{"a": 2}')]],
            id="in one list",
        ),
    ],
)
def test_one_tool_twice(pieces: list[Piece | list[Piece]]) -> None:
    """A tool that is called twice is two calls, even without ids and numbers."""
    assert [call[1:] for call in read(*pieces)] == [("f", '{"a": 1}'), ("f", '{"a": 2}')]


@pytest.mark.parametrize("call_id", ["", "c"])
@pytest.mark.parametrize(
    "arguments",
    [
        ['{"a": ', "{", '"b": 1', "}", "}", ""],
        ['{"a": "}', "{", "}", '{"}', ""],
        ['{"a": "', *["{}"] * 20, '"}'],
        ["", "{}", "", " "],
    ],
)
def test_name_that_is_repeated(call_id: str, arguments: list[str]) -> None:
    """A call whose every piece has its name is one call, however its arguments are cut."""
    (call,) = read(*(piece(call_id, "f", each, 0) for each in arguments))

    assert call[1:] == ("f", "".join(arguments))


def test_call_is_told_from_its_beginning() -> None:
    """What is told of a call begins with its name, and with all of its arguments so far."""
    reader = ToolCallReader()

    told = [
        reader.take([each])
        for each in (piece("a", None, "{", 0), piece(None, "f", "", 0), piece(None, None, "}", 0))
    ]

    first = ToolCallDelta(index=0, id="a", name="f", arguments_json="{")
    assert told == [[], [first], [ToolCallDelta(index=0, arguments_json="}")]]


def test_other_types() -> None:
    """Arguments may be an object, and ids and numbers may be of each other's type."""
    calls = read(piece(7, "f", {"a": [1, "é"]}, "0"), piece(8, "g", {}, "1"))

    assert [(call_id, name) for call_id, name, _ in calls] == [("7", "f"), ("8", "g")]
    assert [json.loads(arguments) for *_, arguments in calls] == [{"a": [1, "é"]}, {}]


@pytest.mark.parametrize("arguments", [[], [1], 1, True])
def test_arguments_that_are_none(arguments: object) -> None:
    """Arguments that are neither text nor an object are refused."""
    with pytest.raises(ProtocolError, match="arguments"):
        read(piece("a", "f", arguments, 0))
