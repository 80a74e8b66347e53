"""`Complete` over a real gRPC socket, with a provider on a real one."""

from pathlib import Path

import grpc
import pytest
from grpc import StatusCode

from prompt_resolver.errors import from_rpc_error
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver.v1 import prompt_resolver_pb2_grpc as pb_grpc
from tests.support.calls import VARIABLES, failure, status_of
from tests.support.candidates import ALWAYS, failing
from tests.support.prompts import write_prompt
from tests.support.raw import open_channel
from tests.support.service import RunningService, running_service
from tests.support.upstream import Exchange, Upstream, openai_answer
from tests.support.volume import Volume


async def test_returns_the_answer(service: RunningService, upstream: Upstream) -> None:
    """The provider gets the rendered messages with its key, and its answer comes back whole."""
    response = await service.client.complete("greet", variables=VARIABLES)

    assert response.message.role == pb.ROLE_ASSISTANT
    assert response.message.content[0].text == "Hello"
    assert response.finish_reason == pb.FINISH_REASON_STOP
    assert response.raw_finish_reason == "stop"
    assert (response.provider, response.model) == ("fake", "served-model")
    assert (response.usage.input_tokens, response.usage.output_tokens) == (5, 2)
    assert not response.usage.HasField("cache_read_tokens")
    assert response.prompt.id == "greet"
    assert [(each.provider, each.model, each.outcome) for each in response.attempts] == [
        ("fake", "some-model", "ok")
    ]
    assert response.upstream_duration.ToTimedelta().total_seconds() > 0
    assert not response.HasField("resolved")
    (exchange,) = upstream.exchanges
    assert exchange.path == "/v1/chat/completions"
    assert exchange.headers["authorization"] == "Bearer key-of-fake"
    assert exchange.json == {
        "model": "some-model",
        "messages": [
            {"role": "system", "content": "Greet in French."},
            {"role": "user", "content": "Ada"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_quotes_an_empty_answer(service: RunningService, upstream: Upstream) -> None:
    """An answer with nothing in it can be sent back, as the assistant's turn that it was."""

    async def say_nothing(exchange: Exchange) -> None:
        await exchange.send_response(openai_answer(""))

    upstream.answer = say_nothing
    empty = (await service.client.complete("greet", variables=VARIABLES)).message

    again = pb.Message(role=pb.ROLE_USER, content=[pb.ContentPart(text="And?")])
    await service.client.complete("greet", variables=VARIABLES, messages=[empty, again])

    assert not empty.content
    messages = upstream.exchanges[-1].json["messages"]
    assert isinstance(messages, list)
    assert messages[-2:] == [
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "And?"},
    ]


async def test_includes_the_prompt_if_asked(service: RunningService) -> None:
    """`include_resolved` adds what was sent to the answer."""
    response = await service.client.complete("greet", variables=VARIABLES, include_resolved=True)

    assert response.resolved.messages[1].content[0].text == "Ada"
    assert response.resolved.prompt == response.prompt


async def test_uses_the_callers_key(service: RunningService, upstream: Upstream) -> None:
    """The caller's key for the provider replaces the configured one; its others stay out."""
    await service.client.complete(
        "greet",
        variables=VARIABLES,
        credentials={"x-provider-key-fake": "key-of-caller", "x-provider-key-openai": "other"},
    )

    (exchange,) = upstream.exchanges
    assert exchange.headers["authorization"] == "Bearer key-of-caller"
    assert "other" not in str(exchange.headers)


async def test_key_that_comes_later(tmp_path: Path, prompts: Path, upstream: Upstream) -> None:
    """Until the file of a key is there, calls are told so and nothing is sent; then it is used."""
    config = f"""
stores: {{local: {{type: directory, path: {prompts}}}}}
providers:
  fake: {{dialect: openai, base_url: '{upstream.url}', api_key: 'file:{tmp_path}/keys/fake'}}
"""
    keys = Volume(tmp_path / "keys", {})
    async with running_service(tmp_path, config) as service:
        error = await failure(service.client.complete("greet", variables=VARIABLES))
        keys.update({"fake": "key-that-came\n"})
        await service.client.complete("greet", variables=VARIABLES)

    assert status_of(error) == (StatusCode.FAILED_PRECONDITION, "PROVIDER_KEY_MISSING")
    (exchange,) = upstream.exchanges
    assert exchange.headers["authorization"] == "Bearer key-that-came"


async def test_answer_cut_before_the_headers(service: RunningService, upstream: Upstream) -> None:
    """A provider that hangs up before it answers is unavailable."""

    async def cut(exchange: Exchange) -> None:
        exchange.reset()

    upstream.answer = cut

    error = await failure(service.client.complete("greet", variables=VARIABLES))

    assert status_of(error) == (StatusCode.UNAVAILABLE, "UPSTREAM_UNAVAILABLE")
    assert error.metadata == {"provider": "fake", "problem": "closed"}


async def test_answer_cut_in_the_body(service: RunningService, upstream: Upstream) -> None:
    """An answer shorter than it said it would be is never OK."""

    async def cut(exchange: Exchange) -> None:
        body = openai_answer()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        await exchange.send(head.encode() + b"\r\n\r\n" + body[:-10])
        exchange.writer.close()

    upstream.answer = cut

    error = await failure(service.client.complete("greet", variables=VARIABLES))

    assert status_of(error) == (StatusCode.INTERNAL, "UPSTREAM_PROTOCOL")


async def test_answer_cut_without_a_length(service: RunningService, upstream: Upstream) -> None:
    """An answer that ends with its connection, in the middle of its JSON, is never OK."""

    async def cut(exchange: Exchange) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
        await exchange.send(head + openai_answer()[:-10])
        exchange.writer.close()

    upstream.answer = cut

    error = await failure(service.client.complete("greet", variables=VARIABLES))

    assert status_of(error) == (StatusCode.INTERNAL, "UPSTREAM_PROTOCOL")


async def test_answer_that_is_compressed(service: RunningService, upstream: Upstream) -> None:
    """A compressed answer was not asked for, could be a bomb, and is refused."""

    async def compress(exchange: Exchange) -> None:
        assert exchange.headers["accept-encoding"] == "identity"
        await exchange.send_response(b"\x1f\x8b", headers="Content-Encoding: gzip\r\n")

    upstream.answer = compress

    error = await failure(service.client.complete("greet", variables=VARIABLES))

    assert status_of(error) == (StatusCode.INTERNAL, "UPSTREAM_PROTOCOL")


async def test_redirect_is_not_followed(service: RunningService, upstream: Upstream) -> None:
    """A provider that points elsewhere is not followed there, so the key goes nowhere else."""

    async def redirect(exchange: Exchange) -> None:
        location = f"Location: {upstream.url}/elsewhere\r\n"
        await exchange.send_response(b"", status="307 Temporary Redirect", headers=location)

    upstream.answer = redirect

    error = await failure(service.client.complete("greet", variables=VARIABLES))

    assert status_of(error) == (StatusCode.INTERNAL, "UPSTREAM_PROTOCOL")
    assert len(upstream.exchanges) == 1


async def test_no_model(service: RunningService, prompts: Path, upstream: Upstream) -> None:
    """A prompt without a model can be resolved, and cannot be completed."""
    write_prompt(prompts, "bare", "<user>\nHi\n</user>", model=None, provider=None)

    assert (await service.client.resolve("bare")).model == ""
    error = await failure(service.client.complete("bare"))

    assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "MODEL_MISSING")
    assert upstream.exchanges == []


async def test_no_messages(service: RunningService, prompts: Path) -> None:
    """A prompt without messages needs some of the caller's."""
    write_prompt(prompts, "empty", "")

    error = await failure(service.client.complete("empty"))
    said = pb.Message(role=pb.ROLE_USER, content=[pb.ContentPart(text="Hi")])
    response = await service.client.complete("empty", messages=[said])

    assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "MESSAGES_MISSING")
    assert response.message.content[0].text == "Hello"


