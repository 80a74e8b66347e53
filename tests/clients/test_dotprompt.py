"""Google's own implementation of dotprompt and this service make the same messages."""

import asyncio
import json
import random
import shutil
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from prompt_resolver_server.domain.errors import TemplateError
from prompt_resolver_server.domain.parameters import Json
from prompt_resolver_server.domain.prompts import Media, Message, PromptRef, Text
from prompt_resolver_server.rendering import Renderer
from prompt_resolver_server.rendering.placeholders import join
from prompt_resolver_server.rendering.pool import WorkerPool
from prompt_resolver_server.templates.directory.store import DirectoryStore

HERE = Path(__file__).parent / "dotprompt"
SEED = 20251
HISTORY_TAG = "{{history}}"

VARIABLES: dict[str, Json] = {
    "name": "Ada <b>&amp;\"'",
    "markup": '{{name}} {{role "system"}} {{#if yes}} {{>card}}',
    "lines": "one\n  two\n",
    "empty": "",
    "number": 3,
    "ratio": 0.5,
    "yes": True,
    "no": False,
    "url": "https://example.invalid/a.png",
    "items": ["a", "b", "c"],
    "none": [],
    "user": {"name": "Grace", "tags": ["x"], "admin": False},
    "users": [{"name": "A", "on": True}, {"name": "B", "on": False}],
}
HISTORY = [("user", "before"), ("model", "and after {{name}}")]
PARTIALS = {"card": "[{{name}}/{{number}}]", "line": "a line\n"}

# Numbers follow a letter: what stands side by side, JavaScript would add up.
PIECES = (
    *("plain text ", " ", "\n", "\n\n", "  indented\n", "{ } }} \\ ", "ünïcödé 👋 ", "<tag> & "),
    *(
        "{{name}}",
        "{{ name }}",
        "{{~name~}}",
        " {{~name}} ",
        "{{markup}}",
        "{{lines}}",
        "{{empty}}",
    ),
    *("n{{number}}", "r{{ratio}}", "y{{yes}}", "{{user.name}}", "{{user.tags.[0]}}", "{{items.1}}"),
    *("{{! told to nobody }}", "{{!-- {{name}} --}}", "\\{{name}}", "{{&name}}", "{{{name}}}"),
    "{{#if yes}}yes{{else}}no{{/if}}",
    "{{#if empty}}full{{else}}empty{{/if}}",
    "{{#if none}}some{{/if}}",
    "{{#if number}}{{#if no}}a{{else if yes}}b{{/if}}{{/if}}",
    "{{#unless no}}unless{{/unless}}",
    "{{#if yes}}\n  on lines of its own\n{{/if}}\n",
    "{{~#if yes~}}  tight  {{~/if~}}",
    "{{#each items}}{{@index}}:{{this}}{{#unless @last}}, {{/unless}}{{/each}}",
    "{{#each users}}\n- {{name}}{{#if on}} (on){{/if}}{{#if @first}} first{{/if}}\n{{/each}}\n",
    "{{#each none}}one{{else}}nothing{{/each}}",
    "{{#each user.tags as |tag index|}}{{index}}{{tag}}{{/each}}",
    "{{#with user}}{{name}}{{/with}}",
    "{{#with user}}{{#each tags}}{{this}}{{../name}}{{/each}}{{/with}}",
    "{{#ifEquals number 3}}three{{else}}other{{/ifEquals}}",
    '{{#ifEquals name "x"}}x{{else}}not x{{/ifEquals}}',
    "{{#unlessEquals yes true}}differs{{else}}same{{/unlessEquals}}",
    "{{json items}}",
    "{{json user.tags}}",
    "{{>card}}",
    "{{> card}}",
    "{{> line}}\n",
    '{{role "system"}}',
    '{{role "user"}}',
    '{{role "model"}}',
    '\n{{role "user"}}\n',
    "{{media url=url}}",
    '{{media url=url contentType="image/png"}}',
    HISTORY_TAG,
)


def compose(draw: random.Random) -> str:
    """Return a dotprompt of some pieces, whose history is told at most once."""
    pieces = draw.choices(PIECES, k=draw.randint(1, 8))
    body = "".join(dict.fromkeys(pieces) if HISTORY_TAG in pieces else pieces)
    return f"---\nmodel: googleai/some\nconfig: {{temperature: 1}}\n---\n{body}"


