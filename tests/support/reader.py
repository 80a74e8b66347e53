"""A reader of the documents, who does all that a page says, from its top to its end.

What is shown as a file is written, what is to be typed is typed, and a program is run. A service
that the page starts serves to its end, or until it starts another; where it starts none, one serves
the prompts that the page has shown, or the examples. Stores and providers that the page takes to be
elsewhere are stand-ins on loopback.
"""

import asyncio
import os
import re
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from tests.support import humanloop, langfuse
from tests.support.completion import PROMPT_ID
from tests.support.documents import ROOT, Block, Document, split_words
from tests.support.elsewhere import PROGRAMS, is_elsewhere
from tests.support.humanloop_export import write_export
from tests.support.operator import ADMIN_DOOR
from tests.support.service import ServiceProcess, service_process
from tests.support.upstream import running_upstream

READ = ("console", "python", "sh", "text")
"""The languages that a reader speaks."""

_TIME_LIMIT_S = 60
_SHELL = ("bash", "-o", "pipefail", "-c")
# Where the pages say that the doors are.
_DOORS = {"grpc": 50051, "admin_grpc": 50052, "http": 4000, "admin": 9090}
_CALLS = re.compile(
    r"127\.0\.0\.1:|localhost:|PromptResolverClient\(|prompt-resolver (resolve|complete|health)\b"
)


class Reader:
    """Reads pages in a folder, which is the current one. `environ` and `places` are the scene's."""

    def __init__(self, folder: Path, environ: Mapping[str, str], places: Mapping[str, str]) -> None:
        self._folder = folder
        self._places = dict(places)
        self._environ = {**os.environ, **environ}
        self._stack = ExitStack()
        self._service: ServiceProcess | None = None
        self._said = ""

    async def read(self, document: Document) -> None:
        """Do what the page says. Raises `AssertionError` for what does not go as it says."""
        name = str(document.path.relative_to(ROOT))
        with self._stack:
            for block in document.blocks:
                if not (block.language == "python" and name in PROGRAMS):
                    await self._take(block)

    async def _take(self, block: Block) -> None:
        match block.language:
            case "sh":
                for command in block.commands:
                    await self._type(command)
            case "console":
                await self._hold_session(block.text)
            case "python":
                self._said = await self._succeed(sys.executable, "-c", self._localize(block.text))
            case "text":
                # What a program prints stands below it.
                assert self._said.rstrip() == block.text.rstrip(), self._said
            case _ if block.path:
                path = self._folder / block.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self._localize(block.text))

    async def _type(self, command: str) -> None:
        if is_elsewhere(command):
            return
        words = split_words(command)
        if words[0] == "prompt-resolver" and (words[1] == "serve" or words[1].startswith("-")):
            self._serve(*words[2 if words[1] == "serve" else 1 :])
        elif "WatchPrompts" in command:
            await self._begin(self._localize(command))
        else:
            await self._succeed(*_SHELL, self._localize(command))

    async def _hold_session(self, text: str) -> None:
        """Type what stands after each `$`, and see that the answers are those that are shown."""
        typed = [self._localize(line) for line in re.findall(r"^\$ (.+)$", text, re.MULTILINE)]
        # What is typed sees the exit code of what was typed before it.
        script = "\n".join(
            f"code=$?; printf '%s\\n' {shlex.quote(f'$ {line}')}; (exit $code)\n{line}"
            for line in typed
        )
        _, said = await self._run(*_SHELL, script)
        assert (shown := self._globalize(said)) == text, shown

    async def _succeed(self, *command: str) -> str:
        code, said = await self._run(*command)
        assert code == 0, f"{command[-1]}\n{said}"
        return said

    async def _run(self, *command: str) -> tuple[int | None, str]:
        process = await self._start(*command)
        try:
            async with asyncio.timeout(_TIME_LIMIT_S):
                said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        return process.returncode, said.decode()

    async def _begin(self, command: str) -> None:
        """Run what goes on until it is stopped, and see that it says something."""
        process = await self._start(*_SHELL, f"exec {command}")
        assert process.stdout is not None
        async with asyncio.timeout(_TIME_LIMIT_S):
            said = await process.stdout.readline()
        assert said.startswith(b"{"), said + await process.stdout.read()
        process.terminate()
        await process.communicate()

    async def _start(self, *command: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environ,
        )

    def _serve(self, *arguments: str) -> None:
        self._stack.close()
        environ = {**self._environ, **ADMIN_DOOR}
        self._service = self._stack.enter_context(service_process(*arguments, environ=environ))
        for door, port in _DOORS.items():
            self._places[f"127.0.0.1:{port}"] = self._service.door(door)
        self._environ["PROMPT_RESOLVER_ADDRESS"] = self._service.address

    def _localize(self, text: str) -> str:
        """Have a text name the places where all that it names is for now."""
        if self._service is None and _CALLS.search(text):
            has_prompts = any((self._folder / "prompts").iterdir())
            self._serve(*(("--config", "CONFIGFILE") if has_prompts else ()))
        for there, here in self._places.items():
            text = text.replace(there, here)
        return text

    def _globalize(self, text: str) -> str:
        for there, here in self._places.items():
            text = text.replace(here, there)
        return text


