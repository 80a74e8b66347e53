"""Prompts are copied one by one: checked, never over somebody else's files, and gone on with."""

import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from typing_extensions import override

from prompt_resolver.arguments import UsageError
from prompt_resolver_server.commands.pull.collected import Selection
from prompt_resolver_server.commands.pull.copier import StoreDownError
from prompt_resolver_server.commands.pull.journal import Journal
from prompt_resolver_server.commands.pull.retries import Retries
from prompt_resolver_server.commands.pull.tree import Tree
from prompt_resolver_server.domain.errors import Reason, StoreError
from prompt_resolver_server.templates.humanloop.store import HumanloopStore
from prompt_resolver_server.templates.listing import ListQuery
from tests.support.humanloop import HumanloopApi, running_humanloop, send
from tests.support.pulling import WHEN, make_copier, read_tree, stock
from tests.support.stores import ToldStore, forbidden, make_template, unavailable
from tests.support.subjects.humanloop import make_store
from tests.support.upstream import Exchange


@pytest.fixture
async def api() -> AsyncIterator[HumanloopApi]:
    async with running_humanloop() as running:
        yield running


@pytest.fixture
async def store(api: HumanloopApi) -> AsyncIterator[HumanloopStore]:
    store = make_store(api)
    yield store
    await store.aclose()


class Torn(BaseException):
    """As if the process had been killed."""


@pytest.mark.parametrize("moves", range(12))
async def test_torn_between_two_files(
    api: HumanloopApi, store: HumanloopStore, tmp_path: Path, moves: int
) -> None:
    """Wherever it is torn, what goes on ends in the same tree, and begins with no conflict."""
    stock(api, 2)
    left = moves

    class Tearing(Tree):
        @override
        def _move(self, path: str) -> None:
            nonlocal left
            if not left:
                raise Torn
            left -= 1
            super()._move(path)

    if moves < 9:
        with pytest.raises(Torn):
            await make_copier(store, tmp_path / "torn", kind=Tearing).run([])
    copier = make_copier(store, tmp_path / "torn")
    assert await copier.run([])
    await make_copier(store, tmp_path / "whole").run([])

    assert read_tree(tmp_path / "torn") == read_tree(tmp_path / "whole")
    assert not copier.counts["failed"]


async def test_what_is_done_is_not_fetched_again(
    api: HumanloopApi, store: HumanloopStore, tmp_path: Path
) -> None:
    """A run that goes on asks for nothing but the list of what was done; an old one begins anew."""
    stock(api, 3)

    async def fail_for_the_last(exchange: Exchange) -> None:
        if "pr_2" in exchange.path:
            await send(exchange, {}, status="503 Service Unavailable")
            return
        api.fail = None
        await api.answer(exchange)
        api.fail = fail_for_the_last

    api.fail = fail_for_the_last
    no_wait = Retries(draw=lambda: 0.0, sleep=sleep_not)
    assert not await make_copier(store, tmp_path, retries=no_wait).run([])
    api.fail = None
    journal = (tmp_path / ".pull.journal").read_bytes()

    api.exchanges.clear()
    assert await make_copier(store, tmp_path).run([])
    assert not any("pr_0" in each or "pr_1" in each for each in api.requests)

    (tmp_path / ".pull.journal").write_bytes(journal)
    api.exchanges.clear()
    assert await make_copier(store, tmp_path, now=WHEN + timedelta(hours=2)).run([])
    assert any("pr_0" in each for each in api.requests)


async def test_what_was_done_and_is_lost(
    api: HumanloopApi, store: HumanloopStore, tmp_path: Path
) -> None:
    """What somebody has put in a file's place since is not taken for what was done."""
    stock(api, 1)
    await make_copier(store, tmp_path).run([])
    whole = read_tree(tmp_path)
    journal = Journal(tmp_path, task="test", now=WHEN)
    listed = (await store.list_prompts(ListQuery())).templates[0]
    journal.end_writing(
        "Shop/Desk 0",
        journal.entries["Shop/Desk 0"],
        listed=f"{listed.version} {listed.content_sha256}",
    )
    (tmp_path / "Shop" / "Desk 0.deployments.yaml").unlink()
    (tmp_path / "Shop" / "Desk 0.deployments.yaml").mkdir()

    assert not await make_copier(store, tmp_path).run([])
    (tmp_path / "Shop" / "Desk 0.deployments.yaml").rmdir()
    assert await make_copier(store, tmp_path).run([])
    assert read_tree(tmp_path) == whole