@pytest.fixture
def node(require_all: bool) -> None:
    missing = [tool for tool in ("npm", "node") if shutil.which(tool) is None]
    if missing:
        (pytest.fail if require_all else pytest.skip)(f"not installed: {', '.join(missing)}")


async def run(*command: str, folder: Path, given: bytes = b"") -> bytes:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate(given)
    assert process.returncode == 0
    return told


async def render_there(folder: Path, sources: list[str]) -> list[Json]:
    for name in (".npmrc", "package.json", "package-lock.json", "render.js"):
        shutil.copy(HERE / name, folder)
    await run("npm", "ci", "--silent", "--no-audit", "--no-fund", folder=folder)
    history = [{"role": role, "content": [{"text": text}]} for role, text in HISTORY]
    cases = [
        {
            "source": source,
            "variables": VARIABLES,
            # Otherwise they would be put where our contract has none.
            "history": history if HISTORY_TAG in source else [],
            "partials": PARTIALS,
        }
        for source in sources
    ]
    rendered: list[Json] = json.loads(
        await run("node", "render.js", folder=folder, given=json.dumps(cases).encode())
    )
    return rendered


async def render_here(folder: Path, sources: list[str]) -> list[Json]:
    for name, text in PARTIALS.items():
        (folder / f"_{name}.prompt").write_text(text)
    async with AsyncExitStack() as stack:
        renderer = Renderer(WorkerPool(size=1, time_limit_s=5))
        stack.push_async_callback(renderer.aclose)
        store = DirectoryStore(name="files", root=folder)
        stack.push_async_callback(store.aclose)
        return [await render_one(folder, source, store, renderer) for source in sources]


async def render_one(folder: Path, source: str, store: DirectoryStore, renderer: Renderer) -> Json:
    (folder / "case.prompt").write_text(source)
    template = await store.fetch(PromptRef(id="case"), None)
    deadline = asyncio.get_running_loop().time() + 30
    try:
        made = await renderer.render(template, VARIABLES, deadline=deadline)
    except TemplateError:
        return {"error": "refused"}
    history = tuple(
        Message(role="assistant" if role == "model" else "user", content=(Text(text),))
        for role, text in HISTORY
    )
    named = {place.name: history for place in made.placeholders}
    messages = join(made.messages, made.placeholders, named=named, messages=(), policy="append")
    return [write(message) for message in messages]


def write(message: Message) -> Json:
    content: list[Json] = []
    for part in message.content:
        if isinstance(part, Text):
            content.append({"text": part.text})
        else:
            assert isinstance(part, Media)
            kind: dict[str, Json] = {"contentType": part.media_type} if part.media_type else {}
            content.append({"media": {"url": part.url, **kind}})
    return {"role": "model" if message.role == "assistant" else message.role, "content": content}


def plain(messages: Json) -> Json:
    """Return messages with neighbouring texts joined, which is a matter of taste."""
    assert isinstance(messages, list), messages
    joined: list[Json] = []
    for message in messages:
        assert isinstance(message, dict)
        content: list[Json] = []
        for part in message["content"]:  # type: ignore[union-attr]
            assert isinstance(part, dict)
            last = content[-1] if content else None
            if isinstance(last, dict) and "text" in last and "text" in part:
                last["text"] = f"{last['text']}{part['text']}"
            else:
                content.append(part)
        joined.append({"role": message["role"], "content": content})
    return joined


@pytest.mark.foreign
@pytest.mark.usefixtures("node")
async def test_same_messages(tmp_path: Path) -> None:
    """Whatever a dotprompt is made of, its messages are those of Google's engine, or none."""
    draw = random.Random(SEED)
    sources = [compose(draw) for _ in range(1000)]
    (tmp_path / "there").mkdir()
    (tmp_path / "here").mkdir()

    there = await render_there(tmp_path / "there", sources)
    here = await render_here(tmp_path / "here", sources)

    for source, theirs, ours in zip(sources, there, here, strict=True):
        refused = [isinstance(each, dict) for each in (theirs, ours)]
        assert refused in ([True, True], [False, False]), source
        assert refused[0] or plain(ours) == plain(theirs), source
    roles = {message.get("role") for each in there if isinstance(each, list) for message in each}  # type: ignore[union-attr]
    assert roles == {"system", "user", "model"}
