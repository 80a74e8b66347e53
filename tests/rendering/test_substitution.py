"""Humanloop's default template language."""

import json
import re
import weakref

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from prompt_resolver_server.domain.errors import CallError, TemplateError
from prompt_resolver_server.domain.parameters import Json
from prompt_resolver_server.domain.prompts import Media, Message, Template, Text, ToolCall
from prompt_resolver_server.rendering import Renderer
from prompt_resolver_server.sandbox.numbers import with_whole_numbers
from tests.support.rendering import render_now

NAMES = st.text("abcXYZ019_.[]", min_size=1, max_size=6)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
# Texts in which no brace can meet another one, so that they hold no variable wherever they stand.
LITERALS = st.text(st.characters(codec="utf-8", exclude_characters="{}"), max_size=20)
SPACES = st.sampled_from(["", " ", "\t", "\n", "\xa0"])


def template(*messages: Message, language: str = "default") -> Template:
    return Template(
        id="t",
        name="t",
        version="1",
        content_sha256="0",
        location="t.prompt",
        language=language,
        messages=messages,
    )


def text_template(text: str) -> Template:
    return template(Message(role="user", content=(Text(text),)))


def render(text: str, variables: dict[str, Json]) -> str:
    return render_now(text_template(text), variables)[0].text


@pytest.mark.parametrize(
    ("text", "variables", "expected"),
    [
        ("{{name}} {{ name }} {{ name}} {{name }}", {"name": "A"}, "A A A A"),
        ("{{\tname\n}}{{\xa0name\xa0}}", {"name": "A"}, "AA"),
        ("{{  name  }}", {"name": "A"}, "{{  name  }}"),
        ("{{my-var}} {{é}} {{a b}} {{}} {{ }}", {}, "{{my-var}} {{é}} {{a b}} {{}} {{ }}"),
        ("{{a|upper}} {% if a %} {a}", {"a": "A"}, "{{a|upper}} {% if a %} {a}"),
        ("{{{a}}}", {"a": "Z"}, "{Z}"),
        ("{{{{a}}}}", {"a": "Z"}, "{{Z}}"),
        ("{{user.name}}", {"user.name": "Ada"}, "Ada"),
        ("{{xs[0]}}", {"xs[0]": "Z"}, "Z"),
        ("{{a}}", {"a": ""}, ""),
        ("{{a}}", {"a": "\\1 \\g<0>"}, "\\1 \\g<0>"),
        ("{{a}} {{b}}", {"a": "{{b}}", "b": "S"}, "{{b}} S"),
        ("{{a}}b}}", {"a": "{{"}, "{{b}}"),
        ("", {}, ""),
        ('{{ tone("calm") }}', {'tone("calm")': "Be calm."}, "Be calm."),
    ],
)
def test_substitution(text: str, variables: dict[str, Json], expected: str) -> None:
    """Variables are replaced, once, and nothing else is."""
    assert render(text, variables) == expected


def test_dots_are_not_looked_into() -> None:
    """A dotted name is a key of its own, and never an attribute or an item."""
    with pytest.raises(CallError) as caught:
        render("{{user.name}}", {"user": {"name": "Ada"}})

    assert caught.value.metadata == {"missing": "user.name"}


@given(st.lists(st.tuples(LITERALS, NAMES, SPACES, SPACES)), st.data())
def test_values_stand_where_their_variables_stood(
    pieces: list[tuple[str, str, str, str]], data: st.DataObject
) -> None:
    """A rendered text is its literals and its values, whatever is in the values."""
    values = {name: data.draw(TEXTS) for _, name, _, _ in pieces}
    text = "".join(f"{literal}{{{{{a}{name}{b}}}}}" for literal, name, a, b in pieces)

    rendered = render(text, dict(values))

    assert rendered == "".join(f"{literal}{values[name]}" for literal, name, _, _ in pieces)


