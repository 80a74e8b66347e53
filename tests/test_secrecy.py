"""Secrets, prompts and values are found in no error, no log and no metric."""

import asyncio
import urllib.request
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf import struct_pb2

from prompt_resolver import AsyncPromptResolverClient, PromptResolverError, ResolveOptions
from prompt_resolver.v1 import admin_pb2, admin_pb2_grpc
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from tests.support.anthropic import (
    anthropic_answer,
    anthropic_error,
    anthropic_texts,
    frame_begin,
    frame_error,
)
from tests.support.http import HttpAnswer, HttpDoor
from tests.support.lies import lies
from tests.support.operator import ADMIN_DOOR
from tests.support.prompts import write_prompt
from tests.support.raw import open_channel
from tests.support.service import service_process
from tests.support.upstream import Answer, Exchange, Upstream, openai_answer, openai_events

if TYPE_CHECKING:
    from prompt_resolver.v1.admin_pb2_grpc import PromptResolverAdminAsyncStub

CANARY = "canary5f1e"
"""Stands in every place that a secret, a prompt's text or a variable's value can come from."""


def canary(place: str) -> str:
    return f"{CANARY}-{place}"


def error_body(code: object = None) -> bytes:
    """Return an error that repeats everything that a provider knows of the call."""
    fields = f'"message": "bad key {canary("env")} for {canary("value")}: {canary("text")}"'
    return f'{{"error": {{{fields}, "type": "{canary("type")}", "code": "{code}"}}}}'.encode()


def respond(status: str, body: bytes, content_type: str = "application/json") -> Answer:
    async def answer(exchange: Exchange) -> None:
        header = f"X-Echo: {canary('header')}\r\nRetry-After: {canary('retry')}\r\n"
        await exchange.send_response(body, status=status, content_type=content_type, headers=header)

    return answer


