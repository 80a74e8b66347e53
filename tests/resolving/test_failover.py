"""A provider that fails is asked again, or another one is, before the caller has seen anything."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from random import Random

import aiohttp
import pytest
from grpc import StatusCode
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver_server.dispatch.dispatcher import Dispatcher
from prompt_resolver_server.dispatch.notation import ModelChoice
from prompt_resolver_server.dispatch.orders import Limits
from prompt_resolver_server.dispatch.route import Draw
from prompt_resolver_server.domain import answers
from prompt_resolver_server.domain.aliases import Alias, Deployment, Fallbacks, Terms
from prompt_resolver_server.domain.answers import Credentials, Emit, Finish, ModelRequest
from prompt_resolver_server.domain.errors import Reason, ServerError, UpstreamError
from prompt_resolver_server.domain.parameters import NO_PARAMETERS
from prompt_resolver_server.domain.prompts import Message, PromptRef, ResolvedPrompt, Text
from prompt_resolver_server.metrics import Metrics
from prompt_resolver_server.providers.provider import do_nothing
from prompt_resolver_server.resolving.failover import Failover
from prompt_resolver_server.resolving.preparer import Preparer
from prompt_resolver_server.resolving.queries import Query, Resolution
from tests.support.calls import VARIABLES, failure, status_of
from tests.support.candidates import ALWAYS, failing, outcomes, rows, running_scene
from tests.support.clock import FakeClock
from tests.support.humanloop import KEY, running_humanloop, send
from tests.support.prompts import write_prompt
from tests.support.upstream import Exchange, answer_openai, openai_events

RETRYING = rows("model: one/m, num_retries: 2")
FALLING_BACK = rows("model: one/m", "model: two/n, temperature: 0.7") + (
    "\nrouter_settings: {fallbacks: [{a: [b]}]}"
)


def falling_back_past(row: str) -> str:
    """Return an alias whose fallback has a row that cannot be asked, and then one that can."""
    return (
        rows("model: one/m, prompt_id: greet", f"{row}, order: 1")
        + "\n  - {model_name: b, litellm_params: {model: two/n, prompt_id: greet, order: 2}}"
        + "\nrouter_settings: {fallbacks: [{a: [b]}]}"
    )


async def test_retry(tmp_path: Path, prompts: Path) -> None:
    """A provider that fails for a moment is asked again, and every attempt is told and counted."""
    async with running_scene(tmp_path, prompts, RETRYING) as scene:
        scene.one.answer = failing(2)
        response = await scene.service.client.complete("greet", alias="a", variables=VARIABLES)
        retries = await scene.service.metric(
            "prompt_resolver_upstream_retries_total"
            '{model="m",provider="one",reason="upstream_unavailable"}'
        )

    assert response.message.content[0].text == "Hello"
    assert outcomes(response.attempts) == [
        ("one", "m", "upstream_unavailable"),
        ("one", "m", "upstream_unavailable"),
        ("one", "m", "ok"),
    ]
    assert all(each.duration.ToTimedelta() for each in response.attempts)
    assert retries == 2


async def test_retries_that_are_used_up(tmp_path: Path, prompts: Path) -> None:
    """Where every attempt fails, the last failure is told, and how many attempts there were."""
    async with running_scene(tmp_path, prompts, RETRYING) as scene:
        scene.one.answer = failing(ALWAYS)
        error = await failure(
            scene.service.client.complete("greet", alias="a", variables=VARIABLES)
        )

    assert status_of(error) == (StatusCode.UNAVAILABLE, "UPSTREAM_UNAVAILABLE")
    assert error.metadata == {"provider": "one", "http_status": "503", "attempts": "3"}
    assert len(scene.one.exchanges) == 3


@pytest.mark.parametrize(
    "config",
    [
        "router_settings: {num_retries: 1}",
        "litellm_settings: {num_retries: 1}",
        "router_settings: {num_retries: 1}\nlitellm_settings: {num_retries: 5}",
    ],
)
async def test_retries_for_all(tmp_path: Path, prompts: Path, config: str) -> None:
    """What the settings say about retries holds for every call, with an alias or without."""
    async with running_scene(tmp_path, prompts, rows("model: one/m") + "\n" + config) as scene:
        scene.one.answer = failing(ALWAYS)
        await failure(scene.service.client.complete("greet", alias="a", variables=VARIABLES))
        await failure(scene.service.client.complete("greet", model="one/m", variables=VARIABLES))

    assert len(scene.one.exchanges) == 4


async def test_no_retries_unless_asked_for(tmp_path: Path, prompts: Path) -> None:
    """Without a setting nothing is asked for twice."""
    async with running_scene(tmp_path, prompts, rows("model: one/m")) as scene:
        scene.one.answer = failing(1)
        error = await failure(
            scene.service.client.complete("greet", alias="a", variables=VARIABLES)
        )

    assert status_of(error) == (StatusCode.UNAVAILABLE, "UPSTREAM_UNAVAILABLE")
    assert "attempts" not in error.metadata


@pytest.mark.parametrize("status", ["400 Bad Request", "401 Unauthorized", "404 Not Found"])
async def test_failure_that_lasts(tmp_path: Path, prompts: Path, status: str) -> None:
    """What would fail again is not tried again."""
    async with running_scene(tmp_path, prompts, RETRYING) as scene:
        scene.one.answer = failing(ALWAYS, status)
        await failure(scene.service.client.complete("greet", alias="a", variables=VARIABLES))

    assert len(scene.one.exchanges) == 1


async def test_time_that_the_provider_asks_for(tmp_path: Path, prompts: Path) -> None:
    """A provider that wants to be left alone past the deadline is, and the caller hears at once."""
    async with running_scene(tmp_path, prompts, RETRYING) as scene:
        scene.one.answer = failing(ALWAYS, "429 Too Many Requests", "Retry-After: 3600\r\n")
        error = await failure(
            scene.service.client.complete("greet", alias="a", variables=VARIABLES)
        )
        scene.one.answer = failing(1, "429 Too Many Requests", "retry-after-ms: 20\r\n")
        response = await scene.service.client.complete("greet", alias="a", variables=VARIABLES)

    assert status_of(error) == (StatusCode.RESOURCE_EXHAUSTED, "UPSTREAM_RATE_LIMITED")
    assert error.retry_after_s == 3600
    assert [each.outcome for each in response.attempts] == ["upstream_rate_limited", "ok"]
    assert len(scene.one.exchanges) == 3


async def test_budget(tmp_path: Path, prompts: Path) -> None:
    """A provider that always fails gets few requests more than there are calls."""
    config = rows("model: one/m, num_retries: 1")
    calls = 60
    async with running_scene(tmp_path, prompts, config, settings=", breaker: false") as scene:
        scene.one.answer = failing(ALWAYS)
        await asyncio.gather(
            *(
                failure(scene.service.client.complete("greet", alias="a", variables=VARIABLES))
                for _ in range(calls)
            )
        )

    assert calls < len(scene.one.exchanges) <= calls + calls // 5 + 10


async def test_budget_of_a_fallback(tmp_path: Path, prompts: Path) -> None:
    """The calls that a provider gets as a fallback bring in retries, as its other calls do."""
    config = rows("model: two/n", "model: one/m, num_retries: 1") + (
        "\nrouter_settings: {fallbacks: [{a: [b]}]}"
    )
    async with running_scene(tmp_path, prompts, config, settings=", breaker: false") as scene:
        scene.one.answer = scene.two.answer = failing(ALWAYS)
        client = scene.service.client
        asked = []
        # The first of them take the reserve.
        for calls in (20, 40):
            await asyncio.gather(
                *(
                    failure(client.complete("greet", alias="a", variables=VARIABLES))
                    for _ in range(calls)
                )
            )
            asked.append(len(scene.one.exchanges))

    assert asked[1] - asked[0] == 40 + 40 // 5


async def test_fallback_with_variables_of_no_prompt(tmp_path: Path, prompts: Path) -> None:
    """Variables that a row or a call has for a prompt keep nobody from answering without one."""
    config = rows("model: one/m, prompt_variables: {x: y}", "model: two/n") + (
        "\nrouter_settings: {fallbacks: [{a: [b]}]}"
    )
    async with running_scene(tmp_path, prompts, config) as scene:
        scene.one.answer = failing(ALWAYS)
        response = await scene.service.client.complete(
            alias="a",
            variables={"z": 1},
            messages=[pb.Message(role=pb.ROLE_USER, content=[pb.ContentPart(text="Hi")])],
        )

    assert outcomes(response.attempts)[-1] == ("two", "n", "ok")


async def test_fallback(tmp_path: Path, prompts: Path) -> None:
    """A fallback answers the same prompt with its own model, its own parameters and its own key."""
    async with running_scene(tmp_path, prompts, FALLING_BACK) as scene:
        scene.one.answer = failing(ALWAYS)
        response = await scene.service.client.complete(
            "greet", alias="a", variables=VARIABLES, include_resolved=True
        )
        fallbacks = await scene.service.metric(
            "prompt_resolver_upstream_fallbacks_total"
            '{from="a",reason="upstream_unavailable",to="b"}'
        )

    (asked,) = scene.two.exchanges
    assert outcomes(response.attempts) == [
        ("one", "m", "upstream_unavailable"),
        ("two", "n", "ok"),
    ]
    assert (response.provider, response.resolved.model) == ("two", "n")
    assert (response.prompt.id, response.prompt.store) == ("greet", "local")
    assert asked.json["model"] == "n"
    assert asked.json["temperature"] == 0.7
    assert asked.headers["authorization"] == "Bearer key-of-two"
    assert "key-of-one" not in str((asked.headers, asked.body))
    assert fallbacks == 1


async def test_fallback_has_its_own_prompt(tmp_path: Path, prompts: Path) -> None:
    """A fallback with a prompt of its own answers that one, unless the call names one itself."""
    write_prompt(prompts, "short", "<user>\nBriefly: {{name}}\n</user>")
    config = (
        rows("model: one/m, prompt_id: greet", "model: two/n, prompt_id: short")
        + "\nrouter_settings: {default_fallbacks: [b]}"
    )
    async with running_scene(tmp_path, prompts, config) as scene:
        scene.one.answer = failing(ALWAYS)
        own = await scene.service.client.complete(alias="a", variables=VARIABLES)
        named = await scene.service.client.complete("greet", alias="a", variables=VARIABLES)

    assert (own.prompt.id, named.prompt.id) == ("short", "greet")
    assert scene.two.exchanges[0].json["messages"] == [{"role": "user", "content": "Briefly: Ada"}]


async def test_fallback_from_another_store(tmp_path: Path, prompts: Path) -> None:
    """A store's key of the caller's own is not shown to the store of a fallback's prompt."""
    async with running_humanloop() as ours, running_humanloop() as theirs:
        for api in (ours, theirs):
            api.put("greet", prompt_id="pr_1", model="m", provider="one", template="Hi")

        async def serve_anyone(exchange: Exchange) -> None:
            await send(exchange, theirs.prompts["pr_1"].document("prv_1"))

        theirs.fail = serve_anyone
        stores = f"""
  ours: {{type: humanloop, base_url: '{ours.url}'}}
  theirs: {{type: humanloop, base_url: '{theirs.url}', api_key: key-of-theirs}}"""
        config = (
            rows("model: ours/auto, prompt_id: pr_1", "model: theirs/two/n, prompt_id: pr_1")
            + "\nrouter_settings: {fallbacks: [{a: [b]}]}"
        )
        async with running_scene(tmp_path, prompts, config, stores=stores) as scene:
            scene.one.answer = failing(ALWAYS)
            response = await scene.service.client.complete(
                alias="a", credentials={"x-prompt-store-key": KEY}
            )

    assert response.prompt.store == "theirs"
    assert [each.headers["x-api-key"] for each in ours.exchanges] == [KEY]
    assert [each.headers["x-api-key"] for each in theirs.exchanges] == ["key-of-theirs"]