@given(st.text('{}ab .[]-_()"\n\xa0', max_size=30), st.dictionaries(NAMES, TEXTS))
def test_agrees_with_one_pass_of_a_regular_expression(text: str, values: dict[str, str]) -> None:
    """Any arrangement of braces and names means what Humanloop's own expression makes of it."""
    variable = re.compile(r"\{\{[ \t\n\r\xa0]?([A-Za-z0-9_.\[\]]+)[ \t\n\r\xa0]?\}\}")
    assume("(" not in text)
    needed = set(variable.findall(text))
    missing = needed - set(values)

    if missing:
        with pytest.raises(CallError) as caught:
            render(text, dict(values))
        assert caught.value.metadata["missing"] == ",".join(sorted(missing))
    else:
        assert render(text, dict(values)) == variable.sub(lambda match: values[match[1]], text)


@given(st.text("{}ab .\n", max_size=30), st.dictionaries(NAMES, TEXTS))
def test_template_stays_as_it_is(text: str, values: dict[str, str]) -> None:
    """Rendering leaves the template as it was, and the next caller's values are its own."""
    subject, renderer = text_template(text), Renderer()
    try:
        first = render_now(subject, dict(values), renderer)
        render_now(subject, dict.fromkeys(values, "other"), renderer)
        again = render_now(subject, dict(values), renderer)
    except CallError:
        return

    assert first == again
    assert subject.messages[0].text == text


def test_constant_messages_are_shared() -> None:
    """A message without variables is the template's own, not a copy."""
    subject = template(
        Message(role="system", content=(Text("Hi"),)),
        Message(role="user", content=(Text("{{a}}"),)),
    )

    rendered = render_now(subject, {"a": "x"})

    assert rendered[0] is subject.messages[0]
    assert rendered[1] is not subject.messages[1]


def test_everything_is_rendered() -> None:
    """Variables are replaced in texts, in image URLs and in arguments; names and ids stay."""
    subject = template(
        Message(
            role="user",
            name="{{a}}",
            content=(Text("{{a}}"), Media(kind="image", url="https://x.invalid/{{a}}")),
        ),
        Message(
            role="assistant",
            tool_calls=(ToolCall(id="{{a}}", name="{{a}}", arguments_json='{"q": {{a}}}'),),
        ),
        Message(role="tool", content=(Text("{{a}}"),), tool_call_id="{{a}}"),
    )

    user, assistant, tool = render_now(subject, {"a": "v"})

    assert user.name == "{{a}}"
    assert user.content == (Text("v"), Media(kind="image", url="https://x.invalid/v"))
    assert assistant.tool_calls == (
        ToolCall(id="{{a}}", name="{{a}}", arguments_json='{"q": "v"}'),
    )
    assert (tool.text, tool.tool_call_id) == ("v", "{{a}}")


JSON_VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


@given(JSON_VALUES)
def test_arguments_stay_json(value: Json) -> None:
    """Arguments are JSON whatever the values are, inside of strings and outside."""
    call = ToolCall(id="c", name="f", arguments_json='{"in": "<{{v}}>", "out": {{v}}}')
    subject = template(Message(role="assistant", tool_calls=(call,)))

    (message,) = render_now(subject, {"v": value})

    arguments = json.loads(message.tool_calls[0].arguments_json)
    whole = with_whole_numbers(value)
    shown = (
        whole if isinstance(whole, str) else json.dumps(whole, ensure_ascii=False, sort_keys=True)
    )
    assert arguments == {"in": f"<{shown}>", "out": value}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((3.0, "3"), (-0.0, "0"), (1e16, "10000000000000000"), (1e20, "100000000000000000000")),
        *((2.0**53 + 2, "9007199254740994"), (1.5, "1.5"), (1e21, "1e+21"), (1e-7, "1e-07")),
        *(([1.0, "1.0", -0.0], '[1, "1.0", 0]'), ({"a": [1e16]}, '{"a": [10000000000000000]}')),
    ],
)
def test_whole_numbers(value: Json, expected: str) -> None:
    """A whole number has no fraction, however it came, in texts and in arguments."""
    call = ToolCall(id="c", name="f", arguments_json='["{{a}}", {{a}}]')
    subject = template(Message(role="assistant", content=(Text("{{a}}"),), tool_calls=(call,)))

    (message,) = render_now(subject, {"a": value})

    assert message.text == expected
    assert message.tool_calls[0].arguments_json == f"[{json.dumps(expected)}, {expected}]"


