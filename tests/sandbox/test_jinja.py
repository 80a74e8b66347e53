"""Jinja2 as templates may use it."""

import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import prompt_resolver_server
from prompt_resolver_server.domain.parameters import Json
from prompt_resolver_server.sandbox.protocol import Done, Refused, Unfit
from tests.support.sandbox import answer

LOOP = (
    "{{% set ns = namespace(x={start}) %}}"
    "{{% for _ in range(99) %}}{{% set ns.x = {step} %}}{{% endfor %}}"
)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)


def rendered(text: str, **variables: Json) -> str:
    reply = answer("jinja", text, variables=variables)
    assert isinstance(reply, Done), reply
    return reply.texts[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ name }}, {{ user.city }}, {{ xs[0] }}", "Ada, Bern, 1"),
        ("{% for x in xs %}{{ loop.index }}:{{ x }} {% endfor %}", "1:1 2:2 "),
        ("{% if vip is defined %}VIP{% else %}guest{% endif %}", "guest"),
        ("{{ vip|default('guest') }} {{ vip|d('x') }}", "guest x"),
        ("{{ xs|join(', ') }} {{ name|upper }} {{ xs|length }}", "1, 2 ADA 2"),
        (LOOP.format(start="0", step="ns.x + 1") + "{{ ns.x }}", "99"),
        ("{% macro greet(who) %}Hi {{ who }}{% endmacro %}{{ greet(name) }}", "Hi Ada"),
        (
            "{{ user }} {{ true }} {{ 1.5 }} {{ user|tojson }}",
            '{"city": "Bern"} true 1.5 {"city": "Bern"}',
        ),
        ("{{ '<b>' }}{{ name|replace('A', '&') }}\n", "<b>&da\n"),
        ("{{ 7 // 2 }} {{ 7 % 4 }} {{ 3 * 2 }} {{ 'a' ~ 1 }} {{ [1] + [2] }}", "3 3 6 a1 [1, 2]"),
        ("{{ 'a\nb'|indent(2) }}", "a\n  b"),
    ],
)
def test_rendering(text: str, expected: str) -> None:
    """Templates do what prompts need, and values look as they do in every language."""
    assert rendered(text, name="Ada", user={"city": "Bern"}, xs=[1, 2]) == expected


def test_methods() -> None:
    """Methods that texts need may be called by any name, and a field may have that of a method."""
    text = (
        "{% set f = name.upper %}{{ f() }} {% for g in [name.strip] %}{{ g() }}{% endfor %}"
        " {{ d.format }} {{ d.center.x }} {{ d['join'] }} {{ [d]|map(attribute='zfill')|join }}"
    )

    assert rendered(
        text, name=" a ", d={"format": 1, "center": {"x": 2}, "join": 3, "zfill": 4}
    ) == (" A  a 1 2 3 4")


@given(st.lists(TEXTS, min_size=3, max_size=3))
def test_values_are_literal(values: list[str]) -> None:
    """Whatever is in a value comes out as that, and is never looked at again."""
    one, two, three = values
    hostile = f"{{{{ two }}}}{{% for %}}{{# {one}"

    assert rendered("<{{ a }}|{{ two }}|{{ c }}>", a=hostile, two=two, c=three) == (
        f"<{hostile}|{two}|{three}>"
    )


@given(st.text("{}%# ab|.()'_\n*-", max_size=40))
def test_any_text(text: str) -> None:
    """No text, however broken, does more than to be refused or rendered."""
    assert isinstance(answer("jinja", text, variables={"a": "x", "b": [1]}), Done | Refused | Unfit)


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ ''['__class__'] }}",
        "{{ a|attr('__class__') }}",
        "{{ [a]|map(attribute='__class__')|list }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ self.__init__ }}",
        "{{ '{0.__class__}'.format(a) }}",
        "{{ a.format_map({}) }}",
        "{% set f = a.format %}{{ a.encode() }}",
        "{% set f = '{:>9000}'.format %}{{ f('a') }}",
        "{% set f = a.format_map %}{{ f({}) }}",
        "{% for f in [a.center] %}{{ f(9) }}{% endfor %}",
        "{% macro m(f) %}{{ f(9) }}{% endmacro %}{{ m(a.zfill) }}",
        "{% set x = namespace(f=a.ljust) %}{{ x.f }}",
        "{% set f = a['expandtabs'] %}{{ f(9999) }}",
        "{% for f in [a]|map(attribute='ljust') %}{{ f(9999) }}{% endfor %}",
        "{{ dict.fromkeys }}",
        "{{ (a|default('x')).join|string }}",
        "{{ lipsum(n=100000) }}",
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% from 'x' import y %}",
        "{% extends 'x' %}",
        "{% block x %}{% endblock %}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ '%99999999d' % 1 }}",
        "{{ ('%9999' ~ '9999d') % 1 }}",
        "{{ a % 1 }}",
        "{{ 'x' * 99999999 }}",
        "{{ a * 99999999 }}",
        "{{ [1] * 99999999 }}",
        "{{ range(99999999) }}",
        "{{ range(n * 1000) }}",
        "{{ a|center(99999999) }}",
        "{{ a|indent(99999999) }}",
        "{{ a|indent(n * 1000) }}",
        "{{ a|pprint }}",
        "{{ a is callable }}",
        "{{ config() }}",
    ],
)
def test_what_is_forbidden(text: str) -> None:
    """What reaches out of the template or blows it up is forbidden, and nothing comes out."""
    reply = answer("jinja", "fine", text, variables={"a": "x", "n": 99999})

    assert isinstance(reply, Refused)
    assert (reply.fault, reply.text) == ("forbidden", 1)


