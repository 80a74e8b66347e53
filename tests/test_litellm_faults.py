"""What goes wrong with Humanloop prompts in LiteLLM goes right here, by way of the HTTP door.

The numbers are those by which the faults are told in `docs/from-litellm.md`.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.support.http import HttpDoor
from tests.support.humanloop import KEY, HumanloopApi, StoredPrompt, running_humanloop, send
from tests.support.service import running_service
from tests.support.upstream import Exchange, Upstream, openai_answer, running_upstream

CALLERS = 500


@dataclass
class Scene:
    """The door, its store, and two providers, `openai` and `rival`, each with its own key."""

    door: HttpDoor
    admin_url: str
    store: HumanloopApi
    openai: Upstream
    rival: Upstream

    def put(self, **fields: object) -> None:
        """Store the prompt that the alias `support` stands for."""
        fields = {"model": "gpt-4o", "provider": "openai", **fields}
        self.store.prompts["pr_desk"] = StoredPrompt(
            "pr_desk", "Support/Desk", {"prv_1": fields}, {"production": "prv_1"}
        )

    async def sent(self, **variables: object) -> list[tuple[object, object]]:
        """Have `support` answered, and return the messages that reached the provider."""
        answer = await self.door.chat(model="support", prompt_variables=variables)
        assert answer.status == 200, answer.body
        messages = self.openai.exchanges[-1].json["messages"]
        assert isinstance(messages, list)
        return [(each["role"], each["content"]) for each in messages]


@pytest.fixture
async def scene(tmp_path: Path, upstream: Upstream) -> AsyncIterator[Scene]:
    async with running_humanloop() as store, running_upstream() as rival:
        config = f"""
stores:
  humanloop: {{type: humanloop, base_url: '{store.url}', api_key: {KEY}}}
providers:
  openai: {{base_url: '{upstream.url}', api_key: key-of-the-provider}}
  rival: {{dialect: openai, base_url: '{rival.url}'}}
model_list:
  - model_name: support
    litellm_params: {{model: humanloop/gpt-4o, prompt_id: pr_desk, api_key: key-of-openai}}
  - model_name: authors-choice
    litellm_params:
      model: humanloop/gpt-4o
      prompt_id: pr_desk
      api_key: key-of-openai
      prefer_template_model: true
  - model_name: raw
    litellm_params: {{model: openai/gpt-4o, api_key: key-of-openai}}
"""
        async with running_service(tmp_path, config) as service:
            door = HttpDoor(service.http_url)
            yield Scene(door, service.admin_url, store, upstream, rival)


SAYS = [{"role": "user", "content": "You help {{customer}}."}]


@pytest.mark.parametrize("warm", [False, True])
async def test_1_no_callers_value_reaches_another(scene: Scene, warm: bool) -> None:
    """Many callers at once, each with its own value: each gets its own and the store one fetch."""
    scene.put(template=SAYS)

    async def echo(exchange: Exchange) -> None:
        match exchange.json["messages"]:
            case [{"content": str(text)}]:
                await exchange.send_response(openai_answer(text))

    scene.openai.answer = echo
    if warm:
        await scene.sent(customer="nobody")

    async def call(number: int, session: aiohttp.ClientSession) -> tuple[str, str]:
        name = f"{'ALICE' if number % 2 else 'BOB'}-{number}"
        body = {"model": "support", "prompt_variables": {"customer": name}}
        async with session.post("/v1/chat/completions", json=body) as response:
            document = await response.json()
        return document["choices"][0]["message"]["content"], f"You help {name}."

    async with aiohttp.ClientSession(base_url=scene.door.url) as session:
        pairs = await asyncio.gather(*(call(number, session) for number in range(CALLERS)))

    assert [got for got, _ in pairs] == [expected for _, expected in pairs]
    assert len(scene.store.requests) == 1
    missing = await scene.door.chat(model="support")
    assert (missing.status, missing.error["param"]) == (400, "prompt_variables.customer")


async def test_2_the_cache_knows_whose_key_it_was(scene: Scene) -> None:
    """What one key opened is not served to a caller that brings another."""
    scene.put(template=SAYS)
    await scene.sent(customer="A")

    answer = await scene.door.post(
        "/v1/chat/completions",
        {"model": "support", "prompt_variables": {"customer": "B"}},
        x_prompt_store_key="key-of-somebody-else",
    )

    assert (answer.status, answer.error["reason"]) == (401, "STORE_AUTH")


async def test_3_a_key_goes_to_its_own_provider_alone(scene: Scene) -> None:
    """A prompt whose author moves to another provider does not take the alias' key along."""
    scene.put(template=SAYS, model="their-model", provider="rival")

    answer = await scene.door.chat(model="authors-choice", prompt_variables={"customer": "A"})

    assert (answer.status, answer.headers["x-provider"]) == (200, "rival")
    assert "authorization" not in scene.rival.exchanges[-1].headers
    assert "key-of-openai" not in str(scene.rival.exchanges[-1].headers)
    assert scene.openai.exchanges == []


