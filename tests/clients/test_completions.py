"""`completion` and `acompletion`, through a sidecar and in the process: both mean the same."""

import asyncio
import gc
import json
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Unpack

import grpc
import pytest

from prompt_resolver import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatOptions,
    PromptResolverError,
    acompletion,
    completion,
)
from prompt_resolver.chunks import AsyncChunks, Chunks
from tests.support.completion import MODEL, PROMPT_ID, PROVIDER_KEY, Scene, stock
from tests.support.humanloop import KEY
from tests.support.upstream import Exchange, openai_answer, openai_events

IGNORED = [{"role": "user", "content": "<IGNORED>"}]
TIMES = 200
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


async def ask(said: str = "this is used") -> ChatCompletion:
    return await acompletion(MODEL, prompt_id=PROMPT_ID, prompt_variables={"user_message": said})


async def stream(up_to_s: float | None = None) -> AsyncChunks:
    return await acompletion(
        MODEL,
        prompt_id=PROMPT_ID,
        prompt_variables={"user_message": "x"},
        stream=True,
        timeout=up_to_s,
    )


def says(said: object) -> list[tuple[object, object]]:
    return [("system", "Be brief."), ("user", f"Say: {said}")]


async def test_answer(here: Scene) -> None:
    """The prompt is served with its variables, and the answer is OpenAI's, by attribute or item."""
    answer = await acompletion(
        model=MODEL,
        prompt_id=PROMPT_ID,
        prompt_variables={"user_message": "this is used"},
        messages=IGNORED,
    )

    assert here.sent() == says("this is used")
    assert here.provider.exchanges[-1].json["model"] == "gpt-3.5-turbo"
    assert here.provider.exchanges[-1].headers["authorization"] == f"Bearer {PROVIDER_KEY}"
    assert answer.choices[0].message.content == "Hello"
    assert answer["choices"][0]["message"]["content"] == "Hello"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == "served-model"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (5, 7)
    assert answer.provider == "openai"
    assert answer.prompt is not None
    assert (answer.prompt.id, answer.prompt.version, answer.prompt.store) == (
        *("pr_page", "prv_1"),
        "humanloop",
    )
    assert answer.prompt.cache == "miss"
    assert not answer.prompt.stale
    assert json.loads(json.dumps(answer)) == answer.model_dump() == answer


async def test_from_a_thread(here: Scene) -> None:
    """The same for those who wait."""

    def run() -> tuple[ChatCompletion, list[str | None]]:
        variables = {"user_message": "this is used"}
        whole = completion(MODEL, IGNORED, prompt_id=PROMPT_ID, prompt_variables=variables)
        chunks = completion(
            MODEL, IGNORED, prompt_id=PROMPT_ID, prompt_variables=variables, stream=True
        )
        return whole, [chunk.choices[0].delta.content for chunk in chunks]

    whole, texts = await asyncio.to_thread(run)

    assert whole.choices[0].message.content == "Hello"
    assert (texts[0], "".join(filter(None, texts)), texts[-1]) == ("", "Hello", None)
    assert here.sent(0) == here.sent(1) == says("this is used")


async def test_stream(here: Scene) -> None:
    """A streamed answer comes in OpenAI's chunks, the last of which tells the usage if asked."""
    stream = await acompletion(
        MODEL,
        prompt_id=PROMPT_ID,
        prompt_variables={"user_message": "x"},
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]

    first, *between, last = [chunk.choices[0] for chunk in chunks[:-1]]
    assert first == {
        "index": 0,
        "delta": {"role": "assistant", "content": ""},
        "logprobs": None,
        "finish_reason": None,
    }
    assert "".join(choice.delta.content or "" for choice in between) == "Hello"
    assert (last.delta, last.finish_reason) == ({}, "stop")
    assert (chunks[-1].choices, chunks[-1].usage) == (
        [],
        {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    )
    assert {chunk.model for chunk in chunks} == {"served-model"}
    assert {chunk.id for chunk in chunks} == {"chatcmpl-1"}
    assert chunks[0].prompt is not None
    assert chunks[0].prompt.version == "prv_1"
    assert json.dumps(chunks)


async def test_parameters_and_tools(here: Scene) -> None:
    """What the call sets reaches the provider, in the provider's own form; the rest as it is."""
    await acompletion(
        MODEL,
        prompt_id=PROMPT_ID,
        prompt_variables={"user_message": 12},
        temperature=0,
        max_completion_tokens=7,
        stop="END",
        seed=3,
        tools=[TOOL],
        tool_choice={"type": "function", "function": {"name": "look"}},
        parallel_tool_calls=False,
        user="u-1",
        extra_body={"min_p": 0.5},
        metadata={"team": "a", "tries": [1]},
    )

    sent = here.provider.exchanges[-1].json
    assert here.sent() == says(12)
    assert (sent["temperature"], sent["stop"], sent["seed"]) == (0, ["END"], 3)
    assert 7 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))
    assert sent["tools"] == [{"type": "function", "function": {**TOOL["function"]}}]  # type: ignore[dict-item]
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "look"}}
    assert (sent["user"], sent["min_p"], sent["parallel_tool_calls"]) == ("u-1", 0.5, False)
    assert "metadata" not in sent


