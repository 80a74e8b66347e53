"""The whole way to a real language model: llama.cpp's server with SmolLM2-135M.

The server speaks both dialects, and answers the same in either.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import anthropic
import openai
import pytest
from google.protobuf import struct_pb2
from grpc import StatusCode

from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from tests.support.calls import collect, failure, status_of
from tests.support.model import busy_slots, running_model
from tests.support.prompts import write_prompt
from tests.support.provider_table import RUN_BY_OTHERS
from tests.support.service import RunningService, running_service

pytestmark = [pytest.mark.llm, pytest.mark.timeout(300)]

TIMES = 100
LIMIT_S = 0.1

in_both_dialects = pytest.mark.parametrize("model", ["fake/m", "messages/m"])


@pytest.fixture
async def service(tmp_path: Path, model_url: str) -> AsyncIterator[RunningService]:
    """A service whose providers `fake` and `messages` are the real model, in each its dialect."""
    prompts = tmp_path / "prompts"
    system = "You are a helpful assistant. Answer briefly."
    body = f"<system>\n{system}\n</system>\n<user>\n{{{{question}}}}\n</user>"
    write_prompt(prompts, "ask", body, temperature=0.0, max_tokens=24, seed=1)
    write_prompt(prompts, "ramble", body, temperature=0.0, max_tokens=1500)
    schema = {
        "type": "object",
        "properties": {
            "city": {"type": "string", "maxLength": 20},
            "count": {"type": "integer", "minimum": 0, "maximum": 9},
        },
        "required": ["city", "count"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "out", "schema": schema}}
    write_prompt(prompts, "extract", body, temperature=0.0, response_format=form, max_tokens=60)
    rows = json.dumps(
        [
            {"model_name": name, "litellm_params": {"model": f"{name}/m", "api_base": model_url}}
            for name in RUN_BY_OTHERS
        ]
    )
    config = f"""
stores: {{local: {{type: directory, path: prompts}}}}
providers:
  fake: {{dialect: openai, base_url: '{model_url}'}}
  messages: {{dialect: anthropic, base_url: '{model_url.removesuffix("/v1")}'}}
  astray: {{dialect: openai, base_url: '{model_url}/nowhere'}}
  far-astray: {{dialect: anthropic, base_url: '{model_url}/nowhere'}}
model_list: {rows}
"""
    async with running_service(tmp_path, config) as running:
        yield running


QUESTION = {"question": "What is the capital of France?"}
LONG_QUESTION = {"question": "List all numbers from 1 to 1000."}


@in_both_dialects
async def test_answers(service: RunningService, model: str) -> None:
    """A real model answers the rendered prompt, with its true usage."""
    answer = await service.client.complete("ask", variables=QUESTION, model=model)

    assert "Paris" in answer.message.content[0].text
    assert answer.model == "smollm2-135m"
    assert answer.finish_reason in (pb.FINISH_REASON_STOP, pb.FINISH_REASON_LENGTH)
    assert 20 < answer.usage.input_tokens < 60
    assert 0 < answer.usage.output_tokens <= 24
    assert answer.upstream_duration.ToTimedelta().total_seconds() > 0


@pytest.mark.parametrize("name", RUN_BY_OTHERS)
async def test_known_servers(service: RunningService, name: str) -> None:
    """A server of one's own is known by its name, and asked at a row's address without a key."""
    answer = await service.client.complete("ask", variables=QUESTION, alias=name)
    call = service.client.complete_stream("ask", variables=QUESTION, alias=name)
    events = [event async for event in call]

    assert "Paris" in answer.message.content[0].text
    assert answer.provider == name
    assert "".join(event.text_delta for event in events) == answer.message.content[0].text
    assert events[-1].finished.usage == answer.usage


@in_both_dialects
async def test_streams(service: RunningService, model: str) -> None:
    """The same answer streamed arrives in many pieces that make the same text."""
    whole = await service.client.complete("ask", variables=QUESTION, model=model)
    call = service.client.complete_stream("ask", variables=QUESTION, model=model)

    events = [event async for event in call]

    texts = [event.text_delta for event in events if event.HasField("text_delta")]
    assert len(texts) > 3
    assert "".join(texts) == whole.message.content[0].text
    assert events[0].started.model == "smollm2-135m"
    assert events[-1].finished.usage.output_tokens == whole.usage.output_tokens
    assert events[-1].finished.usage.input_tokens == whole.usage.input_tokens
    assert events[-1].finished.finish_reason == whole.finish_reason


async def test_same_in_both_dialects(service: RunningService) -> None:
    """One model gives one answer, at one count, whatever dialect it is asked in."""
    one, other = [
        await service.client.complete("ask", variables=QUESTION, model=model)
        for model in ("fake/m", "messages/m")
    ]

    assert one.message == other.message
    assert one.finish_reason == other.finish_reason
    assert one.usage.input_tokens == other.usage.input_tokens
    assert one.usage.output_tokens == other.usage.output_tokens
    assert (list(one.dropped_parameters), list(other.dropped_parameters)) == ([], ["seed"])


@in_both_dialects
async def test_length(service: RunningService, model: str) -> None:
    """An answer that reaches its limit says so."""
    answer = await service.client.complete(
        "ask", variables=QUESTION, model=model, parameters=pb.ModelParameters(max_tokens=2)
    )

    assert answer.finish_reason == pb.FINISH_REASON_LENGTH
    assert answer.usage.output_tokens == 2


async def test_json_schema(service: RunningService) -> None:
    """A schema in the prompt's header holds for the real answer."""
    answer = await service.client.complete(
        "extract", variables={"question": "I have 3 tickets to Rome."}
    )

    document = json.loads(answer.message.content[0].text)
    assert set(document) == {"city", "count"}
    assert isinstance(document["city"], str)
    assert isinstance(document["count"], int)