async def test_fallback_without_a_prompt(tmp_path: Path, prompts: Path) -> None:
    """A fallback without a prompt answers the first alias' prompt, with that one's variables."""
    config = (
        rows(
            "model: one/m, prompt_id: greet, prompt_variables: {language: Welsh}",
            "model: two/n, prompt_variables: {language: Dutch}",
        )
        + "\nlitellm_settings: {fallbacks: [{'*': [b]}]}"
    )
    async with running_scene(tmp_path, prompts, config) as scene:
        scene.one.answer = failing(ALWAYS)
        response = await scene.service.client.complete(alias="a", variables={"name": "Ada"})

    assert response.prompt.id == "greet"
    assert scene.two.exchanges[0].json["messages"] == [
        {"role": "system", "content": "Greet in Welsh."},
        {"role": "user", "content": "Ada"},
    ]


async def test_fallback_after_a_model_of_the_callers(tmp_path: Path, prompts: Path) -> None:
    """The model that a call names is not asked of a fallback's provider."""
    async with running_scene(tmp_path, prompts, FALLING_BACK) as scene:
        scene.one.answer = failing(ALWAYS)
        response = await scene.service.client.complete(
            "greet", alias="a", variables=VARIABLES, model="one/special"
        )

    assert outcomes(response.attempts) == [
        ("one", "special", "upstream_unavailable"),
        ("two", "n", "ok"),
    ]


