"""Every call has a deadline: the caller's, or the server's."""

import asyncio
import contextlib
from pathlib import Path

import grpc
import pytest

from prompt_resolver import PromptResolverError
from prompt_resolver.errors import from_rpc_error
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver.v1 import prompt_resolver_pb2_grpc as pb_grpc
from tests.support.calls import collect, failure, status_of
from tests.support.prompts import write_prompt
from tests.support.raw import open_channel
from tests.support.service import running_service
from tests.support.upstream import Exchange, Upstream, openai_events


async def stall(exchange: Exchange) -> None:
    await exchange.wait_closed()


async def complete_within(
    folder: Path, upstream: Upstream, server: str, timeout_s: float | None
) -> PromptResolverError:
    """Call a provider that never answers; return what the caller is told."""
    upstream.answer = stall
    write_prompt(folder / "prompts", "hi", "<user>\nHi\n</user>")
    config = f"""
server: {server}
stores: {{local: {{type: directory, path: prompts}}}}
providers: {{fake: {{dialect: openai, base_url: '{upstream.url}'}}}}
"""
    async with (
        running_service(folder, config) as service,
        open_channel(service.address) as channel,
    ):
        stub: pb_grpc.PromptResolverAsyncStub = pb_grpc.PromptResolverStub(channel)
        try:
            request = pb.CompleteRequest(prompt=pb.PromptRef(id="hi"))
            await stub.Complete(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            return from_rpc_error(error)
    raise AssertionError("expected the call to fail")


async def test_default_deadline(tmp_path: Path, upstream: Upstream) -> None:
    """A call without a deadline gets the server's default, and is told where it ended."""
    error = await complete_within(tmp_path, upstream, "{default_deadline_s: 0.2}", None)

    assert status_of(error) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE")
    assert error.metadata == {"phase": "upstream", "attempts": "1"}


async def test_default_deadline_of_a_stream(tmp_path: Path, upstream: Upstream) -> None:
    """A stream that has not begun by then is told what it waited for, and how often it asked."""
    upstream.answer = stall
    write_prompt(tmp_path / "prompts", "hi", "<user>\nHi\n</user>")
    config = f"""
server: {{default_deadline_s: 0.4}}
stores: {{local: {{type: directory, path: prompts}}}}
providers: {{fake: {{dialect: openai, base_url: '{upstream.url}'}}}}
model_list:
  - {{model_name: a, litellm_params: {{model: fake/m, stream_timeout: 0.01}}}}
  - {{model_name: b, litellm_params: {{model: fake/m}}}}
router_settings: {{fallbacks: [{{a: [b]}}]}}
"""
    async with (
        running_service(tmp_path, config) as service,
        open_channel(service.address) as channel,
    ):
        stub: pb_grpc.PromptResolverAsyncStub = pb_grpc.PromptResolverStub(channel)
        request = pb.CompleteStreamRequest(prompt=pb.PromptRef(id="hi"), alias="a")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.CompleteStream(request).read()
        ended = await service.metric(
            'prompt_resolver_upstream_attempts_total{model="m",outcome="failed",provider="fake",'
            'reason="deadline"}'
        )

    error = from_rpc_error(caught.value)
    assert status_of(error) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE")
    assert error.metadata == {"phase": "upstream", "attempts": "2"}
    assert ended == 1


async def test_longest_deadline(tmp_path: Path, upstream: Upstream) -> None:
    """A call with a longer deadline than the server's longest gets that one."""
    error = await complete_within(tmp_path, upstream, "{max_deadline_s: 0.2}", 60)

    assert status_of(error) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE")


async def test_callers_deadline(tmp_path: Path, upstream: Upstream) -> None:
    """A caller's shorter deadline holds, by whoever notices first that it has passed."""
    error = await complete_within(tmp_path, upstream, "{}", 0.2)

    assert error.code == grpc.StatusCode.DEADLINE_EXCEEDED


async def test_provider_that_never_begins(tmp_path: Path, upstream: Upstream) -> None:
    """A provider that does not begin to answer in its own time is unavailable, not late."""
    upstream.answer = stall
    write_prompt(tmp_path / "prompts", "hi", "<user>\nHi\n</user>")
    config = f"""
stores: {{local: {{type: directory, path: prompts}}}}
providers:
  fake: {{dialect: openai, base_url: '{upstream.url}', first_byte_timeout_s: 0.2}}
"""
    async with running_service(tmp_path, config) as service:
        error = await failure(service.client.complete("hi"))

    assert status_of(error) == (grpc.StatusCode.UNAVAILABLE, "UPSTREAM_TIMEOUT")
    assert error.metadata == {"provider": "fake", "phase": "first_byte"}


async def test_stream_that_pauses_too_long(tmp_path: Path, upstream: Upstream) -> None:
    """A stream that pauses for longer than the provider may is cut, and not OK."""

    async def begin_and_stall(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.send(b'data: {"choices": []}\n\n')
        await exchange.wait_closed()

    upstream.answer = begin_and_stall
    write_prompt(tmp_path / "prompts", "hi", "<user>\nHi\n</user>")
    config = f"""
stores: {{local: {{type: directory, path: prompts}}}}
providers: {{fake: {{dialect: openai, base_url: '{upstream.url}', idle_timeout_s: 0.2}}}}
"""
    async with running_service(tmp_path, config) as service:
        streamed = await collect(service.client, "hi")

    assert streamed.kinds == ["started"]
    assert status_of(streamed.error) == (grpc.StatusCode.UNAVAILABLE, "UPSTREAM_TIMEOUT")


async def test_caller_that_does_not_read(
    tmp_path: Path, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    """A caller that stops reading holds its stream no longer than its deadline; it is no fault."""
    text = "x" * 60_000

    async def pour(exchange: Exchange) -> None:
        await exchange.begin_stream()
        with contextlib.suppress(ConnectionError):
            while True:
                await exchange.send(openai_events(text)[1])

    upstream.answer = pour
    write_prompt(tmp_path / "prompts", "hi", "<user>\nHi\n</user>")
    config = f"""
server: {{default_deadline_s: 0.5}}
stores: {{local: {{type: directory, path: prompts}}}}
providers: {{fake: {{dialect: openai, base_url: '{upstream.url}'}}}}
"""
    options = (("grpc.http2.bdp_probe", 0),)
    handled = (
        'grpc_server_handled_total{grpc_code="DEADLINE_EXCEEDED",grpc_method="CompleteStream",'
        'grpc_service="prompt_resolver.v1.PromptResolver",grpc_type="SERVER_STREAM"}'
    )
    async with (
        running_service(tmp_path, config) as service,
        open_channel(service.address, *options) as channel,
    ):
        stub: pb_grpc.PromptResolverAsyncStub = pb_grpc.PromptResolverStub(channel)
        request = pb.CompleteStreamRequest(prompt=pb.PromptRef(id="hi"))
        call = stub.CompleteStream(request)
        await call.read()
        async with asyncio.timeout(10):
            while await service.metric(handled) == 0:
                await upstream.arrived.wait()
        call.cancel()

    assert len(upstream.exchanges) == 1
    assert [each.message for each in caplog.records if each.levelname == "ERROR"] == []


async def test_caller_that_does_not_read_at_all(
    tmp_path: Path, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    """A deadline that passes while the first message waits to be read is told all the same."""

    async def begin(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.send(openai_events("Hello")[0])
        await exchange.wait_closed()

    upstream.answer = begin
    write_prompt(tmp_path / "prompts", "hi", f"<user>\n{'x' * 500_000}\n</user>")
    config = f"""
server: {{default_deadline_s: 0.5}}
stores: {{local: {{type: directory, path: prompts}}}}
providers: {{fake: {{dialect: openai, base_url: '{upstream.url}'}}}}
"""
    options = (("grpc.http2.bdp_probe", 0),)
    async with (
        running_service(tmp_path, config) as service,
        open_channel(service.address, *options) as channel,
    ):
        stub: pb_grpc.PromptResolverAsyncStub = pb_grpc.PromptResolverStub(channel)
        request = pb.CompleteStreamRequest(prompt=pb.PromptRef(id="hi"), include_resolved=True)
        call = stub.CompleteStream(request)
        async with asyncio.timeout(20):
            while not upstream.exchanges or upstream.exchanges[0].closed_at is None:
                await service.client.resolve("hi")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                async for _ in call:
                    pass

    assert status_of(from_rpc_error(caught.value)) == (
        grpc.StatusCode.DEADLINE_EXCEEDED,
        "DEADLINE",
    )
    assert [each.message for each in caplog.records if each.levelname == "ERROR"] == []
