"""OpenAI's own client against the door."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import openai
import pydantic
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.support.calls import VARIABLES
from tests.support.service import RunningService, running_service
from tests.support.upstream import Answer, Exchange, Upstream, openai_answer, openai_events

SAID: list[ChatCompletionMessageParam] = [{"role": "user", "content": "<IGNORED>"}]
PROMPT: dict[str, object] = {"prompt_variables": VARIABLES}


@pytest.fixture(params=["", "/v1"])
async def client(
    door_service: RunningService, request: pytest.FixtureRequest
) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's client; LiteLLM's page gives it a base URL without `/v1`."""
    async with openai.AsyncOpenAI(
        api_key="anything", base_url=door_service.http_url + request.param
    ) as client:
        yield client


async def test_whole_answer(client: openai.AsyncOpenAI) -> None:
    """An answer is what the client's types say, and its headers can be read."""
    raw = await client.chat.completions.with_raw_response.create(
        model="greeter", messages=SAID, extra_body=PROMPT
    )
    completion = raw.parse()

    assert completion.choices[0].message.content == "Hello"
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.total_tokens == 7
    assert raw.headers["x-prompt-id"] == "greet"
    assert completion._request_id == raw.headers["x-request-id"]


async def test_the_client_that_waits(door_service: RunningService) -> None:
    """OpenAI's client without asyncio is served as well, whole and streamed."""

    def ask() -> tuple[str | None, str]:
        with openai.OpenAI(api_key="anything", base_url=door_service.http_url) as client:
            whole = client.chat.completions.create(
                model="greeter", messages=SAID, extra_body=PROMPT
            )
            chunks = client.chat.completions.create(
                model="greeter", messages=SAID, extra_body=PROMPT, stream=True
            )
            texts = [chunk.choices[0].delta.content or "" for chunk in chunks]
        return whole.choices[0].message.content, "".join(texts)

    assert await asyncio.to_thread(ask) == ("Hello", "Hello")


async def test_streamed_answer(client: openai.AsyncOpenAI, upstream: Upstream) -> None:
    """A stream comes in chunks that the client adds up."""
    async with client.chat.completions.stream(
        model="greeter",
        messages=SAID,
        extra_body=PROMPT,
        stream_options={"include_usage": True},
    ) as stream:
        kinds = [event.type async for event in stream]
        completion = await stream.get_final_completion()

    assert kinds.count("content.delta") >= 1
    assert completion.choices[0].message.content == "Hello"
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 2


