"""What is wrong with prompts that can be served is told, with its place."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from prompt_resolver_server.commands.lint.findings import Findings
from prompt_resolver_server.commands.lint.prompt_checks import check_prompt
from prompt_resolver_server.commands.lint.source import Source
from prompt_resolver_server.domain.parameters import JsonObject
from prompt_resolver_server.domain.prompts import Message, Template, Text, Tool, ToolChoice
from prompt_resolver_server.templates.formats.documents import encode_template
from tests.support.linting import codes, lint

PROMPT = Template(id="p", name="p", version="1", content_sha256="0", location="p.prompt", model="m")


def check(text: str = "Hi", **fields: object) -> list[tuple[str, int | None, int | None]]:
    """Return what is wrong with a template of one text, whose file is that text alone."""
    template = replace(PROMPT, messages=(Message(role="user", content=(Text(text),)),), **fields)
    findings = Findings("p.prompt")
    check_prompt(template, Source(text.encode()), findings)
    return codes(tuple(findings))


@pytest.mark.parametrize(
    "literal",
    [
        *("{{  x }}", "{{x  }}", "{{my-var}}", "{{é}}", "{{a b}}", "{{}}", "{{a|upper}}"),
        *('{{user["name"]}}', '{{snips("a.b")}}', "{% if x %}", "{% endif %}"),
    ],
)
def test_almost_variables(literal: str) -> None:
    """What looks like a variable and comes out as it stands is told, with its line and column."""
    assert check(f"Dear {{{{x}}}},\nyour {literal}") == [("variable-literal", 2, 6)]


@pytest.mark.parametrize(
    "text", ["{{x}} {{ x }} {{user.name}} {{xs[0]}}", "{{{x}}}", '{"a": {"b": 1}}', "{ {x} }", "%}"]
)
def test_variables_and_other_braces(text: str) -> None:
    """Variables, and braces that nobody takes for one, are left alone."""
    assert check(text) == []


def test_almost_variables_of_other_languages() -> None:
    """Elsewhere the same text is right."""
    assert check("{{  x }} {% if x %}{% endif %}", language="jinja") == []


def test_the_same_twice() -> None:
    """What comes twice in a prompt is told once, where it comes first."""
    assert check("{{my-var}} {{my-var}}") == [("variable-literal", 1, 1)]


SCHEMA: JsonObject = {"type": "object", "properties": {"name": {}, "city": {}}}


def test_undeclared_and_unused_variables() -> None:
    """A variable that the schema does not have, and one that no text has, are told."""
    found = check("From {{name}}\nto {{town}}", schema=SCHEMA)

    assert found == [("variable-unused", None, None), ("variable-undeclared", 2, 4)]


def test_defaults_declare() -> None:
    """A variable with a default is declared by it."""
    assert check("{{name}} {{city}} {{x}}", schema=SCHEMA, defaults={"x": 1}) == []


def test_schema_that_allows_more() -> None:
    """A schema that takes any further variable has none that is undeclared."""
    schema = {**SCHEMA, "additionalProperties": True}

    assert check("{{name}} {{city}} {{x}}", schema=schema) == []


def test_no_schema() -> None:
    """Where nothing is declared, nothing is undeclared."""
    assert check("{{anything}}") == []


def test_snippets() -> None:
    """A reference to a tool's snippet is told, unless the store has brought it."""
    text = 'Be {{tone("kind")}}, {{ tone(mood) }}'
    snippets = {"tone": {"kind": "gentle"}}

    assert check(text) == [("snippet-missing", 1, 6), ("snippet-missing", 1, 25)]
    assert check(text, snippets=snippets) == []
    assert check(text, snippets={"tone": {}}) == [("snippet-missing", 1, 6)]


def test_tools() -> None:
    """A tool that comes twice is told, and a choice of none of the tools."""
    look = Tool(name="look")

    assert check(tools=(look, look)) == [("tool-duplicate", None, None)]
    assert check(tools=(look,), tool_choice=ToolChoice(tool_name="find")) == [
        ("tool-choice-invalid", None, None)
    ]
    assert check(tool_choice=ToolChoice(mode="required")) == [("tool-choice-invalid", None, None)]
    assert check(tools=(look,), tool_choice=ToolChoice(tool_name="look")) == []
    assert check(tool_choice=ToolChoice(mode="auto")) == []


def test_model() -> None:
    """A prompt without a model is a note: somebody else has to name one."""
    assert check(model=None) == [("model-missing", None, None)]


async def test_documents(tmp_path: Path) -> None:
    """A document is checked as a prompt file is."""
    template = replace(PROMPT, messages=(Message(role="user", content=(Text("{{my-var}}"),)),))
    path = tmp_path / "p.prompt.json"
    path.write_bytes(encode_template(template))

    (finding,) = await lint(path)

    assert (finding.code, finding.path) == ("variable-literal", str(path))
