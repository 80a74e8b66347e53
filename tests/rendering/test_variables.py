"""The variables of a template are known without rendering it."""

import pytest
from msgspec.structs import replace

from prompt_resolver_server.domain.prompts import (
    Media,
    Message,
    Reasoning,
    Template,
    Text,
    ToolCall,
)
from prompt_resolver_server.rendering import find_variables
from tests.support.rendering import make_text
from tests.support.stores import make_template

EVERYWHERE = (
    Message(role="system", content=(Text("{{b}} and {{ a }} and {{b}}, {c}, {{not one}}"),)),
    Message(role="user", content=(Media(kind="image", url="https://{{host}}/x.png"),)),
    Message(
        role="assistant",
        content=(Reasoning(text="{{thought}}"),),
        tool_calls=(ToolCall(id="{{id}}", name="f", arguments_json='{"a": "{{arg[0]}}"}'),),
    ),
    Message(role="tool", content=(Text('{{snips("x")}}{{user.name}}'),), tool_call_id="1"),
)


def template(*messages: Message) -> Template:
    return replace(make_template("p", "1"), messages=messages)


def test_names() -> None:
    """Each variable is named once, in the order of first use, wherever one may stand."""
    assert find_variables(template(*EVERYWHERE)) == ("b", "a", "host", "arg[0]", "user.name")


@pytest.mark.parametrize(
    ("language", "text", "names"),
    [
        ("langfuse", "{{ a b }}{{c.d}}{a}{{{e}}}{{}}", ("a b", "c.d")),
        ("braces", "{{a}}{b}{ c }{}", ("a", "b", " c ")),
        (
            "jinja",
            "{% set x = a %}{{ x }}{{ b|default(c) }}{% for i in d %}{{ i }}{% endfor %}",
            ("a", "b", "c", "d"),
        ),
        ("jinja", "{{ broken", ()),
        (
            "handlebars",
            "{{a}}{{#if b}}{{c.d}}{{/if}}{{#each e}}{{f}}{{../g}}{{/each}}{{> p h=i}}",
            ("a", "b", "c", "e", "g", "i", "j"),
        ),
        ("handlebars", "{{#if broken}}", ()),
        ("handlebars", "{{> endless}}", ()),
        ("mustache", "{{a}}", ()),
    ],
)
def test_languages(language: str, text: str, names: tuple[str, ...]) -> None:
    """Each language has its own variables; what nobody can read has none."""
    partials = {"p": "{{h}}{{j}}{{> p}}", "endless": "{{#each a}}{{> endless}}{{/each}}"}
    subject = make_text(text, language, partials=partials)

    assert find_variables(subject) == names


def test_snippets() -> None:
    """A variable that chooses a snippet is one, where the template has the snippets."""
    subject = make_text('{{tone(mood)}}{{tone("calm")}}{{other(key)}}', snippets={"tone": {}})

    assert find_variables(subject) == ("mood",)


@pytest.mark.parametrize("language", ["jinja", "handlebars"])
def test_templates_that_are_made_anew(language: str) -> None:
    """What was found in texts is known of them, whichever template they are of."""
    text = "{{first_of_these}} {{second_of_these}}"

    names = find_variables(make_text(text, language))

    assert names == ("first_of_these", "second_of_these")
    assert find_variables(make_text(text, language)) is names
    assert find_variables(make_text(text + "{{third}}", language)) == (*names, "third")


def test_partials_are_texts() -> None:
    """A partial that has changed is another text."""
    old = make_text("{{> a}}", "handlebars", partials={"a": "{{old}}"})
    new = make_text("{{> a}}", "handlebars", partials={"a": "{{new}}"})

    assert find_variables(old) == ("old",)
    assert find_variables(new) == ("new",)


def test_templates_that_compute_a_lot() -> None:
    """Of a template that computes a lot nobody waits for the names, however much prose it has."""
    prose = "some prose " * 4_000

    assert find_variables(make_text(prose + "{{ a }}" * 1_900, "jinja")) == ("a",)
    assert find_variables(make_text("{{ a }}" * 2_100, "jinja")) == ()
    assert find_variables(make_text("{{ [" + "a," * 30_000 + "] }}", "jinja")) == ()
