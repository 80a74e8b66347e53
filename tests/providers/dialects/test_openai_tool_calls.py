"""Tool calls arrive whole, however a server cuts, numbers and names them."""

import pytest

from prompt_resolver_server.domain.answers import Finish
from prompt_resolver_server.domain.prompts import ToolCall
from prompt_resolver_server.providers.assembler import Assembler
from prompt_resolver_server.providers.dialect import ProtocolError
from prompt_resolver_server.providers.dialects.openai.tool_calls import ToolCallReader

FINISH = Finish(reason="tool_calls", raw_reason="tool_calls", model="m")


def piece(
    call_id: str | None = None,
    name: str | None = None,
    arguments: str | None = None,
    index: object = None,
) -> dict[str, object]:
    fields = {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}
    return {name: value for name, value in fields.items() if value is not None}


def read(*pieces: dict[str, object]) -> list[tuple[str, str, str]]:
    reader, assembler = ToolCallReader(), Assembler()
    for each in pieces:
        told = reader.take(each)  # type: ignore[arg-type]  # foreign JSON
        assembler.add([told] if told else [])
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
def test_two_calls(pieces: list[dict[str, object]]) -> None:
    """Two calls are two calls, each with its id, its name and all of its arguments."""
    assert read(*pieces) == A_AND_B


def test_call_without_a_name() -> None:
    """A call that never names its tool is no call."""
    with pytest.raises(ProtocolError, match="the tool's name"):
        read(piece("a", None, "{}", 0))


@pytest.mark.parametrize("index", [-1, True, "0", 0.0, 2**31])
def test_numbers_that_are_none(index: object) -> None:
    """A number that is none is refused."""
    with pytest.raises(ProtocolError, match="whole number"):
        read(piece("a", "f", "{}", index))
