"""The whole way to a real language model: llama.cpp's server with SmolLM2-135M."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import openai
import pytest
from google.protobuf import struct_pb2
from grpc import StatusCode

from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from tests.support.calls import failure, status_of
from tests.support.model import busy_slots
from tests.support.prompts import write_prompt
from tests.support.service import RunningService, running_service

pytestmark = [pytest.mark.llm, pytest.mark.timeout(300)]

TIMES = 100
LIMIT_S = 0.1


@pytest.fixture
async def service(tmp_path: Path, model_url: str) -> AsyncIterator[RunningService]:
    """A service whose provider `fake` is the real model."""
    prompts = tmp_path / "prompts"
    system = "You are a helpful assistant. Answer briefly."
    body = f"<system>\n{system}\n</system>\n<user>\n{{{{question}}}}\n</user>"
    write_prompt(prompts, "ask", body, temperature=0.0, max_tokens=24, seed=1)
    write_prompt(prompts, "ramble", body, max_tokens=1500, other={"ignore_eos": True})
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
    config = f"""
stores: {{local: {{type: directory, path: prompts}}}}
providers: {{fake: {{dialect: openai, base_url: '{model_url}'}}}}
"""
    async with running_service(tmp_path, config) as running:
        yield running


QUESTION = {"question": "What is the capital of France?"}


async def test_answers(service: RunningService) -> None:
    """A real model answers the rendered prompt, with its true usage."""
    answer = await service.client.complete("ask", variables=QUESTION)

    assert "Paris" in answer.message.content[0].text
    assert answer.model == "smollm2-135m"
    assert answer.finish_reason in (pb.FINISH_REASON_STOP, pb.FINISH_REASON_LENGTH)
    assert 20 < answer.usage.input_tokens < 60
    assert 0 < answer.usage.output_tokens <= 24
    assert answer.upstream_duration.ToTimedelta().total_seconds() > 0


async def test_streams(service: RunningService) -> None:
    """The same answer streamed arrives in many pieces that make the same text."""
    whole = await service.client.complete("ask", variables=QUESTION)

    events = [event async for event in service.client.complete_stream("ask", variables=QUESTION)]

    texts = [event.text_delta for event in events if event.HasField("text_delta")]
    assert len(texts) > 3
    assert "".join(texts) == whole.message.content[0].text
    assert events[0].started.model == "smollm2-135m"
    assert events[-1].finished.usage.output_tokens == whole.usage.output_tokens
    assert events[-1].finished.finish_reason == whole.finish_reason


async def test_length(service: RunningService) -> None:
    """An answer that reaches its limit says so."""
    answer = await service.client.complete(
        "ask", variables=QUESTION, parameters=pb.ModelParameters(max_tokens=2)
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


async def test_prompt_that_is_too_long(service: RunningService) -> None:
    """A prompt beyond what the model can read is told as such."""
    error = await failure(service.client.complete("ask", variables={"question": "word " * 5000}))

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


@pytest.mark.parametrize("streamed", [False, True], ids=["unary", "stream"])
async def test_caller_leaves(service: RunningService, model_url: str, streamed: bool) -> None:
    """When the caller leaves, the model itself says that it is free again, every time."""
    late = []
    # The first prompt of all takes the model itself a quarter of a second to read in.
    await service.client.complete("ask", variables=QUESTION)
    for _ in range(TIMES):
        call = asyncio.ensure_future(ramble(service, streamed=streamed))
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


async def ramble(service: RunningService, *, streamed: bool) -> None:
    if streamed:
        async for _ in service.client.complete_stream("ramble", variables=QUESTION):
            pass
    else:
        await service.client.complete("ramble", variables=QUESTION)


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