@pytest.mark.parametrize(
    ("headers", "after_s"), [("", 1.0), ("Retry-After: 7\r\n", 7.0)], ids=["no time", "a time"]
)
@pytest.mark.parametrize("method", ["Complete", "CompleteStream"])
async def test_rate_limit(
    service: RunningService, upstream: Upstream, method: str, headers: str, after_s: float
) -> None:
    """A call that is limited says when to try again, whether its provider did or not."""
    upstream.answer = failing(ALWAYS, "429 Too Many Requests", headers)
    async with open_channel(service.address) as channel:
        stub: pb_grpc.PromptResolverAsyncStub = pb_grpc.PromptResolverStub(channel)
        prompt = pb.PromptRef(id="greet")
        whole, streamed = pb.CompleteRequest(prompt=prompt), pb.CompleteStreamRequest(prompt=prompt)
        for request in (whole, streamed):
            request.variables.update(VARIABLES)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            if method == "Complete":
                await stub.Complete(whole)
            else:
                await stub.CompleteStream(streamed).read()

    error = from_rpc_error(caught.value)
    trailers = dict(caught.value.trailing_metadata() or ())
    assert (error.reason, error.retry_after_s) == ("UPSTREAM_RATE_LIMITED", after_s)
    assert trailers["grpc-retry-pushback-ms"] == str(int(after_s * 1000))
    assert len(upstream.exchanges) == 1
