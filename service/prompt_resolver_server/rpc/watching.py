"""`WatchPrompts`: decode, watch, encode."""

from collections.abc import Mapping

from prompt_resolver.v1 import prompt_resolver_pb2 as pb

from ..entry.caller import Caller
from ..watching.events import Change, Event
from ..watching.watches import Watches
from .calls import Stream
from .decode import read_ref
from .encode import fill_info, write_ref

SNAPSHOT_KEY = "x-snapshot-revision"

_CHANGES: Mapping[Change, pb.Change.ValueType] = {
    "snapshot": pb.CHANGE_SNAPSHOT,
    "updated": pb.CHANGE_UPDATED,
    "removed": pb.CHANGE_REMOVED,
    "store_stale": pb.CHANGE_STORE_STALE,
    "store_ready": pb.CHANGE_STORE_READY,
}


class WatchServicer:
    """Answers the calls that watch."""

    def __init__(self, watches: Watches) -> None:
        self._watches = watches

    async def watch(self, request: pb.WatchPromptsRequest, caller: Caller, stream: Stream) -> None:
        """Send what happens to the prompts, until the call is cancelled."""
        refs = [read_ref(ref, f"prompts[{i}]") for i, ref in enumerate(request.prompts)]
        after = request.after_revision if request.HasField("after_revision") else None
        async with self._watches.open(
            refs, after=after, caller_key=caller.credentials.store_key
        ) as watch:
            revision = watch.snapshot_revision
            await stream.begin(((SNAPSHOT_KEY, str(revision)),) if revision is not None else ())
            while True:
                await stream(write_event(await watch.next()))


def write_event(event: Event) -> pb.WatchPromptsResponse:
    """Return an event as a response."""
    response = pb.WatchPromptsResponse(
        change=_CHANGES[event.change], revision=event.revision, ref=write_ref(event.ref)
    )
    fill_info(response.prompt, event.served)
    if event.change == "removed" or not event.served.template.version:
        # There is nothing that would be served.
        for field in ("cache", "age", "reason"):
            response.prompt.ClearField(field)
    return response