async def test_conversation_with_tools(here: Scene) -> None:
    """A model's call of a tool can be sent back as it came, with what the tool said."""
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"at": 1}'}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    delta = {**choice, "delta": {**message, "tool_calls": [{"index": 0, **call}]}}

    async def answer(exchange: Exchange) -> None:
        if exchange.json["stream"]:
            body = openai_answer(choices=[delta])
            await exchange.begin_stream()
            await exchange.send(b"data: " + body + b"\n\ndata: [DONE]\n\n")
            exchange.writer.close()
        else:
            await exchange.send_response(openai_answer(choices=[choice]))

    here.provider.answer = answer
    stock(here.store, template=[])
    conversation: list[Mapping[str, object]] = [{"role": "user", "content": "Look"}]
    first = await acompletion(MODEL, conversation, prompt_id=PROMPT_ID, tools=[TOOL])
    said = first.choices[0].message
    assert said.tool_calls is not None
    seen = {"role": "tool", "tool_call_id": said.tool_calls[0].id, "content": "A cat"}
    await acompletion(MODEL, [*conversation, said, seen], prompt_id=PROMPT_ID)

    assert first.choices[0].finish_reason == "tool_calls"
    assert said.tool_calls[0].function.arguments == '{"at": 1}'
    assert said.content is None
    assert here.sent() == [("user", "Look"), ("assistant", None), ("tool", "A cat")]


@pytest.mark.parametrize(
    ("append", "sent"),
    [
        (None, says("x")),
        (False, says("x")),
        (True, [*says("x"), ("user", "<IGNORED>")]),
    ],
)
async def test_messages(
    here: Scene, append: bool | None, sent: list[tuple[object, object]]
) -> None:
    """Messages are not used beside a template with a user's turn, unless the call says so."""
    await acompletion(
        MODEL,
        IGNORED,
        prompt_id=PROMPT_ID,
        prompt_variables={"user_message": "x"},
        append_messages=append,
    )

    assert here.sent() == sent


async def test_versions(here: Scene) -> None:
    """A version, and an environment by either name, is served or is an error."""
    stock(here.store, version="prv_2", to="staging")
    variables: Mapping[str, str] = {"user_message": "x"}

    async def version(**options: Unpack[ChatOptions]) -> str:
        asked: ChatOptions = {"prompt_id": PROMPT_ID, "prompt_variables": variables, **options}
        answer = await acompletion(MODEL, **asked)
        assert answer.prompt is not None
        return answer.prompt.version

    assert await version() == "prv_1"
    assert await version(prompt_version="prv_2") == "prv_2"
    assert await version(prompt_environment="staging") == "prv_2"
    assert await version(prompt_label="staging") == "prv_2"
    with pytest.raises(PromptResolverError, match="VERSION_NOT_FOUND"):
        await version(prompt_version="3")


