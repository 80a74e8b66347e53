"""Calls whose prompts are versions, documents and dotprompts of a directory."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from grpc import StatusCode

from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver_server.domain.prompts import Message, Template, Text
from prompt_resolver_server.templates.formats.documents import encode_template
from tests.support.calls import failure
from tests.support.prompts import write_prompt
from tests.support.service import RunningService, running_service

NAME = {"name": "Ada"}


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[RunningService]:
    """The service over a directory whose prompt `shop/desk` has two versions."""
    root = tmp_path / "prompts"
    for version in ("v7", "v8"):
        write_prompt(
            root, f"shop/desk.versions/{version}", f"<user>\n{version} {{{{name}}}}\n</user>"
        )
    (root / "shop" / "desk.deployments.yaml").write_text(
        "default: production\nenvironments: {production: v7, staging: v8}\n"
    )
    (root / "ids.yaml").write_text("pr_123: shop/desk\n")
    document = Template(
        id="elsewhere",
        name="Greeting",
        version="prv_1",
        content_sha256="ab" * 32,
        location="elsewhere",
        messages=(Message(role="user", content=(Text("Hello {{name}}"),)),),
        model="some-model",
        provider="fake",
    )
    (root / "greet.prompt.json").write_bytes(encode_template(document))
    (root / "both.prompt").write_text("---\nendpoint: chat\nconfig: {}\n---\n<user>\nHi\n</user>")
    (root / "plain.prompt").write_text("---\nmodel: m\n---\nHi {{name}}")
    config = "stores:\n  local: {type: directory, path: prompts}\n"
    config += "  old: {type: directory, path: prompts, format: humanloop}\n"
    async with running_service(tmp_path, config) as running:
        yield running


async def test_versions(service: RunningService) -> None:
    """A selector chooses the version, and the answer tells which it is, where and why."""
    resolve = service.client.resolve
    responses = [
        await resolve("shop/desk", variables=NAME),
        await resolve("shop/desk", variables=NAME, environment="staging"),
        await resolve("shop/desk", variables=NAME, version="v8"),
        await resolve("pr_123", variables=NAME, environment="staging"),
    ]

    infos = [response.prompt for response in responses]
    texts = [response.messages[0].content[0].text for response in responses]
    assert [(each.id, each.version, each.environment, each.reason) for each in infos] == [
        ("shop/desk", "v7", "production", "deployed"),
        ("shop/desk", "v8", "staging", "deployed"),
        ("shop/desk", "v8", "", "pinned"),
        ("pr_123", "v8", "staging", "deployed"),
    ]
    assert texts == ["v7 Ada", "v8 Ada", "v8 Ada", "v8 Ada"]


async def test_deployment(service: RunningService, tmp_path: Path) -> None:
    """What is deployed is served by the next call."""
    first = (await service.client.resolve("shop/desk", variables=NAME)).prompt
    (tmp_path / "prompts" / "shop" / "desk.deployments.yaml").write_text(
        "default: production\nenvironments: {production: v8}\n"
    )
    second = (await service.client.resolve("shop/desk", variables=NAME)).prompt

    assert (first.version, second.version) == ("v7", "v8")
    error = await failure(
        service.client.resolve("shop/desk", variables=NAME, environment="staging")
    )
    assert (error.code, error.reason) == (StatusCode.NOT_FOUND, "VERSION_NOT_FOUND")


async def test_document(service: RunningService) -> None:
    """A document is resolved as it says."""
    response = await service.client.resolve("greet", variables=NAME)

    assert response.messages[0] == pb.Message(
        role=pb.ROLE_USER, content=[pb.ContentPart(text="Hello Ada")]
    )
    assert (response.provider, response.model) == ("fake", "some-model")
    assert (response.prompt.name, response.prompt.version) == ("Greeting", "prv_1")
    assert response.prompt.content_sha256 == "ab" * 32


async def test_format(service: RunningService) -> None:
    """A file of no format, or of two, is told so, and the store's setting decides."""
    for prompt_id in ("both", "plain"):
        error = await failure(service.client.resolve(prompt_id, variables=NAME))
        assert error.reason == "TEMPLATE_INVALID"
        assert "set `format: humanloop` or `format: dotprompt` of its store" in error.message
        response = await service.client.resolve(prompt_id, store="old", variables=NAME)
        assert response.messages[0].content[0].text.startswith("Hi")
