"""Providers that are down, limited or busy, over real sockets: who is asked in their place."""

import asyncio
from pathlib import Path

import pytest
from grpc import StatusCode

from prompt_resolver import PromptResolverError
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from tests.support.anthropic import anthropic_stream
from tests.support.calls import VARIABLES, failure, status_of
from tests.support.candidates import ALWAYS, Scene, failing, outcomes, rows, running_scene
from tests.support.prompts import write_prompt
from tests.support.upstream import Exchange, answer_openai, openai_events, running_upstream

DOWN = "500 Internal Server Error"
LIMITED = "429 Too Many Requests"
FALLING_BACK = rows("model: one/m", "model: two/n") + "\nrouter_settings: {fallbacks: [{a: [b]}]}"
ORDERED = """
model_list:
  - {model_name: a, litellm_params: {model: one/m, order: 1}}
  - {model_name: a, litellm_params: {model: two/n, order: 2}}
"""


async def complete(scene: Scene, alias: str = "a", **fields: str) -> pb.CompleteResponse:
    return await scene.service.client.complete(
        "greet", alias=alias, variables=VARIABLES, credentials=fields
    )


async def end_of(scene: Scene, alias: str = "a") -> pb.CompleteResponse | PromptResolverError:
    """Return what a call ends in."""
    try:
        return await complete(scene, alias)
    except PromptResolverError as error:
        return error


async def bring_down(scene: Scene) -> None:
    """Have provider `one` fail until it is left alone."""
    scene.one.answer = failing(ALWAYS, DOWN)
    while not await scene.service.metric('prompt_resolver_upstream_breaker_state{provider="one"}'):
        await end_of(scene)


async def test_provider_that_is_down_and_comes_back(tmp_path: Path, prompts: Path) -> None:
    """A provider that is down is left alone at once, and answers soon after it is back."""
    async with running_scene(tmp_path, prompts, rows("model: one/m")) as scene:
        await bring_down(scene)
        errors = [await failure(complete(scene)) for _ in range(40)]
        asked = len(scene.one.exchanges)
        passed_over = await scene.service.metric(
            "prompt_resolver_upstream_attempts_total"
            '{model="m",outcome="passed_over",provider="one",reason="breaker_open"}'
        )
        scene.one.answer = answer_openai
        async with asyncio.timeout(10):
            while not isinstance(await end_of(scene), pb.CompleteResponse):
                pass
        state = await scene.service.metric('prompt_resolver_upstream_breaker_state{provider="one"}')

    refused = [each for each in errors if "breaker" in each.metadata]
    assert asked < 30
    assert asked + len(refused) == 20 + len(errors)
    assert passed_over == len(refused)
    assert {status_of(each) for each in refused} == {
        (StatusCode.UNAVAILABLE, "UPSTREAM_UNAVAILABLE")
    }
    assert refused[0].metadata == {
        "provider": "one",
        "breaker": "open",
        "cause": "upstream_unavailable",
    }
    assert refused[0].retry_after_s
    assert state == 0


@pytest.mark.parametrize("config", [FALLING_BACK, ORDERED], ids=["fallback", "row"])
async def test_others_take_the_calls_of_one_that_is_down(
    tmp_path: Path, prompts: Path, config: str
) -> None:
    """What is down is passed over for a fallback, or another row, without any retries."""
    retries = 'prompt_resolver_upstream_retries_total{model="m",provider="one",'
    async with running_scene(tmp_path, prompts, config) as scene:
        await bring_down(scene)
        asked = len(scene.one.exchanges)
        before = await scene.service.metric(retries + 'reason="upstream_unavailable"}')
        responses = [await complete(scene) for _ in range(20)]
        after = await scene.service.metric(retries + 'reason="upstream_unavailable"}')
        asked = len(scene.one.exchanges) - asked

    assert {each.provider for each in responses} == {"two"}
    # What was not asked is not asked again.
    assert after - before <= asked
    told = [each for each in responses if each.attempts[0].outcome == "breaker_open"]
    assert told
    passed_over, served = told[0].attempts
    assert outcomes(told[0].attempts) == [("one", "m", "breaker_open"), ("two", "n", "ok")]
    assert not passed_over.HasField("duration")
    assert told[0].upstream_duration == served.duration


async def test_failure_is_told_rather_than_the_breaker(tmp_path: Path, prompts: Path) -> None:
    """A call whose own attempts opened the breaker is told what they failed at."""
    config = rows("model: one/m, num_retries: 40")
    async with running_scene(tmp_path, prompts, config) as scene:
        scene.one.answer = failing(ALWAYS, DOWN)
        ends = await asyncio.gather(*(end_of(scene) for _ in range(4)))

    assert {dict(each.metadata).get("http_status") for each in errors_of(ends)} == {"500"}
    assert all("breaker" not in each.metadata for each in errors_of(ends))
    assert len(scene.one.exchanges) < 30


