"""Templates, rendered without a service."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from msgspec.structs import replace

from prompt_resolver_server.domain.parameters import Json
from prompt_resolver_server.domain.prompts import Message, Template
from prompt_resolver_server.rendering import Rendered, Renderer, WorkerPool
from tests.support.stores import make_template

FOREVER = float("inf")
"""The deadline of a call that has none."""


def make_text(text: str, language: str = "default", **fields: Any) -> Template:
    """Return a template of one user message."""
    return replace(make_template("p", "1", text), language=language, **fields)


def render_now(
    template: Template, variables: Mapping[str, Json], renderer: Renderer | None = None
) -> tuple[Message, ...]:
    """Render a template that needs no worker, and so nothing that is waited for."""
    rendering = (renderer or Renderer()).render(template, variables, deadline=FOREVER)
    try:
        rendering.send(None)
    except StopIteration as done:
        rendered: Rendered = done.value
        return rendered.messages
    rendering.close()
    raise AssertionError("rendering waits for something")


@asynccontextmanager
async def running_renderer(workers: WorkerPool | None = None) -> AsyncIterator[Renderer]:
    """Return a renderer whose workers end with it."""
    renderer = Renderer(workers)
    try:
        yield renderer
    finally:
        await renderer.aclose()