async def test_errors(here: Scene) -> None:
    """A failure has the status, the reason and the particulars that the contract tells."""
    with pytest.raises(PromptResolverError) as missing:
        await acompletion(MODEL, prompt_id=PROMPT_ID)
    with pytest.raises(PromptResolverError) as streamed:
        await acompletion(MODEL, prompt_id=PROMPT_ID, stream=True)
    with pytest.raises(PromptResolverError) as unknown:
        await acompletion("gpt-4o", prompt_id=PROMPT_ID)
    with pytest.raises(PromptResolverError) as waiting:
        await asyncio.to_thread(completion, MODEL, prompt_id="pr_absent")

    for error in (missing.value, streamed.value):
        assert (error.code, error.reason) == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "VARIABLES_INVALID",
        )
        assert error.metadata["missing"] == "user_message"
        assert [each.field for each in error.violations] == ["variables.user_message"]
    assert (unknown.value.reason, unknown.value.metadata) == ("ALIAS_UNKNOWN", {"alias": "gpt-4o"})
    assert waiting.value.reason == "PROMPT_NOT_FOUND"
    assert here.provider.exchanges == []


async def test_an_upstream_that_fails(here: Scene) -> None:
    """What the provider refuses is told with what it says of trying again."""

    async def refuse(exchange: Exchange) -> None:
        await exchange.send_response(
            b"{}", status="429 Too Many Requests", headers="Retry-After: 7\r\n"
        )

    here.provider.answer = refuse
    with pytest.raises(PromptResolverError) as caught:
        await ask()

    assert caught.value.reason == "UPSTREAM_RATE_LIMITED"
    assert caught.value.retry_after_s == 7


