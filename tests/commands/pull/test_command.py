"""`prompt-resolver pull` copies prompts into a directory that serves them identically."""

import json
import os
import pty
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from prompt_resolver_server.domain.prompts import PromptRef
from prompt_resolver_server.templates.directory.store import DirectoryStore
from prompt_resolver_server.templates.listing import ListQuery
from tests.support.humanloop import KEY, HumanloopApi, running_humanloop, send
from tests.support.prompts import write_prompt
from tests.support.pulling import environ, make_copier, pull, pulling, read_tree, stock
from tests.support.subjects.humanloop import make_store
from tests.support.upstream import Exchange

FROM = ("--store", "humanloop")


@pytest.fixture
async def api() -> AsyncIterator[HumanloopApi]:
    async with running_humanloop() as running:
        stock(running)
        yield running


async def test_serves_what_the_store_does(api: HumanloopApi, tmp_path: Path) -> None:
    """Versions, environments, the default and the store's ids are all served from the directory."""
    root = tmp_path / "prompts"

    done = await pull(*FROM, "--into", str(root), environ=environ(api))

    assert (done.code, done.out) == (0, f"{root}: 5 written\n")
    store = DirectoryStore(name="copy", root=root)
    default = await store.fetch(PromptRef(id="pr_2"), None)
    staging = await store.fetch(PromptRef(id="Shop/Desk 2", environment="staging"), None)
    pinned = await store.fetch(PromptRef(id="Shop/Desk 2", version="prv_3"), None)
    assert [(each.version, each.environment) for each in (default, staging, pinned)] == [
        ("prv_1", "production"),
        ("prv_2", "staging"),
        ("prv_3", ""),
    ]
    assert pinned.messages[0].text == "prv_3 of 2: {{text}}"
    assert (pinned.model, pinned.provider, pinned.parameters.temperature) == (
        "some-model",
        "fake",
        0.5,
    )
    assert (await store.list_prompts(ListQuery())).total == 5
    assert (root / "Shop" / "Desk 2.versions" / "prv_3.prompt").is_file()
    await store.aclose()


async def test_again(api: HumanloopApi, tmp_path: Path) -> None:
    """What is there and the same is left as it is; what has changed, and only that, is written."""
    root = tmp_path / "prompts"
    await pull(*FROM, "--into", str(root), environ=environ(api))
    before = read_tree(root)

    again = await pull(*FROM, "--into", str(root), environ=environ(api))
    api.put("Shop/Desk 3", prompt_id="pr_3", version="prv_2", template="New {{text}}")
    changed = await pull(*FROM, "--into", str(root), environ=environ(api))

    assert (again.code, again.out, again.err) == (0, f"{root}: 5 unchanged\n", "")
    assert (changed.out, changed.err) == (
        f"{root}: 4 unchanged, 1 written\n",
        "written Shop/Desk 3\n",
    )
    after = read_tree(root)
    assert {path for path in after if after[path] != before.get(path)} == {
        ".pull.json",
        "Shop/Desk 3.deployments.yaml",
        "Shop/Desk 3.versions/prv_2.prompt",
    }


async def test_fewer(api: HumanloopApi, tmp_path: Path) -> None:
    """Only named prompts, only deployed versions, or only those of an environment are copied."""
    named, deployed, staging = (tmp_path / name for name in ("named", "deployed", "staging"))

    await pull(*FROM, "--into", str(named), "pr_1", "Shop/Desk 4", environ=environ(api))
    await pull(*FROM, "--into", str(deployed), "--deployed-only", "pr_1", environ=environ(api))
    await pull(
        *FROM, "--into", str(staging), "--environment", "staging", "pr_1", environ=environ(api)
    )

    assert json.loads((named / ".pull.json").read_bytes())["prompts"].keys() == {
        "Shop/Desk 1",
        "Shop/Desk 4",
    }
    versions = "Shop/Desk 1.versions"
    assert sorted(os.listdir(deployed / versions)) == ["prv_1.prompt", "prv_2.prompt"]
    assert os.listdir(staging / versions) == ["prv_2.prompt"]
    assert (staging / "Shop" / "Desk 1.deployments.yaml").read_text() == (
        "environments:\n  staging: prv_2\n"
    )


async def test_from_a_directory(tmp_path: Path) -> None:
    """A directory is copied like any other store, and so is the copy, byte for byte."""
    source, copy, again = (tmp_path / name for name in ("source", "copy", "again"))
    write_prompt(source, "team/plain", "<user>\nHi   \n{{x}}\n</user>", seed=3)
    write_prompt(source, "team/many.versions", "").unlink()
    write_prompt(source, "team/many.versions/v1", "<user>\none\n</user>")
    write_prompt(source, "team/many.versions/v2", "<user>\ntwo\n</user>")
    (source / "team" / "many.deployments.yaml").write_text(
        "default: production\nenvironments: {production: v1, staging: v2}\n"
    )
    config = tmp_path / "c.yaml"
    config.write_text(
        f"stores: {{one: {{type: directory, path: {source}}},"
        f" two: {{type: directory, path: {copy}}}}}"
    )
    copy.mkdir()
    with_config = ("--config", str(config))

    first = await pull(*with_config, "--store", "one", "--into", str(copy))
    second = await pull(*with_config, "--store", "two", "--into", str(again))

    assert (first.code, second.code) == (0, 0)
    old, new = DirectoryStore(name="a", root=source), DirectoryStore(name="a", root=again)
    for ref in (PromptRef(id="team/plain"), PromptRef(id="team/many", version="v2")):
        assert (await old.fetch(ref, None)).version == (await new.fetch(ref, None)).version
    copied, twice = read_tree(copy), read_tree(again)
    assert copied.pop(".pull.json") != twice.pop(".pull.json")
    assert copied == twice