@pytest.mark.parametrize(
    "prompt_id",
    ["../datasets/ds_1", "pr_1?environment=production", "pr_1#x", "pr_1%2f..", "a\r\nb", ".", "\\"],
)
async def test_4_an_id_reaches_nothing_else(scene: Scene, prompt_id: str) -> None:
    """An id that would change the store's URL is refused before anything is asked."""
    answer = await scene.door.chat(model="support", prompt_id=prompt_id)

    assert (answer.status, answer.error["reason"]) == (400, "PROMPT_ID_INVALID")
    assert scene.store.requests == []


async def test_5_a_slow_store_holds_up_nobody_else(scene: Scene) -> None:
    """While the store is silent, probes and other calls are answered."""
    may = asyncio.Event()

    async def slow(exchange: Exchange) -> None:
        await may.wait()
        await exchange.send_response(b"{}", status="500 X")

    scene.store.fail = slow
    waiting = asyncio.ensure_future(scene.door.chat(model="support"))
    while not scene.store.exchanges:
        await HttpDoor(scene.admin_url).get("/healthz")

    alive = await HttpDoor(scene.admin_url).get("/healthz")
    other = await scene.door.chat(model="raw", messages=[{"role": "user", "content": "hi"}])

    assert (alive.status, other.status, waiting.done()) == (200, 200, False)
    may.set()
    assert (await waiting).status == 503


async def test_6_many_cold_callers_are_one_fetch(scene: Scene) -> None:
    """Twenty callers that find nothing held ask the store once."""
    scene.put(template=SAYS)

    await asyncio.gather(*(scene.sent(customer=str(number)) for number in range(20)))

    assert len(scene.store.requests) == 1


async def test_7_a_store_that_is_down_changes_nothing(scene: Scene) -> None:
    """What was served once is served on while the store is down, and an absence is remembered."""
    scene.put(template=SAYS)
    await scene.sent(customer="A")
    unknown = [await scene.door.chat(model="support", prompt_id="pr_none") for _ in range(3)]
    asked = len(scene.store.requests)

    async def down(exchange: Exchange) -> None:
        exchange.reset()

    scene.store.fail = down

    assert await scene.sent(customer="B") == [("user", "You help B.")]
    assert {each.status for each in unknown} == {404}
    assert asked <= 3


@pytest.mark.parametrize(
    ("text", "variables", "rendered"),
    [
        ("Hi {{ name }}", {"name": "A"}, "Hi A"),
        ('Say {"a": {"b": 1}} to {{name}}', {"name": "A"}, 'Say {"a": {"b": 1}} to A'),
        ("Keep {name} of {{name}}", {"name": "A"}, "Keep {name} of A"),
        ("{{user.name}}", {"user.name": "A"}, "A"),
        ("{{x.__class__.__mro__}}", {"x.__class__.__mro__": "text"}, "text"),
        ("{{a}} {{b}}", {"a": "{{b}}", "b": "secret"}, "{{b}} secret"),
        ("{{o}}", {"o": {"k": [1, True, None]}}, '{"k": [1, true, null]}'),
    ],
)
async def test_8_substitution(
    scene: Scene, text: str, variables: dict[str, object], rendered: str
) -> None:
    """Variables are replaced in one pass, and nothing else is."""
    scene.put(template=[{"role": "user", "content": text}])

    assert await scene.sent(**variables) == [("user", rendered)]


