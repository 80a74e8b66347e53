"""Whoever watches prompts is told how they are, and of every change."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from prompt_resolver import PromptResolverError
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from tests.support.calls import VARIABLES
from tests.support.humanloop import KEY, HumanloopApi, running_humanloop, send
from tests.support.prompts import replace_file, write_prompt
from tests.support.raw import open_channel
from tests.support.service import RunningService, running_process, running_service
from tests.support.upstream import Exchange
from tests.support.watching import refs, watching

TTL_S = 0.3


def words(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


@pytest.fixture
async def api() -> AsyncIterator[HumanloopApi]:
    async with running_humanloop() as running:
        running.put("greet", prompt_id="pr_1", template=words("Hello"))
        yield running


def store(api: HumanloopApi, **server: object) -> str:
    settings = f"type: humanloop, base_url: '{api.url}', api_key: {KEY}, ttl_s: {TTL_S}"
    return f"server: {server}\nstores: {{hl: {{{settings}, timeout_s: 2}}}}\n"


async def fail(exchange: Exchange) -> None:
    await send(exchange, {"detail": "oops"}, status="500 Internal Server Error")


async def test_a_file_is_edited_removed_and_restored(
    service: RunningService, prompts: Path
) -> None:
    """Nobody resolves the prompt, and its watcher is told of each change within seconds."""
    path = prompts / "greet.prompt"
    content = path.read_text()
    async with watching(service.address, refs("greet")) as watcher:
        began = await watcher.next()
        replace_file(path, content + "<user>\nAnd more\n</user>")
        edited = await watcher.next()
        path.unlink()
        removed = await watcher.next()
        replace_file(path, content)
        restored = await watcher.next()

    changes = [each.change for each in (began, edited, removed, restored)]
    assert changes == [
        *(pb.CHANGE_SNAPSHOT, pb.CHANGE_UPDATED, pb.CHANGE_REMOVED, pb.CHANGE_UPDATED)
    ]
    assert edited.prompt.version == removed.prompt.version != began.prompt.version
    assert restored.prompt.content_sha256 == began.prompt.content_sha256
    assert {each.ref.id for each in (began, edited, removed, restored)} == {"greet"}
    assert {each.ref.store for each in (began, edited, removed, restored)} == {"local"}


async def test_what_is_told_is_what_resolve_says(service: RunningService) -> None:
    """An event describes the prompt as a response to `Resolve` does."""
    async with watching(service.address, refs("greet")) as watcher:
        event = await watcher.next()
    resolved = (await service.client.resolve("greet", variables=VARIABLES)).prompt

    for prompt in (event.prompt, resolved):
        prompt.ClearField("age")
    assert event.prompt == resolved


async def test_a_label_is_moved(tmp_path: Path, api: HumanloopApi) -> None:
    """A version that is deployed elsewhere is told by its environment, and pinned ones stand."""
    api.put("greet", prompt_id="pr_1", version="prv_2", to="staging", template=words("Hi"))
    watched = [
        pb.PromptRef(id="pr_1", environment="staging"),
        pb.PromptRef(id="pr_1", version="prv_1"),
    ]
    async with (
        running_service(tmp_path, store(api)) as service,
        watching(service.address, watched) as watcher,
    ):
        began = [await watcher.next(), await watcher.next()]
        api.put("greet", prompt_id="pr_1", version="prv_3", to="staging", template=words("Hey"))
        moved = await watcher.next()

    assert {each.prompt.version for each in began} == {"prv_1", "prv_2"}
    assert moved.ref == pb.PromptRef(id="pr_1", store="hl", environment="staging")
    assert (moved.change, moved.prompt.version) == (pb.CHANGE_UPDATED, "prv_3")


async def test_a_version_is_rolled_back(tmp_path: Path, api: HumanloopApi) -> None:
    """What was deployed before is deployed again: it is told, and served, as any other version."""
    async with (
        running_service(tmp_path, store(api)) as service,
        watching(service.address, refs("pr_1")) as watcher,
    ):
        told, served = [await watcher.next()], []
        for version in ("prv_2", "prv_1"):
            api.put("greet", prompt_id="pr_1", version=version, template=words(version))
            told.append(await watcher.next())
            served.append(await service.client.resolve("pr_1"))

    assert [each.prompt.version for each in told] == ["prv_1", "prv_2", "prv_1"]
    assert [each.change for each in told[1:]] == [pb.CHANGE_UPDATED] * 2
    assert [each.prompt.version for each in served] == ["prv_2", "prv_1"]
    assert [each.messages[0].content[0].text for each in served] == ["prv_2", "prv_1"]


async def test_an_outage(tmp_path: Path, api: HumanloopApi) -> None:
    """A store that stops answering, and answers again, is told once each."""
    async with (
        running_service(tmp_path, store(api)) as service,
        watching(service.address, refs("pr_1")) as watcher,
    ):
        await watcher.next()
        api.fail = fail
        stale = await watcher.next()
        api.fail = None
        ready = await watcher.next()

    assert (stale.change, stale.prompt.stale) == (pb.CHANGE_STORE_STALE, True)
    assert stale.prompt.cache == pb.CACHE_RESULT_STALE
    assert stale.prompt.age.ToTimedelta().total_seconds() >= TTL_S
    assert (ready.change, ready.prompt.stale) == (pb.CHANGE_STORE_READY, False)
    assert stale.prompt.version == ready.prompt.version == "prv_1"


async def test_an_outage_that_ends_in_a_new_version(tmp_path: Path, api: HumanloopApi) -> None:
    """What was edited during an outage is an update, and no more than that."""
    async with (
        running_service(tmp_path, store(api)) as service,
        watching(service.address, refs("pr_1")) as watcher,
    ):
        told = [await watcher.told()]
        api.fail = fail
        told.append(await watcher.told())
        api.put("greet", prompt_id="pr_1", version="prv_2", template=words("Hi"))
        api.fail = None
        told.append(await watcher.told())

    assert told == [
        ("pr_1", "prv_1", "SNAPSHOT"),
        ("pr_1", "prv_1", "STORE_STALE"),
        ("pr_1", "prv_2", "UPDATED"),
    ]


async def test_what_is_not_there_yet(tmp_path: Path, api: HumanloopApi) -> None:
    """A watch of several prompts tells which are not there, and when they come."""
    async with (
        running_service(tmp_path, store(api)) as service,
        watching(service.address, refs("pr_1", "pr_2")) as watcher,
    ):
        began = sorted([await watcher.told(), await watcher.told()])
        api.put("later", prompt_id="pr_2", template=words("Later"))
        came = await watcher.told()

    assert began == [("pr_1", "prv_1", "SNAPSHOT"), ("pr_2", "", "REMOVED")]
    assert came == ("pr_2", "prv_1", "UPDATED")


async def test_a_store_that_is_down_from_the_start(tmp_path: Path, api: HumanloopApi) -> None:
    """Without a copy there is no version to tell of, until the store answers."""
    api.fail = fail
    async with (
        running_service(tmp_path, store(api)) as service,
        watching(service.address, refs("pr_1")) as watcher,
    ):
        began = await watcher.next()
        api.fail = None
        came = await watcher.told()

    assert (began.change, began.prompt.version) == (pb.CHANGE_STORE_STALE, "")
    assert not began.prompt.HasField("age")
    assert came == ("pr_1", "prv_1", "UPDATED")


async def test_a_key_that_is_taken_back(tmp_path: Path, api: HumanloopApi) -> None:
    """A prompt that the server may not have any more is gone."""

    async def refuse(exchange: Exchange) -> None:
        await send(exchange, {"detail": "no"}, status="401 Unauthorized")

    async with (
        running_service(tmp_path, store(api)) as service,
        watching(service.address, refs("pr_1")) as watcher,
    ):
        await watcher.next()
        api.fail = refuse
        told = await watcher.told()

    assert told == ("pr_1", "prv_1", "REMOVED")


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        (pb.PromptRef(id="../x"), "PROMPT_ID_INVALID"),
        (pb.PromptRef(), "PROMPT_ID_INVALID"),
        (pb.PromptRef(id="greet", store="nowhere"), "STORE_UNKNOWN"),
        (pb.PromptRef(id="greet", version=""), "SELECTOR_INVALID"),
    ],
    ids=["malformed id", "no id", "unknown store", "empty selector"],
)
async def test_what_can_be_nothing(
    service: RunningService, prompt: pb.PromptRef, reason: str
) -> None:
    """A reference that no store can have is refused at once, whatever else is watched."""
    async with watching(service.address, [*refs("greet"), prompt]) as watcher:
        failure = await watcher.failure()

    assert failure == (grpc.StatusCode.INVALID_ARGUMENT, reason)


async def test_too_many_names(service: RunningService) -> None:
    """A watch names at most a thousand prompts."""
    async with watching(service.address, refs(*map(str, range(1001)))) as watcher:
        failure = await watcher.failure()

    assert failure == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")


async def test_more_names_than_can_be_held(tmp_path: Path, prompts: Path) -> None:
    """Watches name no more prompts than the cache holds; those that go make room."""
    config = f"cache: {{max_entries: 3}}\nstores: {{local: {{type: directory, path: {prompts}}}}}"
    async with (
        running_service(tmp_path, config) as service,
        watching(service.address, refs("a", "b")) as first,
    ):
        await first.begun()
        async with watching(service.address, refs("b", "c", "d")) as second:
            refused = await second.failure()
        async with watching(service.address, refs("b", "c")) as third:
            began = await third.begun()

    assert refused == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert began is not None


async def test_all_that_are_cached(service: RunningService, prompts: Path) -> None:
    """Without names, what is held is watched, and what comes to be held."""
    write_prompt(prompts, "other", "<user>\nOther\n</user>")
    await service.client.resolve("greet", variables=VARIABLES)
    async with watching(service.address) as watcher:
        complete_at = await watcher.begun()
        began = await watcher.next()
        await service.client.resolve("other")
        came = await watcher.next()
        write_prompt(prompts, "other", "<user>\nAnother\n</user>")
        changed = await watcher.next()
        (prompts / "other.prompt").unlink()
        removed = await watcher.next()

    assert began.revision == complete_at
    told = [(each.ref.id, each.change) for each in (began, came, changed, removed)]
    assert told == [
        ("greet", pb.CHANGE_SNAPSHOT),
        ("other", pb.CHANGE_UPDATED),
        ("other", pb.CHANGE_UPDATED),
        ("other", pb.CHANGE_REMOVED),
    ]


async def test_an_empty_snapshot(service: RunningService) -> None:
    """Where nothing is cached, the watch says so before anything happens."""
    async with watching(service.address) as watcher:
        assert await watcher.begun() == 0


async def test_the_end_of_a_snapshot(service: RunningService, prompts: Path) -> None:
    """The snapshot is complete with the event of the revision that came first."""
    names = [f"p{number}" for number in range(20)]
    for name in names:
        write_prompt(prompts, name, "<user>\nHello\n</user>")
    async with watching(service.address, refs(*names, "greet", "greet")) as watcher:
        complete_at = await watcher.begun()
        events = [await watcher.next() for _ in range(21)]

    assert {each.ref.id for each in events} == {*names, "greet"}
    assert events[-1].revision == complete_at


async def test_going_on_after_a_break(service: RunningService, prompts: Path) -> None:
    """Whoever was cut off gets what has changed since, each prompt once, and nothing else."""
    for name in ("a", "b", "c"):
        write_prompt(prompts, name, f"<user>\n{name}\n</user>")
    watched = refs("a", "b", "c")
    async with watching(service.address, watched) as watcher:
        for _ in watched:
            await watcher.next()
    for text in ("first", "second"):
        write_prompt(prompts, "b", f"<user>\n{text}\n</user>")
        last = await service.client.resolve("b")
    write_prompt(prompts, "c", "<user>\nunseen\n</user>")

    async with watching(service.address, watched, after=watcher.revision) as again:
        complete_at = await again.begun()
        told = [await again.told(), await again.told()]
        write_prompt(prompts, "a", "<user>\nlast\n</user>")
        told.append(await again.told())

    assert complete_at is None
    assert [(name, change) for name, _, change in told] == [
        *(("b", "UPDATED"), ("c", "UPDATED"), ("a", "UPDATED"))
    ]
    assert told[0][1] == last.prompt.version


async def test_going_on_in_the_middle_of_a_snapshot(service: RunningService, prompts: Path) -> None:
    """What of a snapshot has not come before a break comes after it."""
    names = {f"p{number}" for number in range(10)}
    for name in names:
        write_prompt(prompts, name, "<user>\nHello\n</user>")
    watched = refs(*sorted(names))
    async with watching(service.address, watched) as watcher:
        seen = {(await watcher.next()).ref.id for _ in range(4)}

    async with watching(service.address, watched, after=watcher.revision) as again:
        rest = {(await again.next()).ref.id for _ in range(6)}

    assert rest == names - seen


async def test_going_on_with_all_that_are_cached(service: RunningService, prompts: Path) -> None:
    """What was removed while nobody watched is told of, too."""
    write_prompt(prompts, "other", "<user>\nOther\n</user>")
    await service.client.resolve("greet", variables=VARIABLES)
    await service.client.resolve("other")
    async with watching(service.address) as watcher:
        await watcher.next()
        await watcher.next()
        (prompts / "other.prompt").unlink()
        await watcher.next()
        before = watcher.revision
    write_prompt(prompts, "third", "<user>\nThird\n</user>")
    await service.client.resolve("third")

    async with watching(service.address, after=before) as again:
        told = await again.told()
    async with watching(service.address, after=before - 1) as again:
        removed = await again.told()

    assert (told[0], told[2]) == ("third", "UPDATED")
    assert (removed[0], removed[2]) == ("other", "REMOVED")


@pytest.mark.parametrize("after", [0, 1, 2**63], ids=["zero", "one", "from the future"])
async def test_an_unknown_revision(service: RunningService, after: int) -> None:
    """A revision that the server never gave gets a new snapshot."""
    async with watching(service.address, refs("greet"), after=after) as watcher:
        complete_at = await watcher.begun()
        event = await watcher.next()

    assert event.change == pb.CHANGE_SNAPSHOT
    assert event.revision == complete_at


async def test_a_restarted_server(tmp_path: Path, prompts: Path) -> None:
    """The revisions of a server that is gone mean nothing to the next one, which has its own."""
    config = f"stores: {{local: {{type: directory, path: {prompts}}}}}"
    async with (
        running_service(tmp_path, config) as service,
        watching(service.address, refs("greet")) as watcher,
    ):
        await watcher.next()
    async with (
        running_service(tmp_path, config) as service,
        watching(service.address, refs("greet"), after=watcher.revision) as again,
    ):
        event = await again.next()

    assert event.change == pb.CHANGE_SNAPSHOT
    assert event.revision > watcher.revision


async def test_many_watchers_cost_one_fetch(tmp_path: Path, api: HumanloopApi) -> None:
    """However many watch a prompt, its store is asked once for each time to live."""
    async with (
        running_service(tmp_path, store(api)) as service,
        open_channel(service.address) as channel,
    ):
        method: grpc.aio.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream(
            "/prompt_resolver.v1.PromptResolver/WatchPrompts"
        )
        request = pb.WatchPromptsRequest(prompts=refs("pr_1")).SerializeToString()
        calls = [method(request) for _ in range(500)]
        for call in calls:
            await call.read()
        before = len(api.requests)
        began = asyncio.get_running_loop().time()
        for version in ("prv_2", "prv_3", "prv_4"):
            api.put("greet", prompt_id="pr_1", version=version, template=words(version))
            told = [await call.read() for call in calls]
        lasted_s = asyncio.get_running_loop().time() - began
        fetches = len(api.requests) - before
        for call in calls:
            call.cancel()

    events = [pb.WatchPromptsResponse.FromString(each) for each in told if isinstance(each, bytes)]
    assert {each.prompt.version for each in events} == {"prv_4"}
    assert len(events) == 500
    assert 3 <= fetches <= lasted_s / TTL_S + 1


async def test_without_watchers_nothing_is_asked(tmp_path: Path, api: HumanloopApi) -> None:
    """Once the last watcher has left, the store is left alone."""
    async with running_service(tmp_path, store(api)) as service:
        async with watching(service.address, refs("pr_1")) as watcher:
            await watcher.next()
            api.put("greet", prompt_id="pr_1", version="prv_2", template=words("Hi"))
            await watcher.next()
        while await service.metric('prompt_resolver_calls_inflight{call_class="watch"}'):
            pass
        before = len(api.requests)
        async with watching(service.address, refs("pr_other")) as other:
            await other.next()
            api.put("other", prompt_id="pr_other", template=words("Other"))
            await other.next()
        asked = {request.split("?")[0] for request in api.requests[before:]}

    assert asked <= {"GET /v5/prompts/pr_other", "POST /v5/files/retrieve-by-path"}


async def test_admission(tmp_path: Path, prompts: Path) -> None:
    """Watches have a limit of their own, and those that end make room."""
    config = f"server: {{max_watches: 1}}\nstores: {{local: {{type: directory, path: {prompts}}}}}"
    async with running_service(tmp_path, config) as service:
        async with watching(service.address, refs("greet")) as first:
            await first.next()
            async with watching(service.address, refs("greet")) as second:
                refused = await second.failure()
            resolved = await service.client.resolve("greet", variables=VARIABLES)
        while await service.metric('prompt_resolver_calls_inflight{call_class="watch"}'):
            pass
        async with watching(service.address, refs("greet")) as third:
            event = await third.next()

    assert refused == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert resolved.messages
    assert event.change == pb.CHANGE_SNAPSHOT


async def test_the_callers_deadline(
    service: RunningService, caplog: pytest.LogCaptureFixture
) -> None:
    """A watch ends at its caller's deadline, if it has one, and the log does not complain of it."""
    inflight = 'prompt_resolver_calls_inflight{call_class="watch"}'
    async with watching(service.address, refs("greet"), timeout_s=1.0) as watcher:
        await watcher.next()
        failure = await watcher.failure()
    while await service.metric(inflight):
        pass

    assert failure[0] == grpc.StatusCode.DEADLINE_EXCEEDED
    assert [each.levelname for each in caplog.records if each.levelno >= logging.INFO] == []


