"""Google's dotprompt files are read as Google reads them, as far as this service can serve them."""

import pytest

from prompt_resolver_server.domain.parameters import JsonSchema, Parameters, ResponseFormat
from prompt_resolver_server.domain.prompts import Tool
from prompt_resolver_server.templates.formats.dotprompt import find_partials, parse_dotprompt
from prompt_resolver_server.templates.formats.prompt_file import (
    PromptFile,
    PromptFileError,
    read_source,
)


def parse(text: str) -> PromptFile:
    return parse_dotprompt(read_source(text.encode()))


def read(header: str, body: str = "Hi") -> PromptFile:
    return parse(f"---\n{header}\n---\n{body}")


def test_all_of_it() -> None:
    """The front matter becomes model, parameters, defaults, schema and tools; the body stays."""
    file = parse(
        """# Copyright Somebody
# SPDX-License-Identifier: Apache-2.0

---
name: greet
variant: formal
model: googleai/gemini-2.0-flash
config:
  temperature: 0.2
  topK: 40
  topP: 0.9
  maxOutputTokens: 64
  stopSequences: [END]
  safety: {level: low}
input:
  schema: {name: string}
  default: {lang: en}
output:
  format: json
  schema: {greeting: string}
tools: [find]
toolDefs:
  - name: find
    description: Find it
    inputSchema: {part: string}
a.b: c
---

{{role "system"}}You greet in {{lang}}.
{{role "user"}}Hi {{name}}

"""
    )

    (message,) = file.messages
    name = {"type": "object", "properties": {"name": {"type": "string"}}}
    assert message.text == '{{role "system"}}You greet in {{lang}}.\n{{role "user"}}Hi {{name}}'
    assert (message.role, file.language, file.as_text) == ("user", "handlebars", True)
    assert (file.provider, file.model) == ("gemini", "gemini-2.0-flash")
    assert (file.defaults, file.schema) == (
        {"lang": "en"},
        {**name, "additionalProperties": False, "required": ["name"]},
    )
    form = file.parameters.response_format
    assert form is not None
    assert form.json_schema is not None
    assert form.json_schema.schema["required"] == ["greeting"]
    assert file.parameters == Parameters(
        temperature=0.2,
        top_k=40,
        top_p=0.9,
        max_tokens=64,
        stop=("END",),
        response_format=form,
        extra={"safety": {"level": "low"}},
    )
    (tool,) = file.tools
    assert (tool.name, tool.description) == ("find", "Find it")
    assert tool.parameters is not None
    assert tool.parameters["required"] == ["part"]


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("Hi {{name}}\n", "Hi {{name}}\n"),
        ("# Title\nHi\n", "# Title\nHi\n"),
        ("---\n---\n\n Hi \n", "Hi"),
        ("---\r\nmodel: m\r\n---\r\nHi\r\n\r\nyou", "Hi\n\nyou"),
        ("", ""),
    ],
)
def test_front_matter_may_be_absent(text: str, body: str) -> None:
    """Without a front matter everything is the body, and with one the body is trimmed."""
    assert parse(text).messages[0].text == body


@pytest.mark.parametrize(
    ("header", "provider", "model"),
    [
        ("model: vertexai/gemini-2.0-flash", "vertex_ai", "gemini-2.0-flash"),
        ("model: openai/gpt-4o", "openai", "gpt-4o"),
        ("model: anthropic/claude-sonnet-4-0", "anthropic", "claude-sonnet-4-0"),
        ("model: openrouter/meta/llama", "openrouter", "meta/llama"),
        ("model: gpt-4o", None, "gpt-4o"),
        ("model: googleai/gemini\nconfig: {version: gemini-001}", "gemini", "gemini-001"),
        ("name: x", None, None),
    ],
)
def test_model(header: str, provider: str | None, model: str | None) -> None:
    """A vendor before the model is its provider, by the provider's name here."""
    file = read(header)

    assert (file.provider, file.model) == (provider, model)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("{}", None),
        ("{format: text}", ResponseFormat(type="text")),
        ("{format: json}", ResponseFormat(type="json_object")),
        *(
            (
                text,
                ResponseFormat(
                    type="json_schema",
                    json_schema=JsonSchema(name="output", schema={"type": "string"}),
                ),
            )
            for text in ("{schema: string}", "{format: json, schema: string}")
        ),
    ],
)
def test_output(output: str, expected: ResponseFormat | None) -> None:
    """The output's format and schema are the response's, and a schema is one of JSON."""
    assert read(f"output: {output}").parameters.response_format == expected