async def test_a_cut_stream_raises(client: openai.AsyncOpenAI, upstream: Upstream) -> None:
    """A stream that the provider cuts raises in the client, after what came."""

    async def cut(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.send(b"".join(openai_events("Hel", "lo")[:2]))
        exchange.writer.close()

    upstream.answer = cut
    stream = await client.chat.completions.create(
        model="greeter", messages=SAID, extra_body=PROMPT, stream=True
    )
    text = ""

    with pytest.raises(openai.APIError) as caught:
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""

    assert text == "Hel"
    assert caught.value.code == "upstream_truncated"


class Weather(pydantic.BaseModel):
    """What the model should answer."""

    city: str
    degrees: int


async def test_structured_output(client: openai.AsyncOpenAI, upstream: Upstream) -> None:
    """A schema reaches the provider, and the client reads the answer by it."""

    async def answer(exchange: Exchange) -> None:
        await exchange.send_response(openai_answer('{"city":"Oslo","degrees":-3}'))

    upstream.answer = answer

    completion = await client.chat.completions.parse(
        model="plain", messages=SAID, response_format=Weather
    )

    assert completion.choices[0].message.parsed == Weather(city="Oslo", degrees=-3)
    form = upstream.exchanges[-1].json["response_format"]
    assert isinstance(form, dict)
    assert form["json_schema"]["name"] == "Weather"
    assert form["json_schema"]["strict"] is True


async def test_tools(client: openai.AsyncOpenAI, upstream: Upstream) -> None:
    """A streamed tool call is put together by the client."""
    pieces: list[dict[str, object]] = [
        {"index": 0, "id": "c1", "type": "function", "function": {"name": "look", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"place":'}},
        {"index": 0, "function": {"arguments": '"Oslo"}'}},
    ]

    async def answer(exchange: Exchange) -> None:
        await exchange.begin_stream()
        opening, _, closing, *rest = openai_events("")
        calls = [
            closing.replace(b'"delta": {}', b'"delta": {"tool_calls": [%s]}' % piece).replace(
                b'"stop"', b"null"
            )
            for piece in (pydantic.TypeAdapter(dict).dump_json(each) for each in pieces)
        ]
        end = closing.replace(b'"stop"', b'"tool_calls"')
        await exchange.send(b"".join([opening, *calls, end, *rest]))
        exchange.writer.close()

    upstream.answer = answer
    async with client.chat.completions.stream(
        model="plain",
        messages=SAID,
        tools=[{"type": "function", "function": {"name": "look", "parameters": {}}}],
    ) as stream:
        completion = await stream.get_final_completion()

    calls = completion.choices[0].message.tool_calls
    assert calls is not None
    assert (calls[0].id, calls[0].function.name) == ("c1", "look")
    assert calls[0].function.arguments == '{"place":"Oslo"}'
    assert completion.choices[0].finish_reason == "tool_calls"


async def test_errors_are_of_the_clients_types(client: openai.AsyncOpenAI) -> None:
    """Each failure is raised as the client's own type, and tried again only where that may help."""
    with pytest.raises(openai.NotFoundError) as unknown:
        await client.chat.completions.create(model="none", messages=SAID)
    with pytest.raises(openai.BadRequestError) as missing:
        await client.chat.completions.create(model="greeter", messages=SAID)

    assert unknown.value.code == "model_not_found"
    assert missing.value.param == "prompt_variables.language"


async def test_no_needless_retries(client: openai.AsyncOpenAI, upstream: Upstream) -> None:
    """The client repeats no call that has cost something, and is told so."""

    async def nonsense(exchange: Exchange) -> None:
        await exchange.send_response(b"{}")

    upstream.answer = nonsense

    with pytest.raises(openai.InternalServerError) as caught:
        await client.chat.completions.create(model="greeter", messages=SAID, extra_body=PROMPT)

    assert caught.value.code == "upstream_protocol"
    assert len(upstream.exchanges) == 1


async def cut_in_an_answer(exchange: Exchange) -> None:
    """Send a part of an answer, and then that something has failed."""
    await exchange.begin_stream()
    failure = b'data: {"error": {"message": "overloaded", "code": 500}}\n\n'
    await exchange.send(openai_events("Hel")[1] + failure)


async def close_without_an_answer(exchange: Exchange) -> None:
    """Take a request, and say nothing."""
    exchange.writer.close()


@pytest.mark.parametrize("answer", [cut_in_an_answer, close_without_an_answer])
async def test_no_retries_of_what_may_have_cost(
    client: openai.AsyncOpenAI, upstream: Upstream, answer: Answer
) -> None:
    """A provider that may have worked on a request is not asked again by the client."""
    upstream.answer = answer

    with pytest.raises(openai.InternalServerError) as caught:
        await client.chat.completions.create(model="greeter", messages=SAID, extra_body=PROMPT)

    assert caught.value.code == "upstream_unavailable"
    assert len(upstream.exchanges) == 1


async def test_no_retries_of_retries(tmp_path: Path, upstream: Upstream) -> None:
    """What the service has tried again is not tried again by the client."""

    async def refuse(exchange: Exchange) -> None:
        await exchange.send_response(b"{}", status="503 X", headers="Retry-After: 0\r\n")

    upstream.answer = refuse
    config = f"""
providers: {{fake: {{dialect: openai, base_url: '{upstream.url}', api_key: k}}}}
model_list: [{{model_name: twice, litellm_params: {{model: fake/m, num_retries: 1}}}}]
"""
    async with (
        running_service(tmp_path, config) as service,
        openai.AsyncOpenAI(api_key="anything", base_url=service.http_url) as client,
    ):
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(model="twice", messages=SAID)

    assert len(upstream.exchanges) == 2


async def test_azures_client(door_service: RunningService) -> None:
    """OpenAI's client for Azure, which has its own paths and sends its key in its own way."""
    async with openai.AsyncAzureOpenAI(
        api_key="anything", azure_endpoint=door_service.http_url, api_version="2024-10-21"
    ) as client:
        answer = await client.chat.completions.create(
            model="greeter", messages=SAID, extra_body=PROMPT
        )

    assert answer.choices[0].message.content == "Hello"


async def test_models(client: openai.AsyncOpenAI) -> None:
    """The client lists and finds the models."""
    names = [model.id async for model in client.models.list()]
    model = await client.models.retrieve("greeter")

    assert names == ["greeter", "plain", "local"]
    assert model.owned_by == "prompt-resolver"