async def test_fallback_that_cannot_be_asked(
    tmp_path: Path, prompts: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A fallback whose prompt is not there is passed over; the provider's failure is told."""
    config = (
        rows("model: one/m, prompt_id: greet", "model: two/n, prompt_id: gone", "model: two/n")
        + "\nrouter_settings: {fallbacks: [{a: [b, c]}, {c: [b]}]}"
    )
    async with running_scene(tmp_path, prompts, config) as scene:
        scene.one.answer = failing(ALWAYS)
        response = await scene.service.client.complete(alias="a", variables=VARIABLES)
        scene.two.answer = failing(ALWAYS, "500 Internal Server Error")
        error = await failure(scene.service.client.complete(alias="a", variables=VARIABLES))

    assert [each.outcome for each in response.attempts] == ["upstream_unavailable", "ok"]
    assert error.metadata == {"provider": "two", "http_status": "500", "attempts": "2"}
    told = [each for each in caplog.records if each.message == "a candidate could not be asked"]
    assert {(vars(each)["alias"], vars(each)["reason"]) for each in told} == {
        ("b", "PROMPT_NOT_FOUND")
    }


async def test_row_of_a_fallback_that_cannot_be_asked(tmp_path: Path, prompts: Path) -> None:
    """In place of an alias that is put aside, a fallback answers by whichever row can be asked."""
    config = falling_back_past("model: two/n, prompt_id: gone")
    async with running_scene(tmp_path, prompts, config) as scene:
        scene.one.answer = failing(ALWAYS, "429 Too Many Requests", "Retry-After: 60\r\n")
        responses = [
            await scene.service.client.complete(alias="a", variables=VARIABLES) for _ in range(2)
        ]
        fallbacks = await scene.service.metric(
            "prompt_resolver_upstream_fallbacks_total"
            '{from="a",reason="upstream_rate_limited",to="b"}'
        )

    assert [outcomes(each.attempts)[-1] for each in responses] == [("two", "n", "ok")] * 2
    assert len(scene.one.exchanges) == 1
    assert fallbacks == 2


async def test_row_of_a_fallback_without_a_key(tmp_path: Path, prompts: Path) -> None:
    """A fallback counts as one, however many of its rows cannot be asked."""
    config = falling_back_past("model: groq/n")
    async with running_scene(tmp_path, prompts, config) as scene:
        scene.one.answer = failing(ALWAYS)
        response = await scene.service.client.complete(alias="a", variables=VARIABLES)
        page = await scene.service.metrics()

    assert outcomes(response.attempts)[-1] == ("two", "n", "ok")
    told = [line for line in page.splitlines() if "upstream_fallbacks_total{" in line]
    (line,) = told
    assert line.endswith('{from="a",reason="upstream_unavailable",to="b"} 1.0')


async def test_fallback_that_cannot_take_the_call(
    tmp_path: Path, prompts: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A fallback that lacks what the call itself asks for is passed over, and the log says so."""
    config = (
        rows("model: one/m", "model: openai/n, api_key: key-of-row")
        + "\nrouter_settings: {fallbacks: [{a: [b]}]}"
    )
    async with running_scene(tmp_path, prompts, config) as scene:
        scene.one.answer = failing(ALWAYS)
        error = await failure(
            scene.service.client.complete(
                "greet", alias="a", variables=VARIABLES, parameters=pb.ModelParameters(top_k=3)
            )
        )

    assert (error.reason, error.metadata["provider"]) == ("UPSTREAM_UNAVAILABLE", "one")
    told = [each for each in caplog.records if each.message == "a candidate could not be asked"]
    assert [(vars(each)["alias"], vars(each)["reason"]) for each in told] == [
        ("b", "PARAMETER_UNSUPPORTED")
    ]


async def test_template_and_store_do_not_fall_back(tmp_path: Path, prompts: Path) -> None:
    """What a store or a template fails at is told; no fallback answers something else."""
    config = (
        rows("model: one/m, prompt_id: gone", "model: two/n, prompt_id: greet")
        + "\nrouter_settings: {fallbacks: [{a: [b]}]}"
    )
    async with running_scene(tmp_path, prompts, config) as scene:
        absent = await failure(scene.service.client.complete(alias="a", variables=VARIABLES))
        missing = await failure(scene.service.client.complete("greet", alias="a"))

    assert status_of(absent) == (StatusCode.NOT_FOUND, "PROMPT_NOT_FOUND")
    assert status_of(missing) == (StatusCode.INVALID_ARGUMENT, "VARIABLES_INVALID")
    assert scene.two.exchanges == []


async def test_prompt_that_is_too_long(tmp_path: Path, prompts: Path) -> None:
    """A prompt that is too long for one model goes to the one that is named for that."""
    config = (
        rows("model: one/m, num_retries: 3", "model: two/n", "model: two/long")
        + "\nrouter_settings: {fallbacks: [{a: [b]}], context_window_fallbacks: [{a: [c]}]}"
    )
    body = b'{"error": {"code": "context_length_exceeded", "message": "too long"}}'

    async def refuse(exchange: Exchange) -> None:
        await exchange.send_response(body, status="400 Bad Request")

    async with running_scene(tmp_path, prompts, config) as scene:
        scene.one.answer = refuse
        response = await scene.service.client.complete("greet", alias="a", variables=VARIABLES)

    assert outcomes(response.attempts) == [("one", "m", "context_length"), ("two", "long", "ok")]


async def test_stream_falls_back(tmp_path: Path, prompts: Path) -> None:
    """A stream that has not begun goes on elsewhere, and begins with what serves it."""
    async with running_scene(tmp_path, prompts, FALLING_BACK) as scene:
        scene.one.answer = failing(ALWAYS)
        streamed = await scene.stream("a")

    assert (streamed.kinds.count("started"), streamed.text) == (1, "Hello")
    assert streamed.events[0].started.provider == "two"
    assert outcomes(streamed.finished.attempts) == [
        ("one", "m", "upstream_unavailable"),
        ("two", "n", "ok"),
    ]


async def test_stream_that_is_cut_before_it_begins(tmp_path: Path, prompts: Path) -> None:
    """A stream that ends before its first event is asked for again."""
    left = 1

    async def cut(exchange: Exchange) -> None:
        nonlocal left
        if left:
            left -= 1
            await exchange.begin_stream()
            exchange.writer.close()
        else:
            await answer_openai(exchange)

    async with running_scene(tmp_path, prompts, RETRYING) as scene:
        scene.one.answer = cut
        streamed = await scene.stream("a")

    assert streamed.text == "Hello"
    assert [each.outcome for each in streamed.finished.attempts] == ["upstream_truncated", "ok"]


async def test_stream_that_has_begun(tmp_path: Path, prompts: Path) -> None:
    """A stream of which the caller has seen something is never begun anew."""

    async def cut(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.send(openai_events("Hel")[0])
        exchange.writer.close()

    config = FALLING_BACK.replace("model: one/m", "model: one/m, num_retries: 3")
    async with running_scene(tmp_path, prompts, config) as scene:
        scene.one.answer = cut
        streamed = await scene.stream("a")

    assert streamed.kinds == ["started"]
    assert status_of(streamed.error) == (StatusCode.UNAVAILABLE, "UPSTREAM_TRUNCATED")
    assert (len(scene.one.exchanges), len(scene.two.exchanges)) == (1, 0)


async def stall(exchange: Exchange) -> None:
    await exchange.wait_closed()


@pytest.mark.parametrize("setting", ["timeout: 0.2", "request_timeout: 0.2"])
async def test_attempt_that_takes_too_long(tmp_path: Path, prompts: Path, setting: str) -> None:
    """An attempt that takes longer than its row allows is ended, and another one is made."""
    config = FALLING_BACK.replace("model: one/m", f"model: one/m, {setting}")
    async with running_scene(tmp_path, prompts, config) as scene:
        scene.one.answer = stall
        response = await scene.service.client.complete("greet", alias="a", variables=VARIABLES)
        streamed = await scene.stream("a")

    assert [each.outcome for each in response.attempts] == ["upstream_timeout", "ok"]
    assert streamed.text == "Hello"


async def test_attempt_that_takes_too_long_without_another(tmp_path: Path, prompts: Path) -> None:
    """A row's time is not the caller's: that it has passed is the provider's failure."""
    config = rows("model: one/m") + "\nlitellm_settings: {request_timeout: 0.2}"
    async with running_scene(tmp_path, prompts, config) as scene:
        scene.one.answer = stall
        error = await failure(
            scene.service.client.complete("greet", alias="a", variables=VARIABLES)
        )

    assert status_of(error) == (StatusCode.UNAVAILABLE, "UPSTREAM_TIMEOUT")
    assert error.metadata == {"provider": "one", "phase": "attempt"}


async def test_stream_that_begins_in_time(tmp_path: Path, prompts: Path) -> None:
    """Once a stream has begun, it may take as long as its caller has."""
    begun, over = asyncio.Event(), asyncio.Event()

    async def begin_and_wait(exchange: Exchange) -> None:
        events = openai_events("Hello")
        await exchange.begin_stream()
        await exchange.send(events[0])
        begun.set()
        await over.wait()
        await exchange.send(b"".join(events[1:]))
        exchange.writer.close()

    config = rows("model: one/m, timeout: 60, stream_timeout: 0.3", "model: two/n, timeout: 0.3")
    async with running_scene(tmp_path, prompts, config) as scene:
        scene.one.answer = begin_and_wait
        scene.two.answer = stall
        running = asyncio.create_task(scene.stream("a"))
        await begun.wait()
        # By the time that the other row's attempt has been ended, this one's time is over, too.
        late = await scene.stream("b")
        over.set()
        streamed = await running

    assert status_of(late.error) == (StatusCode.UNAVAILABLE, "UPSTREAM_TIMEOUT")
    assert streamed.text == "Hello"


async def test_group(tmp_path: Path, prompts: Path) -> None:
    """Rows of one name take turns, each with its own model, its own key and its own prompt."""
    write_prompt(prompts, "short", "<user>\nBriefly: {{name}}\n</user>")
    config = """
model_list:
  - {model_name: g, litellm_params: {model: one/m, prompt_id: greet}}
  - {model_name: g, litellm_params: {model: two/n, prompt_id: short, api_key: key-of-row}}
"""
    async with running_scene(tmp_path, prompts, config) as scene:
        for _ in range(40):
            await scene.service.client.complete(alias="g", variables=VARIABLES)
        resolved = {
            (each.prompt.id, each.provider)
            for each in [
                await scene.service.client.resolve(alias="g", variables=VARIABLES)
                for _ in range(40)
            ]
        }

    asked = [*scene.one.exchanges, *scene.two.exchanges]
    assert {(each.headers["authorization"], each.json["model"]) for each in asked} == {
        ("Bearer key-of-one", "m"),
        ("Bearer key-of-row", "n"),
    }
    assert resolved == {("greet", "one"), ("short", "two")}


async def test_group_of_which_one_row_is_down(tmp_path: Path, prompts: Path) -> None:
    """A retry goes to another row, so that one that is down fails no call."""
    config = """
model_list:
  - {model_name: g, litellm_params: {model: one/m}}
  - {model_name: g, litellm_params: {model: two/n}}
router_settings: {num_retries: 1}
"""
    async with running_scene(tmp_path, prompts, config) as scene:
        scene.one.answer = failing(ALWAYS)
        answered = [
            await scene.service.client.complete("greet", alias="g", variables=VARIABLES)
            for _ in range(40)
        ]

    assert {each.provider for each in answered} == {"two"}
    assert scene.one.exchanges


async def test_dropped_parameters(tmp_path: Path, prompts: Path) -> None:
    """`drop_params` leaves out what the provider lacks even if the caller sets it, and says so."""
    parameters = pb.ModelParameters(reasoning_effort="1024")
    config = rows("model: one/m", "model: one/m, drop_params: false")
    async with running_scene(
        tmp_path, prompts, f"{config}\nlitellm_settings: {{drop_params: true}}"
    ) as scene:
        client = scene.service.client
        response = await client.complete(
            "greet", alias="a", variables=VARIABLES, parameters=parameters
        )
        error = await failure(
            client.complete("greet", alias="b", variables=VARIABLES, parameters=parameters)
        )

    assert list(response.dropped_parameters) == ["reasoning_effort"]
    assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "PARAMETER_UNSUPPORTED")


@pytest.mark.parametrize("streamed", [False, True])
async def test_http_door(tmp_path: Path, prompts: Path, streamed: bool) -> None:
    """The OpenAI-compatible door falls back, too, and tells who answered."""
    body = {"model": "a", "prompt_id": "greet", "prompt_variables": VARIABLES, "stream": streamed}
    async with running_scene(tmp_path, prompts, FALLING_BACK) as scene:
        scene.one.answer = failing(ALWAYS)
        url = f"{scene.service.http_url}/chat/completions"
        async with aiohttp.ClientSession() as session, session.post(url, json=body) as answer:
            text = await answer.text()

    assert answer.status == 200
    assert (answer.headers["x-provider"], answer.headers["x-model"]) == ("two", "n")
    assert answer.headers["x-prompt-id"] == "greet"
    assert ("[DONE]" in text) is streamed


class FailingProvider:
    """A `Provider` that fails until it is told to answer, and counts its calls."""

    identity = "fake"
    base_url = ""
    vendor_url = ""

    def __init__(self, retry_after_s: float | None = None) -> None:
        self.calls = 0
        self.is_down = True
        self.called = asyncio.Event()
        self._retry_after_s = retry_after_s

    async def complete(
        self,
        request: ModelRequest,
        *,
        caller_key: str | None,
        begun: Callable[[], None] = do_nothing,
    ) -> answers.Answer:
        self.calls += 1
        self.called.set()
        if not self.is_down:
            message = Message(role="assistant", content=())
            finish = Finish(reason="stop", raw_reason="stop", model="m")
            return answers.Answer(id="1", message=message, finish=finish)
        raise UpstreamError(
            Reason.UPSTREAM_UNAVAILABLE, "failed", retry_after_s=self._retry_after_s
        )

    async def stream(self, request: ModelRequest, emit: Emit, *, caller_key: str | None) -> Finish:
        await self.complete(request, caller_key=caller_key)
        raise AssertionError


class LatePreparer(Preparer):
    """Never has a prompt before the deadline."""

    def __init__(self) -> None: ...

    async def prepare(self, query: Query, alias: Alias, deployment: Deployment) -> Resolution:
        raise ServerError(Reason.DEADLINE, "late", metadata={"phase": "fetch", "attempts": "0"})


def failover(
    provider: FailingProvider,
    *,
    time_left_s: float,
    retries: int = 100,
    draw: Draw = lambda: 1.0,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    fallbacks: tuple[str, ...] = ("b",),
    metrics: Metrics | None = None,
    breaker: bool = False,
    max_concurrency: int | None = None,
    clock: Callable[[], float] | None = None,
) -> tuple[Failover, Resolution]:
    """Return a failover, and what it is to answer. Its fallback's prompt never comes.

    Its pauses are the longest that there are, unless `draw` says otherwise.
    """
    alias = Alias(
        name="a",
        deployments=(Deployment(terms=Terms(retries=retries)),),
        fallbacks=Fallbacks(general=fallbacks),
    )
    ref = PromptRef(id="p")
    resolution = Resolution(
        query=Query(
            prompt=ref,
            deadline=asyncio.get_running_loop().time() + time_left_s,
            credentials=Credentials(),
        ),
        alias=alias,
        deployment=alias.deployments[0],
        ref=ref,
        prompt=ResolvedPrompt(
            messages=(Message(role="user", content=(Text("Hi"),)),),
            model="m",
            provider="fake",
            parameters=NO_PARAMETERS,
            tools=(),
            tool_choice=None,
            served=None,
        ),
        choice=ModelChoice(provider="fake", model="m", named_by="alias"),
        began=0,
    )

    metrics = metrics or Metrics(CollectorRegistry(), version="test")
    limits = Limits(breaker=breaker, max_concurrency=max_concurrency, max_queue_s=0)
    aliases: Mapping[str, Alias] = {
        "a": alias,
        "b": Alias(name="b", deployments=(Deployment(row=1),)),
    }
    made = Failover(
        preparer=LatePreparer(),
        aliases=aliases,
        dispatcher=Dispatcher(
            providers={"fake": provider},
            alias_providers={},
            metrics=metrics.upstream,
            limits={"fake": limits},
            clock=clock,
        ),
        metrics=metrics.upstream,
        draw=draw,
        sleep=sleep,
    )
    return made, resolution


async def test_deadline_during_a_pause() -> None:
    """A deadline that passes before the next attempt is told as such, with the attempts so far."""
    provider = FailingProvider()
    made, resolution = failover(provider, time_left_s=0.1)

    with pytest.raises(ServerError) as caught:
        await made.complete(resolution)

    assert caught.value.reason is Reason.DEADLINE
    assert caught.value.metadata == {"phase": "retry", "attempts": "1"}
    assert provider.calls == 1


async def test_cancellation_during_a_pause() -> None:
    """A caller that leaves before the next attempt ends the call there and then."""
    provider = FailingProvider()
    made, resolution = failover(provider, time_left_s=3600)
    running = asyncio.create_task(made.complete(resolution))
    await provider.called.wait()

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert provider.calls == 1


async def test_provider_is_not_asked_before_its_time() -> None:
    """A provider that names a time is left alone until then, however short the pause would be."""
    provider = FailingProvider(retry_after_s=30)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    made, resolution = failover(
        provider, time_left_s=3600, retries=2, draw=lambda: 0.0, sleep=sleep
    )

    with pytest.raises(ServerError):
        await made.complete(resolution)

    assert provider.calls == 3
    assert [round(seconds) for seconds in slept] == [30, 30]


async def test_deadline_while_a_fallback_is_resolved() -> None:
    """A deadline that passes while a fallback's prompt is fetched tells the attempts so far."""
    made, resolution = failover(FailingProvider(), time_left_s=3600, retries=0)

    with pytest.raises(ServerError) as caught:
        await made.complete(resolution)

    assert caught.value.metadata == {"phase": "fetch", "attempts": "1"}


async def test_callers_that_were_limited_together() -> None:
    """On top of a provider's time comes a part of a tenth of it, so that not all come back then."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    provider = FailingProvider(retry_after_s=60)
    made, resolution = failover(provider, time_left_s=3600, retries=1, sleep=sleep, fallbacks=())
    with pytest.raises(UpstreamError):
        await made.complete(resolution)

    assert [round(seconds) for seconds in slept] == [66]


async def test_pause_leaves_time_for_the_answer() -> None:
    """Where a provider's time ends shortly before the deadline, less comes on top of it."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    provider = FailingProvider(retry_after_s=60)
    made, resolution = failover(provider, time_left_s=62, retries=1, sleep=sleep, fallbacks=())
    with pytest.raises(UpstreamError):
        await made.complete(resolution)

    assert [round(seconds) for seconds in slept] == [61]


async def test_no_pause_before_a_provider_that_is_left_alone() -> None:
    """A call is not kept waiting for a provider that would not be asked then."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    provider = FailingProvider()
    made, resolution = failover(
        provider,
        time_left_s=3600,
        retries=50,
        draw=lambda: 0.05,
        sleep=sleep,
        fallbacks=(),
        breaker=True,
    )
    deployment = resolution.deployment
    once = replace(
        resolution, deployment=replace(deployment, terms=replace(deployment.terms, retries=0))
    )
    for _ in range(10):
        with pytest.raises(UpstreamError):
            await made.complete(once)
    with pytest.raises(UpstreamError) as caught:
        await made.complete(resolution)

    assert (provider.calls, len(slept)) == (20, 9)
    assert caught.value.metadata == {"attempts": "10"}


async def test_burst_of_failures() -> None:
    """While a provider fails every call it gets a fifth more of them; then all is as it was."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    provider, calls = FailingProvider(), 5000
    metrics = Metrics(CollectorRegistry(), version="test")
    made, resolution = failover(
        provider,
        time_left_s=3600,
        retries=2,
        draw=Random(5).random,
        sleep=sleep,
        fallbacks=(),
        metrics=metrics,
    )
    for _ in range(calls):
        with pytest.raises(UpstreamError):
            await made.complete(resolution)
    asked = provider.calls
    left_out = metrics.registry.get_sample_value(
        "prompt_resolver_upstream_retry_budget_exhausted_total", {"provider": "fake"}
    )
    provider.is_down = False
    for _ in range(50):
        await made.complete(resolution)
    provider.is_down, provider.calls = True, 0
    with pytest.raises(UpstreamError):
        await made.complete(resolution)

    assert calls + calls // 5 <= asked <= calls + calls // 5 + 10
    assert left_out
    assert provider.calls == 3
    assert chi_squared([seconds for seconds in slept if seconds < 0.25], 0.25, bins=10) < 27.9


def chi_squared(values: Sequence[float], bound: float, *, bins: int) -> float:
    """Tell how unevenly values are spread; of even ones, one in a thousand is above 27.9 of 10."""
    counts = Counter(int(value / bound * bins) for value in values)
    even = len(values) / bins
    return sum((counts[each] - even) ** 2 / even for each in range(bins))


async def test_pause_that_outlasts_the_breaker() -> None:
    """A provider that is left alone for less than it asks for is asked when that is over."""
    clock = FakeClock()

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)

    provider = FailingProvider(retry_after_s=30)
    made, resolution = failover(
        provider,
        time_left_s=3600,
        retries=1,
        draw=lambda: 0.0,
        sleep=sleep,
        fallbacks=(),
        breaker=True,
        clock=clock,
    )
    once = replace(resolution, deployment=replace(resolution.deployment, terms=Terms()))
    for each in [once] * 19 + [resolution]:
        with pytest.raises(UpstreamError):
            await made.complete(each)

    assert provider.calls == 21


async def test_calls_that_are_refused_bring_in_no_retries() -> None:
    """A call that a provider was not asked pays for no retry of those that it was."""

    class SlowProvider(FailingProvider):
        async def complete(
            self,
            request: ModelRequest,
            *,
            caller_key: str | None,
            begun: Callable[[], None] = do_nothing,
        ) -> answers.Answer:
            await gate.wait()
            return await super().complete(request, caller_key=caller_key, begun=begun)

    async def sleep(seconds: float) -> None:
        del seconds

    provider, calls = SlowProvider(), 300
    gate = asyncio.Event()
    made, resolution = failover(
        provider,
        time_left_s=3600,
        retries=2,
        draw=lambda: 0.0,
        sleep=sleep,
        fallbacks=(),
        max_concurrency=1,
    )
    for _ in range(calls):
        gate.clear()
        running = asyncio.create_task(made.complete(resolution))
        await asyncio.sleep(0)
        for _ in range(9):
            with pytest.raises(ServerError) as caught:
                await made.complete(resolution)
            assert caught.value.reason is Reason.OVERLOADED
        gate.set()
        with pytest.raises(UpstreamError):
            await running

    assert calls + calls // 5 <= provider.calls <= calls + calls // 5 + 10
