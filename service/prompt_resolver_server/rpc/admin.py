"""The methods of `PromptResolverAdmin`: decode, call, encode."""

from collections.abc import Sequence

from google.protobuf import duration_pb2

from prompt_resolver.v1 import admin_pb2 as pb
from prompt_resolver.v1 import prompt_resolver_pb2 as data_pb

from ..domain.errors import ResolverError, invalid_request
from ..domain.explaining import Step, recording, tell
from ..domain.prompts import PromptRef, ServedTemplate
from ..entry.caller import Caller
from ..entry.faults import as_error
from ..entry.serving import Serving
from ..templates.cache.inventory import HeldTemplate
from ..upkeep import MAX_PROMPTS, Upkeep
from .decode import read_query, read_ref
from .encode import fill_info, write_ref
from .page_tokens import read_page_token, write_page_token
from .structs import to_struct

_PAGE_SIZE = 100


class AdminServicer:
    """Answers the calls of operators. `logs_prompts` tells that the server's log has prompts."""

    def __init__(self, serving: Serving, *, logs_prompts: bool) -> None:
        self._serving = serving
        self._logs_prompts = logs_prompts

    @property
    def _upkeep(self) -> Upkeep:
        return Upkeep(self._serving.resolver.stores)

    async def list_prompts(
        self, request: pb.ListPromptsRequest, caller: Caller
    ) -> pb.ListPromptsResponse:
        """Return a page of what is held."""
        size = request.page_size or _PAGE_SIZE
        if not 1 <= size <= MAX_PROMPTS:
            raise invalid_request("page_size", f"expected from 1 to {MAX_PROMPTS}, or 0")
        store = request.store if request.HasField("store") else None
        page = self._upkeep.list(
            store=store,
            after=read_page_token(request.page_token, store),
            size=size,
            caller_key=caller.credentials.store_key,
        )
        return pb.ListPromptsResponse(
            prompts=[self._write_held(held, served) for held, served in page.held],
            next_page_token=write_page_token(store, page.end) if page.end is not None else "",
        )

    async def invalidate_prompts(
        self, request: pb.InvalidatePromptsRequest, caller: Caller
    ) -> pb.InvalidatePromptsResponse:
        """Drop the named copies."""
        dropped = self._upkeep.invalidate(_read_refs(request.prompts))
        return pb.InvalidatePromptsResponse(dropped_count=dropped)

    async def prefetch_prompts(
        self, request: pb.PrefetchPromptsRequest, caller: Caller
    ) -> pb.PrefetchPromptsResponse:
        """Fetch the named prompts."""
        results = await self._upkeep.prefetch(
            _read_refs(request.prompts),
            deadline=caller.deadline,
            caller_key=caller.credentials.store_key,
        )
        return pb.PrefetchPromptsResponse(
            results=[
                _write_result(ref, result)
                for ref, result in zip(request.prompts, results, strict=True)
            ]
        )

    async def explain_resolve(
        self, request: pb.ExplainResolveRequest, caller: Caller
    ) -> pb.ExplainResolveResponse:
        """Resolve a request, and tell of each step."""
        with recording() as steps:
            if self._logs_prompts:
                tell("log", "requests to providers are written to the log, with their prompts")
            try:
                query = read_query(
                    request.request, credentials=caller.credentials, deadline=caller.deadline
                )
                await self._serving.resolver.resolve(query)
            except Exception as exception:  # noqa: BLE001 - whatever goes wrong is the last step
                error = as_error(exception, draining=False)
                assert error is not None
                tell("error", error.message, **{**error.metadata, "reason": error.reason})
        return pb.ExplainResolveResponse(steps=[_write_step(step) for step in steps])

    def _write_held(self, held: HeldTemplate, served: ServedTemplate) -> pb.HeldPrompt:
        ttl_s = self._serving.resolver.inventory.ttls_s[held.store]
        ref = PromptRef(
            id=held.id, store=held.store, version=held.version, environment=held.environment
        )
        wire = pb.HeldPrompt(
            hit_count=held.served,
            size_bytes=held.template.size,
            fresh_duration=_duration(ttl_s - held.age_s),
            ref=write_ref(ref),
        )
        fill_info(wire.prompt, served)
        return wire


def _read_refs(refs: Sequence[data_pb.PromptRef]) -> list[PromptRef]:
    return [read_ref(ref, f"prompts[{index}]") for index, ref in enumerate(refs)]


def _write_result(
    ref: data_pb.PromptRef, result: ServedTemplate | ResolverError | None
) -> pb.PrefetchResult:
    wire = pb.PrefetchResult(ref=ref)
    if isinstance(result, ResolverError):
        wire.error_reason = result.reason
    elif result is not None:
        fill_info(wire.prompt, result)
    return wire


def _write_step(step: Step) -> pb.ExplainStep:
    return pb.ExplainStep(name=step.name, outcome=step.outcome, details=to_struct(step.details))


def _duration(seconds: float) -> duration_pb2.Duration:
    """Return a time span, which may be negative."""
    duration = duration_pb2.Duration()
    duration.FromNanoseconds(round(seconds * 1_000_000_000))
    return duration
