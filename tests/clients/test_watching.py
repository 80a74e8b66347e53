"""The Python clients watch prompts, and go on where they were cut off."""

import asyncio
from contextlib import aclosing, closing
from pathlib import Path

import grpc
import pytest

from prompt_resolver import (
    AsyncPromptResolverClient,
    PromptResolverClient,
    PromptResolverError,
    WatchOptions,
)
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver.watching import Resumption
from tests.support.prompts import write_prompt
from tests.support.relay import running_relay
from tests.support.service import RunningService, running_service


def told(event: pb.WatchPromptsResponse) -> tuple[str, str]:
    return event.ref.id, pb.Change.Name(event.change).removeprefix("CHANGE_")


async def test_watching(service: RunningService, prompts: Path) -> None:
    """The client for asyncio yields the snapshot and the changes, of ids and of references."""
    write_prompt(prompts, "other", "<user>\nOther\n</user>")
    watch = service.client.watch("greet", pb.PromptRef(id="other"), timeout_s=30)
    async with aclosing(watch) as events:
        began = {told(await anext(events)), told(await anext(events))}
        write_prompt(prompts, "other", "<user>\nAnother\n</user>")
        changed = told(await anext(events))

    assert began == {("greet", "SNAPSHOT"), ("other", "SNAPSHOT")}
    assert changed == ("other", "UPDATED")


async def test_watching_in_a_thread(service: RunningService, prompts: Path) -> None:
    """The client that waits yields the same, and closing the iterator ends the watch."""

    def watch() -> list[tuple[str, str]]:
        with PromptResolverClient(service.address) as client:
            events = client.watch("greet", store="local", timeout_s=30)
            began = told(next(events))
            write_prompt(prompts, "greet", "<user>\nHi\n</user>")
            changed = told(next(events))
            events.close()
            return [began, changed]

    assert await asyncio.to_thread(watch) == [("greet", "SNAPSHOT"), ("greet", "UPDATED")]


async def test_snapshots(service: RunningService, prompts: Path) -> None:
    """Whoever asks is told when a snapshot is complete, be it that there is nothing in it."""
    write_prompt(prompts, "other", "<user>\nOther\n</user>")
    complete_at: list[int] = []
    asked: WatchOptions = {"timeout_s": 30, "on_snapshot": complete_at.append}
    async with aclosing(service.client.watch("greet", "other", **asked)) as events:
        revisions = [(await anext(events)).revision for _ in range(2)]
    # It goes on after the last event, without another snapshot.
    asked["after_revision"] = revisions[-1]
    after = service.client.watch("greet", "other", **asked)
    async with aclosing(after) as events:
        changed = asyncio.ensure_future(anext(events))
        write_prompt(prompts, "greet", "<user>\nHi\n</user>")
        assert told(await changed) == ("greet", "UPDATED")

    def wait() -> list[int]:
        del asked["after_revision"]
        with (
            PromptResolverClient(service.address) as client,
            closing(client.watch("greet", "other", **asked)) as waited,
        ):
            return [next(waited).revision for _ in range(2)]

    waited = await asyncio.to_thread(wait)

    assert revisions[0] < complete_at[0] <= revisions[1]
    assert waited[0] < complete_at[1] <= waited[1]
    assert len(complete_at) == 2


async def test_an_empty_snapshot(tmp_path: Path, prompts: Path) -> None:
    """A snapshot of nothing is complete at once, before there is any event."""
    began: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    config = f"stores: {{local: {{type: directory, path: {prompts}}}}}"
    async with (
        running_service(tmp_path, config) as service,
        aclosing(service.client.watch(timeout_s=30, on_snapshot=began.set_result)) as events,
    ):
        first = asyncio.ensure_future(anext(events))
        assert await began == 0
        assert not first.done()
        await service.client.resolve("greet", variables={"language": "en", "name": "Ada"})
        assert told(await first)[0] == "greet"


