"""What any service on grpc.aio costs: the same calls, and next to nothing behind them.

python -m bench.peers FILE prints `ready HOST:PORT`. The file is `Plan` as JSON.
"""

import asyncio
import base64
import json
import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import grpc
import msgspec
import uvloop

from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver_server.providers.transport.direct import DirectTransport
from prompt_resolver_server.providers.transport.transport import HttpRequest, Timeouts

SERVICE = "bench.Bare"
_MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The replies to `Resolve` by prompt id; where to forward to, and what."""

    replies: Mapping[str, bytes]
    url: str
    body: bytes
    streamed_body: bytes

    def write(self, path: Path) -> None:
        """Write the plan to a file."""
        replies = {name: base64.b64encode(reply).decode() for name, reply in self.replies.items()}
        fields = {
            "replies": replies,
            "url": self.url,
            "body": self.body.decode(),
            "streamed_body": self.streamed_body.decode(),
        }
        path.write_text(json.dumps(fields))

    @staticmethod
    def read(path: Path) -> "Plan":
        """Read a plan from a file."""
        fields = json.loads(path.read_text())
        return Plan(
            replies={name: base64.b64decode(reply) for name, reply in fields["replies"].items()},
            url=fields["url"],
            body=fields["body"].encode(),
            streamed_body=fields["streamed_body"].encode(),
        )


def _handlers(
    plan: Plan, session: aiohttp.ClientSession, direct: DirectTransport
) -> dict[str, grpc.RpcMethodHandler]:  # type: ignore[type-arg]
    replies = {name: pb.ResolveResponse.FromString(reply) for name, reply in plan.replies.items()}
    timeouts = Timeouts(connect_s=5, first_byte_s=60, idle_s=60)
    posted = HttpRequest(url=plan.url, headers={}, body=plan.body, timeouts=timeouts)

    async def echo(request: pb.ResolveRequest, context: object) -> pb.ResolveResponse:
        return replies[request.prompt.id]

    async def forward(request: pb.CompleteRequest, context: object) -> pb.CompleteResponse:
        async with session.post(plan.url, data=plan.body) as response:
            answer = msgspec.json.decode(await response.read())
        return _completed(answer["choices"][0]["message"]["content"])

    async def forward_streamed(request: pb.CompleteRequest, context: object) -> pb.CompleteResponse:
        async with session.post(plan.url, data=plan.streamed_body) as response:
            return _completed((await response.read()).decode())

    async def forward_directly(request: pb.CompleteRequest, context: object) -> pb.CompleteResponse:
        async with direct.post(posted) as response:
            answer = msgspec.json.decode(await response.read_all(_MAX_BYTES))
        return _completed(answer["choices"][0]["message"]["content"])

    completions = {
        "Forward": forward,
        "ForwardStreamed": forward_streamed,
        "ForwardDirectly": forward_directly,
    }
    return {
        "Echo": grpc.unary_unary_rpc_method_handler(
            echo,
            request_deserializer=pb.ResolveRequest.FromString,
            response_serializer=pb.ResolveResponse.SerializeToString,
        ),
        **{
            name: grpc.unary_unary_rpc_method_handler(
                method,
                request_deserializer=pb.CompleteRequest.FromString,
                response_serializer=pb.CompleteResponse.SerializeToString,
            )
            for name, method in completions.items()
        },
    }


def _completed(text: str) -> pb.CompleteResponse:
    part = pb.ContentPart(text=text)
    return pb.CompleteResponse(message=pb.Message(role=pb.ROLE_ASSISTANT, content=[part]))


async def _serve(plan: Plan) -> None:
    server = grpc.aio.server()
    headers = {"Content-Type": "application/json"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        handlers = _handlers(plan, session, DirectTransport(tls=ssl.create_default_context()))
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        print(f"ready 127.0.0.1:{port}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(Plan.read(Path(sys.argv[1]))))
