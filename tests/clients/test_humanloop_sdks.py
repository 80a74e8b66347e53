"""Humanloop's official SDKs read the stand-in that the store is tested with, and our own door.

So the stand-in's answers are what those who wrote the API take for its answers, and to programs
that were written for it the door answers the same.
"""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from prompt_resolver_server.domain.prompts import Placeholder
from prompt_resolver_server.templates.formats.documents import encode_template
from tests.support.humanloop import KEY, HumanloopApi, running_humanloop
from tests.support.humanloop_export import write_export
from tests.support.prompts import write_prompt
from tests.support.service import RunningService, running_service
from tests.support.stores import make_template

ENVIRONMENT = Path(__file__).parents[2] / ".venv-humanloop"
PYTHON = ENVIRONMENT / "bin" / "python"
SCRIPT = Path(__file__).with_name("humanloop_sdk.py")
NODE_SCRIPT = Path(__file__).with_name("humanloop_sdk.js")

# Newer ones on npm are clients of an older API.
NPM_PACKAGE = "humanloop@0.8.20"


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


@pytest.fixture
async def door(tmp_path: Path, api: HumanloopApi) -> AsyncIterator[RunningService]:
    """The service over the stand-in, whose caller's token is the key of the stand-in."""
    config = f"""
stores: {{hl: {{type: humanloop, base_url: '{api.url}', api_key: {KEY}}}}}
callers: {{sdk: {{token: {KEY}}}}}
"""
    async with running_service(tmp_path, config) as running:
        yield running


@pytest.fixture
async def directory(tmp_path: Path) -> AsyncIterator[RunningService]:
    """The service over a directory with four prompts in it, for one caller.

    One of them is such that Humanloop's API has no form for it.
    """
    root = tmp_path / "prompts"
    tools = [{"name": "lookup", "description": "Find", "parameters": {"type": "object"}}]
    write_prompt(root, "team/desk", "<system>\nYou run {{shop}}.\n</system>", tools=tools)
    write_prompt(root, "team/text", "Say {{word}}", endpoint="complete", model=None, provider=None)
    write_prompt(root, "plain", "<user>\nHello\n</user>", stop=["a"], response_format=None)
    chat = replace(
        make_template("team/chat", "v1"),
        placeholders=(Placeholder("history", 1),),
        defaults={"lang": "English"},
    )
    (root / "team" / "chat.prompt.json").write_bytes(encode_template(chat))
    config = f"""
stores: {{local: {{type: directory, path: {root}}}}}
callers: {{sdk: {{token: {KEY}}}}}
"""
    async with running_service(tmp_path, config) as running:
        yield running


@pytest.fixture
def python(require_all: bool) -> Path:
    """The interpreter that has the SDK."""
    if not (ENVIRONMENT / ".installed").exists():
        report = pytest.fail if require_all else pytest.skip
        report("not installed: humanloop, in .venv-humanloop")
    return PYTHON


