"""Where the conformance suite takes place: the server's process, its prompts, and a provider."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.support.prompts import GREETING, write_prompt
from tests.support.service import ServiceProcess, service_process
from tests.support.upstream import Upstream, answer_openai, running_upstream

SERVICE = "prompt_resolver.v1.PromptResolver"
GREETED = {"language": "French", "name": "Ada"}
"""What the prompt `greet` needs."""


@dataclass
class Scene:
    """A server that may be restarted on its address, and the provider behind it."""

    folder: Path
    upstream: Upstream
    environ: Mapping[str, str]
    process: ServiceProcess | None = None
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def prompts(self) -> Path:
        return self.folder / "prompts"

    @property
    def running(self) -> ServiceProcess:
        assert self.process is not None
        return self.process

    @property
    def address(self) -> str:
        return self.running.address

    @property
    def log(self) -> str:
        return self.running.log_file.read_text()

    def rest(self) -> None:
        """Have the provider answer as it does, and forget what it was asked."""
        self.upstream.answer = answer_openai
        self.upstream.exchanges.clear()

    async def start(self) -> None:
        config = self.folder / "config.yaml"
        context = service_process("--config", str(config), environ=self.environ)
        self.process = await asyncio.to_thread(context.__enter__)
        self.stack.push(context.__exit__)

    async def stop(self) -> None:
        """End the server as a pod's end does, and see that it ends well."""
        code, log = await asyncio.to_thread(self.running.stop)
        assert code == 0, log
        await self.stack.aclose()

    async def kill(self) -> None:
        """End the server at once, as a machine's end does."""
        self.running.process.kill()
        await self.stack.aclose()

    async def sent(self, method: str, messages: int) -> None:
        """Wait until the server has sent so many messages of a method since it was started."""
        async with asyncio.timeout(30):
            while await self.count(method) < messages:
                pass

    async def count(self, method: str) -> int:
        """How many messages of a method the server has sent since it was started."""
        name = "grpc_server_msg_sent_total"
        counter = f'{name}{{grpc_method="{method}",grpc_service="{SERVICE}"'
        address = f"http://{self.running.door('admin')}/metrics"
        async with aiohttp.request("GET", address) as page:
            lines = (await page.text()).splitlines()
        return sum(int(float(each.split()[-1])) for each in lines if each.startswith(counter))

    async def restart(self) -> None:
        await self.stop()
        await self.start()


@asynccontextmanager
async def running_scene(
    folder: Path, *, settings: str = "", environ: Mapping[str, str] | None = None
) -> AsyncIterator[Scene]:
    """Serve a few prompts, with providers `fake` and `other`, which are one under two names.

    `settings` are lines of the configuration, `environ` is the server's.
    """
    prompts = folder / "prompts"
    write_prompt(prompts, "greet", GREETING)
    write_prompt(prompts, "plain", "<user>\nHello\n</user>")
    async with running_upstream() as upstream:
        (folder / "config.yaml").write_text(f"""
stores:
  local: {{type: directory, path: prompts}}
  spare: {{type: directory, path: spare}}
providers:
  fake: {{dialect: openai, base_url: '{upstream.url}', api_key: key-of-fake}}
  other: {{dialect: openai, base_url: '{upstream.url}', api_key: key-of-other}}
model_list:
  - {{model_name: greeter, litellm_params: {{model: fake/some-model, prompt_id: greet}}}}
{settings}
""")
        write_prompt(folder / "spare", "greet", "<user>\nSpare\n</user>")
        scene = Scene(folder, upstream, environ or {})
        await scene.start()
        try:
            yield scene
        finally:
            await scene.stack.aclose()
