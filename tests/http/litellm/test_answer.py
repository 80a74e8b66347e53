"""Templates in LiteLLM's form are filled in by LiteLLM as they would be here."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from prompt_resolver_server.domain.errors import TemplateError
from prompt_resolver_server.domain.parameters import Parameters
from prompt_resolver_server.domain.prompts import (
    Media,
    Message,
    Part,
    Placeholder,
    Reasoning,
    Template,
    Text,
    Tool,
    ToolCall,
)
from prompt_resolver_server.http.litellm.answer import write_prompt
from prompt_resolver_server.rendering import find_variables
from tests.support.rendering import render_now
from tests.support.stores import make_template


def written(template: Template) -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads(write_prompt(template, template.id))
    return document


def saying(*content: Part, **fields: Any) -> Template:
    message = Message(role="user", content=content, **fields)
    return replace(make_template("p", "1"), messages=(message,))


def fill_in(content: str, variables: Mapping[str, str]) -> str:
    """Fill variables in as LiteLLM does: one after the other, in either spelling."""
    for name, value in variables.items():
        content = content.replace("{" + name + "}", value).replace("{{" + name + "}}", value)
    return content


NAMES = ("a", "b.c", "d[0]", "x")
PIECES = st.sampled_from(
    ("{{a}}", "{{ b.c }}", "{{d[0]}}", "{a}", "{b.c}", "{", "}", "{{", "}}", "x", "{{  a  }}", "{}")
)


@given(
    st.lists(PIECES, max_size=8).map("".join),
    st.fixed_dictionaries({name: st.text("xyz<%\\\n", min_size=1, max_size=3) for name in NAMES}),
)
def test_same_text(text: str, variables: dict[str, str]) -> None:
    """What is not refused is filled in with the same text, whatever stands beside a variable."""
    template = saying(Text(text))
    variables = {name: variables.get(name, "y") for name in find_variables(template)}
    (rendered,) = render_now(template, variables)
    try:
        document = written(template)
    except TemplateError:
        assert any(f"{{{name}}}" in text for name in variables)
        return

    assert fill_in(document["prompt_template"][0]["content"], variables) == rendered.text


def test_document() -> None:
    """A template is told with its model and its parameters as LiteLLM's own request has them."""
    template = replace(
        saying(Text("Hello {{ name }}, {literally}")),
        provider="google",
        parameters=Parameters(temperature=0.5, stop=("x",), extra={"top_a": 1}),
        tools=(Tool(name="f", description="Find"),),
    )

    assert written(template) == {
        "prompt_id": "p",
        "prompt_template": [{"role": "user", "content": "Hello {name}, {literally}"}],
        "prompt_template_model": "gemini/some-model",
        "prompt_template_optional_params": {
            "temperature": 0.5,
            "stop": ["x"],
            "top_a": 1,
            "tools": [{"type": "function", "function": {"name": "f", "description": "Find"}}],
        },
    }


@pytest.mark.parametrize(
    ("provider", "model", "expected"),
    [
        (None, None, None),
        ("openai", None, None),
        (None, "gpt-4o", "gpt-4o"),
        (None, "groq/x", "groq/x"),
        ("openai", "gpt-4o", "gpt-4o"),
        ("openai", "a/b", "openai/a/b"),
        ("openai_azure", "gpt-4o", "azure/gpt-4o"),
        ("anthropic", "claude", "anthropic/claude"),
    ],
)
def test_model(provider: str | None, model: str | None, expected: str | None) -> None:
    """A model is named as LiteLLM names it, and not at all where the template names none."""
    template = replace(saying(Text("x")), provider=provider, model=model)

    assert written(template).get("prompt_template_model") == expected


@pytest.mark.parametrize(
    ("effort", "expected"),
    [
        ("high", {"reasoning_effort": "high"}),
        ("2048", {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        ("-1", {"reasoning_effort": "-1"}),
    ],
)
def test_effort(effort: str, expected: object) -> None:
    """An effort that is a number is a budget of thinking tokens."""
    template = replace(saying(Text("x")), parameters=Parameters(reasoning_effort=effort))

    assert written(template)["prompt_template_optional_params"] == expected


def test_without_variables() -> None:
    """Messages of any kind are carried as long as there is nothing in them to fill in."""
    call = ToolCall(id="1", name="f", arguments_json="{}")
    thought = Reasoning(text="hm", signature=b"sig")
    image = Media(kind="image", url="https://example.invalid/x.png")
    template = replace(
        make_template("p", "1"),
        messages=(
            Message(role="user", content=(Text("{look}"), image)),
            Message(role="assistant", content=(thought,), tool_calls=(call,)),
            Message(role="tool", content=(Text("{{found}}"),), tool_call_id="1"),
        ),
    )

    user, assistant, tool = written(template)["prompt_template"]

    assert user["content"][0] == {"type": "text", "text": "{look}"}
    assert user["content"][1]["image_url"] == {"url": image.url}
    assert assistant["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}
    assert assistant["thinking_blocks"][0]["signature"] == "sig"
    assert (tool["content"], tool["tool_call_id"]) == ("{found}", "1")


IMAGE = Media(kind="image", url="https://example.invalid/{{a}}.png")
CALL = ToolCall(id="1", name="f", arguments_json='{"a": "{{a}}"}')


@pytest.mark.parametrize(
    ("template", "told"),
    [
        (saying(Text("{{a}}"), Text("b")), "messages[0]"),
        (saying(IMAGE), "messages[0]"),
        (saying(Text("x"), tool_calls=(CALL,)), "messages[0]"),
        (saying(Text("{{a}}"), tool_calls=(CALL,)), "messages[0]"),
        (saying(Text('{{snips("x")}}')), "without the output of a tool"),
        (saying(Text("{{a}} {a}")), "{a}"),
        (replace(saying(Text("x")), language="jinja"), "'default'"),
        (replace(saying(Text("x")), placeholders=(Placeholder("history", 0),)), "placeholders"),
        (replace(saying(Text("{{a}}")), defaults={"a": "x"}), "defaults"),
    ],
)
def test_what_litellm_would_fill_in_wrong(template: Template, told: str) -> None:
    """A template whose variables LiteLLM would not find, or find too often, is refused."""
    with pytest.raises(TemplateError) as caught:
        write_prompt(template, template.id)

    assert caught.value.reason == "TEMPLATE_INVALID"
    assert told in caught.value.message


def test_id() -> None:
    """The answer is told to be of the id that was asked for, as a prompt may have several."""
    template = replace(saying(Text("x")), id="pr_1")

    assert json.loads(write_prompt(template, "team/p"))["prompt_id"] == "team/p"