@pytest.fixture(scope="module")
def node(require_all: bool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has the SDK for Node."""
    missing = [tool for tool in ("npm", "node") if shutil.which(tool) is None]
    if missing:
        report = pytest.fail if require_all else pytest.skip
        report(f"not installed: {', '.join(missing)}")
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text("{}")
    install = ("npm", "install", "--no-audit", "--no-fund", "--silent", NPM_PACKAGE)
    subprocess.run(install, cwd=folder, timeout=240, check=True)
    return folder


async def read_with_python(python: Path, url: str, *arguments: str) -> Mapping[str, Any]:
    told = await run(str(python), str(SCRIPT), url, KEY, *arguments, cwd=SCRIPT.parent)
    document: Mapping[str, Any] = json.loads(told)
    return document


async def read_with_node(node: Path, url: str, *arguments: str) -> Mapping[str, Any]:
    script = NODE_SCRIPT.read_text()
    told = await run("node", "-e", script, url, KEY, *arguments, cwd=node)
    document: Mapping[str, Any] = json.loads(told)
    return document


# What the stand-in and the door answer to the Python SDK.
TOLD = {
    "deployed": "prv_2",
    "again": "prv_2",
    "pinned": "prv_1",
    "staged": ["prv_1"],
    "by_path": ["PromptResponse", "pr_1", "prv_2"],
    "listed": ["pr_1", "pr_2"],
    "versions": ["prv_1", "prv_2"],
    "environments": [["production", "default", "prv_2"], ["staging", "other", "prv_1"]],
}


@pytest.mark.foreign
@pytest.mark.timeout(300)
async def test_python(api: HumanloopApi, python: Path) -> None:
    """The Python SDK gets, lists and looks up prompts, and its own models accept them."""
    told = await read_with_python(python, api.url, "pr_1", "Team/Desk", "prv_1", "staging")

    assert {name: told[name] for name in TOLD} == TOLD
    assert (told["tools"], told["missing"]) == (["lookup"], [404, "dict"])


@pytest.mark.foreign
@pytest.mark.timeout(300)
@pytest.mark.parametrize("prompt_id", ["pr_1", "Team/Desk"])
async def test_python_at_the_door(
    api: HumanloopApi, door: RunningService, python: Path, prompt_id: str
) -> None:
    """The Python SDK reads from the door what it reads from the API behind it, by path, too."""
    url = f"{door.http_url}/v5"
    told = await read_with_python(python, url, prompt_id, "Team/Desk", "prv_1", "staging")
    origin = await read_with_python(python, api.url, "pr_1", "Team/Desk", "prv_1", "staging")

    assert {name: told[name] for name in TOLD} == TOLD
    assert [without_nulls(each) for each in told["template"]] == [
        without_nulls(each) for each in origin["template"]
    ]
    # Linked tools are tools to whoever reads the prompt here.
    assert (told["tools"], told["inputs"]) == (["lookup", "lookup"], ["shop"])
    assert told["missing"] == told["missing_version"] == [404, "str"]
    assert told["malformed"] == [422, "list"]
    assert told["written"] == told["deleted"] == [501, "str"]


@pytest.mark.foreign
@pytest.mark.timeout(300)
async def test_python_on_a_directory(
    directory: RunningService, python: Path, tmp_path: Path
) -> None:
    """The Python SDK reads a directory of files as it reads Humanloop."""
    url = f"{directory.http_url}/v5"
    content = (tmp_path / "prompts" / "team" / "desk.prompt").read_bytes()
    version = hashlib.sha256(content).hexdigest()[:12]

    told = await read_with_python(python, url, "team/desk", "team/desk", version, "")

    assert told["deployed"] == told["again"] == told["pinned"] == version
    assert told["by_path"] == ["PromptResponse", "team/desk", version]
    assert told["listed"] == ["plain", "team/chat", "team/desk", "team/text"]
    assert (told["named"], told["versions"]) == (["team/desk"], [version])
    assert (told["environments"], told["tools"]) == ([], ["lookup"])
    assert told["template"] == [{"role": "system", "content": "You run {{shop}}."}]
    assert told["inputs"] == ["shop"]
    assert told["missing"] == told["missing_version"] == [404, "str"]

    chat = await read_with_python(python, url, "team/chat", "team/chat", "v1", "")
    assert chat["by_path"] == ["PromptResponse", "team/chat", "v1"]
    assert chat["template"][1] == {"role": "placeholder", "name": "history"}


@pytest.mark.foreign
@pytest.mark.timeout(300)
@pytest.mark.parametrize("prompt_id", ["pr_1", "Team/Desk"])
async def test_python_on_an_export(
    api: HumanloopApi, python: Path, tmp_path: Path, prompt_id: str
) -> None:
    """The Python SDK reads from an export what it reads from the API that the export is of."""
    write_export(tmp_path / "exports" / "20250701-120000", api.prompts.values())
    config = f"""
stores: {{old: {{type: humanloop_export, path: exports}}}}
callers: {{sdk: {{token: {KEY}}}}}
"""
    async with running_service(tmp_path, config) as service:
        url = f"{service.http_url}/v5"
        told = await read_with_python(python, url, prompt_id, "Team/Desk", "prv_1", "staging")
    origin = await read_with_python(python, api.url, "pr_1", "Team/Desk", "prv_1", "staging")

    # By their paths.
    assert {name: told[name] for name in TOLD} == TOLD | {"listed": ["pr_2", "pr_1"]}
    assert [without_nulls(each) for each in told["template"]] == [
        without_nulls(each) for each in origin["template"]
    ]
    assert told["named"] == ["pr_1"]
    assert told["missing"] == told["missing_version"] == [404, "str"]


def without_nulls(value: Mapping[str, object]) -> Mapping[str, object]:
    return {name: each for name, each in value.items() if each is not None}


@pytest.mark.foreign
@pytest.mark.timeout(300)
async def test_node(api: HumanloopApi, node: Path) -> None:
    """The Node SDK gets a prompt with all that is in it."""
    told = await read_with_node(node, api.url, "pr_1", "Team/Desk")

    assert (told["prompt"]["versionId"], told["prompt"]["maxTokens"]) == ("prv_2", -1)
    assert [message["role"] for message in told["prompt"]["template"]] == [
        *("system", "user", "assistant", "tool")
    ]
    assert told["prompt"]["linkedTools"][0]["versionId"] == "tlv_1"


@pytest.mark.foreign
@pytest.mark.timeout(300)
@pytest.mark.parametrize("prompt_id", ["pr_1", "Team/Desk"])
async def test_node_at_the_door(door: RunningService, node: Path, prompt_id: str) -> None:
    """The Node SDK gets, lists and looks up prompts at the door."""
    told = await read_with_node(node, f"{door.http_url}/v5", prompt_id, "Team/Desk")

    assert (told["prompt"]["versionId"], told["byPath"]) == ("prv_2", "prv_2")
    assert [message["role"] for message in told["prompt"]["template"]] == [
        *("system", "user", "assistant", "tool")
    ]
    assert (told["listed"], told["versions"]) == (["pr_1", "pr_2"], ["prv_1", "prv_2"])
    assert told["environments"] == [["production", "prv_2"], ["staging", "prv_1"]]
    assert (told["missing"], told["written"]) == (404, 501)
