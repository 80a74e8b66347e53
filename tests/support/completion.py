"""Where `prompt_resolver.completion` is called: a store, a provider, and the two ways to them."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from tests.support.humanloop import KEY, HumanloopApi
from tests.support.upstream import Upstream

PROVIDER_KEY = "key-of-the-environment"
PROMPT_ID = "test-chat-prompt"
MODEL = "humanloop/gpt-3.5-turbo"

# gRPC may say so in a fork, of a connection that it lets go of, and goes on.
_OF_A_FORK = re.compile(
    r"^E\d{4} \S+ +\d+ ev_epoll1_linux\.cc:\d+\]"
    r" epoll_ctl failed: file descriptor was created pre fork\n",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Scene:
    """A store with the prompt `test-chat-prompt`, a provider, and what the environment says.

    `way` is `sidecar` or `in-process`.
    """

    way: str
    store: HumanloopApi
    provider: Upstream
    environ: Mapping[str, str]

    async def run(self, program: str, **environ: str) -> tuple[int, str, str]:
        """Run a program with this environment, which must end within 30 s."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            program,
            env={**os.environ, **self.environ, **environ},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(30):
                out, err = await process.communicate()
        except BaseException:
            # What it forked, too.
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            raise
        return process.returncode or 0, out.decode(), err.decode()

    async def output(self, program: str, **environ: str) -> str:
        """Return what a program prints; it must end well and say nothing on standard error."""
        code, out, err = await self.run(program, **environ)
        assert (code, _OF_A_FORK.sub("", err)) == (0, ""), err
        return out.strip()

    def sent(self, index: int = -1) -> list[tuple[object, object]]:
        """Return the role and the content of each message that reached the provider."""
        messages = self.provider.exchanges[index].json["messages"]
        assert isinstance(messages, list)
        return [(each["role"], each.get("content")) for each in messages]


def store_environ(store: HumanloopApi, provider_url: str) -> dict[str, str]:
    """Return what the environment says of the store and of the provider `openai`."""
    return {
        "HUMANLOOP_API_KEY": KEY,
        "HUMANLOOP_BASE_URL": store.url,
        "OPENAI_API_KEY": PROVIDER_KEY,
        "OPENAI_BASE_URL": provider_url,
    }


def stock(store: HumanloopApi, **fields: object) -> None:
    """Store the page's prompt."""
    fields = {"model": "gpt-4o", "provider": "openai", **fields}
    fields.setdefault(
        "template",
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Say: {{user_message}}"},
        ],
    )
    store.put(PROMPT_ID, prompt_id="pr_page", **fields)  # type: ignore[arg-type]  # its fields
