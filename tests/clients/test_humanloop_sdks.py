"""Humanloop's official SDKs read the stand-in that the store is tested with.

So the stand-in's answers are what those who wrote the API take for its answers.
"""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.humanloop import KEY, HumanloopApi, running_humanloop

ENVIRONMENT = Path(__file__).parents[2] / ".venv-humanloop"
PYTHON = ENVIRONMENT / "bin" / "python"
SCRIPT = Path(__file__).with_name("humanloop_sdk.py")

# Newer ones on npm are clients of an older API.
NPM_PACKAGE = "humanloop@0.8.20"
NODE_SCRIPT = """
const { HumanloopClient } = require("humanloop");
const [baseUrl, apiKey, id] = process.argv.slice(1);
const client = new HumanloopClient({ apiKey, environment: baseUrl });
client.prompts.get(id).then((prompt) => {
  const { versionId, template, linkedTools, maxTokens } = prompt;
  console.log(JSON.stringify({ versionId, template, linkedTools, maxTokens }));
});
"""


@pytest.fixture
async def api() -> AsyncIterator[HumanloopApi]:
    """The stand-in, with a prompt that uses every kind of field, and a plain one."""
    tool = {"name": "lookup", "description": "Find", "strict": False, "parameters": {"type": "x"}}
    function = {"name": "lookup", "arguments": '{"q": "{{shop}}"}'}
    image = {"url": "https://example.invalid/a.png", "detail": "low"}
    full: dict[str, object] = {
        "template": [
            {"role": "system", "content": "You run {{shop}}."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Is this ours?"},
                    {"type": "image_url", "image_url": image},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "thinking": [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}],
                "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
            },
            {"role": "tool", "tool_call_id": "call_1", "name": "lookup", "content": "found"},
        ],
        "provider": "openai",
        "max_tokens": -1,
        "temperature": 0.2,
        "stop": ["END"],
        "reasoning_effort": "low",
        "response_format": {"type": "json_object"},
        "tools": [tool],
        "linked_tools": [{**tool, "id": "tl_1", "version_id": "tlv_1"}],
    }
    async with running_humanloop() as api:
        api.put("Team/Desk", prompt_id="pr_1", version="prv_1", to="staging", template="{{x}}")
        api.prompts["pr_1"].versions["prv_1"] |= {"endpoint": "complete", "provider": "openai"}
        api.put("Team/Desk", prompt_id="pr_1", version="prv_2")
        api.prompts["pr_1"].versions["prv_2"] |= full
        api.put("Plain", prompt_id="pr_2", provider=None, template=None)
        yield api


async def run(*command: str, cwd: Path, timeout_s: float = 240) -> str:
    """Run a command and return its output, while the stand-in answers it."""
    done = await asyncio.to_thread(
        subprocess.run,
        command,
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.foreign
@pytest.mark.timeout(300)
async def test_python(api: HumanloopApi, require_all: bool, tmp_path: Path) -> None:
    """The Python SDK gets, lists and looks up prompts, and its own models accept them."""
    if not (ENVIRONMENT / ".installed").exists():
        report = pytest.fail if require_all else pytest.skip
        report("not installed: humanloop, in .venv-humanloop")

    told = await run(str(PYTHON), str(SCRIPT), api.url, KEY, "pr_1", "Team/Desk", cwd=tmp_path)

    assert json.loads(told) == {
        "deployed": "prv_2",
        "pinned": "prv_1",
        "staged": "prv_1",
        "by_path": ["PromptResponse", "pr_1", "prv_2"],
        "listed": ["pr_1", "pr_2"],
        "versions": ["prv_1", "prv_2"],
        "environments": [["production", "default"], ["staging", "other"]],
        "tools": ["lookup"],
        "missing": 404,
    }


@pytest.mark.foreign
@pytest.mark.timeout(300)
async def test_node(api: HumanloopApi, require_all: bool, tmp_path: Path) -> None:
    """The Node SDK gets a prompt with all that is in it."""
    missing = [tool for tool in ("npm", "node") if shutil.which(tool) is None]
    if missing:
        report = pytest.fail if require_all else pytest.skip
        report(f"not installed: {', '.join(missing)}")
    (tmp_path / "package.json").write_text("{}")
    await run("npm", "install", "--no-audit", "--no-fund", "--silent", NPM_PACKAGE, cwd=tmp_path)

    told = json.loads(await run("node", "-e", NODE_SCRIPT, api.url, KEY, "pr_1", cwd=tmp_path))

    assert (told["versionId"], told["maxTokens"]) == ("prv_2", -1)
    assert [message["role"] for message in told["template"]] == [
        *("system", "user", "assistant", "tool")
    ]
    assert told["linkedTools"][0]["versionId"] == "tlv_1"
