"""An operator of a service: its admin door, and whoever calls there."""

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from prompt_resolver.errors import from_rpc_error
from prompt_resolver.v1 import admin_pb2_grpc
from tests.support.raw import open_channel
from tests.support.service import RunningService, running_service

if TYPE_CHECKING:
    from prompt_resolver.v1.admin_pb2_grpc import PromptResolverAdminAsyncStub

ADMIN_DOOR = {"PROMPT_RESOLVER_ADMIN_GRPC_ADDRESS": "127.0.0.1:0"}


@asynccontextmanager
async def running_admin(
    folder: Path, config: str = ""
) -> "AsyncIterator[tuple[RunningService, PromptResolverAdminAsyncStub]]":
    """Serve a configuration with the admin door open, and call there."""
    async with (
        running_service(folder, config, ADMIN_DOOR) as service,
        open_channel(service.admin_grpc_address) as channel,
    ):
        yield service, admin_pb2_grpc.PromptResolverAdminStub(channel)


async def refusal(call: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    """Return the status and reason that a call ends in."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        failure = from_rpc_error(error)
        return failure.code, failure.reason
    return grpc.StatusCode.OK, ""


def bearer(token: str) -> Sequence[tuple[str, str]]:
    """Return the metadata of a call that brings a token."""
    return (("authorization", f"Bearer {token}"),)