async def test_json_schema_in_a_stream(service: RunningService) -> None:
    """A schema holds for a streamed answer as well, which is the same."""
    question = {"question": "I have 3 tickets to Rome."}
    whole = await service.client.complete("extract", variables=question)
    streamed = await collect(service.client, "extract", variables=question)

    assert streamed.error is None
    assert streamed.text == whole.message.content[0].text
    # How much of the question the model remembers depends on what it was asked before.
    assert streamed.finished.usage.input_tokens == whole.usage.input_tokens
    assert streamed.finished.usage.output_tokens == whole.usage.output_tokens


async def test_json_object(service: RunningService) -> None:
    """An answer that is to be JSON begins as such."""
    form = pb.ResponseFormat(type=pb.ResponseFormat.TYPE_JSON_OBJECT)

    answer = await service.client.complete(
        "ask", variables=QUESTION, parameters=pb.ModelParameters(response_format=form)
    )

    assert answer.message.content[0].text.lstrip().startswith("{")


@in_both_dialects
async def test_tools(service: RunningService, model: str) -> None:
    """The server takes tools and their schemas, though its small model makes no use of them."""
    tool = pb.Tool(name="look_up", description="Tells the weather of a city.")
    tool.parameters.update({"type": "object", "properties": {"city": {"type": "string"}}})
    required = pb.ToolChoice(mode=pb.ToolChoice.MODE_REQUIRED)

    answer = await service.client.complete(
        "ask", variables=QUESTION, model=model, tools=[tool], tool_choice=required
    )
    streamed = await collect(
        service.client, "ask", variables=QUESTION, model=model, tools=[tool], tool_choice=required
    )

    assert answer.message.content[0].text == streamed.text != ""


@pytest.mark.parametrize("model", ["astray/m", "far-astray/m"])
async def test_address_that_is_wrong(service: RunningService, model: str) -> None:
    """A path that the server does not know is told as a model that is not there."""
    error = await failure(service.client.complete("ask", variables=QUESTION, model=model))

    assert status_of(error) == (StatusCode.NOT_FOUND, "MODEL_NOT_FOUND")


async def test_server_that_fails(service: RunningService) -> None:
    """What the server fails at, such as an image that its model cannot see, is a failure."""
    image = pb.Media(data=b"nonsense", media_type="image/png")
    said = pb.Message(role=pb.ROLE_USER, content=[pb.ContentPart(image=image)])

    call = service.client.complete("ask", variables=QUESTION, messages=[said])

    assert status_of(await failure(call)) == (StatusCode.UNAVAILABLE, "UPSTREAM_UNAVAILABLE")


@in_both_dialects
async def test_keys(tmp_path: Path, model_url: str, model: str) -> None:
    """The server's own word on a key is told to whom it concerns."""
    del model_url  # It tells that there is a model.
    write_prompt(tmp_path / "prompts", "ask", "<user>\n{{question}}\n</user>", max_tokens=2)
    with running_model("key-of-model") as url:
        config = f"""
stores: {{local: {{type: directory, path: prompts}}}}
providers:
  fake: {{dialect: openai, base_url: '{url}', api_key: another-key}}
  messages: {{dialect: anthropic, base_url: '{url.removesuffix("/v1")}', api_key: another-key}}
"""
        async with running_service(tmp_path, config) as service:
            name = f"x-provider-key-{model.partition('/')[0]}"
            told = []
            for credentials in ({}, {name: "no-key"}):
                call = service.client.complete(
                    "ask", variables=QUESTION, model=model, credentials=credentials
                )
                told.append(status_of(await failure(call)))
            answer = await service.client.complete(
                "ask", variables=QUESTION, model=model, credentials={name: "key-of-model"}
            )

    assert told == [
        (StatusCode.FAILED_PRECONDITION, "UPSTREAM_AUTH"),
        (StatusCode.UNAUTHENTICATED, "UPSTREAM_AUTH_CALLER_KEY"),
    ]
    assert answer.usage.output_tokens == 2


