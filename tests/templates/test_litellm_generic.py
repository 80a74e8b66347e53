"""The `litellm_generic` store asks as LiteLLM does, and believes no selector to be honoured."""

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from pydantic import ValidationError

from prompt_resolver_server.assembly.configuration import load_configuration
from prompt_resolver_server.domain.errors import ResolverError
from prompt_resolver_server.domain.parameters import Parameters
from prompt_resolver_server.domain.prompts import (
    Media,
    Message,
    PromptRef,
    Reasoning,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)
from prompt_resolver_server.settings import ConfigError
from prompt_resolver_server.settings.secrets import FixedSecret
from prompt_resolver_server.templates.formats.answers import AnswerError
from prompt_resolver_server.templates.formats.fields import FieldError
from prompt_resolver_server.templates.litellm_generic import (
    LiteLLMGenericSettings,
    LiteLLMGenericStore,
    read_prompt,
)
from prompt_resolver_server.templates.web import WebClient
from tests.support.litellm_generic import KEY, PATH, GenericApi, running_generic

DESK = PromptRef(id="shop/desk")
SAID = {"role": "user", "content": "one"}

Make = Callable[..., LiteLLMGenericStore]


@pytest.fixture
async def api() -> AsyncIterator[GenericApi]:
    """The API, with one prompt, and another one for those who ask for `staging`."""
    async with running_generic() as api:
        api.put(DESK.id, SAID)
        api.put(DESK.id, {"role": "user", "content": "staged"}, label="staging")
        yield api


@pytest.fixture
async def make(api: GenericApi) -> AsyncIterator[Make]:
    """Makes stores by their settings."""
    async with AsyncExitStack() as stack:

        def make(**settings: object) -> LiteLLMGenericStore:
            given = {"api_base": api.url, "api_key": FixedSecret(KEY), **settings}
            client = WebClient(
                name="g", base_url=api.url, timeout_s=5, tls=ssl.create_default_context()
            )
            store = LiteLLMGenericStore(
                LiteLLMGenericSettings.model_validate(given), name="g", client=client
            )
            stack.push_async_callback(store.aclose)
            return store

        yield make


async def failure(asked: Awaitable[object]) -> ResolverError:
    with pytest.raises(ResolverError) as caught:
        await asked
    assert KEY not in f"{caught.value.message} {caught.value.metadata}"
    return caught.value


def body(*messages: object, **fields: object) -> bytes:
    named = {f"prompt_template_{name}": value for name, value in fields.items()}
    return json.dumps({"prompt_template": list(messages), **named}).encode()


async def test_asks_as_litellm_does(api: GenericApi, make: Make) -> None:
    """The id and what is configured are the query, and the key is a bearer's."""
    store = make(query={"project": "shop", "limit": 5, "draft": True})

    template = await store.fetch(DESK, None)

    assert api.exchanges[0].path.startswith(f"{PATH}?")
    assert api.queries == [
        {"project": "shop", "limit": "5", "draft": "true", "prompt_id": "shop/desk"}
    ]
    assert api.exchanges[0].headers["authorization"] == f"Bearer {KEY}"
    assert (template.id, template.name, template.language) == ("shop/desk", "desk", "braces")
    assert template.messages == (Message(role="user", content=(Text("one"),)),)


async def test_open_to_all(api: GenericApi, make: Make) -> None:
    """Without a key none is sent; where one is needed, that is told; a caller may bring one."""
    store = make(api_key=None)

    error = await failure(store.fetch(DESK, None))
    assert (error.reason, error.message) == (
        "STORE_AUTH",
        "store 'g' refuses a request without a key",
    )
    assert "authorization" not in api.exchanges[0].headers

    assert await store.fetch(DESK, None, caller_key=KEY)
    api.key = None
    assert await store.fetch(DESK, None)


async def test_version_is_of_the_content(api: GenericApi, make: Make) -> None:
    """A version is the beginning of the hash; the one that is served may be pinned, no other."""
    store = make()
    served = await store.fetch(DESK, None)

    assert served.content_sha256.startswith(served.version)
    for version in (served.version, served.content_sha256):
        assert await store.fetch(PromptRef(id=DESK.id, version=version), None)
    api.put(DESK.id, {"role": "user", "content": "two"})
    error = await failure(store.fetch(PromptRef(id=DESK.id, version=served.version), served))

    assert error.reason == "VERSION_NOT_FOUND"
    assert all(set(query) == {"prompt_id"} for query in api.queries)


async def test_environment_is_refused(api: GenericApi, make: Make) -> None:
    """An environment is not asked for unless it is known how; it is never passed over."""
    error = await failure(make().fetch(PromptRef(id=DESK.id, environment="staging"), None))

    assert error.reason == "SELECTOR_INVALID"
    assert "stores.g.label_parameter" in error.message
    assert api.exchanges == []


