"""The parts of an engine, once they are closed."""

from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from typing_extensions import override

from prompt_resolver_server.assembly.engine import build_engine
from prompt_resolver_server.metrics import Metrics
from prompt_resolver_server.providers.transport.direct import DirectTransport
from prompt_resolver_server.rendering import Renderer, WorkerPool
from tests.support.configurations import load_text


class ClosedError(Exception):
    """A part was closed, and failed at it."""


class FailingRenderer(Renderer):
    """Fails to be closed."""

    @override
    async def aclose(self) -> None:
        raise ClosedError("renderer")


class NotingTransport(DirectTransport):
    """Tells whether it was closed."""

    is_closed = False

    @override
    async def aclose(self) -> None:
        await super().aclose()
        self.is_closed = True


async def test_one_that_cannot_be_closed(tmp_path: Path) -> None:
    """Whatever one part fails at when it is closed, the others are closed."""
    async with AsyncExitStack() as stack:
        metrics = Metrics(CollectorRegistry(), version="0")
        engine = await build_engine(load_text(tmp_path, ""), metrics, stack)
        transport = NotingTransport(tls=engine._parts.trust.tls)
        parts = replace(engine._parts, renderer=FailingRenderer(WorkerPool()), transport=transport)

        with pytest.raises(ClosedError):
            await parts.aclose()

    assert transport.is_closed