def errors_of(ends: list[pb.CompleteResponse | PromptResolverError]) -> list[PromptResolverError]:
    return [each for each in ends if isinstance(each, PromptResolverError)]


async def test_limited_row_is_put_aside(tmp_path: Path, prompts: Path) -> None:
    """While one row is limited, others serve, without a request to the one that is."""
    async with running_scene(
        tmp_path, prompts, ORDERED + "router_settings: {num_retries: 1}"
    ) as scene:
        scene.one.answer = failing(1, LIMITED, "Retry-After: 50\r\n")
        first, *others = [await complete(scene) for _ in range(5)]

    assert outcomes(first.attempts) == [("one", "m", "upstream_rate_limited"), ("two", "n", "ok")]
    assert [outcomes(each.attempts) for each in others] == [[("two", "n", "ok")]] * 4
    assert len(scene.one.exchanges) == 1


async def test_callers_own_key_that_is_limited(tmp_path: Path, prompts: Path) -> None:
    """A caller whose own key is limited puts no row aside for the others."""
    async with running_scene(
        tmp_path, prompts, ORDERED + "router_settings: {num_retries: 1}"
    ) as scene:
        scene.one.answer = failing(1, LIMITED, "Retry-After: 50\r\n")
        own = await complete(scene, **{"x-provider-key-one": "mine"})
        other = await complete(scene)

    assert [each.provider for each in own.attempts] == ["one", "two"]
    assert outcomes(other.attempts) == [("one", "m", "ok")]


async def test_time_of_another_limit(tmp_path: Path, prompts: Path) -> None:
    """A caller whose own key is limited is not told when the row's key may be used again."""
    async with running_scene(tmp_path, prompts, rows("model: one/m")) as scene:
        scene.one.answer = failing(1, LIMITED, "Retry-After: 50\r\n")
        of_row = await failure(complete(scene))
        scene.one.answer = failing(1, LIMITED)
        own = await failure(complete(scene, **{"x-provider-key-one": "mine"}))

    assert (of_row.retry_after_s, own.retry_after_s) == (50, 1)


async def test_time_of_another_row(tmp_path: Path, prompts: Path) -> None:
    """A limit is told with its own row's time, not with that of a fallback that was not asked."""
    begun, release = asyncio.Event(), asyncio.Event()

    async def hold(exchange: Exchange) -> None:
        begun.set()
        await release.wait()
        await answer_openai(exchange)

    config = rows("model: two/n", "model: one/m", "model: one/other")
    async with running_scene(
        tmp_path,
        prompts,
        config + "\nrouter_settings: {fallbacks: [{a: [b]}]}",
        settings=", max_concurrency: 1, max_queue_s: 0",
    ) as scene:
        scene.one.answer = failing(1, LIMITED, "Retry-After: 50\r\n")
        await failure(complete(scene, "b"))
        scene.one.answer, scene.two.answer = hold, failing(1, LIMITED)
        held = asyncio.create_task(complete(scene, "c"))
        await begun.wait()
        error = await failure(complete(scene))
        release.set()
        await held

    assert (error.reason, error.metadata["provider"]) == ("UPSTREAM_RATE_LIMITED", "two")
    assert error.retry_after_s == 1


async def test_rows_that_name_neither_a_model_nor_a_prompt(tmp_path: Path, prompts: Path) -> None:
    """What one of them ran into, with a prompt of the caller's, says nothing of another one."""
    write_prompt(prompts, "of-one", "<user>\nHi\n</user>", provider="one", model="m")
    write_prompt(prompts, "of-two", "<user>\nHi\n</user>", provider="two", model="n")
    config = rows("model: local/auto", "model: local/auto", "model: echo/m")
    async with running_scene(
        tmp_path, prompts, config + "\nrouter_settings: {fallbacks: [{b: [c]}]}"
    ) as scene:
        scene.one.answer = failing(1, LIMITED, "Retry-After: 50\r\n")
        await failure(scene.service.client.complete("of-one", alias="a"))
        response = await scene.service.client.complete("of-two", alias="b")

    assert outcomes(response.attempts) == [("two", "n", "ok")]


async def test_fallback_while_an_alias_is_limited(tmp_path: Path, prompts: Path) -> None:
    """While all rows of an alias are limited its fallback answers, and the account tells why."""
    async with running_scene(tmp_path, prompts, FALLING_BACK) as scene:
        scene.one.answer = failing(1, LIMITED, "Retry-After: 50\r\n")
        first, second = [await complete(scene) for _ in range(2)]
        scene.two.answer = failing(1, LIMITED, "Retry-After: 50\r\n")
        await failure(complete(scene))
        last = await complete(scene)

    assert outcomes(first.attempts) == [("one", "m", "upstream_rate_limited"), ("two", "n", "ok")]
    assert outcomes(second.attempts) == [("one", "m", "cooldown"), ("two", "n", "ok")]
    # Where all are limited, it is asked all the same.
    assert outcomes(last.attempts) == [("one", "m", "ok")]


