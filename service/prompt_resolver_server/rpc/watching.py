"""`WatchPrompts`: decode, watch, encode."""

from collections.abc import Mapping

from prompt_resolver.v1 import prompt_resolver_pb2 as pb

from ..entry.caller import Caller
from ..entry.serving import Serving
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

    def __init__(self, watches: Watches, serving: Serving) -> None:
        self._watches = watches
        self._serving = serving

    async def watch(self, request: pb.WatchPromptsRequest, caller: Caller, stream: Stream) -> None:
        """Send what happens to the prompts, until the call is cancelled.

        It lasts, so it goes by what the caller may use at each event.
        """
        refs = [read_ref(ref, f"prompts[{i}]") for i, ref in enumerate(request.prompts)]
        after = request.after_revision if request.HasField("after_revision") else None
        credentials = caller.credentials
        async with self._watches.open(
            refs,
            after=after,
            caller_key=credentials.store_key,
            permit=lambda: self._serving.access.renew(credentials),
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