async def test_beginnings_that_fail(tmp_path: Path) -> None:
    """A call that never began tells of no snapshot, and what went wrong."""
    complete_at: list[int] = []
    async with AsyncPromptResolverClient(f"unix:{tmp_path}/nothing.sock") as client:
        for options in ({"reconnect": False}, {"timeout_s": 0.3}):
            asked: WatchOptions = {"on_snapshot": complete_at.append, **options}  # type: ignore[typeddict-item]
            with pytest.raises(PromptResolverError):
                await anext(client.watch("greet", **asked))
            with (
                PromptResolverClient(f"unix:{tmp_path}/nothing.sock") as waiting,
                pytest.raises(PromptResolverError),
            ):
                await asyncio.to_thread(next, waiting.watch("greet", **asked))

    assert complete_at == []


async def test_a_broken_connection(service: RunningService, prompts: Path) -> None:
    """After a break the watch goes on: what changed meanwhile comes once, and nothing twice."""
    for name in ("a", "b"):
        write_prompt(prompts, name, "<user>\nHello\n</user>")
    async with (
        running_relay(service.address) as relay,
        AsyncPromptResolverClient(relay.address) as client,
        aclosing(client.watch("a", "b", timeout_s=60)) as events,
    ):
        began = {told(await anext(events)), told(await anext(events))}
        relay.cut()
        write_prompt(prompts, "b", "<user>\nHi\n</user>")
        changed = told(await anext(events))
        write_prompt(prompts, "a", "<user>\nHi\n</user>")
        last = told(await anext(events))

    assert began == {("a", "SNAPSHOT"), ("b", "SNAPSHOT")}
    assert changed == ("b", "UPDATED")
    assert last == ("a", "UPDATED")
    assert relay.connections > 1


async def test_a_restarted_server(tmp_path: Path, prompts: Path) -> None:
    """A server that restarted sends a snapshot again."""
    environ = {"PROMPT_RESOLVER_GRPC_ADDRESS": f"unix:{tmp_path}/door.sock"}
    config = f"stores: {{local: {{type: directory, path: {prompts}}}}}"
    seen = []
    complete_at: list[int] = []
    async with (
        AsyncPromptResolverClient(f"unix:{tmp_path}/door.sock") as client,
        aclosing(client.watch("greet", timeout_s=60, on_snapshot=complete_at.append)) as events,
    ):
        for _ in range(2):
            async with running_service(tmp_path, config, environ):
                seen.append(await anext(events))

    assert [told(event) for event in seen] == [("greet", "SNAPSHOT")] * 2
    assert seen[0].revision < seen[1].revision
    assert len(complete_at) == 2
    assert all(0 < each <= event.revision for each, event in zip(complete_at, seen, strict=True))


async def test_no_reconnection(tmp_path: Path) -> None:
    """Without it, a server that is not there is an error, as one that refuses always is."""
    async with AsyncPromptResolverClient(f"unix:{tmp_path}/nothing.sock") as client:
        with pytest.raises(PromptResolverError) as caught:
            await anext(client.watch("greet", reconnect=False))

    assert caught.value.code == grpc.StatusCode.UNAVAILABLE


async def test_what_is_refused(service: RunningService) -> None:
    """What would fail again is not tried again."""
    with pytest.raises(PromptResolverError) as caught:
        await anext(service.client.watch("../x"))

    assert caught.value.reason == "PROMPT_ID_INVALID"


async def test_the_time_is_up(service: RunningService) -> None:
    """A watch that has a time ends with it."""
    with pytest.raises(PromptResolverError) as caught:
        async for _ in service.client.watch("greet", timeout_s=0.5):
            pass

    assert caught.value.code == grpc.StatusCode.DEADLINE_EXCEEDED


def test_pauses_grow() -> None:
    """Pauses grow while nothing comes, up to seconds, and begin anew with the next event."""
    resumption = Resumption((), {})
    error = PromptResolverError(grpc.StatusCode.UNAVAILABLE, "gone")
    pauses = [[resumption.pause_s(error) for _ in range(200)] for _ in range(2)]
    resumption.note(pb.WatchPromptsResponse(revision=7))

    assert max(pauses[1]) > 1
    assert max(*pauses[0], *pauses[1]) <= 5
    assert resumption.pause_s(error) <= 0.1
    assert resumption.request().after_revision == 7


def test_an_unknown_option() -> None:
    """What would be lost in silence is refused."""
    with pytest.raises(TypeError, match="unexpected option 'stroe'"):
        Resumption((), {"stroe": "x"})  # type: ignore[typeddict-unknown-key]
