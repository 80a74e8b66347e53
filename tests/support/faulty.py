"""A server with faults that ours does not have, to see what clients make of them."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc

from prompt_resolver.v1 import prompt_resolver_pb2 as pb

# A double does not hold it.
FIRST_REVISION = 2**53 + 1


@dataclass
class FaultyServer:
    """A server whose `Resolve` is busy at first, and whose streams are refused or cut.

    `resumed` has the revisions after which watches began.
    """

    refuses: bool
    calls: Counter[str] = field(default_factory=Counter)
    resumed: list[int] = field(default_factory=list)

    def resolve(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.calls["Resolve"] += 1
        if self.calls["Resolve"] < 3:
            context.abort(grpc.StatusCode.UNAVAILABLE, "busy")
        return pb.ResolveResponse(prompt=pb.PromptInfo(id="support/reply")).SerializeToString()

    def complete(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.calls["Complete"] += 1
        context.abort(grpc.StatusCode.UNAVAILABLE, "busy")

    def complete_stream(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        self.calls["CompleteStream"] += 1
        if self.refuses:
            context.abort(grpc.StatusCode.UNAVAILABLE, "busy")
        yield pb.CompleteStreamResponse(text_delta="Half an ans").SerializeToString()

    def watch_prompts(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        revision = FIRST_REVISION + len(self.resumed)
        self.resumed.append(pb.WatchPromptsRequest.FromString(request).after_revision)
        ref = pb.PromptRef(id="x", store="local")
        yield pb.WatchPromptsResponse(
            ref=ref, change=pb.CHANGE_UPDATED, revision=revision
        ).SerializeToString()
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
