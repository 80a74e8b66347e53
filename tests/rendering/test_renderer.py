"""Templates that workers render become the same messages as others."""

import json
from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prompt_resolver_server.domain.errors import CallError, TemplateError
from prompt_resolver_server.domain.parameters import Json, JsonObject
from prompt_resolver_server.domain.prompts import (
    Media,
    Message,
    Placeholder,
    Template,
    Text,
    ToolCall,
)
from prompt_resolver_server.rendering import Rendered, Renderer, find_variables
from tests.support.rendering import FOREVER, make_text, running_renderer

JSON_VALUES = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(0.25, 0.75) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
async def renderer() -> AsyncIterator[Renderer]:
    """A renderer with workers."""
    async with running_renderer() as running:
        yield running


async def render(renderer: Renderer, template: Template, **variables: Json) -> Rendered:
    return await renderer.render(template, variables, deadline=FOREVER)


def image(url: str) -> Media:
    return Media(kind="image", url=url)


async def test_jinja(renderer: Renderer) -> None:
    """Texts, URLs and arguments are rendered, each for itself; roles, names and ids stay."""
    subject = make_text(
        "",
        "jinja",
        placeholders=(Placeholder("history", 1),),
        messages=(
            Message(role="system", content=(Text("constant"),)),
            Message(
                role="user",
                name="{{ a }}",
                content=(
                    Text("{% if a %}{{ a }}{% endif %}"),
                    Media(kind="image", url="x:{{ a }}"),
                ),
            ),
            Message(
                role="assistant",
                tool_calls=(
                    ToolCall(id="{{ a }}", name="f", arguments_json='{"q": "{{ a }}", "n": [1]}'),
                    ToolCall(id="2", name="f", arguments_json='{"q": {{ a|tojson }}}'),
                ),
            ),
        ),
    )
    value = '{{ a }}", "n": "<system>\n'

    rendered = await render(renderer, subject, a=value)

    system, user, assistant = rendered.messages
    assert system is subject.messages[0]
    assert (user.name, user.role) == ("{{ a }}", "user")
    assert user.content == (Text(value), image(f"x:{value}"))
    assert [json.loads(call.arguments_json) for call in assistant.tool_calls] == [
        {"q": value, "n": [1]},
        {"q": value},
    ]
    assert rendered.placeholders == subject.placeholders


def calling(arguments: str) -> Template:
    call = ToolCall(id="1", name="f", arguments_json=arguments)
    return make_text("", "jinja", messages=(Message(role="assistant", tool_calls=(call,)),))


async def render_arguments(renderer: Renderer, arguments: str, **variables: Json) -> object:
    rendered = await render(renderer, calling(arguments), **variables)
    return json.loads(rendered.messages[0].tool_calls[0].arguments_json)


@pytest.mark.parametrize(
    "arguments",
    [
        # Its value would be between quotes that are the template's.
        '{"a": "{{ x }}", "b": {% if x %}1{% else %}2{% endif %}}',
        '{"a": "{{ x }}"{% if x %}, "b": 1{% endif %}}',
        '{"a": "{{ x|default("y") }}"}',
        "{ {{ x }}: 1}",
        '{"a": {{ x }}{{ x }}}',
        '{"a": -{{ x }}}',
        '{"a": 1{{ x }}}',
        '{"a": {{ x }}',
        '{"a": "{{ x }}',
        '{"a": "{{ x }}", "b": NaN}',
        '{"a": {{ x }}, "b": -Infinity}',
        '{"a": "{{ x }}", "b": "\\q"}',
        '{"a": {{ x',
        '{"a": {{}}}',
        '{"a": {{ x }} {{ "}}" }}}',
        '{"a": {# x #}}',
    ],
)
async def test_arguments_that_are_no_json(renderer: Renderer, arguments: str) -> None:
    """Arguments in which a value is no part of a string, nor a whole value, are refused."""
    with pytest.raises(TemplateError) as caught:
        await render(renderer, calling(arguments), x=1)

    assert caught.value.reason == "TEMPLATE_INVALID"


@pytest.mark.parametrize(
    ("text", "schema"), [("{{ x }}\ud800", None), ("{{ x }}", {"maximum": 2**64})]
)
async def test_templates_that_cannot_be_told(
    renderer: Renderer, text: str, schema: JsonObject | None
) -> None:
    """A template of which a worker cannot even be told is its author's fault, and no fault here."""
    with pytest.raises(TemplateError, match="texts of whole characters, and a schema with") as told:
        await render(renderer, make_text(text, "jinja", schema=schema), x="x")

    assert told.value.reason == "TEMPLATE_INVALID"


@pytest.mark.parametrize("arguments", ['{"a": "\\ud800{{ x }}"}', '{"a": ["{{ x }}\\udc00"]}'])
async def test_arguments_of_half_a_character(renderer: Renderer, arguments: str) -> None:
    """Half of a character beside a value is no text that could be rendered."""
    with pytest.raises(TemplateError, match="'f' to be JSON of whole characters"):
        await render(renderer, calling(arguments), x="x")


async def test_arguments_that_are_not_rendered(renderer: Renderer) -> None:
    """What stands beside a value in arguments stays as it was written."""
    arguments = '{"{{ x }}" : "\\ud83d\\ude00 \\ud800",\n "n":1e400, "q" :\t"{{ x }}\\n"}'

    rendered = await render(renderer, calling(arguments), x="\U0001f600")

    (call,) = rendered.messages[0].tool_calls
    assert call.arguments_json == arguments.replace('\t"{{ x }}', '\t"\U0001f600')


