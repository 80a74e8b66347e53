"""The page in a real browser: Chromium, driven by Playwright. The claims are in `browser/`."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from prompt_resolver_server.http.page import files
from tests.support.calls import VARIABLES, failure
from tests.support.humanloop import KEY, HumanloopApi, running_humanloop, send
from tests.support.page import listed
from tests.support.prompts import write_prompt
from tests.support.service import RunningService, running_service
from tests.support.upstream import Exchange, Upstream

FOLDER = Path(__file__).parent / "browser"
STATIC = Path(files.__file__).parent / "static"
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def browser(require_all: bool) -> str:
    """The path of the browser."""
    missing = [tool for tool in ("node", "npm", "chromium") if shutil.which(tool) is None]
    if missing:
        report = pytest.fail if require_all else pytest.skip
        report(f"not installed: {', '.join(missing)}")
    return shutil.which("chromium") or ""


@pytest.fixture
async def api() -> AsyncIterator[HumanloopApi]:
    async with running_humanloop() as api:
        api.put("far", prompt_id="pr_1", template="Hello")
        yield api


async def use(service: RunningService, api: HumanloopApi, upstream: Upstream) -> None:
    """Have something to be seen: prompts, one of them stale, and answers, one of them failed."""

    async def fail(exchange: Exchange) -> None:
        await send(exchange, {}, status="500 Internal Server Error")

    await service.client.resolve(HOSTILE)
    await service.client.resolve("pr_1", store="hl")
    for _ in range(2):
        await service.client.complete("greet", variables=VARIABLES)
    api.fail, upstream.answer = fail, fail
    await failure(service.client.complete("greet", variables=VARIABLES))
    await service.client.resolve("pr_1", store="hl", refresh=True)
    async with asyncio.timeout(10):
        while (await listed(service, "?text=pr_1"))[0]["freshness"] != "stale":
            pass


async def run(*command: str, place: Path, environ: dict[str, str]) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=place,
        env={**os.environ, **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


@pytest.mark.foreign
async def test_page(
    tmp_path: Path, prompts: Path, api: HumanloopApi, upstream: Upstream, browser: str
) -> None:
    """Everything that `browser/` claims of the page holds."""
    place = tmp_path / "browser"
    shutil.copytree(FOLDER, place, ignore=shutil.ignore_patterns("node_modules"))
    shutil.copytree(STATIC, place / "static")
    code, output = await run("npm", "ci", "--no-audit", "--no-fund", place=place, environ={})
    assert code == 0, output
    write_prompt(prompts, HOSTILE, "<user>\n<script>alert(2)</script>\n  & two spaces\n</user>")
    config = f"""
stores:
  local: {{type: directory, path: {prompts}}}
  hl: {{type: humanloop, base_url: '{api.url}', api_key: {KEY}, ttl_s: 0.2, timeout_s: 0.5}}
providers:
  fake: {{dialect: openai, base_url: '{upstream.url}', api_key: key-of-fake}}
"""
    locked = tmp_path / "locked"
    locked.mkdir()
    async with (
        running_service(tmp_path, config) as service,
        running_service(locked, "general_settings: {master_key: let-me-in}") as other,
    ):
        await use(service, api, upstream)
        environ = {"BROWSER": browser, "PAGE": service.admin_url, "LOCKED": other.admin_url}
        code, output = await run("node", "--test", place=place, environ=environ)

    assert code == 0, output
