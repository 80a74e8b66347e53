"""A template can be tried with values that its schema would take."""

import asyncio

import pytest
from msgspec.structs import replace

from prompt_resolver_server.commands.lint.samples import sample_variables
from prompt_resolver_server.domain.parameters import Json
from prompt_resolver_server.rendering import Renderer
from tests.support.stores import make_template

SCHEMAS: list[tuple[Json, Json]] = [
    ({"type": "string"}, "sample"),
    ({"enum": ["a", "b"]}, "a"),
    ({"const": 7}, 7),
    ({"type": "integer"}, 1),
    ({"type": "number", "minimum": 2.5}, 2.5),
    ({"type": "boolean"}, True),
    ({"type": ["null", "string"]}, None),
    ({"type": "array", "items": {"type": "integer"}}, [1]),
    ({"type": "object", "properties": {"a": {"type": "boolean"}}}, {"a": True}),
    (True, "sample"),
]


@pytest.mark.parametrize(("schema", "value"), SCHEMAS)
def test_values(schema: Json, value: Json) -> None:
    """A declared variable gets a value of its kind."""
    template = replace(make_template("p", "v1"), schema={"properties": {"x": schema}})

    assert sample_variables(template) == {"x": value}


def test_names() -> None:
    """Every variable and every tool's output gets a value, unless it has a default."""
    template = replace(make_template("p", "v1", '{{x}} {{y}} {{tone("a")}}'), defaults={"y": "Y"})

    assert sample_variables(template) == {"x": "sample", 'tone("a")': "sample"}


def test_other_kinds() -> None:
    """What the schema tells no kind of may be of any kind that is asked for."""
    properties = {"a": {"type": "string"}, "b": {}, "c": {"type": "array"}}
    template = replace(make_template("p", "v1", "{{d}}"), schema={"properties": properties})

    assert sample_variables(template, 1) == {"a": "sample", "b": 1, "c": [1], "d": 1}


async def test_renders() -> None:
    """A template that is in order can be rendered with its samples."""
    properties = {f"x{index}": schema for index, (schema, value) in enumerate(SCHEMAS) if value}
    text = " ".join(f"{{{{{name}}}}}" for name in properties)
    template = replace(
        make_template("p", "v1", text),
        schema={"type": "object", "properties": properties, "required": list(properties)},
    )
    renderer = Renderer()
    deadline = asyncio.get_running_loop().time() + 60

    rendered = await renderer.render(template, sample_variables(template), deadline=deadline)

    assert rendered.messages[0].text.startswith("sample a 7 1 2.5 true")
    await renderer.aclose()
