"""A prompt of a chain is watched as what the chain serves."""

from pathlib import Path

from prompt_resolver.v1 import admin_pb2
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from tests.support.calls import failure
from tests.support.humanloop import KEY, HumanloopApi, running_humanloop, send
from tests.support.operator import running_admin
from tests.support.prompts import write_prompt
from tests.support.service import running_service
from tests.support.upstream import Exchange
from tests.support.watching import refs, watching


def words(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def config(api: HumanloopApi, baked: Path) -> str:
    return f"""
stores:
  hl: {{type: humanloop, base_url: '{api.url}', api_key: {KEY}, ttl_s: 0.3, timeout_s: 2}}
  baked: {{type: directory, path: {baked}}}
  both: {{type: chain, stores: [hl, baked]}}
default_store: both
"""


async def fail(exchange: Exchange) -> None:
    await send(exchange, {"detail": "oops"}, status="500 Internal Server Error")


async def test_the_store_is_down_and_returns(tmp_path: Path) -> None:
    """What the next store serves is told as a fallback, and the first store's as an update."""
    baked = tmp_path / "baked"
    write_prompt(baked, "greet", "<user>\nBaked\n</user>")
    async with running_humanloop() as api:
        api.put("greet", prompt_id="pr_1", template=words("Hello"))
        api.fail = fail
        async with (
            running_service(tmp_path, config(api, baked)) as service,
            watching(service.address, refs("greet")) as watcher,
        ):
            began = await watcher.next()
            resolved = (await service.client.resolve("greet")).prompt
            api.fail = None
            came = await watcher.next()
            api.fail = fail
            stale = await watcher.next()

    for prompt in (began.prompt, resolved):
        prompt.ClearField("age")
    assert began.prompt == resolved
    assert (began.ref.store, began.prompt.store) == ("both", "baked")
    assert (began.change, began.prompt.cache) == (
        pb.CHANGE_SNAPSHOT,
        pb.CACHE_RESULT_FALLBACK,
    )
    assert (came.change, came.prompt.store, came.prompt.version) == (
        *(pb.CHANGE_UPDATED, "hl", "prv_1"),
    )
    assert (stale.change, stale.prompt.store) == (pb.CHANGE_STORE_STALE, "hl")


async def test_the_first_store_removes_it(tmp_path: Path) -> None:
    """Once the first store has it no more, the next one's is an update, and then it is gone."""
    baked = tmp_path / "baked"
    write_prompt(baked, "greet", "<user>\nBaked\n</user>")
    async with running_humanloop() as api:
        api.put("greet", prompt_id="pr_1", template=words("Hello"))
        async with (
            running_service(tmp_path, config(api, baked)) as service,
            watching(service.address, refs("greet")) as watcher,
        ):
            seen = [await watcher.next()]
            api.prompts.clear()
            seen.append(await watcher.next())
            (baked / "greet.prompt").unlink()
            seen.append(await watcher.next())
            gone = await failure(service.client.resolve("greet"))

    assert [each.change for each in seen] == [
        *(pb.CHANGE_SNAPSHOT, pb.CHANGE_UPDATED, pb.CHANGE_REMOVED)
    ]
    assert [each.prompt.store for each in seen[:2]] == ["hl", "baked"]
    assert gone.reason == "PROMPT_NOT_FOUND"


async def test_operating_on_a_chain(tmp_path: Path) -> None:
    """What is fetched and dropped of a chain is what its members hold."""
    baked = tmp_path / "baked"
    write_prompt(baked, "greet", "<user>\nBaked\n</user>")
    async with running_humanloop() as api:
        api.put("greet", prompt_id="pr_1", template=words("Hello"))
        async with running_admin(tmp_path, config(api, baked)) as (_, admin):
            fetched = await admin.PrefetchPrompts(
                admin_pb2.PrefetchPromptsRequest(prompts=refs("greet"))
            )
            listed = await admin.ListPrompts(admin_pb2.ListPromptsRequest())
            dropped = await admin.InvalidatePrompts(
                admin_pb2.InvalidatePromptsRequest(prompts=refs("greet", store="both"))
            )

    assert fetched.results[0].prompt.store == "hl"
    assert [each.ref.store for each in listed.prompts] == ["baked", "hl"]
    assert dropped.dropped_count == 2


async def test_chain_of_one(tmp_path: Path) -> None:
    """A chain of one store is a chain: whoever may use it is told of it by its own name."""
    write_prompt(tmp_path / "baked", "greet", "<user>\nBaked\n</user>")
    config = """
server: {state_dir: null}
general_settings: {master_key: the-master}
callers: {team: {token: the-token, stores: ['all']}}
stores:
  baked: {type: directory, path: baked}
  all: {type: chain, stores: [baked]}
"""
    keys = [("authorization", "Bearer the-token")]
    async with (
        running_service(tmp_path, config) as service,
        watching(service.address, refs("greet", store="all"), keys=keys) as watcher,
    ):
        began = await watcher.next()

    assert (began.ref.store, began.prompt.store) == ("all", "baked")
    assert began.change == pb.CHANGE_SNAPSHOT