def stream(*data: bytes) -> Answer:
    async def answer(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.send(b"".join(data))
        exchange.writer.close()

    return answer


async def hang_up(exchange: Exchange) -> None:
    exchange.reset()


async def nonsense(exchange: Exchange) -> None:
    await exchange.send(f"{canary('nonsense')}\r\n\r\n".encode())
    exchange.writer.close()


ANSWERS: list[Answer] = [
    *(
        respond(f"{status} {canary('reason')}", error_body())
        for status in (400, 401, 402, 403, 404, 409, 413, 422, 429, 500, 502, 503, 504, 529, 302)
    ),
    respond("400 X", error_body("context_length_exceeded")),
    respond("400 X", error_body(canary("code"))),
    respond("200 OK", error_body()),
    respond("200 OK", error_body("server_error")),
    respond("200 OK", canary("body").encode()),
    respond("200 OK", canary("html").encode(), "text/html"),
    respond("200 OK", b'{"choices": [{"message": {"content": {"a": "%s"}}}]}' % CANARY.encode()),
    respond("200 OK", openai_answer(choices=[{"message": canary("m"), "finish_reason": "stop"}])),
    stream(b"data: " + canary("event").encode() + b"\n\n"),
    stream(b"data: " + error_body() + b"\n\n"),
    stream(*openai_events(canary("delta"))[:2]),
    respond("400 X", anthropic_error("invalid_request_error", f"prompt is too long: {CANARY}")),
    respond("200 OK", anthropic_error(canary("kind"), canary("message"))),
    respond("200 OK", anthropic_answer(stop=None, content=[canary("content")])),
    stream(frame_error(canary("kind"), canary("message"))),
    stream(*anthropic_texts(canary("delta"))[:4], frame_begin(0, {"type": canary("block")})),
    hang_up,
    nonsense,
    *(answer for answer, _ in lies(canary("lie").encode()).values()),
]

MODELS = (
    *("file/m", "text/m", "messages/m", "gone/m", "deployments/m", "token/m", "google/m"),
    *("vertex/m", "aws/m", "commands/m", "own/m"),
)
"""One of each way to let a call in, and of each dialect."""

CONFIG = """
server: {{log_level: debug}}
stores: {{local: {{type: directory, path: prompts}}}}
providers:
  fake: {{dialect: openai, base_url: '{url}', api_key: os.environ/PROVIDER_KEY}}
  file: {{dialect: openai, base_url: '{url}', api_key: 'file:{folder}/key'}}
  text: {{dialect: openai, base_url: '{url}', api_key: {text}}}
  messages: {{dialect: anthropic, base_url: '{url}', api_key: {text}}}
  deployments: {{dialect: azure, base_url: '{url}', api_key: {text}}}
  token: {{dialect: azure, base_url: '{url}', azure_ad_token: {text}}}
  google: {{dialect: gemini, base_url: '{url}', api_key: {text}}}
  vertex: {{dialect: vertex, base_url: '{url}', vertex_credentials: '{{"type": "{text}"}}'}}
  aws:
    dialect: bedrock
    base_url: '{url}'
    aws_region_name: eu-west-1
    aws_access_key_id: {text}
    aws_secret_access_key: {text}
    aws_session_token: {text}
  commands: {{dialect: cohere, base_url: '{url}', api_key: {text}}}
  own: {{dialect: ollama, base_url: '{url}', api_key: {text}}}
  gone: {{dialect: openai, base_url: 'http://127.0.0.1:1', api_key: {text}}}
  astray: {{dialect: openai, base_url: 'http://nowhere.invalid', api_key: {text}}}
  malformed: {{dialect: openai, base_url: 'http://{text}..invalid', api_key: {text}}}
model_list:
  - model_name: alias
    litellm_params:
      {{model: fake/m, prompt_id: greet, api_key: {text}, prompt_variables: {{v: {value}}}}}
general_settings: {{master_key: os.environ/MASTER_KEY}}
"""


@pytest.mark.parametrize("by_proxy", [False, True], ids=["directly", "by a proxy"])
async def test_nothing_is_told(tmp_path: Path, upstream: Upstream, by_proxy: bool) -> None:
    """However calls fail, and however talkative the log, no secret and no content is told."""
    (tmp_path / "key").write_text(canary("file"))
    prompts = tmp_path / "prompts"
    write_prompt(prompts, "greet", f"<user>\n{canary('text')} {{{{v}}}}\n</user>")
    write_prompt(prompts, "broken", f"<user>\n{canary('text')}\n<system>", model=canary("model"))
    write_prompt(prompts, "forbidden", "", other={"api_key": canary("other")})
    write_prompt(prompts, "typed", "", temperature=canary("temperature"))
    write_prompt(prompts, "unfit", f"<user>\n{canary('text')} {{{{v}}}} {{v}}\n</user>")
    (prompts / "yaml.prompt").write_text(f"---\n{canary('yaml')}: [\n---\n{canary('text')}")
    (prompts / "tagged.prompt").write_text(f"---\nmodel: !{CANARY} x\n---\n")
    config = tmp_path / "c.yaml"
    config.write_text(
        CONFIG.format(
            url="http://provider.invalid/v1" if by_proxy else upstream.url,
            folder=tmp_path,
            text=canary("config"),
            value=canary("alias"),
        )
    )
    environ = {"PROVIDER_KEY": canary("env"), "MASTER_KEY": canary("master")}
    if by_proxy:
        host = upstream.url.removeprefix("http://").removesuffix("/v1")
        environ["HTTP_PROXY"] = f"http://{canary('user')}:{canary('password')}@{host}"
    told: list[str] = []
    with service_process("--config", str(config), environ=environ) as service:
        async with AsyncPromptResolverClient(service.address, token=canary("master")) as client:
            await fail_in_every_way(client, upstream, told)
        async with AsyncPromptResolverClient(service.address, token=canary("token")) as stranger:
            await tell(told, stranger.resolve("greet"))
        door = HttpDoor(
            f"http://{service.door('http')}", {"Authorization": f"Bearer {canary('master')}"}
        )
        await fail_over_http(door, upstream, told)
        await fail_to_read(door, told)
        told.append(await asyncio.to_thread(read_metrics, service.door("admin")))
        _, log = await asyncio.to_thread(service.stop)

    assert "UPSTREAM_AUTH" in "".join(told)
    assert "prompt_resolver_upstream_request_duration_seconds" in "".join(told)
    assert log.count("a call failed") > len(ANSWERS)
    assert [line for line in [*told, *log.splitlines()] if CANARY in line] == []


async def fail_in_every_way(
    client: AsyncPromptResolverClient, upstream: Upstream, told: list[str]
) -> None:
    variables = {"v": canary("value")}
    credentials = {
        "x-provider-key-fake": canary("caller"),
        "x-provider-key-other": canary("caller"),
        "x-prompt-store-key": canary("store"),
    }
    for answer in ANSWERS:
        upstream.answer = answer
        await tell(told, client.complete("greet", variables=variables))
        await tell(told, drain(client, variables))
        for model in MODELS:
            await tell(told, client.complete("greet", variables=variables, model=model))
        await tell(told, drain(client, variables, model="messages/m"))
        await tell(told, client.complete(alias="alias"))
        await tell(told, client.complete("greet", variables=variables, credentials=credentials))
    for model in ("astray/m", "malformed/m"):
        await tell(told, client.complete("greet", variables=variables, model=model))
        await tell(told, drain(client, variables, model=model))
    said = pb.Message(
        role=pb.ROLE_ASSISTANT,
        tool_calls=[pb.ToolCall(id="c", name="f", arguments_json=canary("arguments"))],
    )
    thought = pb.ModelParameters(reasoning_effort=canary("effort"))
    unsendable: list[ResolveOptions] = [{"messages": [said]}, {"parameters": thought}]
    for options in unsendable:
        full: ResolveOptions = {**options, "variables": variables, "model": "messages/m"}
        await tell(told, client.complete("greet", **full))
    for prompt_id in ("broken", "forbidden", "typed", "yaml", "tagged", "nowhere", "../x"):
        await tell(told, client.resolve(prompt_id, variables=variables))
    extra = struct_pb2.Struct()
    extra.update({"api_key": canary("extra"), "temperature": canary("extra")})
    wrong: list[ResolveOptions] = [
        {"variables": {"w": canary("value")}},
        {"variables": {"v": float("nan"), "w": canary("value")}},
        {"variables": variables, "parameters": pb.ModelParameters(extra=extra)},
        {"variables": variables, "messages": [pb.Message()]},
        {"variables": variables, "model": "nobody/m"},
        {"variables": variables, "version": "nope"},
        {"variables": variables, "timeout_s": 0.000001},
    ]
    for options in wrong:
        await tell(told, client.resolve("greet", **options))


async def fail_over_http(door: HttpDoor, upstream: Upstream, told: list[str]) -> None:
    good: dict[str, object] = {"model": "alias", "prompt_id": "greet"}
    for answer in ANSWERS:
        upstream.answer = answer
        for stream in (False, True):
            answered = await door.chat(**good, stream=stream)
            told += [f"{answered.status} {dict(answered.headers)}", *errors_of(answered)]
    wrong: list[dict[str, object]] = [
        {"prompt_variables": canary("value")},
        {"prompt_variables": {"w": canary("value")}, "model": "fake/m"},
        {"messages": [{"role": canary("role"), "content": canary("content")}]},
        {"messages": [{"role": "user", "content": {"a": canary("content")}}]},
        {"tools": [{"type": "function", "function": {"name": {"a": canary("tool")}}}]},
        {"api_key": canary("key")},
        {"temperature": canary("temperature")},
        {"metadata": canary("metadata")},
    ]
    for document in wrong:
        answered = await door.chat(**{**good, **document})
        assert answered.status == 400
        told += [f"{answered.status} {dict(answered.headers)}", *errors_of(answered)]
    stranger = await HttpDoor(door.url, {"Authorization": f"Bearer {canary('token')}"}).chat(**good)
    told += errors_of(stranger)


async def fail_to_read(door: HttpDoor, told: list[str]) -> None:
    """Read prompts in other APIs' forms, and fail in every way."""
    ids = ("broken", "forbidden", "typed", "yaml", "tagged", "nowhere")
    paths = [f"/v5/prompts/{each}{below}" for each in ids for below in ("", "/versions")]
    paths += [f"/beta/litellm_prompt_management?prompt_id={each}" for each in (*ids, "unfit")]
    for query in ("page", "sort_by", "user_filter"):
        paths.append(f"/v5/prompts?{query}={canary('query')}")
    failed = [await door.get(path) for path in paths]
    key = {"authorization": "", "x_api_key": canary("token")}
    failed += [await door.get("/v5/prompts", **key), await door.post("/v5/prompts", canary("body"))]
    failed.append(await door.post("/v5/files/retrieve-by-path", {"path": {"a": canary("path")}}))
    assert (await door.get("/v5/prompts")).status == 200
    assert all(answered.status >= 400 for answered in failed)
    told += [f"{each.status} {dict(each.headers)} {each.body.decode()}" for each in failed]


def errors_of(answered: HttpAnswer) -> list[str]:
    """Return what an answer tells of a failure; what a model said is the caller's own."""
    if answered.status == 200:
        return [event for event in answered.events if event.startswith('{"error"')]
    return [answered.body.decode()]


async def drain(
    client: AsyncPromptResolverClient, variables: dict[str, str], model: str = "fake/m"
) -> None:
    async for _ in client.complete_stream("greet", variables=variables, model=model):
        pass


async def tell(told: list[str], call: Awaitable[object]) -> None:
    """Await a call and note all that its failure tells: message, details and trailers."""
    try:
        await call
    except PromptResolverError as error:
        told.append(f"{error} {error.metadata} {error.violations}")
        cause = error.__context__
        if isinstance(cause, grpc.aio.AioRpcError):
            told.append(f"{cause.details()} {cause.trailing_metadata()} {cause.initial_metadata()}")


def read_metrics(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as page:
        text: str = page.read().decode()
        return text


async def test_operators_are_told_nothing(tmp_path: Path) -> None:
    """What operators see, and whatever is explained to them, holds no secret and no content."""
    prompts = tmp_path / "prompts"
    write_prompt(
        prompts,
        "greet",
        f"<user>\n{canary('text')} {{{{v}}}}\n</user>",
        stop=[canary("stop")],
        temperature=0.5,
    )
    write_prompt(prompts, "broken", f"<user>\n{canary('text')}\n<system>")
    config = tmp_path / "c.yaml"
    config.write_text(
        CONFIG.format(
            url="http://127.0.0.1:1",
            folder=tmp_path,
            text=canary("config"),
            value=canary("alias"),
        )
    )
    environ = {"PROVIDER_KEY": canary("env"), "MASTER_KEY": canary("master"), **ADMIN_DOOR}
    metadata = (
        ("authorization", f"Bearer {canary('master')}"),
        ("x-prompt-store-key", canary("store")),
        ("x-provider-key-fake", canary("caller")),
    )
    variables, extra = struct_pb2.Struct(), struct_pb2.Struct()
    variables.update({"v": canary("value")})
    extra.update({"anything": canary("extra")})
    said = pb.Message(role=pb.ROLE_USER, content=[pb.ContentPart(text=canary("message"))])
    parameters = pb.ModelParameters(stop=[canary("stop")], extra=extra)
    told: list[str] = []
    with service_process("--config", str(config), environ=environ) as service:
        async with open_channel(service.door("admin_grpc")) as channel:
            admin: PromptResolverAdminAsyncStub = admin_pb2_grpc.PromptResolverAdminStub(channel)
            for prompt_id in ("greet", "broken", "nowhere", "../x"):
                for alias in (None, "alias", "nowhere"):
                    for given in (variables, struct_pb2.Struct()):
                        request = pb.ResolveRequest(
                            prompt=pb.PromptRef(id=prompt_id),
                            alias=alias,
                            variables=given,
                            messages=[said],
                            parameters=parameters,
                        )
                        explained = await admin.ExplainResolve(
                            admin_pb2.ExplainResolveRequest(request=request), metadata=metadata
                        )
                        told.append(str(explained))
            listed = await admin.ListPrompts(admin_pb2.ListPromptsRequest(), metadata=metadata)
            told.append(str(listed))
        _, log = await asyncio.to_thread(service.stop)

    assert any('name: "render"' in each for each in told)
    assert any('name: "error"' in each for each in told)
    assert "hit_count" in told[-1]
    assert [line for line in [*told, *log.splitlines()] if CANARY in line] == []
