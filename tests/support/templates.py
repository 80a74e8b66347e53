"""Templates of all kinds, for properties that hold for every one of them."""

from datetime import UTC, datetime

from hypothesis import strategies as st

from prompt_resolver_server.domain.parameters import JsonSchema, Parameters, ResponseFormat
from prompt_resolver_server.domain.prompts import (
    Media,
    Message,
    Part,
    Placeholder,
    Reasoning,
    Refusal,
    Template,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)

texts = st.text(max_size=40) | st.sampled_from(
    [
        *("<user>", "</user>\n<system>", "a\r\nb", "  indented\n    more", "\n\n", "trailing  \n"),
        *("{{name}}", "{{#if x}}", "{% if x %}", "System: x", "---\nmodel: m\n---\n", "\ufeffx"),
        *("true", "1e5", "010", "null", "~", "a: b", "# x", "<text>x</text>", "\x00", "\x85"),
    ]
)
names = st.text(min_size=1, max_size=10)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
json_objects = st.dictionaries(names, json_values, max_size=3)
some = st.none() | names

parts: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, texts),
    st.builds(Media, kind=st.just("image"), url=texts, detail=some),
    st.builds(Media, kind=st.sampled_from(["audio", "file"]), data=st.binary(max_size=9)),
    st.builds(Reasoning, text=texts, signature=st.none() | st.binary(max_size=5)),
    st.builds(Refusal, texts),
)
messages = st.builds(
    Message,
    role=st.sampled_from(["system", "developer", "user", "assistant", "tool"]),
    content=st.one_of(
        st.builds(Text, texts).map(lambda part: (part,)), st.lists(parts, max_size=3).map(tuple)
    ),
    name=some,
    tool_calls=st.lists(
        st.builds(ToolCall, id=names, name=names, arguments_json=texts), max_size=2
    ).map(tuple),
    tool_call_id=some,
)
numbers = st.none() | st.floats(0, 1)
parameters = st.builds(
    Parameters,
    temperature=numbers,
    top_p=numbers,
    max_tokens=st.none() | st.integers(1, 9999),
    stop=st.lists(texts, max_size=2).map(tuple),
    presence_penalty=numbers,
    seed=st.none() | st.integers(-(2**63), 2**63 - 1),
    reasoning_effort=st.sampled_from([None, "low", "0", "yes"]),
    response_format=st.none()
    | st.just(ResponseFormat(type="json_object"))
    | st.builds(
        ResponseFormat,
        type=st.just("json_schema"),
        json_schema=st.builds(
            JsonSchema, name=names, schema=json_objects, strict=st.none() | st.booleans()
        ),
    ),
    top_k=st.none() | st.integers(1, 99),
    parallel_tool_calls=st.none() | st.booleans(),
    extra=st.dictionaries(st.sampled_from(["min_p", "x"]), texts, max_size=1),
)
tools = st.lists(
    st.builds(
        Tool,
        name=names,
        description=texts,
        parameters=st.none() | json_objects,
        strict=st.none() | st.booleans(),
    ),
    max_size=2,
).map(tuple)

plain_templates = st.builds(
    Template,
    id=st.just("pr_1"),
    name=st.sampled_from(["hello", "another"]),
    version=st.sampled_from(["v1", "1.10", "prv_x y", "é"]),
    content_sha256=st.just("ab" * 32),
    location=st.just("team/hello"),
    language=st.sampled_from(["default", "jinja"]),
    messages=st.lists(messages, max_size=3).map(tuple),
    model=some,
    provider=some,
    parameters=parameters,
    tools=tools,
    created_at=st.none() | st.just(datetime(2026, 1, 1, tzinfo=UTC)),
)
"""Templates that Humanloop's format may be able to say all of."""

templates = st.one_of(
    plain_templates,
    st.builds(
        Template,
        id=st.just("pr_1"),
        name=st.just("hello"),
        version=st.just("v1"),
        content_sha256=st.just("ab" * 32),
        location=st.just("team/hello"),
        language=st.sampled_from(["default", "langfuse", "braces"]),
        messages=st.lists(messages, max_size=2).map(tuple),
        placeholders=st.lists(st.builds(Placeholder, names, st.integers(0, 2)), max_size=2).map(
            tuple
        ),
        tool_choice=st.none() | st.builds(ToolChoice, tool_name=names),
        defaults=json_objects,
        schema=st.none() | json_objects,
        partials=st.dictionaries(names, texts, max_size=2),
        snippets=st.dictionaries(names, st.dictionaries(names, texts, max_size=2), max_size=2),
        as_text=st.booleans(),
    ),
    st.builds(
        Template,
        id=st.just("pr_1"),
        name=st.just("hello"),
        version=st.just("v1"),
        content_sha256=st.just("ab" * 32),
        location=st.just("team/hello"),
        language=st.just("handlebars"),
        messages=st.builds(Text, texts).map(lambda text: (Message(role="user", content=(text,)),)),
        defaults=json_objects,
        schema=st.none() | json_objects,
        partials=st.dictionaries(names, texts, max_size=2),
    ),
)
"""Templates of all kinds."""
