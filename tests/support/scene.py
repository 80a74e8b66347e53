"""Where a mixed load takes place: a provider, a store, and the service's configuration for them."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.humanloop import KEY, HumanloopApi, running_humanloop
from tests.support.load import TOKEN
from tests.support.moods import answer_by_mood
from tests.support.prompts import write_prompt
from tests.support.upstream import Upstream, running_upstream
from tests.support.weather import stock


@dataclass(frozen=True)
class Scene:
    """The provider and the store, and a configuration with limits that a load reaches."""

    upstream: Upstream
    api: HumanloopApi
    drain_s: int = 5
    entries: int = 25

    @property
    def config(self) -> str:
        provider = f"dialect: openai, base_url: '{self.upstream.url}'"
        store = f"type: humanloop, base_url: '{self.api.url}', api_key: {KEY}"
        return f"""
server: {{drain_s: {self.drain_s}}}
general_settings: {{master_key: {TOKEN}}}
stores:
  local: {{type: directory, path: prompts}}
  hl: {{{store}, ttl_s: 0.2, timeout_s: 0.5}}
cache: {{max_entries: {self.entries}}}
providers:
  fake: {{{provider}}}
  whole: {{{provider}, stream_completions: false}}
"""

    def rest(self) -> None:
        """Close every connection to the provider and to the store."""
        for exchange in [*self.upstream.exchanges, *self.api.exchanges]:
            exchange.writer.close()
        self.upstream.exchanges.clear()
        self.api.exchanges.clear()


@asynccontextmanager
async def running_scene(folder: Path) -> AsyncIterator[Scene]:
    """Serve a provider and a store, and write a prompt to the folder `prompts`."""
    write_prompt(folder / "prompts", "tell", "<user>\n{{text}}\n</user>")
    async with running_upstream(answer_by_mood) as upstream, running_humanloop() as api:
        stock(api)
        yield Scene(upstream, api)


def faults_in(log: str) -> list[str]:
    """Return the lines that tell a fault of the service, or that are no lines of its log."""
    return [
        line
        for line in log.splitlines()
        if not line.startswith("{") or json.loads(line)["level"] in ("error", "critical")
    ]