@in_both_dialects
async def test_prompt_that_is_too_long(service: RunningService, model: str) -> None:
    """A prompt beyond what the model can read is told as such."""
    question = {"question": "word " * 5000}

    error = await failure(service.client.complete("ask", variables=question, model=model))

    assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "CONTEXT_LENGTH")


async def test_request_that_is_refused(service: RunningService) -> None:
    """A parameter that the server refuses is told as a refused request."""
    extra = struct_pb2.Struct()
    extra.update({"logit_bias": "nonsense", "grammar": "root ::= nonsense["})

    error = await failure(
        service.client.complete(
            "ask", variables=QUESTION, parameters=pb.ModelParameters(extra=extra)
        )
    )

    assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "UPSTREAM_REJECTED")


@in_both_dialects
@pytest.mark.timed
@pytest.mark.parametrize("streamed", [False, True], ids=["unary", "stream"])
async def test_caller_leaves(
    service: RunningService, model_url: str, model: str, streamed: bool
) -> None:
    """When the caller leaves, the model itself says that it is free again, every time."""
    late = []
    # The first prompt of all takes the model itself a quarter of a second to read in.
    await service.client.complete("ask", variables=LONG_QUESTION, model=model)
    for _ in range(TIMES):
        call = asyncio.ensure_future(ramble(service, model, streamed=streamed))
        while await asyncio.to_thread(busy_slots, model_url) == 0:
            assert not call.done(), call.result()
        left_at = time.perf_counter()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        while await asyncio.to_thread(busy_slots, model_url):
            pass
        free_after_s = time.perf_counter() - left_at
        if free_after_s > LIMIT_S:
            late.append(round(free_after_s, 3))

    assert late == []


async def ramble(service: RunningService, model: str, *, streamed: bool) -> None:
    """Ask for what the model takes twenty seconds to say."""
    if streamed:
        call = service.client.complete_stream("ramble", variables=LONG_QUESTION, model=model)
        async for _ in call:
            pass
    else:
        await service.client.complete("ramble", variables=LONG_QUESTION, model=model)


async def test_official_client_agrees(service: RunningService, model_url: str) -> None:
    """The vendor's own client gets the same answer to the same prompt from the same model."""
    ours = await service.client.complete("ask", variables=QUESTION, include_resolved=True)
    roles = {pb.ROLE_SYSTEM: "system", pb.ROLE_USER: "user"}
    messages = [
        {"role": roles[message.role], "content": message.content[0].text}
        for message in ours.resolved.messages
    ]
    async with openai.AsyncOpenAI(base_url=model_url, api_key="none") as client:
        theirs = await client.chat.completions.create(
            model="smollm2-135m",
            messages=messages,  # type: ignore[arg-type]  # plain mappings are what they are
            temperature=0.0,
            max_tokens=24,
            seed=1,
        )

    assert theirs.choices[0].message.content == ours.message.content[0].text
    assert theirs.usage is not None
    assert theirs.usage.completion_tokens == ours.usage.output_tokens


async def test_other_official_client_agrees(service: RunningService, model_url: str) -> None:
    """So does the client of the other dialect's vendor."""
    ours = await service.client.complete(
        "ask", variables=QUESTION, model="messages/m", include_resolved=True
    )
    system, user = (message.content[0].text for message in ours.resolved.messages)
    base_url = model_url.removesuffix("/v1")
    async with anthropic.AsyncAnthropic(base_url=base_url, api_key="none") as client:
        theirs = await client.messages.create(
            model="m",
            system=system,
            messages=[{"role": "user", "content": user}],
            max_tokens=24,
            extra_body={"temperature": 0.0},
        )

    (block,) = theirs.content
    assert isinstance(block, anthropic.types.TextBlock)
    assert block.text == ours.message.content[0].text
    assert theirs.usage.output_tokens == ours.usage.output_tokens
    assert theirs.stop_reason == ours.raw_finish_reason
