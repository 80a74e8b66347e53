"""A streamed answer, put together, is the whole answer."""

from prompt_resolver_server.domain.answers import (
    Finish,
    Opened,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
)
from prompt_resolver_server.domain.prompts import Message, Reasoning, Refusal, Text, ToolCall
from prompt_resolver_server.providers.assembler import Assembler

FINISH = Finish(reason="stop", raw_reason="stop", model="m")


def test_everything() -> None:
    """Texts, thoughts, refusals and tool calls are joined, each with its own."""
    assembler = Assembler()
    assembler.add([Opened(id="i", model="m"), ReasoningDelta(Reasoning(text="t"))])
    assembler.add([ReasoningDelta(Reasoning(text="u", signature=b"s"))])
    assembler.add([TextDelta("a"), ToolCallDelta(index=1, id="c1", name="g")])
    assembler.add([ToolCallDelta(index=0, id="c0", name="f", arguments_json='{"x"')])
    assembler.add([TextDelta("b"), ToolCallDelta(index=0, arguments_json=":1}", signature=b"q")])
    assembler.add([RefusalDelta("no"), RefusalDelta("pe")])

    answer = assembler.finish(FINISH)

    assert (answer.id, answer.finish) == ("i", FINISH)
    assert answer.message == Message(
        role="assistant",
        content=(Reasoning(text="tu", signature=b"s"), Text("ab"), Refusal("nope")),
        tool_calls=(
            ToolCall(id="c0", name="f", arguments_json='{"x":1}', signature=b"q"),
            ToolCall(id="c1", name="g", arguments_json=""),
        ),
    )


def test_order() -> None:
    """Parts keep their order, and each thought its own signature: it is sent back as it came."""
    assembler = Assembler()
    for thought in (
        Reasoning(text="a"),
        Reasoning(text="b"),
        Reasoning(signature=b"s"),
        Reasoning(text="c", signature=b"t"),
        Reasoning(redacted=b"r"),
        Reasoning(redacted=b"q"),
        Reasoning(text="d"),
    ):
        assembler.add([ReasoningDelta(thought)])
    assembler.add([TextDelta("x"), ToolCallDelta(index=0, id="c", name="f"), TextDelta("y")])
    assembler.add([ReasoningDelta(Reasoning(signature=b"u")), TextDelta("z")])

    assert assembler.finish(FINISH).message.content == (
        Reasoning(text="ab", signature=b"s"),
        Reasoning(text="c", signature=b"t"),
        Reasoning(redacted=b"r"),
        Reasoning(redacted=b"q"),
        Reasoning(text="d"),
        Text("xy"),
        Reasoning(signature=b"u"),
        Text("z"),
    )


def test_nothing() -> None:
    """An answer without anything in it is an empty message."""
    assert Assembler().finish(FINISH).message == Message(role="assistant")
