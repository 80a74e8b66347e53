"""A server with faults that ours does not have, to see what clients make of them."""

import math
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NoReturn

import grpc

from prompt_resolver.details_pb2 import ErrorInfo, Status
from prompt_resolver.v1 import prompt_resolver_pb2 as pb

# A double does not hold it.
FIRST_REVISION = 2**53 + 1
DELTAS = 100
AGAIN = 7
"""The call with which a watch gets events again."""
OF_TOMORROW = 1000
"""A value that no enum has yet, and the number of a field that no message has."""


@dataclass
class FaultyServer:
    """A server whose `Resolve` fails twice, and whose streams are refused or cut.

    `refuses` is what calls fail with; None: completions do not. Those that are refused may have
    begun before: headers have come by then, and a hundred deltas. `remaining_s` has how long the
    calls might take, by their methods, and `resumed` the revisions after which watches began.
    """

    refuses: grpc.StatusCode | None = None
    begins: bool = False
    calls: Counter[str] = field(default_factory=Counter)
    remaining_s: dict[str, float] = field(default_factory=dict)
    resumed: list[int] = field(default_factory=list)

    def resolve(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self._note("Resolve", context)
        if self.calls["Resolve"] < 3:
            context.abort(self.refuses or grpc.StatusCode.UNAVAILABLE, "busy")
        return pb.ResolveResponse(prompt=pb.PromptInfo(id="support/reply")).SerializeToString()

    def complete(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self._note("Complete", context)
        if self.begins:
            context.send_initial_metadata(())
        context.abort(self.refuses or grpc.StatusCode.UNAVAILABLE, "busy")

    def complete_stream(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        self._note("CompleteStream", context)
        if self.begins:
            delta = pb.CompleteStreamResponse(text_delta="x").SerializeToString()
            yield from [delta] * DELTAS
        if self.refuses is not None:
            context.abort(self.refuses, "busy")
        yield pb.CompleteStreamResponse(text_delta="Half an ans").SerializeToString()

    def watch_prompts(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        """Yield one event, and end: well at first, then with an error; in between, be busy."""
        self._note("WatchPrompts", context)
        self.resumed.append(pb.WatchPromptsRequest.FromString(request).after_revision)
        calls = len(self.resumed)
        if 2 < calls < AGAIN:
            if calls % 2:
                context.abort(grpc.StatusCode.UNAVAILABLE, "busy")
            _abort(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
        revision = FIRST_REVISION + calls - 1
        ref = pb.PromptRef(id="x", store="local")
        yield pb.WatchPromptsResponse(
            ref=ref, change=pb.CHANGE_UPDATED, revision=revision
        ).SerializeToString()
        if calls > 1:
            context.abort(grpc.StatusCode.UNAVAILABLE, "gone")

    @contextmanager
    def serve(self) -> Iterator[str]:
        methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "Resolve": grpc.unary_unary_rpc_method_handler(self.resolve),
            "Complete": grpc.unary_unary_rpc_method_handler(self.complete),
            "CompleteStream": grpc.unary_stream_rpc_method_handler(self.complete_stream),
            "WatchPrompts": grpc.unary_stream_rpc_method_handler(self.watch_prompts),
        }
        service = "prompt_resolver.v1.PromptResolver"
        server = grpc.server(ThreadPoolExecutor(max_workers=1))
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, methods)])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(grace=None).wait()

    def _note(self, method: str, context: grpc.ServicerContext) -> None:
        self.calls[method] += 1
        remaining_s = context.time_remaining()
        self.remaining_s[method] = math.inf if remaining_s is None else remaining_s


class NewerServer(FaultyServer):
    """A server of a later version: it says what clients do not know, and what is garbled."""

    def resolve(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        role: pb.Role.ValueType = OF_TOMORROW  # type: ignore[assignment]
        message = pb.Message(role=role, content=[pb.ContentPart(text="Hello")])
        known = pb.ResolveResponse(prompt=pb.PromptInfo(id="x"), messages=[message])
        field_of_tomorrow = pb.ResolveResponse(model="later").SerializeToString()
        return known.SerializeToString() + _unknown_field(field_of_tomorrow)

    def complete(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        _abort(context, grpc.StatusCode.FAILED_PRECONDITION, "OF_TOMORROW")


def _abort(context: grpc.ServicerContext, code: grpc.StatusCode, reason: str) -> NoReturn:
    """End a call with a reason, beside a detail that nobody knows and one that is garbled."""
    status = Status(code=code.value[0], message="no")
    info = ErrorInfo(reason=reason, domain="prompt-resolver", metadata={"of": "faulty"})
    for name, value in (
        ("OfTomorrow", b"\xff"),
        ("BadRequest", b"\xff"),
        ("ErrorInfo", info.SerializeToString()),
    ):
        status.details.add(type_url=f"type.googleapis.com/google.rpc.{name}", value=value)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, "no")


def _unknown_field(data: bytes) -> bytes:
    """Return a field of bytes with a number that no message has."""
    key = OF_TOMORROW << 3 | 2
    return bytes([key & 0x7F | 0x80, key >> 7, len(data)]) + data