@pytest.mark.parametrize("requests", [1, 4, 9, 16])
async def test_killed_and_resumed(api: HumanloopApi, tmp_path: Path, requests: int) -> None:
    """A pull that is killed at any request is gone on with, to the tree of one that is not."""
    torn, whole = tmp_path / "torn", tmp_path / "whole"

    async with pulling(*FROM, "--into", str(torn), environ=environ(api)) as process:

        def kill() -> None:
            if len(api.exchanges) == requests:
                process.kill()

        api.on_request = kill
        assert await process.wait() == -signal.SIGKILL
    api.on_request = bool
    done = await pull(*FROM, "--into", str(torn), environ=environ(api))
    store = make_store(api)
    await make_copier(store, whole, name="humanloop").run([])
    await store.aclose()

    assert done.code == 0
    assert read_tree(torn) == read_tree(whole)


async def test_interrupted(api: HumanloopApi, tmp_path: Path) -> None:
    """Ctrl-C ends it with 130, and the next run goes on."""
    root = tmp_path / "prompts"

    async with pulling(*FROM, "--into", str(root), environ=environ(api)) as process:

        def interrupt() -> None:
            if len(api.exchanges) == 6:
                process.send_signal(signal.SIGINT)

        api.on_request = interrupt
        _, err = await process.communicate()

    assert process.returncode == 130
    assert err.decode().endswith("interrupted; the next run goes on here\n")
    assert (await pull(*FROM, "--into", str(root), environ=environ(api))).code == 0


async def test_bar(api: HumanloopApi, tmp_path: Path) -> None:
    """On a terminal there is a bar, which is gone in the end."""
    main, terminal = pty.openpty()
    root = tmp_path / "prompts"
    try:
        async with pulling(
            *FROM, "--into", str(root), environ=environ(api), stderr=terminal
        ) as process:
            assert await process.wait() == 0
        shown = os.read(main, 65536).decode()
    finally:
        os.close(main)
        os.close(terminal)

    assert "[........................] 0/5" in shown
    assert "[########################] 5/5" in shown
    assert shown.endswith("\r\x1b[K")


async def test_store_that_refuses_the_key(api: HumanloopApi, tmp_path: Path) -> None:
    """A key that is refused has to change: that ends with 2, and the key is not shown."""
    wrong = {**environ(api), "HUMANLOOP_API_KEY": "key-of-nobody"}

    done = await pull(*FROM, "--into", str(tmp_path / "prompts"), environ=wrong)

    assert (done.code, done.out) == (2, "")
    assert "STORE_AUTH: store 'humanloop' refuses the configured key" in done.err
    assert "key-of-nobody" not in done.err


async def test_store_that_is_busy(api: HumanloopApi, tmp_path: Path) -> None:
    """A store that asks for time gets it, and is asked again."""
    left = ["429 Too Many Requests", "503 Service Unavailable"]

    async def busy(exchange: Exchange) -> None:
        if not left:
            api.fail = None
            await api.answer(exchange)
            return
        await send(exchange, {}, status=left.pop(), headers="Retry-After: 0\r\n")

    api.fail = busy

    done = await pull(*FROM, "--into", str(tmp_path / "prompts"), "pr_1", environ=environ(api))

    assert (done.code, left) == (0, [])


async def test_key_is_nowhere(api: HumanloopApi, tmp_path: Path) -> None:
    """The store's key is in no file and in no output."""
    root = tmp_path / "prompts"

    done = await pull(*FROM, "--into", str(root), environ=environ(api))

    assert KEY not in done.out + done.err
    assert not any(KEY.encode() in content for content in read_tree(root).values())


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--into", "{}/x", "--store", "nobody"], "--store: expected one of"),
        (["--into", "{}/x"], "--store: expected one of"),
        (["--into", "{}/x", "--config", "/nowhere"], "/nowhere: expected a readable file"),
        ([*FROM, "--into", "{}/c.yaml"], "expected a directory: File exists"),
        (["--store", "humanloop"], "the following arguments are required: --into"),
    ],
)
async def test_usage(tmp_path: Path, arguments: list[str], problem: str) -> None:
    """What has to change first is told, and ends with 2."""
    (tmp_path / "c.yaml").write_text("")

    done = await pull(*(each.format(tmp_path) for each in arguments))

    assert (done.code, done.out) == (2, "")
    assert problem in done.err


async def test_one_at_a_time(api: HumanloopApi, tmp_path: Path) -> None:
    """While a pull writes to a directory, no other does."""
    root = tmp_path / "prompts"
    second = []

    async def wait(exchange: Exchange) -> None:
        api.fail = None
        second.append(await pull(*FROM, "--into", str(root), environ=environ(api)))
        await api.answer(exchange)

    api.fail = wait
    first = await pull(*FROM, "--into", str(root), environ=environ(api))

    assert first.code == 0
    assert (second[0].code, second[0].err) == (
        2,
        f"prompt-resolver pull: {root}: another pull writes to it\n",
    )
