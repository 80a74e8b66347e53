"""Langfuse's official SDK and the `langfuse` store read the same of the same stand-in.

So the stand-in's answers are what those who wrote the API take for its answers, and the store reads
from them what programs with the SDK read.
"""

import asyncio
import json
import ssl
import subprocess
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from prompt_resolver_server.domain.errors import StoreError
from prompt_resolver_server.domain.prompts import PromptRef, Template
from prompt_resolver_server.templates.langfuse.store import LangfuseStore
from prompt_resolver_server.templates.listing import ListQuery
from prompt_resolver_server.templates.web import WebClient
from tests.support.langfuse import KEY, PUBLIC_KEY, SECRET_KEY, LangfuseApi, running_langfuse

ENVIRONMENT = Path(__file__).parents[2] / ".venv-langfuse"
SCRIPT = Path(__file__).with_name("langfuse_sdk.py")

pytestmark = [pytest.mark.foreign, pytest.mark.timeout(300)]

DESK = "shop/returns desk"
CHAT = [
    {"role": "system", "content": "You run {{shop}}. {{{a}}} {{unclosed", "type": "chatmessage"},
    {"type": "placeholder", "name": "history"},
    {"role": "user", "content": "{{ question }}"},
]
TURNS = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]


@pytest.fixture
def python(require_all: bool) -> Path:
    """The interpreter that has the SDK."""
    if not (ENVIRONMENT / ".installed").exists():
        report = pytest.fail if require_all else pytest.skip
        report("not installed: langfuse, in .venv-langfuse")
    return ENVIRONMENT / "bin" / "python"


@pytest.fixture
async def api() -> AsyncIterator[LangfuseApi]:
    """The stand-in, with a chat of two versions and a text."""
    async with running_langfuse() as api:
        api.put(DESK, to=("staging",), type="chat", prompt=CHAT[:1])
        api.put(DESK, type="chat", prompt=CHAT, config={"model": "gpt-4o", "temperature": 0.2})
        api.put("plain", prompt="Hello {{name}},\n{{ name }} {{a-b.c}}!")
        yield api


@pytest.fixture
async def store(api: LangfuseApi) -> AsyncIterator[LangfuseStore]:
    client = WebClient(name="f", base_url=api.url, timeout_s=5, tls=ssl.create_default_context())
    made = LangfuseStore(
        name="f", client=client, timeout_s=5, find_key=lambda: KEY, key_hint="the key"
    )
    yield made
    await made.aclose()


async def read_with_sdk(
    python: Path, api: LangfuseApi, cases: Sequence[tuple[str, object, object]] = ()
) -> Mapping[str, Any]:
    command = (python, SCRIPT, api.url, PUBLIC_KEY, SECRET_KEY, json.dumps(cases))
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=240, check=False, env={}
    )
    assert done.returncode == 0, done.stderr
    told: Mapping[str, Any] = json.loads(done.stdout)
    return told


def as_sdk_has_it(template: Template) -> object:
    """Return a template's texts and placeholders as the SDK compiles them without any value."""
    if template.as_text:
        return template.messages[0].text
    items: list[object] = [
        {"role": message.role, "content": message.text} for message in template.messages
    ]
    for placeholder in reversed(template.placeholders):
        items.insert(placeholder.position, {"type": "placeholder", "name": placeholder.name})
    return items


async def test_reads_the_same(python: Path, api: LangfuseApi, store: LangfuseStore) -> None:
    """Each version, label and default is to the store what it is to the SDK."""
    refs: list[tuple[PromptRef, object]] = [
        (PromptRef(id=DESK), {}),
        (PromptRef(id=DESK, environment="staging"), {"label": "staging"}),
        (PromptRef(id=DESK, environment="latest"), {"label": "latest"}),
        (PromptRef(id=DESK, version="1"), {"version": 1}),
        (PromptRef(id="plain"), {}),
    ]

    told = await read_with_sdk(python, api, [(ref.id, selector, {}) for ref, selector in refs])

    for (ref, _), seen in zip(refs, told["compiled"], strict=True):
        template = await store.fetch(ref, None)
        assert str(seen["version"]) == template.version
        assert seen["compiled"] == as_sdk_has_it(template)
        assert seen["config"].get("model") == template.model
        assert seen["config"].get("temperature") == template.parameters.temperature


async def test_compiles(python: Path, api: LangfuseApi) -> None:
    """The SDK puts values and messages in the places that the stand-in's prompts have for them."""
    values = {"shop": "S", "question": "Q", "history": TURNS}
    names = {"name": "Ada {{a-b.c}}", "a-b.c": 5}

    told = await read_with_sdk(python, api, [(DESK, {}, values), ("plain", {}, names)])

    chat, text = (each["compiled"] for each in told["compiled"])
    assert chat == [
        {"role": "system", "content": "You run S. {{{a}}} {{unclosed"},
        *TURNS,
        {"role": "user", "content": "Q"},
    ]
    assert text == "Hello Ada {{a-b.c}},\nAda {{a-b.c}} 5!"


async def test_lists_the_same(python: Path, api: LangfuseApi, store: LangfuseStore) -> None:
    """What the SDK lists of the stand-in is what the store makes its lists of."""
    told = await read_with_sdk(python, api)

    assert told["listed"] == [
        ["plain", [1], ["latest", "production"]],
        [DESK, [1, 2], ["latest", "production", "staging"]],
    ]
    assert (told["total"], told["labelled"], told["named"]) == (2, [DESK], ["plain"])
    page = await store.list_prompts(ListQuery())
    environments = await store.list_environments(DESK)
    assert [each.id for each in page.templates] == [name for name, _, _ in told["listed"]]
    assert [each.name for each in environments] == told["listed"][1][2]
    assert [each.version for each in await store.list_versions(DESK)] == ["1", "2"]


@pytest.mark.parametrize(
    ("ref", "selector"),
    [
        (PromptRef(id="nobody"), {}),
        (PromptRef(id=DESK, version="9"), {"version": 9}),
        (PromptRef(id=DESK, environment="nope"), {"label": "nope"}),
    ],
)
async def test_misses_the_same(
    python: Path, api: LangfuseApi, store: LangfuseStore, ref: PromptRef, selector: object
) -> None:
    """What is not found by the SDK is not found by the store."""
    told = await read_with_sdk(python, api, [(ref.id, selector, {})])

    assert told["compiled"] == [{"missing": 404}]
    with pytest.raises(StoreError) as caught:
        await store.fetch(ref, None)
    assert caught.value.reason in ("PROMPT_NOT_FOUND", "VERSION_NOT_FOUND")