async def test_8_parts_are_rendered(scene: Scene) -> None:
    """Variables in a list of parts are replaced as well."""
    scene.put(template=[{"role": "user", "content": [{"type": "text", "text": "Hi {{name}}"}]}])

    assert await scene.sent(name="A") == [("user", "Hi A")]


async def test_9_errors_tell_what_to_do(scene: Scene) -> None:
    """Every missing variable is named with 400, an unknown prompt is 404; no store is quoted."""
    scene.put(template=[{"role": "user", "content": "{{b}} {{a}}"}])

    missing = await scene.door.chat(model="support")
    unknown = await scene.door.chat(model="support", prompt_id="pr_none")

    assert missing.status == 400
    assert missing.error["metadata"] == {"missing": "a,b"}
    assert (unknown.status, unknown.error["reason"]) == (404, "PROMPT_NOT_FOUND")
    assert "no such thing" not in str(unknown.json)


async def test_10_native_fields_are_translated(scene: Scene) -> None:
    """Flat and linked tools are wrapped; nulls and -1 are not sent, nor win over the caller's."""
    tool = {"name": "look", "description": "Look", "parameters": {"type": "object"}}
    scene.put(
        template=SAYS,
        tools=[tool],
        linked_tools=[{**tool, "name": "stock", "id": "tl_1", "version_id": "tlv_1"}],
        max_tokens=-1,
        temperature=None,
        top_p=0.5,
        other={"logit_bias": {"1": 2}},
    )

    await scene.door.chat(model="support", prompt_variables={"customer": "A"}, temperature=0.2)

    body = scene.openai.exchanges[-1].json
    tools = body["tools"]
    assert isinstance(tools, list)
    assert [(each["type"], each["function"]["name"]) for each in tools] == [
        ("function", "look"),
        ("function", "stock"),
    ]
    assert not {"max_tokens", "max_completion_tokens", "linked_tools", "provider"} & body.keys()
    assert (body["temperature"], body["top_p"]) == (0.2, 0.5)
    assert body["logit_bias"] == {"1": 2}


async def test_11_the_prompts_provider_is_used(scene: Scene) -> None:
    """A model that no list knows goes to the provider that the prompt names."""
    scene.put(template=SAYS, model="brand-new", provider="rival")

    answer = await scene.door.chat(
        model="humanloop/auto", prompt_id="pr_desk", prompt_variables={"customer": "A"}
    )

    assert (answer.headers["x-provider"], answer.headers["x-model"]) == ("rival", "brand-new")


async def test_12_parameters_reach_every_door(scene: Scene) -> None:
    """The prompt's parameters are used whether an alias, a store or a provider was named."""
    scene.put(template=SAYS, temperature=0.7)
    variables = {"customer": "A"}

    for model in ("support", "humanloop/auto", "openai/gpt-4o"):
        await scene.door.chat(model=model, prompt_id="pr_desk", prompt_variables=variables)

    assert [each.json["temperature"] for each in scene.openai.exchanges] == [0.7, 0.7, 0.7]


async def test_13_a_version_is_honoured_or_refused(scene: Scene) -> None:
    """A version or an environment is the one that is served, or there is an error."""
    for version, environment in (("prv_1", "production"), ("prv_2", "staging")):
        says = [{"role": "user", "content": version}]
        scene.store.put(
            "Support/Desk",
            prompt_id="pr_desk",
            version=version,
            to=environment,
            model="gpt-4o",
            provider="openai",
            template=says,
        )

    pinned = await scene.door.chat(model="support", prompt_version="prv_2")
    labelled = await scene.door.chat(model="support", prompt_label="staging")
    deployed = await scene.door.chat(model="support")
    unknown = await scene.door.chat(model="support", prompt_version="prv_9")

    served = [each.headers["x-prompt-version"] for each in (pinned, labelled, deployed)]
    assert served == ["prv_2", "prv_2", "prv_1"]
    assert (unknown.status, unknown.error["reason"]) == (404, "VERSION_NOT_FOUND")


async def test_14_a_system_prompt_takes_the_callers_messages(scene: Scene) -> None:
    """A prompt that is a system message alone is followed by the caller's messages."""
    scene.put(template=[{"role": "system", "content": "Be kind."}])

    await scene.door.chat(model="support", messages=[{"role": "user", "content": "Hi"}])

    assert scene.openai.exchanges[-1].json["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
    ]