@pytest.mark.parametrize(
    "text",
    [
        LOOP.format(start="99999999999", step="ns.x * ns.x"),
        LOOP.format(start="'x' ~ a", step="ns.x + ns.x"),
        "{{ a|replace('', long)|replace('', long) }}",
        "{% for _ in range(9999) %}{{ long }}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ " + "(" * 400 + "1" + ")" * 400 + " }}",
        "{% if a %}" * 70 + "{% endif %}" * 70,
        "{% for _ in [1] %}" * 30 + "{% endfor %}" * 30,
        "{{ a }}" * 5_001,
    ],
)
def test_what_is_too_much(text: str) -> None:
    """What is too large, too deep or without an end is over its budget before it is made."""
    reply = answer("jinja", text, variables={"a": "x", "long": "y" * 2000})

    assert isinstance(reply, Refused)
    assert reply.fault == "budget"


@pytest.mark.parametrize(
    ("text", "line"),
    [("ok\n{{ oops", 2), ("{% endfor %}", 1), ("{{ a|nope }}", 1), ("{{ 1 is nope }}", 1)],
)
def test_what_is_no_template(text: str, line: int) -> None:
    """What is not Jinja2 is told by its line, and none of its text is."""
    reply = answer("jinja", text)

    assert isinstance(reply, Refused)
    assert (reply.fault, reply.line) == ("invalid", line)
    assert "oops" not in reply.expected
    assert "nope" not in reply.expected


def test_number_without_end() -> None:
    """A number that has more digits than Python reads is no template."""
    assert isinstance(answer("jinja", "{{ " + "9" * 10_000 + " }}"), Refused)


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'x' + 1 }}",
        "{{ 1 / 0 }}",
        "{{ a() }}",
        "{{ a|upper(1) }}",
        "{{ a|join(between='-', attribut='x') }}",
        "{{ [a]|map('upper') }}",
        "{{ {1: a, 'b': a}|tojson }}",
        "{{ a }}\n{% if [1] > 'x' %}{% endif %}",
        "{{ xs|upper|map }}",
        "{{ a|truncate(-1, true, '...') }}",
        "{{ '1e999'|float }}",
    ],
)
def test_what_does_not_fit(text: str) -> None:
    """A template that fails whatever the variables are is at fault itself, and crashes not."""
    assert isinstance(answer("jinja", text, variables={"a": "x", "xs": [1]}), Refused)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("{{ a + 1 }}", {"a": "expected what the template can use"}),
        ("\n{% for _ in range(a) %}{% endfor %}", {"a": "expected what the template can use"}),
        ("{% if user.name > 18 %}{% endif %}", {"user.name": "expected what the template can use"}),
        ("{{ n }}\n{{ n / 0.0 }}", {"n": "expected what the template can use"}),
        ("{% for k, v in xs %}{% endfor %}", {"xs": "expected what the template can use"}),
        ("{{ a|dictsort }}", {"a": "expected what the template can use"}),
        ("{{ a.split(1) }}", {"a": "expected what the template can use"}),
        ("{{ n - a }}", {"": "expected what the template can use, in one of n, a"}),
        ("{% set b = a %}\n{{ b - 1 }}", {"b": "expected what the template can use"}),
    ],
)
def test_what_values_do_not_fit(text: str, problems: dict[str, str]) -> None:
    """A value that the template cannot do with as it says is told, by the names in that line."""
    variables: dict[str, Json] = {"a": "s3cret", "n": 1, "xs": [1], "user": {"name": "x"}}

    assert answer("jinja", text, variables=variables) == Unfit(problems)