async def test_a_stream_that_breaks(here: Scene) -> None:
    """A stream that is cut short ends in an error, after what came of it."""

    async def cut(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.send(b"".join(openai_events("Hel", "lo")[:2]))
        exchange.writer.close()

    here.provider.answer = cut
    texts: list[str | None] = []
    with pytest.raises(PromptResolverError) as caught:
        async for chunk in await stream():
            texts += [chunk.choices[0].delta.content]

    assert texts == ["", "Hel"]
    assert caught.value.reason == "UPSTREAM_TRUNCATED"


@pytest.mark.parametrize("name", ["api_base", "base_url", "extra_headers", "functions"])
async def test_what_is_not_the_callers_to_say(here: Scene, name: str) -> None:
    """An address, a header and what the service sets are refused by name, and nothing is sent."""
    with pytest.raises(PromptResolverError) as caught:
        await acompletion(
            MODEL,
            prompt_id=PROMPT_ID,
            prompt_variables={"user_message": "x"},
            extra_body={name: "http://127.0.0.1:1"},
        )
    with pytest.raises(PromptResolverError) as also:
        await acompletion(MODEL, prompt_id=PROMPT_ID, **{name: "x"})  # type: ignore[call-overload]

    assert caught.value.reason == also.value.reason == "PARAMETER_UNSUPPORTED"
    assert name in str(caught.value)
    assert "127.0.0.1:1" not in str(caught.value)
    assert here.provider.exchanges == []


async def test_keys(here: Scene) -> None:
    """A key of the caller's own goes to the store, or to the model's provider, and nowhere else."""
    await acompletion(
        MODEL,
        prompt_id=PROMPT_ID,
        prompt_variables={"user_message": "x"},
        humanloop_api_key=KEY,
        api_key="key-of-the-caller",
    )
    with pytest.raises(PromptResolverError) as store_error:
        await acompletion(MODEL, prompt_id=PROMPT_ID, humanloop_api_key="key-of-nobody")

    (sent,) = here.provider.exchanges
    assert sent.headers["authorization"] == "Bearer key-of-the-caller"
    assert KEY not in str(sent.headers) + sent.body.decode()
    assert "key-of-the-caller" not in "".join(str(each.headers) for each in here.store.exchanges)
    assert (store_error.value.code, store_error.value.reason) == (
        grpc.StatusCode.UNAUTHENTICATED,
        "STORE_AUTH",
    )
    assert "key-of-nobody" not in repr(vars(store_error.value))


async def test_a_key_for_another_provider(here: Scene) -> None:
    """A key is not sent to a provider that it is not for: there the provider's own key goes."""
    for model, provider in (("humanloop/auto", "anthropic"), (MODEL, "azure")):
        await acompletion(
            model,
            prompt_id=PROMPT_ID,
            prompt_variables={"user_message": "x"},
            api_key="key-of-another",
            custom_llm_provider=provider,
        )
    with pytest.raises(ValueError, match="custom_llm_provider") as caught:
        await acompletion("humanloop/auto", prompt_id=PROMPT_ID, api_key="key-of-another")

    assert {each.headers["authorization"] for each in here.provider.exchanges} == {
        f"Bearer {PROVIDER_KEY}"
    }
    assert "key-of-another" not in str(caught.value)


async def test_callers_do_not_mix(here: Scene) -> None:
    """Two callers with two values, many times at once: each gets its own."""

    async def repeat(exchange: Exchange) -> None:
        messages = exchange.json["messages"]
        assert isinstance(messages, list)
        said = messages[-1]["content"]
        await exchange.begin_stream()
        await exchange.send(b"".join(openai_events(said)))
        exchange.writer.close()

    here.provider.answer = repeat
    names = [f"{name} {index}" for index in range(TIMES) for name in ("ALICE", "BOB")]
    answers = await asyncio.gather(*map(ask, names))

    assert [each.choices[0].message.content for each in answers] == [f"Say: {n}" for n in names]
    assert len(here.store.exchanges) <= 3


async def test_threads_and_loops(here: Scene) -> None:
    """Threads, some of them with event loops of their own, call at the same time."""

    def wait(index: int) -> str | None:
        return (
            completion(MODEL, prompt_id=PROMPT_ID, prompt_variables={"user_message": str(index)})
            .choices[0]
            .message.content
        )

    def loop(index: int) -> str | None:
        return asyncio.run(ask(str(index))).choices[0].message.content

    # Of their own: the service's, which are those of this event loop, are not to be kept waiting.
    with ThreadPoolExecutor(20) as threads:
        own = asyncio.get_running_loop()
        calls = [own.run_in_executor(threads, (wait, loop)[i % 2], i) for i in range(40)]
        answers = await asyncio.gather(*(ask(str(index)) for index in range(10)))
        texts = await asyncio.gather(*calls)

    assert {*texts, *(each.choices[0].message.content for each in answers)} == {"Hello"}
    assert len(here.provider.exchanges) == 50


class Hanging:
    """A provider that begins to answer, if it is to, and then waits for its caller to leave."""

    def __init__(self, *, begins: bool) -> None:
        self._begins = begins
        self.asked = asyncio.Event()
        self.left = asyncio.Event()

    async def __call__(self, exchange: Exchange) -> None:
        if self._begins:
            await exchange.begin_stream()
            await exchange.send(b"".join(openai_events("Hel", "lo")[:2]))
        self.asked.set()
        await exchange.wait_closed()
        self.left.set()


@pytest.mark.parametrize("begins", [False, True])
async def test_cancelled(here: Scene, begins: bool) -> None:
    """A call that is cancelled takes the one to the provider along."""
    hanging = here.provider.answer = Hanging(begins=begins)
    task = asyncio.ensure_future(ask())
    await hanging.asked.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(10):
        await hanging.left.wait()


async def test_cancelled_while_it_streams(here: Scene) -> None:
    """So does a stream whose reader is cancelled while it waits."""
    hanging = here.provider.answer = Hanging(begins=True)

    async def read() -> None:
        async for _ in await stream():
            pass

    task = asyncio.ensure_future(read())
    await hanging.asked.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(10):
        await hanging.left.wait()


@pytest.mark.parametrize("how", ["close", "forget", "never read"])
@pytest.mark.parametrize("waits", [False, True])
async def test_abandoned(here: Scene, how: str, waits: bool) -> None:
    """A stream that is closed, forgotten or never read ends the call to the provider."""
    hanging = here.provider.answer = Hanging(begins=True)
    variables = {"user_message": "x"}

    def leave_waiting() -> None:
        chunks = completion(MODEL, prompt_id=PROMPT_ID, prompt_variables=variables, stream=True)
        if how != "never read":
            assert next(chunks).choices[0].delta.role == "assistant"
        if how == "close":
            chunks.close()
        del chunks
        gc.collect()

    async def leave() -> None:
        chunks = await stream()
        if how != "never read":
            assert (await anext(chunks)).choices[0].delta.role == "assistant"
        if how == "close":
            await chunks.aclose()
        del chunks
        gc.collect()

    await (asyncio.to_thread(leave_waiting) if waits else leave())

    async with asyncio.timeout(10):
        await hanging.left.wait()


@pytest.mark.parametrize("waits", [False, True])
async def test_closed_by_another(here: Scene, waits: bool) -> None:
    """A stream that waits can be closed by another thread or task, and its reader is told."""
    hanging = here.provider.answer = Hanging(begins=True)

    def begin() -> Chunks:
        return completion(
            MODEL, prompt_id=PROMPT_ID, prompt_variables={"user_message": "x"}, stream=True
        )

    if waits:
        kept = await asyncio.to_thread(begin)
        reading: asyncio.Future[object] = asyncio.ensure_future(asyncio.to_thread(list, kept))
    else:
        chunks = await stream()

        async def read() -> None:
            async for _ in chunks:
                pass

        reading = asyncio.ensure_future(read())
    await hanging.asked.wait()
    # What was sent has been read by then.
    await asyncio.wait({reading}, timeout=0.3)
    assert not reading.done()
    if waits:
        await asyncio.to_thread(kept.close)
    else:
        await chunks.aclose()

    for read_again in (reading, asyncio.to_thread(next, kept) if waits else anext(chunks)):
        with pytest.raises(PromptResolverError) as caught:
            await read_again
        assert (caught.value.code.name, caught.value.message) == (
            "CANCELLED",
            "the stream was closed",
        )
    async with asyncio.timeout(10):
        await hanging.left.wait()


async def test_a_stream_goes_on_in_another_loop(here: Scene) -> None:
    """A stream is read to its end after the end of the loop in which it was begun."""

    async def begin() -> tuple[AsyncChunks, ChatCompletionChunk]:
        chunks = await stream()
        return chunks, await anext(chunks)

    async def read(chunks: AsyncChunks) -> list[str | None]:
        return [chunk.choices[0].delta.content async for chunk in chunks]

    chunks, first = await asyncio.to_thread(lambda: asyncio.run(begin()))
    texts = await asyncio.to_thread(lambda: asyncio.run(read(chunks)))

    assert first.choices[0].delta.role == "assistant"
    assert "".join(filter(None, texts)) == "Hello"


async def test_half_a_stream(here: Scene) -> None:
    """What is left of a stream whose reader was cancelled never looks like its end."""
    here.provider.answer = Hanging(begins=True)
    chunks = await stream()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            async for _ in chunks:
                pass

    with pytest.raises(PromptResolverError) as caught:
        await anext(chunks)
    assert caught.value.reason == "STREAM_INCOMPLETE"


async def test_deadline(here: Scene) -> None:
    """A call ends with its time, and the provider is told."""
    # What the first call opens counts, too.
    await ask()
    hanging = here.provider.answer = Hanging(begins=False)
    variables = {"user_message": "x"}
    with pytest.raises(PromptResolverError) as caught:
        await acompletion(MODEL, prompt_id=PROMPT_ID, prompt_variables=variables, timeout=0.3)

    assert caught.value.code == grpc.StatusCode.DEADLINE_EXCEEDED
    async with asyncio.timeout(10):
        await hanging.left.wait()


async def test_a_long_time(here: Scene) -> None:
    """A time that is longer than any call is none to a call that is made, in either way."""
    variables = {"user_message": "x"}
    waited = await asyncio.to_thread(
        completion, MODEL, prompt_id=PROMPT_ID, prompt_variables=variables, timeout=1e10
    )
    chunks = [chunk.choices[0].delta.content async for chunk in await stream(up_to_s=1e300)]

    assert waited.choices[0].message.content == "".join(filter(None, chunks)) == "Hello"


async def test_a_reader_that_sleeps(here: Scene) -> None:
    """A stream that nobody reads is not read from the provider, and ends with its time."""
    sent = 0
    refused = threading.Event()

    async def flood(exchange: Exchange) -> None:
        nonlocal sent
        await exchange.begin_stream()
        events = openai_events("x" * 1000)
        await exchange.send(events[0])
        try:
            while sent < 200_000_000:
                await exchange.send(events[1] * 100)
                sent += 100_000
        finally:
            refused.set()

    here.provider.answer = flood
    chunks = await stream(up_to_s=1)
    await anext(chunks)
    await asyncio.to_thread(refused.wait, 10)

    with pytest.raises(PromptResolverError) as caught:
        async for _ in chunks:
            pass
    assert caught.value.code == grpc.StatusCode.DEADLINE_EXCEEDED
    assert sent < 100_000_000