async def test_17_whose_model_wins_can_be_said(scene: Scene) -> None:
    """The alias' model wins unless it leaves the choice to the prompt."""
    scene.put(template=SAYS, model="theirs")
    variables = {"customer": "A"}

    ours = await scene.door.chat(model="support", prompt_variables=variables)
    theirs = await scene.door.chat(model="authors-choice", prompt_variables=variables)

    assert (ours.headers["x-model"], theirs.headers["x-model"]) == ("gpt-4o", "theirs")


@pytest.mark.parametrize("model", ["support", "raw", "openai/gpt-4o", "humanloop/auto"])
async def test_18_an_unknown_prompt_is_never_a_plain_chat(scene: Scene, model: str) -> None:
    """A prompt that is not found fails, however the model was named; nothing is sent."""
    answer = await scene.door.chat(
        model=model, prompt_id="pr_none", messages=[{"role": "user", "content": "raw"}]
    )

    assert (answer.status, answer.error["reason"]) == (404, "PROMPT_NOT_FOUND")
    assert scene.openai.exchanges == []


@pytest.mark.parametrize(
    "key", ["api_base", "base_url", "api_key", "default_headers", "extra_headers", "timeout"]
)
async def test_21_a_store_cannot_redirect_a_call(scene: Scene, key: str) -> None:
    """A prompt that carries an address, a key or headers is refused; nothing is sent."""
    scene.put(template=SAYS, other={key: scene.rival.url})

    answer = await scene.door.chat(model="support", prompt_variables={"customer": "A"})

    assert (answer.status, answer.error["reason"]) == (400, "TEMPLATE_FORBIDDEN")
    assert scene.openai.exchanges == scene.rival.exchanges == []


async def test_21_what_a_store_adds_besides_is_not_used(scene: Scene) -> None:
    """Fields of that kind beside the prompt's own change nothing."""
    scene.put(template=SAYS, api_base=scene.rival.url, api_key="theirs", extra_headers={"a": "b"})

    await scene.sent(customer="A")

    assert scene.rival.exchanges == []
    assert scene.openai.exchanges[-1].headers["authorization"] == "Bearer key-of-openai"


async def test_22_a_missing_store_key_is_told(tmp_path: Path, upstream: Upstream) -> None:
    """Without a key for the store the call fails, and names the setting."""

    async def refuse(exchange: Exchange) -> None:
        await send(exchange, {"detail": "no key"}, status="401 Unauthorized")

    async with running_upstream(refuse) as store:
        config = f"""
stores: {{humanloop: {{type: humanloop, base_url: '{store.url}'}}}}
providers: {{openai: {{base_url: '{upstream.url}', api_key: k}}}}
model_list: [{{model_name: m, litellm_params: {{model: humanloop/gpt-4o, prompt_id: pr_1}}}}]
"""
        async with running_service(tmp_path, config) as service:
            answer = await HttpDoor(service.http_url).chat(model="m", messages=[])

    assert (answer.status, answer.error["reason"]) == (400, "STORE_AUTH")
    assert "HUMANLOOP_API_KEY" in str(answer.error["message"])
    assert upstream.exchanges == []


async def test_23_a_text_is_a_template(scene: Scene) -> None:
    """A template that is a text becomes one message of the user."""
    scene.put(template="Write to {{customer}}", endpoint="complete")

    assert await scene.sent(customer="A") == [("user", "Write to A")]


async def test_24_the_answer_tells_what_ran(scene: Scene) -> None:
    """Prompt, version, store, cache and the real model are in the answer's headers."""
    scene.put(template=SAYS)

    answer = await scene.door.chat(model="support", prompt_variables={"customer": "A"})

    told = {name: answer.headers[f"x-{name}"] for name in ("provider", "model")}
    assert told == {"provider": "openai", "model": "gpt-4o"}
    assert answer.headers["x-prompt-id"] == "pr_desk"
    assert answer.headers["x-prompt-version"] == "prv_1"
    assert answer.headers["x-prompt-store"] == "humanloop"
    assert answer.headers["x-prompt-cache"] == "miss"