async def test_what_was_done_and_has_changed_is_fetched(
    api: HumanloopApi, store: HumanloopStore, tmp_path: Path
) -> None:
    """A run that goes on looks once more at what the store lists otherwise by now."""
    stock(api, 1)
    await make_copier(store, tmp_path).run([])
    (tmp_path / ".pull.journal").write_bytes(b"")
    api.put("Shop/Desk 0", prompt_id="pr_0", version="prv_4", template="{{text}} anew")

    copier = make_copier(store, tmp_path)
    await copier.run([])

    assert copier.counts == {"written": 1}


async def sleep_not(_: float) -> None:
    """Wait for nothing."""


async def test_edited_file(api: HumanloopApi, store: HumanloopStore, tmp_path: Path) -> None:
    """A file that somebody has edited is left as it is and told; `--force` replaces it."""
    stock(api, 2)
    await make_copier(store, tmp_path).run([])
    edited = tmp_path / "Shop" / "Desk 0.versions" / "prv_1.prompt"
    original = edited.read_bytes()
    edited.write_bytes(original + b"\n")
    others = tmp_path / "Shop" / "Desk 1.prompt"
    others.write_text("mine")

    copier = make_copier(store, tmp_path)
    assert not await copier.run([])
    assert copier.counts == {"failed": 2}
    assert (edited.read_bytes(), others.read_text()) == (original + b"\n", "mine")

    assert await make_copier(store, tmp_path, force=True).run([])
    assert edited.read_bytes() == original
    assert not others.exists()


async def test_file_that_was_lost(api: HumanloopApi, store: HumanloopStore, tmp_path: Path) -> None:
    """A file that somebody has removed is written again."""
    stock(api, 1)
    await make_copier(store, tmp_path).run([])
    before = read_tree(tmp_path)
    (tmp_path / "Shop" / "Desk 0.versions" / "prv_1.prompt").unlink()

    copier = make_copier(store, tmp_path)
    await copier.run([])

    assert copier.counts == {"written": 1}
    assert read_tree(tmp_path) == before