async def test_arguments_in_place_of_values(renderer: Renderer) -> None:
    """An expression in place of a value is written as JSON, which `tojson` has done already."""
    arguments = (
        '{"a": {{ x }}, "b": [{{- x|tojson -}}, {{ x|tojson|tojson }}, {{ n }}, {{ none }}],'
        ' "c": {{ n + 1 if n > 1 else x }}, "d": "{% if n > 1 %}{{ x }}{% endif %}",'
        ' "e": {{ x|upper }}, "f": {{ [x, n]|tojson(indent=2) }}}'
    )
    value = 'q", "z": "{{ n }}'

    assert await render_arguments(renderer, arguments, x=value, n=3) == {
        "a": value,
        "b": [value, json.dumps(value), 3, None],
        "c": 4,
        "d": value,
        "e": value.upper(),
        "f": [value, 3],
    }


@settings(
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(JSON_VALUES)
async def test_arguments_stay_json(renderer: Renderer, value: Json) -> None:
    """Arguments are JSON whatever the values are, inside of strings and in place of values."""
    arguments = '{"in": "<{{ [v]|tojson }}>", "out": {{ v }}, "{{ v }}": [{{ [v] }}]}'

    rendered = await render_arguments(renderer, arguments, v=value)

    written = json.dumps([value], ensure_ascii=False, sort_keys=True)
    assert rendered == {"in": f"<{written}>", "out": value, "{{ v }}": [[value]]}


async def test_arguments_that_are_too_deep(renderer: Renderer) -> None:
    """Arguments whose values nobody could follow are over the budget, and have no variables."""
    arguments = "[" * 500 + '"{{ a }}"' + "]" * 500
    call = ToolCall(id="1", name="f", arguments_json=arguments)
    subject = make_text("", "jinja", messages=(Message(role="assistant", tool_calls=(call,)),))

    with pytest.raises(TemplateError) as caught:
        await render(renderer, subject, a="x")
    assert caught.value.reason == "TEMPLATE_BUDGET"
    assert find_variables(subject) == ()


async def test_handlebars(renderer: Renderer) -> None:
    """The template makes the messages, and the history is a placeholder among them."""
    subject = make_text(
        '{{role "system"}}In {{lang}}.{{history}}{{role "user"}}'
        "{{> ask}}{{media url=u contentType=kind}}",
        "handlebars",
        partials={"ask": "Hi {{name}}"},
        defaults={"lang": "en", "kind": "audio/wav"},
    )

    rendered = await render(renderer, subject, name="Ada", u="https://x.invalid/a")

    assert rendered.messages == (
        Message(role="system", content=(Text("In en."),)),
        Message(
            role="user",
            content=(
                Text("Hi Ada"),
                Media(kind="audio", url="https://x.invalid/a", media_type="audio/wav"),
            ),
        ),
    )
    assert rendered.placeholders == (Placeholder("history", 1),)


@pytest.mark.parametrize("language", ["default", "langfuse", "braces", "jinja", "handlebars"])
async def test_schema(renderer: Renderer, language: str) -> None:
    """Variables are checked by the template's schema in each language, defaults included."""
    spelled = "{a}" if language == "braces" else "{{a}}"
    subject = make_text(
        spelled,
        language,
        defaults={"b": 1},
        schema={
            "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        },
    )

    assert (await render(renderer, subject, a="x")).messages[0].text == "x"
    with pytest.raises(CallError) as caught:
        await render(renderer, subject, b="SECRET")
    assert {(each.field, each.description) for each in caught.value.violations} == {
        ("variables.a", "missing"),
        ("variables.b", "expected the type integer"),
    }
    assert caught.value.metadata == {"missing": "a"}
    assert "SECRET" not in caught.value.message


@pytest.mark.parametrize(
    ("text", "language", "reason"),
    [
        ("{{ ''.__class__ }}", "jinja", "TEMPLATE_FORBIDDEN"),
        ("{{ SECRET", "jinja", "TEMPLATE_INVALID"),
        ("{{ a }}" * 6000, "jinja", "TEMPLATE_BUDGET"),
        ("{{role a}}", "handlebars", "TEMPLATE_FORBIDDEN"),
        ("{{#if SECRET}}", "handlebars", "TEMPLATE_INVALID"),
    ],
)
async def test_refused(renderer: Renderer, text: str, language: str, reason: str) -> None:
    """Why a template is not rendered is told by its place, and nothing of its text is."""
    with pytest.raises(TemplateError) as caught:
        await render(renderer, make_text(text, language), a="x")

    assert caught.value.reason == reason
    assert caught.value.metadata == {"id": "p"}
    assert caught.value.message.startswith("p: expected ")
    assert "SECRET" not in caught.value.message


@pytest.mark.parametrize("language", ["default", "langfuse", "braces"])
async def test_very_many_variables(renderer: Renderer, language: str) -> None:
    """A template that only fills in has its budget, too."""
    await render(renderer, make_text("{{a}}" * 10_000, language), a="x")
    with pytest.raises(TemplateError) as caught:
        await render(renderer, make_text("{{a}}" * 10_001, language), a="x")

    assert caught.value.reason == "TEMPLATE_BUDGET"


async def test_schema_that_takes_too_long(renderer: Renderer) -> None:
    """A pattern that backtracks without end is over the budget, and stops nothing else."""
    subject = make_text("x", schema={"properties": {"a": {"pattern": "^(a+)+$"}}})

    with pytest.raises(TemplateError) as caught:
        await render(renderer, subject, a="a" * 60 + "!")
    assert caught.value.reason == "TEMPLATE_BUDGET"
