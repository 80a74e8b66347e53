"""What stands for variables: values, defaults and snippets."""

import pytest

from prompt_resolver_server.domain.errors import CallError, TemplateError
from prompt_resolver_server.domain.parameters import Json
from tests.support.rendering import make_text, render_now

SNIPPETS = {"tone": {"calm": "Be calm.", "{{x}}": "Not {{x}}."}}


def render(text: str, **variables: Json) -> str:
    return render_now(make_text(text, snippets=SNIPPETS), variables)[0].text


def test_defaults() -> None:
    """A default stands where the call gives nothing; null is no value, whatever the default."""
    subject = make_text("{{a}} {{b}}", defaults={"a": "x", "b": "y", "unused": 1})

    assert render_now(subject, {"b": 2})[0].text == "x 2"
    with pytest.raises(CallError) as caught:
        render_now(subject, {"b": None})
    assert caught.value.metadata == {"missing": "b"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{{tone("calm")}}', "Be calm."),
        ("{{ tone(mood) }}", "Be calm."),
        ("{{tone(odd)}}", "Not {{x}}."),
        ('{{tone("brisk")}}', "Be brisk."),
    ],
)
def test_snippets(text: str, expected: str) -> None:
    """A snippet is chosen by its key or by a variable; what the call itself gives wins."""
    assert (
        render(text, mood="calm", odd="{{x}}", x="no", **{'tone("brisk")': "Be brisk."}) == expected
    )


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({}, "missing"),
        ({"mood": None}, "null"),
        ({"mood": "SECRET"}, "expected a key of the tool 'tone'"),
        ({"mood": ["calm"]}, "expected a key of the tool 'tone'"),
    ],
)
def test_unknown_key(variables: dict[str, Json], problem: str) -> None:
    """The variable that chooses no snippet is named, and its value is not."""
    with pytest.raises(CallError) as caught:
        render("{{tone(mood)}}", **variables)

    (violation,) = caught.value.violations
    assert (violation.field, violation.description) == ("variables.mood", problem)
    assert "SECRET" not in caught.value.message


@pytest.mark.parametrize(
    "text", ['{{tone("brisk")}}', "{{other(mood)}}", "{{tone(a, b)}}", "{{tone()}}"]
)
def test_no_snippet(text: str) -> None:
    """A tool whose output nobody has, and a key that it lacks, are the template's fault."""
    with pytest.raises(TemplateError) as caught:
        render(text, mood="calm", a="calm", b="calm")

    assert caught.value.reason == "TEMPLATE_INVALID"
    assert caught.value.metadata["tool"] in ("tone", "other")
