"""A service whose callers have rules, over a store and a provider that tell who was asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from prompt_resolver import AsyncPromptResolverClient
from tests.support.http import HttpDoor
from tests.support.humanloop import KEY, HumanloopApi, running_humanloop
from tests.support.operator import ADMIN_DOOR
from tests.support.prompts import write_prompt
from tests.support.service import RunningService, running_service
from tests.support.upstream import Upstream

_CONFIG = """
default_store: hl
stores:
  hl: {{type: humanloop, base_url: '{api.url}', api_key: {key}, ttl_s: {ttl_s}}}
  local: {{type: directory, path: local}}
  spare: {{type: directory, path: spare}}
  both: {{type: chain, stores: [local, spare]}}
providers: {{fake: {{dialect: openai, base_url: '{upstream.url}', api_key: key-of-fake}}}}
model_list:
  - {{model_name: support, litellm_params: {{model: local/fake/small, prompt_id: support/reply}}}}
  - {{model_name: secret, litellm_params: {{model: local/fake/small, prompt_id: secret/plan}}}}
  - {{model_name: plain, litellm_params: {{model: fake/small}}}}
callers:
  operator: {{token: token-of-operator}}
"""


@dataclass(frozen=True)
class Guarded:
    """The service: its stores are `hl`, with `support/*` and `secret/*`, and two directories."""

    service: RunningService
    api: HumanloopApi
    upstream: Upstream

    def client(self, name: str) -> AsyncPromptResolverClient:
        """Return a client of the caller with this name."""
        return AsyncPromptResolverClient(self.service.address, token=f"token-of-{name}")

    def door(self, name: str) -> HttpDoor:
        """Return the HTTP door as that caller uses it."""
        headers = {"Authorization": f"Bearer token-of-{name}"}
        return HttpDoor(self.service.http_url, headers)

    @property
    def asked(self) -> list[str]:
        """What the store and the provider were asked."""
        return [*self.api.requests, *(each.path for each in self.upstream.exchanges)]


def guarded_config(api: HumanloopApi, upstream: Upstream, callers: str, ttl_s: float = 60) -> str:
    """Return the configuration, with these callers beside the one who has no rules."""
    own = _CONFIG.format(api=api, upstream=upstream, key=KEY, ttl_s=ttl_s)
    return own + "".join(f"  {line}\n" for line in callers.strip().splitlines())


@asynccontextmanager
async def running_guarded(
    folder: Path, upstream: Upstream, callers: str, *, ttl_s: float = 60
) -> AsyncIterator[Guarded]:
    """Serve it. Each of the callers is a line of YAML, and `NAME` has the token `token-of-NAME`."""
    text = "<user>\nHello\n</user>"
    for store in ("local", "spare"):
        for prompt in ("support/reply", "secret/plan"):
            write_prompt(folder / store, prompt, text)
    write_prompt(folder / "spare", "support/spare", text)
    async with running_humanloop() as api:
        for path in ("support/reply", "support/other", "secret/plan"):
            template = [{"role": "user", "content": "Hello"}]
            api.put(path, prompt_id=f"pr_{path.replace('/', '_')}", template=template)
        config = guarded_config(api, upstream, callers, ttl_s)
        async with running_service(folder, config, ADMIN_DOOR) as service:
            yield Guarded(service, api, upstream)