async def test_no_default_deadline(tmp_path: Path, prompts: Path) -> None:
    """What ends other calls of callers without a deadline does not end a watch."""
    config = (
        "server: {default_deadline_s: 0.2, max_deadline_s: 0.2}\n"
        f"stores: {{local: {{type: directory, path: {prompts}}}}}"
    )
    async with (
        running_service(tmp_path, config) as service,
        watching(service.address, refs("greet")) as watcher,
    ):
        await watcher.next()
        write_prompt(prompts, "greet", "<user>\nHi\n</user>")
        event = await watcher.next()

    assert event.change == pb.CHANGE_UPDATED


async def test_drain(tmp_path: Path, prompts: Path) -> None:
    """A service that is told to stop ends its watches at once, and waits for none of them."""
    config = f"server: {{drain_s: 60}}\nstores: {{local: {{type: directory, path: {prompts}}}}}"
    async with (
        running_process(tmp_path, config) as (service, process),
        watching(service.address, refs("greet")) as watcher,
        watching(service.address) as idle,
    ):
        await watcher.next()
        await idle.next()
        code, log = await asyncio.to_thread(process.stop)
        failures = [await watcher.failure(), await idle.failure()]

    assert failures == [(grpc.StatusCode.UNAVAILABLE, "DRAINING")] * 2
    assert code == 0
    assert '"error"' not in log


