"""The languages that only fill variables in, beside Humanloop's."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_resolver_server.domain.errors import CallError, TemplateError
from prompt_resolver_server.domain.parameters import Json
from prompt_resolver_server.domain.prompts import Message, Text, ToolCall
from tests.support.rendering import make_text, render_now

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)


def render(language: str, text: str, **variables: Json) -> str:
    return render_now(make_text(text, language), variables)[0].text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{a}}{{ a }}{{   a\n}}", "AAA"),
        ("{{ x y }}{{b-c.d}}", "XYBCD"),
        ("{{{a}}}", "{{{a}}}"),
        ("{{a", "{{a"),
        ("{{}}{{ }}", "{{}}{{ }}"),
        ("}}{{a}}}}", "}}A}}"),
        ("{a} {{{{a}} {{a}}", "{a} {{{{a}} A"),
    ],
)
def test_langfuse(text: str, expected: str) -> None:
    """Whatever stands between two pairs of braces is a name, and braces in it make it text."""
    variables: dict[str, Json] = {"a": "A", "x y": "XY", "b-c.d": "BCD", "{a": "no", "": "no"}

    assert render("langfuse", text, **variables) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{a}}{a}", "AA"),
        ("{{{a}}}", "{A}"),
        ("{b} {{b}} { a } {}", "{b} {{b}} { a } {}"),
        ('{"a": {a}, "b": "{b}"}', '{"a": A, "b": "{b}"}'),
        ("{a", "{a"),
    ],
)
def test_braces(text: str, expected: str) -> None:
    """Names that are given are variables in either spelling; all other braces are text."""
    assert render("braces", text, a="A") == expected


def test_braces_that_must_be_given() -> None:
    """A name that the schema requires is missing where it is not given, and defaults are given."""
    subject = make_text("{a}{b}{c}", "braces", defaults={"b": "B"})
    assert render_now(subject, {})[0].text == "{a}B{c}"

    with pytest.raises(CallError) as caught:
        render("braces", "{a}{b}", a=None)
    assert caught.value.metadata == {"missing": "a"}


@pytest.mark.parametrize(("language", "text"), [("langfuse", "{{b}}{{ a }}{{n}}")])
def test_missing(language: str, text: str) -> None:
    """What is missing or null is told at once, in the languages whose own tools leave it."""
    with pytest.raises(CallError) as caught:
        render(language, text, n=None)

    assert caught.value.metadata == {"missing": "a,b,n"}


@pytest.mark.parametrize(("language", "spelled"), [("langfuse", "{{ %s }}"), ("braces", "{%s}")])
@given(values=st.lists(TEXTS, min_size=2, max_size=2))
def test_values_are_literal(language: str, spelled: str, values: list[str]) -> None:
    """Whatever is in a value comes out as that, and is never looked at again."""
    one, two = values
    hostile = f"{spelled % 'b'}{one}{{{{ b }}}}"
    text = f"<{spelled % 'a'}|{spelled % 'b'}>"

    assert render(language, text, a=hostile, b=two) == f"<{hostile}|{two}>"


@pytest.mark.parametrize("language", ["langfuse", "braces"])
@given(text=st.text('{}ab "\n', max_size=40))
def test_any_text(language: str, text: str) -> None:
    """Text without a variable stays as it is, whatever braces are in it."""
    try:
        rendered = render(language, text)
    except CallError:
        # Langfuse's variables are told by nothing but their braces.
        rendered = text if language == "langfuse" and "}}" in text else ""

    assert rendered == text


@pytest.mark.parametrize(("language", "spelled"), [("langfuse", "{{a}}"), ("braces", "{a}")])
@given(value=TEXTS)
def test_arguments_stay_json(language: str, spelled: str, value: str) -> None:
    """A value in the arguments of a tool's call stays in its place."""
    call = ToolCall(id="c", name="f", arguments_json=f'{{"in": "<{spelled}>"}}')
    message = Message(role="assistant", content=(Text("x"),), tool_calls=(call,))
    subject = make_text("", language, messages=(message,))

    (rendered,) = render_now(subject, {"a": value})

    assert json.loads(rendered.tool_calls[0].arguments_json) == {"in": f"<{value}>"}


def test_braces_without_end_take_no_time() -> None:
    """A text full of braces that never close is read once, not once for each of them."""
    for language in ("default", "langfuse", "braces"):
        assert len(render(language, "{{ " * 100_000)) == 300_000


def test_unknown_language() -> None:
    """A language that is not served is told, with those that are."""
    with pytest.raises(TemplateError, match="handlebars, got 'mustache'") as caught:
        render("mustache", "x")

    assert caught.value.metadata == {"id": "p", "language": "mustache"}
