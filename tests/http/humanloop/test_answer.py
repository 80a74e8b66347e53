"""Templates in the form of Humanloop's API mean what they are."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from prompt_resolver_server.domain.parameters import JsonSchema, Parameters, ResponseFormat
from prompt_resolver_server.domain.prompts import (
    Media,
    Message,
    Placeholder,
    PromptRef,
    Reasoning,
    Template,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)
from prompt_resolver_server.http.humanloop.answer import (
    write_environments,
    write_page,
    write_prompt,
    write_versions,
)
from prompt_resolver_server.templates.humanloop.prompt import read_prompt
from prompt_resolver_server.templates.listing import Environment, ListQuery, TemplatePage
from tests.support.stores import make_template

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
WORDS = TEXTS.filter(bool)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | FINITE | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=5,
)
OBJECTS = st.dictionaries(TEXTS, JSON, max_size=2)


def or_none(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def tuples(strategy: st.SearchStrategy[Any], most: int = 2) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(strategy, max_size=most).map(tuple)


PARTS = st.builds(Text, TEXTS) | st.builds(
    Media, kind=st.just("image"), url=TEXTS, detail=or_none(WORDS)
)
THOUGHTS = st.builds(Reasoning, text=TEXTS, signature=or_none(WORDS.map(str.encode))) | st.builds(
    Reasoning, redacted=TEXTS.map(str.encode)
)
MESSAGES = st.builds(
    Message,
    role=st.sampled_from(("system", "developer", "user", "assistant", "tool")),
    content=st.tuples(tuples(THOUGHTS, 2), tuples(PARTS)).map(lambda both: (*both[0], *both[1])),
    name=or_none(WORDS),
    tool_calls=tuples(st.builds(ToolCall, id=TEXTS, name=TEXTS, arguments_json=WORDS), 2),
    tool_call_id=or_none(TEXTS),
)
SCHEMAS = st.builds(
    ResponseFormat,
    type=st.just("json_schema"),
    json_schema=st.builds(JsonSchema, name=WORDS, schema=OBJECTS, strict=or_none(st.booleans())),
)
PARAMETERS = st.builds(
    Parameters,
    temperature=or_none(st.floats(0, 1e300)),
    top_p=or_none(st.floats(0, 1)),
    max_tokens=or_none(st.integers(1, 2**31 - 1)),
    stop=tuples(TEXTS),
    presence_penalty=or_none(FINITE),
    frequency_penalty=or_none(FINITE),
    seed=or_none(st.integers(-(2**63), 2**63 - 1)),
    reasoning_effort=or_none(
        st.sampled_from(("high", "--5", "٣", "9" * 40, "")) | st.integers(-9999, 9999).map(str)
    ),
    response_format=or_none(
        st.builds(ResponseFormat, type=st.sampled_from(("text", "json_object"))) | SCHEMAS
    ),
    top_k=or_none(st.integers(1, 2**31 - 1)),
    parallel_tool_calls=or_none(st.booleans()),
    extra=st.dictionaries(st.sampled_from(("logit_bias", "top_a", "é")), JSON, max_size=3),
)
TOOLS = st.builds(
    Tool, name=WORDS, description=TEXTS, parameters=or_none(OBJECTS), strict=or_none(st.booleans())
)
CHOICES = st.builds(ToolChoice, mode=st.sampled_from(("auto", "none", "required"))) | st.builds(
    ToolChoice, tool_name=WORDS
)
PLACES = st.lists(st.tuples(st.integers(0, 3), WORDS), max_size=3)


@st.composite
def contents(draw: st.DrawFn) -> Mapping[str, Any]:
    """Messages, and placeholders in their order among them."""
    messages = draw(tuples(MESSAGES))
    places = sorted((min(position, len(messages)), name) for position, name in draw(PLACES))
    placeholders = tuple(Placeholder(name, position) for position, name in places)
    return {"messages": messages, "placeholders": placeholders}


def fill(template: Template, content: Mapping[str, Any], **fields: Any) -> Template:
    return replace(template, **content, **fields)


TEMPLATES = st.builds(
    fill,
    st.just(make_template("team/p", "v1")),
    contents(),
    tool_choice=or_none(CHOICES),
    defaults=OBJECTS,
    schema=or_none(OBJECTS),
    partials=st.dictionaries(TEXTS, TEXTS, max_size=2),
    snippets=st.dictionaries(TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=2), max_size=2),
    model=or_none(WORDS),
    provider=or_none(st.sampled_from(("openai", "mock", "google", "fake"))),
    language=st.sampled_from(("default", "jinja")),
    parameters=PARAMETERS,
    tools=tuples(TOOLS),
    created_at=or_none(st.datetimes(timezones=st.just(UTC))),
)


def written(template: Template) -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads(write_prompt(template))
    return document


def content(template: Template) -> dict[str, object]:
    return {
        name: getattr(template, name)
        for name in Template.__struct_fields__
        if name not in ("content_sha256", "size", "created_at")
    }


def read(template: Template) -> Template:
    return read_prompt(write_prompt(template), PromptRef(id=template.id))


@given(TEMPLATES)
def test_round_trip(template: Template) -> None:
    """Whatever a template says, the `humanloop` store reads it from what is written."""
    assert content(read(template)) == content(template)


@given(WORDS.filter(lambda text: text.strip() != ""))
def test_text(text: str) -> None:
    """A template that its store has as a text is written as one, and stays one."""
    message = Message(role="user", content=(Text(text),))
    template = replace(make_template("p", "1"), messages=(message,), as_text=True)

    document = written(template)

    assert (document["template"], document["endpoint"]) == (text, "complete")
    assert content(read(template)) == content(template)


@given(TEMPLATES, TEMPLATES)
def test_hash(one: Template, other: Template) -> None:
    """Templates that say something else are read with another hash."""
    same = content(one) == content(other)

    assert same or read(one).content_sha256 != read(other).content_sha256


def test_required_fields() -> None:
    """All that the API requires is there, also where the store does not know it."""
    nothing = {"model": None, "provider": None, "messages": ()}
    document = written(replace(make_template("team/p", "v1"), location="team/p.prompt", **nothing))

    epoch = "1970-01-01T00:00:00+00:00"
    texts = {"path": "team/p", "id": "team/p", "name": "team/p", "version_id": "v1", "model": ""}
    moments = dict.fromkeys(("created_at", "updated_at", "last_used_at"), epoch)
    counts = dict.fromkeys(("version_logs_count", "total_logs_count"), 0)
    required = {**texts, **moments, **counts, "inputs": [], "type": "prompt", "template": []}
    assert {name: document[name] for name in required} == required


def test_words_of_the_api() -> None:
    """Providers, budgets, tools, other parameters and inputs are told as the API tells them."""
    template = replace(
        make_template("p", "1", "{{a}} {{b}} {{a}}"),
        provider="gemini",
        parameters=Parameters(reasoning_effort="1024", top_k=5, extra={"logit_bias": {}}),
        tools=(Tool(name="f", description="", parameters={"type": "object"}, strict=True),),
        created_at=datetime(2025, 5, 1, 12, tzinfo=UTC),
    )

    document = written(template)

    assert document["provider"] == "google"
    assert document["reasoning_effort"] == 1024
    assert document["other"] == {"logit_bias": {}, "top_k": 5}
    assert document["inputs"] == [{"name": "a"}, {"name": "b"}]
    assert document["tools"] == [
        {"name": "f", "description": "", "parameters": {"type": "object"}, "strict": True}
    ]
    assert document["created_at"] == "2025-05-01T12:00:00+00:00"
    assert document["template"] == [{"role": "user", "content": "{{a}} {{b}} {{a}}"}]


def test_lists() -> None:
    """A page tells which one it is, versions are not paged, and environments are a bare list."""
    template = make_template("p", "1")
    one = Environment(id="e1", name="production", tag="default", template=template)
    other = Environment(id="e2", name="staging", tag="other")

    page = json.loads(
        write_page(TemplatePage(templates=(template,), total=7), ListQuery(page=2, size=3))
    )
    versions = json.loads(write_versions([template]))
    environments = json.loads(write_environments([one, other]))

    assert page == {"records": [written(template)], "page": 2, "size": 3, "total": 7}
    assert versions == {"records": [written(template)]}
    assert environments[0]["file"] == written(template)
    assert environments[1] == {
        "id": "e2",
        "created_at": "1970-01-01T00:00:00+00:00",
        "name": "staging",
        "tag": "other",
    }


def test_placeholders() -> None:
    """A placeholder stands among the messages, in lists as well, which leave nothing out."""
    template = make_template("p", "1")
    places = (Placeholder("end", 1), Placeholder("first", 0), Placeholder("second", 0))
    subject = replace(template, placeholders=places, as_text=True)

    document = written(subject)
    page = TemplatePage(templates=(subject, template), total=2)

    assert [(each["role"], each.get("name")) for each in document["template"]] == [
        *(("placeholder", "first"), ("placeholder", "second")),
        *(("user", None), ("placeholder", "end")),
    ]
    assert document["endpoint"] == "chat"
    assert json.loads(write_page(page, ListQuery()))["records"][0] == document
    assert json.loads(write_versions([subject]))["records"] == [document]
    environment = Environment(id="e", name="e", tag="other", template=subject)
    assert json.loads(write_environments([environment]))[0]["file"] == document


def test_what_the_api_has_no_form_for() -> None:
    """It stands in a field of ours, which is not there where it is not needed."""
    template = make_template("p", "1")
    subject = replace(template, defaults={"lang": "English"}, partials={"footer": "Bye"})

    assert written(subject)["prompt_resolver"] == {
        "defaults": {"lang": "English"},
        "partials": {"footer": "Bye"},
    }
    assert "prompt_resolver" not in written(template)


def test_name_of_the_limit() -> None:
    """A limit by the name that the API lacks is among the other parameters, and read from there."""
    named = Parameters(max_tokens=9, limit_name="max_completion_tokens", extra={"top_a": 0.5})
    template = replace(make_template("p", "1"), parameters=named)

    document = written(template)

    assert document["other"] == {"max_completion_tokens": 9, "top_a": 0.5}
    assert "max_tokens" not in document
    assert content(read(template)) == content(template)