async def test_what_is_gone_from_the_store(
    api: HumanloopApi,
    store: HumanloopStore,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A version that is gone is removed; a prompt that is gone stays, and is told."""
    stock(api, 2)
    await make_copier(store, tmp_path).run([])
    del api.prompts["pr_0"].versions["prv_3"]
    del api.prompts["pr_1"]

    await make_copier(store, tmp_path).run([])

    versions = tmp_path / "Shop" / "Desk 0.versions"
    assert sorted(path.name for path in versions.iterdir()) == ["prv_1.prompt", "prv_2.prompt"]
    assert (tmp_path / "Shop" / "Desk 1.deployments.yaml").exists()
    assert "kept Shop/Desk 1, which the store lists no more" in capsys.readouterr().err


async def test_prompt_that_has_moved(
    api: HumanloopApi, store: HumanloopStore, tmp_path: Path
) -> None:
    """A prompt that has another path in the store has it in the directory, too."""
    stock(api, 1)
    await make_copier(store, tmp_path).run([])
    api.prompts["pr_0"].path = "Moved/desk"

    await make_copier(store, tmp_path).run([])

    assert {path.split("/")[0] for path in read_tree(tmp_path)} == {
        ".pull.json",
        "Moved",
        "ids.yaml",
    }
    assert (tmp_path / "ids.yaml").read_text() == "pr_0: Moved/desk\n"


def swap(api: HumanloopApi) -> None:
    one, other = api.prompts["pr_0"], api.prompts["pr_1"]
    one.path, other.path = other.path, one.path


async def test_prompts_that_have_swapped(
    api: HumanloopApi, store: HumanloopStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prompts that have each other's paths in the store have them in the directory, too."""
    stock(api, 2)
    await make_copier(store, tmp_path / "swapped").run([])
    swap(api)

    copier = make_copier(store, tmp_path / "swapped")
    assert await copier.run([])
    await make_copier(store, tmp_path / "anew").run([])

    assert copier.counts == {"written": 2}
    assert read_tree(tmp_path / "swapped") == read_tree(tmp_path / "anew")
    assert "kept" not in capsys.readouterr().err


@pytest.mark.parametrize("moves", range(8))
async def test_torn_while_prompts_swap(
    api: HumanloopApi, store: HumanloopStore, tmp_path: Path, moves: int
) -> None:
    """Wherever it is torn, what goes on ends with each prompt at its path."""
    stock(api, 2)
    await make_copier(store, tmp_path / "torn").run([])
    swap(api)
    left = moves

    class Tearing(Tree):
        @override
        def _move(self, path: str) -> None:
            nonlocal left
            if not left:
                raise Torn
            left -= 1
            super()._move(path)

    with pytest.raises(Torn):
        await make_copier(store, tmp_path / "torn", kind=Tearing).run([])
    assert await make_copier(store, tmp_path / "torn").run([])
    await make_copier(store, tmp_path / "whole").run([])

    assert read_tree(tmp_path / "torn") == read_tree(tmp_path / "whole")


async def test_prompt_that_was_made_anew(
    api: HumanloopApi, store: HumanloopStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A prompt at the path of one that is gone takes the place of its copy, and nothing is kept."""
    stock(api, 2)
    await make_copier(store, tmp_path).run([])
    path = api.prompts.pop("pr_0").path
    api.put(path, prompt_id="pr_9", version="prv_9", template="anew")

    assert await make_copier(store, tmp_path).run([])

    names = [path.name for path in (tmp_path / "Shop" / "Desk 0.versions").iterdir()]
    assert names == ["prv_9.prompt"]
    assert "pr_0" not in (tmp_path / "ids.yaml").read_text()
    assert "kept" not in capsys.readouterr().err


async def test_store_of_another_name(
    api: HumanloopApi, store: HumanloopStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Copies of what a store was called before are another store's, until `--force` takes them."""
    stock(api, 1)
    await make_copier(store, tmp_path, name="old").run([])

    assert not await make_copier(store, tmp_path, name="new").run([])
    assert "the copy of 'pr_0' of store 'old' is there; --force" in capsys.readouterr().err
    assert await make_copier(store, tmp_path, name="new", force=True).run([])
    api.put("Shop/Desk 0", prompt_id="pr_0", version="prv_9", template="anew")
    copier = make_copier(store, tmp_path, name="new")
    assert await copier.run([])
    assert copier.counts == {"written": 1}


@pytest.mark.parametrize("force", [False, True])
async def test_two_prompts_at_one_path(
    api: HumanloopApi,
    store: HumanloopStore,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    force: bool,
) -> None:
    """Of two prompts that the store has at one path, the first one is copied, and stays."""
    stock(api, 1)
    api.put("Shop/Desk 0.prompt", prompt_id="pr_9", template="other")

    for _ in range(2):
        assert not await make_copier(store, tmp_path, force=force).run([])

        assert (tmp_path / "ids.yaml").read_text() == "pr_0: Shop/Desk 0\n"
        assert "the store has 'pr_0' there, too" in capsys.readouterr().err


@pytest.mark.parametrize(
    "path",
    [
        *("../out", "/etc/passwd", "a//b", "a/./b", ".hidden", "a/.b/c", "a\x00b", "a\x1b[2Jb"),
        *("x" * 600, "é" * 130, "a.versions/b", "a.prompt/b", "ids.yaml/b", "_partial", "50%"),
        "\ud800",
    ],
)
async def test_hostile_paths(path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A path that leads elsewhere, or means something else there, is refused."""
    template = make_template(path, "v1")

    copier = make_copier(ToldStore(template), tmp_path / "into")

    assert not await copier.run(["p"])
    assert os.listdir(tmp_path) == ["into"]
    assert list(read_tree(tmp_path / "into")) == [".pull.json"]
    assert "\x1b" not in capsys.readouterr().err


async def test_hostile_versions(api: HumanloopApi, store: HumanloopStore, tmp_path: Path) -> None:
    """A version whose name no file may have fails its prompt, and no other."""
    for number, version in enumerate(("../x", "..", "a/b", ".x", "x" * 250, "V1")):
        prompt = api.put(f"p{number}", prompt_id=f"pr_{number}", version="v1", template="Hi")
        prompt.versions[version] = {"template": "Hi"}
    api.put("good", prompt_id="pr_good", template="Hi")

    copier = make_copier(store, tmp_path)
    await copier.run([])

    assert copier.counts["written"] == 1
    assert {path.split("/")[0].split(".")[0] for path in read_tree(tmp_path)} == {
        "",
        "good",
        "ids",
    }


async def test_paths_that_differ_in_case(
    api: HumanloopApi, store: HumanloopStore, tmp_path: Path
) -> None:
    """Of two paths that are one on some disks, the one that is listed first is copied."""
    api.put("Shop/desk", prompt_id="pr_1", template="one")
    api.put("shop/Desk", prompt_id="pr_2", template="two")

    copier = make_copier(store, tmp_path)

    assert not await copier.run([])
    assert copier.counts == {"written": 1, "failed": 1}
    assert (tmp_path / "Shop").is_dir()
    assert not (tmp_path / "shop").exists()


async def test_link_that_leads_out(
    api: HumanloopApi, store: HumanloopStore, tmp_path: Path
) -> None:
    """Nothing is written through a link that leads out of the directory."""
    stock(api, 1)
    outside, root = tmp_path / "outside", tmp_path / "into"
    outside.mkdir()
    root.mkdir()
    (root / "Shop").symlink_to(outside)

    assert not await make_copier(store, root, force=True).run([])
    assert list(outside.iterdir()) == []


async def test_broken_prompts(
    api: HumanloopApi,
    store: HumanloopStore,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A prompt that the store's list leaves out, as it is broken, is told as missing."""
    stock(api, 2)
    api.put("broken", prompt_id="pr_x", version="prv_9", template="x", max_tokens=0)

    copier = make_copier(store, tmp_path)

    assert not await copier.run([])
    assert copier.counts == {"written": 2, "failed": 1}
    assert "1 of the store's prompts are broken" in capsys.readouterr().err


async def test_deployed_version_that_is_broken(
    api: HumanloopApi,
    store: HumanloopStore,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A prompt that would be served less than completely is not copied."""
    stock(api, 1)
    api.prompts["pr_0"].versions["prv_2"] = {"template": "Hi", "max_tokens": 0}

    copier = make_copier(store, tmp_path)

    assert not await copier.run([])
    assert "TEMPLATE_INVALID" in capsys.readouterr().err


async def test_store_without_a_list(tmp_path: Path) -> None:
    """What a store serves of named prompts is copied; without a list, they have to be named."""
    store = ToldStore(make_template("team/hello", "v1"))

    with pytest.raises(StoreError) as caught:
        await make_copier(store, tmp_path).run([])
    assert caught.value.reason is Reason.NOT_IMPLEMENTED
    assert await make_copier(store, tmp_path).run(["team/hello"])
    assert (tmp_path / "team" / "hello.prompt.json").exists()


async def test_environment_that_nothing_is_deployed_to(
    api: HumanloopApi, store: HumanloopStore, tmp_path: Path
) -> None:
    """A prompt that is not deployed to the environments is none of those that are copied."""
    stock(api, 2)
    del api.prompts["pr_1"].deployed["staging"]

    copier = make_copier(store, tmp_path, selection=Selection(environments=("staging",)))

    assert await copier.run([])
    assert copier.counts == {"written": 1, "not selected": 1}


async def test_environments_that_no_prompt_has(
    api: HumanloopApi,
    store: HumanloopStore,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An environment that no prompt is deployed to, as a mistyped one, is told by its name."""
    stock(api, 1)
    selection = Selection(environments=("staging", "stagign"))

    assert not await make_copier(store, tmp_path, selection=selection).run([])
    assert capsys.readouterr().err == (
        "written Shop/Desk 0\nprompt-resolver pull: no prompt is deployed to 'stagign'\n"
    )


async def test_ids_of_one_environment_each(
    api: HumanloopApi, store: HumanloopStore, tmp_path: Path
) -> None:
    """A prompt that is asked for by its id may be deployed to any of the environments."""
    stock(api, 2)
    del api.prompts["pr_0"].deployed["staging"]
    selection = Selection(environments=("production", "staging"))

    assert await make_copier(store, tmp_path, selection=selection).run(["pr_0"])


async def test_ids_that_are_not_selected(
    api: HumanloopApi,
    store: HumanloopStore,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A prompt that is asked for by its id and not deployed as asked is told, and is a failure."""
    stock(api, 2)
    del api.prompts["pr_1"].deployed["staging"]
    selection = Selection(environments=("staging",))

    copier = make_copier(store, tmp_path, selection=selection)

    assert not await copier.run(["pr_0", "pr_1"])
    assert copier.counts == {"written": 1, "failed": 1}
    assert "pull: pr_1: it is not deployed to 'staging'\n" in capsys.readouterr().err


async def test_environments_of_a_run_that_goes_on(
    api: HumanloopApi, store: HumanloopStore, tmp_path: Path
) -> None:
    """What a torn run has copied of an environment counts for the one that goes on."""
    stock(api, 2)
    del api.prompts["pr_1"].deployed["staging"]
    selection = Selection(environments=("production", "staging"))

    async def fail_for_the_last(exchange: Exchange) -> None:
        if "pr_1" in exchange.path:
            await send(exchange, {}, status="503 Service Unavailable")
            return
        api.fail = None
        await api.answer(exchange)
        api.fail = fail_for_the_last

    api.fail = fail_for_the_last
    no_wait = Retries(draw=lambda: 0.0, sleep=sleep_not)
    assert not await make_copier(store, tmp_path, retries=no_wait, selection=selection).run([])
    api.fail = None

    api.exchanges.clear()
    assert await make_copier(store, tmp_path, selection=selection).run([])
    assert not any("pr_0" in each for each in api.requests)


async def test_what_the_directory_cannot_serve(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the directory would not serve as the store does is not put into it."""
    store = ToldStore(make_template("p", "v1", "x" * 2_000_000))

    assert not await make_copier(store, tmp_path).run(["p"])
    assert list(read_tree(tmp_path)) == [".pull.json"]
    assert "p: v1: TEMPLATE_INVALID" in capsys.readouterr().err


async def test_environment_of_a_store_without_a_list(tmp_path: Path) -> None:
    """What a store without lists serves of an environment is copied as such."""
    store = ToldStore(make_template("p", "v1"))
    selection = Selection(environments=("staging",))

    assert await make_copier(store, tmp_path, selection=selection).run(["p"])
    assert (tmp_path / "p.deployments.yaml").read_text() == "environments:\n  staging: v1\n"


async def test_ids_that_somebody_else_wrote(
    api: HumanloopApi, store: HumanloopStore, tmp_path: Path
) -> None:
    """A file of ids that somebody else wrote is left as it is, and told."""
    stock(api, 1)
    (tmp_path / "ids.yaml").write_text("mine: Shop/Desk 0\n")

    copier = make_copier(store, tmp_path)

    assert not await copier.run([])
    assert copier.counts == {"written": 1, "failed": 1}
    assert (tmp_path / "ids.yaml").read_text() == "mine: Shop/Desk 0\n"


async def test_folder_in_a_file_s_place(
    api: HumanloopApi, store: HumanloopStore, tmp_path: Path
) -> None:
    """A folder where a file should be is left as it is, and told."""
    stock(api, 1)
    (tmp_path / "Shop" / "Desk 0.deployments.yaml").mkdir(parents=True)

    assert not await make_copier(store, tmp_path, force=True).run([])


def test_link_in_the_place_of_what_waits(tmp_path: Path) -> None:
    """What is removed is the pull's own, and not where a link leads."""
    outside, root = tmp_path / "outside", tmp_path / "into"
    outside.mkdir()
    root.mkdir()
    (root / ".pull.stage").symlink_to(outside)

    with pytest.raises(UsageError):
        make_copier(ToldStore(unavailable()), root)
    assert outside.is_dir()


async def test_key_that_is_refused(tmp_path: Path) -> None:
    """A key that is refused ends it at once."""
    store = ToldStore(forbidden())

    with pytest.raises(StoreError):
        await make_copier(store, tmp_path).run([str(n) for n in range(100)])
    assert len(store.fetches) < 20


async def test_store_that_is_down(tmp_path: Path) -> None:
    """A store that answers no more is given up, and not asked for every prompt there is."""
    store = ToldStore(unavailable())
    retries = Retries(draw=lambda: 0.0, sleep=sleep_not)

    with pytest.raises(StoreDownError):
        await make_copier(store, tmp_path, retries=retries).run([str(n) for n in range(100)])

    assert len({ref.id for ref, _ in store.fetches}) < 20


async def test_copies_of_two_stores(
    api: HumanloopApi, store: HumanloopStore, tmp_path: Path
) -> None:
    """The copy of one prompt is not replaced by that of another one, which has its path."""
    api.put("team/hello", prompt_id="pr_1", template="one")
    await make_copier(store, tmp_path).run([])

    other = make_copier(ToldStore(make_template("team/hello", "v1")), tmp_path)

    assert not await other.run(["team/hello"])
    assert (tmp_path / "team" / "hello.versions" / "prv_1.prompt").exists()