def test_values_that_are_too_deep() -> None:
    """A value that is nested too deeply is refused by the name of its variable."""
    value: Json = 1.0
    for _ in range(100_000):
        value = [value]

    with pytest.raises(CallError, match="a: expected fewer levels of nesting"):
        render("{{a}}", {"a": value})


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_arguments_that_python_alone_reads(number: str) -> None:
    """Numbers that JSON lacks are no JSON in arguments, though Python reads them."""
    call = ToolCall(id="c", name="f", arguments_json=f"[{{{{a}}}}, {number}]")

    with pytest.raises(TemplateError, match="to be JSON once rendered"):
        render_now(template(Message(role="assistant", tool_calls=(call,))), {"a": 1})


def test_arguments_that_are_no_json() -> None:
    """Arguments that no variables could make JSON are the author's fault."""
    call = ToolCall(id="c", name="f", arguments_json='{"q": {{a}}')
    subject = template(Message(role="assistant", tool_calls=(call,)))

    with pytest.raises(TemplateError, match="expected the arguments of the call of 'f' to be JSON"):
        render_now(subject, {"a": 1})


@pytest.mark.parametrize("language", ["default", "langfuse", "braces"])
def test_escape_before_a_value(language: str) -> None:
    """A backslash that would escape a value's own escape is the author's fault; two are none."""
    call = ToolCall(id="c", name="f", arguments_json='["\\{{a}}", "{{a}}"]')
    hostile = template(Message(role="assistant", tool_calls=(call,)), language=language)
    call = ToolCall(id="c", name="f", arguments_json='["\\\\{{a}}", "\\n{{a}}"]')
    fine = template(Message(role="assistant", tool_calls=(call,)), language=language)

    with pytest.raises(TemplateError, match="JSON without a backslash before a variable"):
        render_now(hostile, {"a": '",7,'})
    (message,) = render_now(fine, {"a": '",7,'})

    assert json.loads(message.tool_calls[0].arguments_json) == ['\\",7,', '\n",7,']


def shape(value: Json) -> Json:
    """Return a value without its texts."""
    match value:
        case str():
            return ""
        case list():
            return [shape(each) for each in value]
        case dict():
            return {name: shape(each) for name, each in value.items()}
        case _:
            return value


@given(st.text('"\\{}n:,[]', max_size=20), st.text('"\\{}n:,[]', max_size=20))
def test_no_value_gets_out(text: str, value: str) -> None:
    """Whatever arguments are, a value is a part of one string of theirs, or they are refused."""
    call = ToolCall(id="c", name="f", arguments_json=f'["{text}{{{{v}}}}", "{{{{v}}}}"]')
    subject = template(Message(role="assistant", tool_calls=(call,)))
    try:
        (plain,) = render_now(subject, {"v": "x"})
    except (CallError, TemplateError):
        return

    (hostile,) = render_now(subject, {"v": value})

    arguments = [json.loads(each.tool_calls[0].arguments_json) for each in (plain, hostile)]
    assert shape(arguments[0]) == shape(arguments[1])


def test_two_callers_never_mix() -> None:
    """A thousand renderings in turn, with two callers' values, keep them apart."""
    subject, renderer = text_template("You help {{who}}."), Renderer()

    for _ in range(1000):
        for who in ("ALICE", "BOB"):
            assert render_now(subject, {"who": who}, renderer)[0].text == f"You help {who}."


def test_a_compiled_template_dies_with_its_template() -> None:
    """What was compiled for a template is not kept beyond it."""
    arguments = ToolCall(id="c", name="f", arguments_json='{"q": {{a}}}')
    subject = template(Message(role="assistant", content=(Text("{{a}}"),), tool_calls=(arguments,)))
    renderer, alive = Renderer(), weakref.ref(subject)
    render_now(subject, {"a": "x"}, renderer)

    del subject

    assert alive() is None