def test_names_of_our_own() -> None:
    """Parameters that dotprompt has no name for are known by the names that all formats have."""
    file = read("config: {max_tokens: 5, frequency_penalty: 0.5, seed: 1}\ntoolDefs: [{name: f}]")

    assert file.parameters == Parameters(max_tokens=5, frequency_penalty=0.5, seed=1)
    assert file.tools == (Tool(name="f"),)


@pytest.mark.parametrize(
    ("header", "line", "problem"),
    [
        ("model: [m]", 2, "model: expected text, got a list"),
        ("config: 1", 2, "config: expected a mapping, got a number"),
        ("config:\n  temperature: hot", 3, "config.temperature: expected a number, got text"),
        ("config:\n  topP: 7", 3, "config.topP: expected a number from 0 to 1"),
        ("config: {topK: x}", 2, "config.topK: expected a whole number, got text"),
        ("config: {topK: 99999999999}", 2, "config.topK: expected a smaller number"),
        ("config: {stopSequences: [1]}", 2, "config.stopSequences.0: expected text"),
        ("config: {topP: 1, top_p: 1}", 2, "config.top_p: expected it once, as 'topP' is the same"),
        ("config: {version: 2}", 2, "config.version: expected text, got a number"),
        ("config:\n  apiKey: x", 3, "config.apiKey: refused, as it would decide where"),
        ("config: {stream: true}", 2, "config.stream: refused, as it is set by this service"),
        ("input: [a]", 2, "input: expected a mapping, got a list"),
        ("input: {default: a}", 2, "input.default: expected a mapping, got text"),
        ("input: {schema: {a: Customer}}", 2, "input.schema.a: expected one of the types"),
        ("input:\n  schema:\n    a(x, canary): y", 4, "input.schema.a: expected array, object"),
        ("output: {format: xml}", 2, "output.format: expected json or text"),
        ("tools: [find]", 2, "tools.0: expected the name of one of `toolDefs`"),
        ("tools: [{name: find}]", 2, "tools.0: expected the name of a tool, got a mapping"),
        ("tools: find", 2, "tools: expected a list, got text"),
        ("toolDefs: [1]", 2, "toolDefs.0: expected a tool with a name, got a number"),
        ("toolDefs: [{}]", 2, "toolDefs.0.name: expected the tool's name"),
        ("toolDefs: [{name: f, description: 1}]", 2, "toolDefs.0.description: expected text"),
        ("toolDefs: [{name: f}, {name: f}]", 2, "toolDefs.1.name: expected each tool once"),
        ("model: &a m\nname: *a", 2, "expected no aliases"),
        ("model: !!python/name:os.system x", 2, "expected plain data, not a tag"),
        ("model: m\nmodel: n", 3, "expected each key once"),
    ],
)
def test_refuses(header: str, line: int, problem: str) -> None:
    """What cannot be served is refused with its line, its place, and what was expected."""
    with pytest.raises(PromptFileError) as caught:
        read(header)

    assert caught.value.problem.startswith(problem)
    assert caught.value.line == line
    assert caught.value.forbidden == ("refused" in problem)
    assert "canary" not in caught.value.problem


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{{> a}} {{>b}} {{~> c x=1 ~}} {{> a}}", ("a", "b", "c")),
        ("{{#> layout}}x{{/layout}}", ("layout",)),
        ("{{> \"a-b\"}} {{> 'c'}} {{> shared/d}}", ("a-b", "c", "shared/d")),
        ("\\{{> a}} {{> (lookup x)}} {{> @partial-block}} {{#if a}} {{a}} > b", ()),
    ],
)
def test_partials(text: str, names: tuple[str, ...]) -> None:
    """The partials that a text includes are found, save those whose names are made up later."""
    assert find_partials(text) == names