def test_names_that_are_texts() -> None:
    """Where a template names a field by a text that is no name, the text is in no error."""
    reply = answer("jinja", "{{ a['s3cret prose'] + 1 }}", variables={"a": {"s3cret prose": "x"}})

    assert reply == Unfit({"a": "expected what the template can use"})


@pytest.mark.parametrize(
    ("text", "line"),
    [("a\n{{ [b]|map('upper') }}", 2), ("\n\n{{ b[ '__cla' ~ 'ss__' ] }}", 3)],
)
def test_lines_of_what_fails_when_it_runs(text: str, line: int) -> None:
    """What shows only when a template is rendered is told by its line, too."""
    reply = answer("jinja", text, variables={"b": "x"})

    assert isinstance(reply, Refused)
    assert (reply.text, reply.line) == (0, line)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (
            "{{ b }}{{ a }}{% if c %}{% endif %}{{ n }}",
            {"a": "missing", "b": "missing", "c": "missing", "n": "null"},
        ),
        ("{% if a is defined %}{{ a }}{% endif %}{{ b|default('') }}", {}),
        ("{% if n is none %}nothing{% endif %}", {}),
        ("{{ n|default('x') }}", {}),
        ("{% if a is not defined %}{{ a }}{% endif %}", {"a": "missing"}),
        ("{{ user.age }}", {"user.age": "missing"}),
        ("{{ user.age * 2 }}", {"user.age": "missing"}),
        ("{{ user.age + 1 }}", {"user.age": "missing"}),
        ("{{ 1 - user.age }}", {"user.age": "missing"}),
        ("{{ user['age']['of'] }}", {"user.age": "missing"}),
        ("{{ deep.er.of }}", {"deep.er.of": "missing"}),
        ("{{ user.of }}{{ deep.of }}", {"of": "missing"}),
        ("{% for x in [user] %}{{ x.age }}{% endfor %}", {"age": "missing"}),
        ("{{ user.nothing }}", {"user.nothing": "null where text is expected"}),
        ("{{ 1 }}\n{{ user.nothing }}", {"user.nothing": "null where text is expected"}),
        ("{% for x in [none] %}{{ x }}{% endfor %}", {"x": "null where text is expected"}),
        ("{% for x in xs %}{{ x }}{% endfor %}{% set y = 1 %}{{ y }}", {}),
    ],
)
def test_what_is_missing(text: str, problems: dict[str, str]) -> None:
    """All that is missing or null is named at once, but for what the template asks about."""
    values: dict[str, Json] = {
        "n": None,
        "user": {"nothing": None},
        "deep": {"er": {}},
        "xs": [],
        "unused": 1,
    }
    reply = answer("jinja", text, variables=values)

    assert reply == (Unfit(problems) if problems else reply)
    assert isinstance(reply, Unfit if problems else Done)


@pytest.mark.parametrize(
    "text",
    [
        "{{ user[secret] }}",
        "{{ user[secret].x }}",
        "{{ xs[secret] }}",
        "{{ user[user] }}",
        "{{ [user]|map(attribute=secret)|join }}",
        "{{ [user, user]|sort(attribute=secret) }}",
    ],
)
def test_names_that_are_values(text: str) -> None:
    """A field that a value names is told to be missing, and not by that name."""
    reply = answer("jinja", text, variables={"secret": "s3cret", "user": {"name": "x"}, "xs": []})

    assert reply == Unfit({"": "expected a value to name a field that there is"})


def test_one_environment() -> None:
    """One module makes a Jinja2 environment, once, and nothing outside of its folder knows any."""
    knowing, made = set(), []
    root = Path(prompt_resolver_server.__file__).parents[2]
    for path in sorted([*root.glob("service/**/*.py"), *root.glob("clients/**/*.py")]):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        if any("jinja2" in _imported(node) for node in nodes):
            knowing.add(path.parent.name)
            made += [
                (path.name, ast.unparse(node.func))
                for node in nodes
                if isinstance(node, ast.Call)
                and ast.unparse(node.func).endswith(("Environment", "Template"))
            ]

    assert knowing == {"jinja"}
    assert made == [("environment.py", "_Environment")]


def _imported(node: ast.AST) -> set[str]:
    match node:
        case ast.ImportFrom(module=str() as module):
            return {module.partition(".")[0]}
        case ast.Import(names=names):
            return {alias.name.partition(".")[0] for alias in names}
        case _:
            return set()