async def test_keys_of_callers_are_apart(tmp_path: Path, api: HumanloopApi) -> None:
    """With a key of its own, a caller watches what that key opened, and without, nothing of it."""
    keys = (("x-prompt-store-key", KEY),)
    api.put("other", prompt_id="pr_2", template=words("Other"))
    async with running_service(tmp_path, store(api)) as service:
        await service.client.resolve("pr_1", credentials=dict(keys))
        await service.client.resolve("pr_2")
        async with (
            watching(service.address) as keyless,
            watching(service.address, keys=keys) as keyed,
            watching(service.address, keys=(("x-prompt-store-key", "key-of-nobody"),)) as nobody,
        ):
            began = await nobody.begun()
            told = [await keyless.told(), await keyed.told()]
            api.put("greet", prompt_id="pr_1", version="prv_2", template=words("Hi"))
            told.append(await keyed.told())
            api.put("other", prompt_id="pr_2", version="prv_2", template=words("Hi"))
            told.append(await keyless.told())

    assert began == 0
    assert told == [
        ("pr_2", "prv_1", "SNAPSHOT"),
        ("pr_1", "prv_1", "SNAPSHOT"),
        ("pr_1", "prv_2", "UPDATED"),
        ("pr_2", "prv_2", "UPDATED"),
    ]


