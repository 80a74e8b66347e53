"""Whose model is meant, and who gets to say."""

import pytest

from prompt_resolver_server.dispatch.notation import ModelChoice, ModelName, Notation
from prompt_resolver_server.domain.aliases import Deployment
from prompt_resolver_server.domain.errors import CallError
from prompt_resolver_server.domain.prompts import Template

NOTATION = Notation(stores={"humanloop", "local"}, providers={"openai", "echo", "smol"})

NO_ALIAS = Deployment()


def template(model: str | None, provider: str | None = None) -> Template:
    return Template(
        id="t",
        name="t",
        version="1",
        content_sha256="0",
        location="t",
        model=model,
        provider=provider,
    )


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("gpt-4o", ModelName(model="gpt-4o")),
        ("openai/gpt-4o", ModelName(prefix="openai", model="gpt-4o")),
        ("smol/org/model", ModelName(prefix="smol", model="org/model")),
        ("unknown/model", ModelName(prefix="unknown", model="model")),
        ("humanloop", ModelName(store="humanloop")),
        ("humanloop/", ModelName(store="humanloop")),
        ("humanloop/auto", ModelName(store="humanloop")),
        ("humanloop/gpt-4o", ModelName(store="humanloop", model="gpt-4o")),
        ("humanloop/smol/m", ModelName(store="humanloop", prefix="smol", model="m")),
        ("local/smol/a/b", ModelName(store="local", prefix="smol", model="a/b")),
        ("/model", ModelName(model="/model")),
        ("smol/", ModelName(model="smol/")),
    ],
)
def test_notation(text: str, name: ModelName) -> None:
    """The first part is a store if there is one of that name, and the next one the provider."""
    assert NOTATION.read(text) == name


@pytest.mark.parametrize(
    ("model", "provider", "expected"),
    [
        ("gpt-4o", "openai", ("openai", "gpt-4o")),
        ("gpt-4o", None, ("openai", "gpt-4o")),
        ("smol/m", None, ("smol", "m")),
        ("smol/m", "openai", ("openai", "smol/m")),
        ("m", "mock", ("echo", "m")),
        ("m", "openai_azure", ("azure", "m")),
        ("m", "google", ("gemini", "m")),
        ("unknown/m", None, ("unknown", "m")),
        (None, None, ("", "")),
        (None, "openai", ("", "")),
    ],
)
def test_templates_model(
    model: str | None, provider: str | None, expected: tuple[str, str]
) -> None:
    """A template's provider says whose its model is; only without one does the prefix."""
    choice = NOTATION.choose(
        requested=None, deployment=NO_ALIAS, template=template(model, provider)
    )

    assert (choice.provider, choice.model) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bedrock/converse/a.b:0", ("bedrock", "a.b:0")),
        ("bedrock/a.b:0", ("bedrock", "a.b:0")),
        ("bedrock/invoke/a.b:0", ("bedrock", "invoke/a.b:0")),
        ("smol/converse/m", ("smol", "converse/m")),
    ],
)
def test_api_that_is_meant_anyway(text: str, expected: tuple[str, str]) -> None:
    """What LiteLLM puts before Bedrock's models to name the API is no part of their names."""
    notation = Notation(stores=(), providers={"bedrock", "smol"})
    provider, _, model = text.partition("/")

    by_caller = notation.choose(
        requested=notation.read(text), deployment=NO_ALIAS, template=template(None)
    )
    by_alias = notation.of_alias(Deployment(model=model, provider=provider))
    by_template = notation.choose(
        requested=None, deployment=NO_ALIAS, template=template(model, provider)
    )

    for choice in (by_caller, by_alias, notation.of_alias(Deployment(model=text)), by_template):
        assert (choice.provider, choice.model) == expected


def test_provider_that_is_configured_under_humanloops_name() -> None:
    """A provider that is configured under the very name that a store uses is that one."""
    notation = Notation(stores=(), providers={"echo", "mock"})

    choice = notation.choose(requested=None, deployment=NO_ALIAS, template=template("m", "mock"))

    assert choice.provider == "mock"


@pytest.mark.parametrize(
    ("requested", "expected"),
    [
        ("smol/m", ("smol", "m")),
        ("other", ("smol", "other")),
        ("openai/other", ("openai", "other")),
        ("local/openai/other", ("openai", "other")),
        ("mock/other", ("echo", "other")),
    ],
)
def test_requests_model_wins(requested: str, expected: tuple[str, str]) -> None:
    """The request's model wins; without a provider it is one of the template's."""
    deployment = Deployment(model="openai/gpt-4o")

    choice = NOTATION.choose(
        requested=NOTATION.read(requested), deployment=deployment, template=template("t", "smol")
    )

    assert (choice.provider, choice.model) == expected
    assert choice.named_by == "caller"


def test_request_that_names_an_unknown_provider() -> None:
    """A provider that the caller names and that there is not is the caller's fault."""
    with pytest.raises(CallError) as caught:
        NOTATION.choose(requested=NOTATION.read("nobody/m"), deployment=NO_ALIAS, template=None)

    assert (caught.value.reason, caught.value.blame) == ("PROVIDER_UNKNOWN", "caller")


@pytest.mark.parametrize(
    ("deployment", "expected", "named_by"),
    [
        (Deployment(model="humanloop/gpt-4o"), ("openai", "gpt-4o"), "alias"),
        (Deployment(model="humanloop/smol/m"), ("smol", "m"), "alias"),
        (Deployment(model="humanloop/auto"), ("smol", "t"), "template"),
        (Deployment(model="humanloop"), ("smol", "t"), "template"),
        (Deployment(model=None), ("smol", "t"), "template"),
        (
            Deployment(model="humanloop/m", prefer_template_model=True),
            ("smol", "t"),
            "template",
        ),
        (Deployment(model="m", provider="smol"), ("smol", "m"), "alias"),
        (Deployment(model="smol/m", provider="smol"), ("smol", "m"), "alias"),
        (Deployment(model="org/m", provider="smol"), ("smol", "org/m"), "alias"),
    ],
)
def test_aliases_model(deployment: Deployment, expected: tuple[str, str], named_by: str) -> None:
    """An alias' model wins over the template's, unless it leaves it, or prefers the other."""
    choice = NOTATION.choose(requested=None, deployment=deployment, template=template("t", "smol"))

    assert (choice.provider, choice.model, choice.named_by) == (*expected, named_by)


def test_difference_is_told() -> None:
    """Where an alias and a template name different models, the other one is told."""
    deployment = Deployment(model="openai/gpt-4o")

    different = NOTATION.choose(
        requested=None, deployment=deployment, template=template("t", "smol")
    )
    same = NOTATION.choose(
        requested=None, deployment=deployment, template=template("gpt-4o", "openai")
    )

    assert (different.full_name, different.passed_over) == ("openai/gpt-4o", "smol/t")
    assert same == ModelChoice(provider="openai", model="gpt-4o", named_by="alias")
