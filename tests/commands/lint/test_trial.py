"""A template is tried with sample values: what they alone are to blame for is no finding."""

from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from prompt_resolver_server.commands.lint.trial import find_fault
from prompt_resolver_server.domain.errors import Reason
from prompt_resolver_server.domain.prompts import Template
from prompt_resolver_server.rendering import Renderer
from tests.support.stores import make_template


@pytest.fixture
async def renderer() -> AsyncIterator[Renderer]:
    renderer = Renderer()
    yield renderer
    await renderer.aclose()


def jinja(text: str) -> Template:
    return replace(make_template("p", "v1", text), language="jinja")


ORDINARY = [
    "{% for i in range(n) %}{{ i }}{% endfor %}",
    "{% for i in range(10 - n) %}{{ i }}{% endfor %}",
    "{% if age > 18 %}adult{% endif %}",
    "{{ a + 1 }} {{ total / 2 }} {{ total - 1 }} {{ price * 2 }} {{ n % 2 }}",
    "{{ price|round(2) }}",
    "{% for k, v in d|dictsort %}{{ k }}={{ v }}{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }}{% endfor %}",
    "{% for k, v in d|items %}{{ k }}={{ v }}{% endfor %}",
    "{% for a, b in pairs %}{{ a }}{{ b }}{% endfor %}",
    "{{ xs|sum }} {{ xs|sum(attribute='price') }} {{ xs|max }}",
    "{% if n is divisibleby 2 %}even{% endif %}",
    "{{ s|truncate(n) }}",
    "{{ (a + [1])|join(',') }}",
    "{% for a in xs %}{% for b in a.ys %}{{ b.z + 1 }}{% endfor %}{% endfor %}",
    "{{ xs[0].name }} {{ user.name|upper }} {{ s[:3] }} {{ xs|batch(3)|list }}",
    "{{ price * 2 }}{{ s|truncate(3) }}{{ xs|sum }}",
    "{% if a is mapping %}{{ a.b }}{% elif a is number %}{{ 1 + a }}{% endif %}",
]


@pytest.mark.parametrize("text", ORDINARY)
async def test_templates_that_compute(renderer: Renderer, text: str) -> None:
    """A template that is right for some values is right, whatever kind of values it is for."""
    assert await find_fault(jinja(text), renderer) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{% if a > 1 %}", Reason.TEMPLATE_INVALID),
        ("{{ a + 1 }}{{ a|nothing }}", Reason.TEMPLATE_INVALID),
        ("{{ a + 1 }}{{ a|upper(3) }}", Reason.TEMPLATE_INVALID),
        ("{{ [a]|map('upper') }}", Reason.TEMPLATE_INVALID),
        ("{{ a + 1 }}{{ a.__class__ }}", Reason.TEMPLATE_FORBIDDEN),
        ("{{ a + 1 }}{{ a['__cla' ~ 'ss__'] }}", Reason.TEMPLATE_FORBIDDEN),
        ("{{ a['__cla' ~ 'ss__'] }}", Reason.TEMPLATE_FORBIDDEN),
        ("{{ a - 1 }}" + "{% for _ in range(999) %}" * 3 + "{% endfor %}" * 3, "TEMPLATE_BUDGET"),
    ],
)
async def test_faults(renderer: Renderer, text: str, reason: str) -> None:
    """What no value makes right is found, also behind what the samples do not fit."""
    fault = await find_fault(jinja(text), renderer)

    assert fault is not None
    assert fault.reason == reason


async def test_schema(renderer: Renderer) -> None:
    """Where the schema tells the kind of each value, no value is of another kind."""
    template = jinja("{{ x * 3 }}")
    text = {"type": "object", "properties": {"x": {"type": "string"}}}

    fault = await find_fault(replace(template, schema=text), renderer)

    assert await find_fault(template, renderer) is None
    assert fault is not None
    assert fault.reason is Reason.TEMPLATE_FORBIDDEN


async def test_text(renderer: Renderer) -> None:
    """A template in which there is nothing to fill in is tried as it stands."""
    assert await find_fault(replace(jinja(""), messages=()), renderer) is None
    assert await find_fault(make_template("p", "v1", "Hi"), renderer) is None