@asynccontextmanager
async def reading(document: Document, folder: Path) -> AsyncIterator[Reader]:
    """Have a reader for a page, in a folder, and stand-ins for the stores and the provider.

    Every variable that the page names has a value.
    """
    commands = folder / ".bin"
    commands.mkdir()
    (commands / "prompt-resolver").write_text(
        f'#!/bin/sh\nexec {sys.executable} -m prompt_resolver.cli "$@"\n'
    )
    (commands / "prompt-resolver").chmod(0o755)
    # A refusal is no success, and a bar of progress is for terminals.
    (folder / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
    # What the pages leave to their reader.
    (folder / "CONFIGFILE").write_text("stores: {local: {type: directory, path: prompts}}")
    (folder / "prompts").mkdir()
    async with (
        humanloop.running_humanloop() as prompts,
        langfuse.running_langfuse() as fuse,
        running_upstream() as provider,
    ):
        stock(document, prompts, fuse)
        write_export(folder / "humanloop-export", prompts.prompts.values())
        environ = {
            **dict.fromkeys(re.findall(r"os\.environ/(\w+)", document.text), "key-of-fake"),
            # `grpcurl` is installed beside the Python that runs the tests.
            "PATH": f"{commands}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "CURL_HOME": str(folder),
            # Nothing leaves this machine.
            "https_proxy": "http://127.0.0.1:9",
            "no_proxy": "127.0.0.1,localhost",
            "HUMANLOOP_API_KEY": humanloop.KEY,
            "HUMANLOOP_BASE_URL": prompts.url,
            "LANGFUSE_HOST": fuse.url,
            "LANGFUSE_PUBLIC_KEY": langfuse.KEY.partition(":")[0],
            "LANGFUSE_SECRET_KEY": langfuse.KEY.partition(":")[2],
        }
        for name in ("OPENAI", "GROQ"):
            environ |= {f"{name}_API_KEY": "key-of-fake", f"{name}_API_BASE": provider.url}
        places = {
            "http://127.0.0.1:8081/v5": prompts.url,
            **{f"http://127.0.0.1:{port}/v1": provider.url for port in (8000, 8001, 8080)},
        }
        yield Reader(folder, environ, places)


def stock(document: Document, prompts: humanloop.HumanloopApi, fuse: langfuse.LangfuseApi) -> None:
    """Have the stores hold what the page says of them."""
    if document.name == "docs/from-litellm.md":
        for path, variable in (("<humanloop_prompt_id>", "key"), (PROMPT_ID, "user_message")):
            say = [{"role": "user", "content": f"Say: {{{{{variable}}}}}"}]
            prompts.put(path, prompt_id=f"pr_{variable}", provider="openai", template=say)
    else:
        hello = [{"role": "user", "content": "Hello {{name}}"}]
        prompts.put("support/hello", prompt_id="pr_1", provider="openai", template=hello)
        prompts.put("Shop/Returns desk", prompt_id="pr_2", provider="openai", template=hello)
    for name in ("support/reply", "support/greeting"):
        fuse.put(name, prompt="Hello {{name}}")