async def test_selectors_are_sent(api: GenericApi, make: Make) -> None:
    """Where it is known how, an environment and a version are asked for."""
    store = make(label_parameter="label", version_parameter="v", query={"label": "production"})

    staged = await store.fetch(PromptRef(id=DESK.id, environment="staging"), None)
    assert (staged.messages[0].text, staged.environment) == ("staged", "staging")

    api.put(DESK.id, SAID, label="production")
    pinned = await store.fetch(PromptRef(id=DESK.id, version="7"), None)
    assert pinned.content_sha256.startswith(pinned.version)
    assert api.queries == [
        {"prompt_id": DESK.id, "label": "staging"},
        {"prompt_id": DESK.id, "label": "production", "v": "7"},
    ]


@pytest.mark.parametrize(
    ("ref", "reason", "requests"),
    [
        (PromptRef(id="nobody"), "PROMPT_NOT_FOUND", 1),
        (PromptRef(id="nobody", environment="staging"), "PROMPT_NOT_FOUND", 2),
        (PromptRef(id=DESK.id, environment="nope"), "VERSION_NOT_FOUND", 2),
    ],
)
async def test_absent(
    api: GenericApi, make: Make, ref: PromptRef, reason: str, requests: int
) -> None:
    """A prompt that is not there is told apart from one without such a label."""
    error = await failure(make(label_parameter="label").fetch(ref, None))

    assert (error.reason, len(api.exchanges)) == (reason, requests)


@pytest.mark.parametrize("name", ["a&b=c", "a+b", "a b", "Grüße", "id@v1", "a;b"])
async def test_ids_are_one_value(api: GenericApi, make: Make, name: str) -> None:
    """Whatever a prompt is called, its id is one value of the query."""
    api.put(name, SAID)

    assert (await make().fetch(PromptRef(id=name), None)).id == name
    assert api.queries == [{"prompt_id": name}]


async def test_variables(make: Make) -> None:
    """The variables that a prompt needs are those that the settings say, as a schema."""
    store = make(variables={DESK.id: ["shop", "name"]})

    assert (await store.fetch(DESK, None)).schema == {
        "type": "object",
        "required": ["shop", "name"],
    }
    assert (await make().fetch(DESK, None)).schema is None


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"api_base": None},
        {"api_base": "ftp://x"},
        {"api_base": "http://x", "base_url": "http://y"},
        {"api_base": "http://x", "query": {"prompt_id": "y"}},
        {"api_base": "http://x", "query": {"": "y"}},
        {"api_base": "http://x", "query": {"a": ["y"]}},
        {"api_base": "http://x", "query": ["y"]},
        {"api_base": "http://x", "label_parameter": "prompt_id"},
        {"api_base": "http://x", "version_parameter": ""},
        {"api_base": "http://x", "variables": ["a"]},
    ],
)
def test_illegal_settings(settings: dict[str, object]) -> None:
    """Settings that say nothing, or two things, are refused."""
    with pytest.raises(ValidationError):
        LiteLLMGenericSettings.model_validate(settings)


def test_faults_are_told_with_their_place(tmp_path: Path) -> None:
    """What a file says wrong is told in one line, where it stands."""
    path = tmp_path / "c.yaml"
    path.write_text("stores: {a: {type: litellm_generic, base_url: x, query: {prompt_id: 5}}}")

    with pytest.raises(ConfigError) as caught:
        load_configuration(path, {})

    assert str(caught.value).replace(str(path), "c.yaml").splitlines() == [
        "c.yaml:1: stores.a.base_url: expected a URL that begins with http:// or https://",
        "c.yaml:1: stores.a.query: expected the name of a parameter other than prompt_id",
    ]


def test_litellms_names() -> None:
    """Where the API is, and what is added to requests, may be called as LiteLLM calls it."""
    settings = LiteLLMGenericSettings.model_validate(
        {"base_url": "http://x", "provider_specific_query_params": {"a": "b"}}
    )

    assert (settings.api_base, settings.query) == ("http://x", {"a": "b"})