async def test_a_key_that_is_refused(tmp_path: Path, api: HumanloopApi) -> None:
    """A caller whose own key opens nothing is told so."""
    keys = (("x-prompt-store-key", "key-of-nobody"),)
    async with (
        running_service(tmp_path, store(api)) as service,
        watching(service.address, refs("pr_1"), keys=keys) as watcher,
    ):
        failure = await watcher.failure()

    assert failure == (grpc.StatusCode.UNAUTHENTICATED, "STORE_AUTH")


async def test_a_token_is_needed(tmp_path: Path, prompts: Path) -> None:
    """Watches ask for the token that all calls need."""
    config = (
        "general_settings: {master_key: key-of-master}\n"
        f"stores: {{local: {{type: directory, path: {prompts}}}}}"
    )
    async with (
        running_service(tmp_path, config) as service,
        watching(service.address, refs("greet")) as stranger,
        watching(
            service.address, refs("greet"), keys=(("authorization", "Bearer key-of-master"),)
        ) as caller,
    ):
        refused = await stranger.failure()
        event = await caller.next()

    assert refused == (grpc.StatusCode.UNAUTHENTICATED, "CALLER_TOKEN_MISSING")
    assert event.change == pb.CHANGE_SNAPSHOT


async def test_watching_counts_as_no_use(service: RunningService) -> None:
    """A watched prompt is looked after, and served to nobody."""
    async with watching(service.address, refs("greet")) as watcher:
        await watcher.next()

    assert "prompt_resolver_template_cache_requests_total{" not in await service.metrics()
    with pytest.raises(PromptResolverError):
        await service.client.resolve("greet")