async def test_model_of_the_callers_while_an_alias_is_limited(
    tmp_path: Path, prompts: Path
) -> None:
    """A limited row says nothing of a model that the call itself names."""
    async with running_scene(tmp_path, prompts, FALLING_BACK) as scene:
        scene.one.answer = failing(1, LIMITED, "Retry-After: 50\r\n")
        await complete(scene)
        response = await scene.service.client.complete(
            "greet", alias="a", model="one/special", variables=VARIABLES
        )

    assert outcomes(response.attempts) == [("one", "special", "ok")]


async def test_provider_with_a_limit_of_its_own(tmp_path: Path, prompts: Path) -> None:
    """A provider never has more calls than it may; the others go on to a fallback, or are told."""
    running = most = 0
    full, release = asyncio.Event(), asyncio.Event()

    async def hold(exchange: Exchange) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 2:
            full.set()
        await release.wait()
        running -= 1
        await answer_openai(exchange)

    config = FALLING_BACK + "\n"
    async with running_scene(
        tmp_path, prompts, config, settings=", max_concurrency: 2, max_queue_s: 0"
    ) as scene:
        scene.one.answer = hold
        held = [asyncio.create_task(complete(scene)) for _ in range(2)]
        await full.wait()
        passed_on = await complete(scene)
        error = await failure(
            scene.service.client.complete("greet", model="one/m", variables=VARIABLES)
        )
        release.set()
        for each in held:
            assert outcomes((await each).attempts) == [("one", "m", "ok")]

    assert outcomes(passed_on.attempts) == [("one", "m", "queue_full"), ("two", "n", "ok")]
    assert status_of(error) == (StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert error.metadata == {"provider": "one", "limit": "2"}
    assert error.retry_after_s
    assert most == 2


async def test_calls_wait_for_their_turn(tmp_path: Path, prompts: Path) -> None:
    """Calls beyond the limit wait for a moment, and all of them are answered."""
    running = most = 0

    async def count(exchange: Exchange) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        await answer_openai(exchange)

    async with running_scene(
        tmp_path,
        prompts,
        rows("model: one/m"),
        settings=", max_concurrency: 3, max_queue_s: 30, stream_completions: false",
    ) as scene:
        scene.one.answer = count
        ends = await asyncio.gather(*(end_of(scene) for _ in range(60)))

    assert errors_of(ends) == []
    assert most <= 3


@pytest.mark.parametrize("retries", [0, 1])
async def test_share_of_the_time(tmp_path: Path, prompts: Path, retries: int) -> None:
    """A candidate that has not begun by its share of the time is left; one that has, may go on."""
    fallen_back = asyncio.Event()

    async def stall(exchange: Exchange) -> None:
        await exchange.wait_closed()

    async def begin_and_wait(exchange: Exchange) -> None:
        events = openai_events("Hello")
        await exchange.begin_stream()
        await exchange.send(events[0])
        await fallen_back.wait()
        await exchange.send(b"".join(events[1:]))
        exchange.writer.close()

    async def answer(exchange: Exchange) -> None:
        await (begin_and_wait if exchange.json["model"] == "slow" else stall)(exchange)

    config = rows("model: one/m", "model: two/n", "model: one/slow") + (
        f"\nrouter_settings: {{default_fallbacks: [b], num_retries: {retries}}}"
    )
    async with running_scene(tmp_path, prompts, config) as scene:
        scene.one.answer = answer
        client = scene.service.client
        slow = asyncio.create_task(
            client.complete("greet", alias="c", variables=VARIABLES, timeout_s=30)
        )
        whole, streamed = await asyncio.gather(
            client.complete("greet", alias="a", variables=VARIABLES, timeout_s=10),
            scene.stream("a", timeout_s=10),
        )
        fallen_back.set()
        begun = await slow

    expected = [("one", "m", "upstream_timeout"), ("two", "n", "ok")]
    assert outcomes(whole.attempts) == expected
    assert outcomes(streamed.finished.attempts) == expected
    assert outcomes(begun.attempts) == [("one", "slow", "ok")]


async def test_fallback_that_lacks_a_parameter(tmp_path: Path, prompts: Path) -> None:
    """A fallback that cannot take the call leads to the next one, and is not what is told."""
    insisted = pb.ModelParameters(seed=7)
    claude = "model: anthropic/claude-x, api_key: key-of-claude, api_base: 'http://127.0.0.1:9'"
    config = rows("model: one/m", claude, "model: two/n", "model: one/m") + (
        "\nrouter_settings: {fallbacks: [{a: [b, c]}, {d: [b]}]}"
    )
    async with running_scene(tmp_path, prompts, config) as scene:
        scene.one.answer = failing(ALWAYS, DOWN)
        response = await scene.service.client.complete(
            "greet", alias="a", variables=VARIABLES, parameters=insisted
        )
        error = await failure(
            scene.service.client.complete(
                "greet", alias="d", variables=VARIABLES, parameters=insisted
            )
        )

    assert response.attempts[-1].provider == "two"
    assert scene.two.exchanges[0].json["seed"] == 7
    assert status_of(error) == (StatusCode.UNAVAILABLE, "UPSTREAM_UNAVAILABLE")
    assert (error.metadata["provider"], error.metadata["http_status"]) == ("one", "500")


async def test_row_that_lacks_a_parameter(tmp_path: Path, prompts: Path) -> None:
    """A row that cannot take a call that another has failed at leads to the fallbacks, too."""
    claude = "model: anthropic/claude-x, api_key: key-of-claude, api_base: 'http://127.0.0.1:9'"
    config = f"""
model_list:
  - {{model_name: a, litellm_params: {{model: one/m, order: 1, num_retries: 1}}}}
  - {{model_name: a, litellm_params: {{{claude}, order: 2}}}}
  - {{model_name: b, litellm_params: {{model: two/n}}}}
router_settings: {{fallbacks: [{{a: [b]}}]}}
"""
    async with running_scene(tmp_path, prompts, config) as scene:
        scene.one.answer = failing(ALWAYS, DOWN)
        response = await scene.service.client.complete(
            "greet", alias="a", variables=VARIABLES, parameters=pb.ModelParameters(seed=7)
        )

    assert (response.attempts[0].provider, response.attempts[-1].provider) == ("one", "two")


async def test_fallback_of_another_dialect(tmp_path: Path, prompts: Path) -> None:
    """A fallback of another vendor is asked in its own words: system, tools, limits and stops."""

    async def answer(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.send(b"".join(anthropic_stream()))
        exchange.writer.close()

    async with running_upstream(answer) as claude:
        base = claude.url.removesuffix("/v1")
        config = (
            rows(
                "model: one/m",
                f"model: anthropic/claude-x, api_key: key-of-claude, api_base: '{base}'",
            )
            + "\nrouter_settings: {fallbacks: [{a: [b]}]}"
        )
        async with running_scene(tmp_path, prompts, config) as scene:
            scene.one.answer = failing(ALWAYS, DOWN)
            tool = pb.Tool(name="find", description="Finds.")
            tool.parameters.update({"type": "object", "properties": {"q": {"type": "string"}}})
            response = await scene.service.client.complete(
                "greet",
                alias="a",
                variables=VARIABLES,
                tools=[tool],
                tool_choice=pb.ToolChoice(tool_name="find"),
                parameters=pb.ModelParameters(max_tokens=50, stop=["END"], temperature=0.5),
            )

    (asked,) = claude.exchanges
    assert outcomes(response.attempts) == [
        ("one", "m", "upstream_unavailable"),
        ("anthropic", "claude-x", "ok"),
    ]
    assert scene.one.exchanges[0].json["stop"] == ["END"]
    body = asked.json
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("claude-x", 50, 0.5)
    assert body["stop_sequences"] == ["END"]
    assert body["tool_choice"] == {"type": "tool", "name": "find"}
    assert body["tools"] == [
        {
            "name": "find",
            "description": "Finds.",
            "input_schema": {"type": "object", "properties": {"q": {"type": "string"}}},
        }
    ]
    assert "Greet in French." in str(body["system"])
    assert "key-of-one" not in str((asked.headers, asked.body))


@pytest.mark.parametrize(
    "setting",
    ["default_fallbacks: [b]", "fallbacks: [{'*': [b]}]"],
)
async def test_calls_without_an_alias(tmp_path: Path, prompts: Path, setting: str) -> None:
    """The fallbacks of every alias answer in place of a model that a call names itself, too."""
    config = rows("model: one/m", "model: two/n") + f"\nrouter_settings: {{{setting}}}"
    async with running_scene(tmp_path, prompts, config) as scene:
        scene.one.answer = failing(ALWAYS, DOWN)
        response = await scene.service.client.complete(
            "greet", model="one/special", variables=VARIABLES
        )

    assert [(each.provider, each.outcome) for each in response.attempts] == [
        ("one", "upstream_unavailable"),
        ("two", "ok"),
    ]