def test_messages() -> None:
    """Messages are OpenAI's: parts, images, thoughts, tool calls and their answers."""
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    thought = {"type": "thinking", "thinking": "hm", "signature": "s"}
    parts = [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "{u}", "detail": "low"}},
    ]

    template = read_prompt(
        body(
            {"role": "user", "content": parts},
            {"role": "assistant", "thinking_blocks": [thought], "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "found"},
        ),
        DESK,
    )

    assert template.messages == (
        Message(role="user", content=(Text("a"), Media(kind="image", url="{u}", detail="low"))),
        Message(
            role="assistant",
            content=(Reasoning(text="hm", signature=b"s"),),
            tool_calls=(ToolCall(id="c1", name="f", arguments_json='{"a": 1}'),),
        ),
        Message(role="tool", content=(Text("found"),), tool_call_id="c1"),
    )


def test_parameters() -> None:
    """Model, parameters and tools come with the prompt; further ones are passed on."""
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    template = read_prompt(
        body(
            SAID,
            model="openai/gpt-4o",
            optional_params={
                "temperature": 0.5,
                "max_completion_tokens": 9,
                "thinking": {"type": "enabled", "budget_tokens": 1024},
                "logit_bias": {"50256": -100},
                "seed": None,
                "tools": [tool],
                "tool_choice": "required",
            },
        ),
        DESK,
    )

    assert (template.model, template.provider) == ("openai/gpt-4o", None)
    assert template.parameters == Parameters(
        temperature=0.5,
        max_tokens=9,
        limit_name="max_completion_tokens",
        reasoning_effort="1024",
        extra={"logit_bias": {"50256": -100}},
    )
    assert template.tools == (Tool(name="f", parameters={"type": "object"}),)
    assert template.tool_choice == ToolChoice(mode="required")


def test_how_litellm_would_call() -> None:
    """What says how to call, and what is so in any case, is left out, and changes no hash."""
    said = {"temperature": 0.5}
    calling = {
        "n": 1,
        "stream": True,
        "stream_options": {"include_usage": True},
        "timeout": 30,
        "request_timeout": 1.5,
        "num_retries": 2,
        "max_retries": 0,
        "drop_params": True,
    }

    template = read_prompt(body(SAID, optional_params={**said, **calling}), DESK)

    assert template.parameters == Parameters(temperature=0.5)
    plain = read_prompt(body(SAID, optional_params=said), DESK)
    assert template.content_sha256 == plain.content_sha256
    with pytest.raises(FieldError):
        read_prompt(body(SAID, optional_params={"n": 2}), DESK)


@pytest.mark.parametrize("answered", ["shop/desk", "shop/desk@v1", "pr_1", "", 7, None])
def test_what_the_server_calls_it(answered: object) -> None:
    """Under which id a server has a prompt is its affair: here it has the one that was asked."""
    answer = json.dumps({"prompt_id": answered, "prompt_template": [SAID]}).encode()

    assert read_prompt(answer, PromptRef(id="shop/desk@v1")).id == "shop/desk@v1"


@pytest.mark.parametrize(
    "name",
    [
        *("api_base", "api_key", "base_url", "extra_headers", "custom_llm_provider", "timeout"),
        *("messages", "model", "stream", "n", "mock_response", "guardrails", "fallbacks"),
    ],
)
def test_forbidden_parameters(name: str) -> None:
    """What would decide where a request goes, or how LiteLLM serves it, is no parameter."""
    with pytest.raises(FieldError) as caught:
        read_prompt(body(SAID, optional_params={name: "SECRET"}), DESK)

    assert caught.value.forbidden
    assert caught.value.path == ("prompt_template_optional_params", name)
    assert "SECRET" not in caught.value.problem


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"{}", "prompt_template: expected a list, got nothing"),
        (b'{"prompt_template": "SECRET"}', "prompt_template: expected a list, got text"),
        (b'{"prompt_template": []}', "prompt_template: expected messages, got an empty list"),
        (body("SECRET"), "prompt_template.0: expected a message, got text"),
        (body({"role": "SECRET"}), "prompt_template.0.role: expected one of"),
        (body(SAID, model=5), "prompt_template_model: expected text, got a number"),
        (body(SAID, optional_params=[]), "prompt_template_optional_params: expected a mapping"),
    ],
)
def test_illegal_answers(answer: bytes, told: str) -> None:
    """An answer without messages, or none of the API's, is told with its place alone."""
    with pytest.raises(AnswerError) as caught:
        read_prompt(answer, DESK)

    assert str(caught.value).startswith(told)
    assert "SECRET" not in str(caught.value)


def test_hash() -> None:
    """The hash is of what is served, and of nothing beside it."""
    one = read_prompt(body(SAID, model="m", optional_params={"seed": 1}), DESK).content_sha256

    same = body(SAID, model="m", optional_params={"seed": 1, "stop": None}, new=5)
    assert read_prompt(same, DESK).content_sha256 == one
    for other in (
        body(SAID, SAID, model="m", optional_params={"seed": 1}),
        body(SAID, model="n", optional_params={"seed": 1}),
        body(SAID, model="m", optional_params={"seed": 2}),
    ):
        assert read_prompt(other, DESK).content_sha256 != one
