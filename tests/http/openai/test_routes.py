"""`/v1/chat/completions` and `/v1/models`: what they take, and what they answer."""

import logging
from pathlib import Path

import aiohttp
import pytest

from tests.support.calls import VARIABLES
from tests.support.http import HttpDoor
from tests.support.prompts import write_prompt
from tests.support.service import RunningService
from tests.support.upstream import Answer, Exchange, Upstream, openai_answer, openai_events

SAID = {"role": "user", "content": "<IGNORED>"}
PROMPT = {"prompt_variables": VARIABLES}
GREET = {"model": "greeter", "messages": [SAID], "prompt_variables": VARIABLES}


def sent(upstream: Upstream) -> list[tuple[object, object]]:
    """Return the messages of the last request to the provider, by role and content."""
    messages = upstream.exchanges[-1].json["messages"]
    assert isinstance(messages, list)
    return [(message["role"], message["content"]) for message in messages]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/chat/completions"])
async def test_answers_in_openais_form(door: HttpDoor, upstream: Upstream, path: str) -> None:
    """A prompt is rendered and answered, with and without `/v1` in the path."""
    answer = await door.post(path, GREET)

    assert answer.status == 200
    assert answer.text == "Hello"
    assert answer.json["object"] == "chat.completion"
    assert answer.json["model"] == "greeter"
    assert answer.json["usage"] == {
        "prompt_tokens": 5,
        "completion_tokens": 2,
        "total_tokens": 7,
    }
    assert upstream.exchanges[-1].headers["authorization"] == "Bearer key-of-fake"


async def test_tells_what_was_served(door: HttpDoor) -> None:
    """The headers tell the prompt, its exact version, the cache's part and the real model."""
    first, second = await door.chat(**GREET), await door.chat(**GREET)

    assert first.headers["x-prompt-id"] == "greet"
    assert first.headers["x-prompt-store"] == "local"
    assert first.headers["x-prompt-version"] == first.headers["x-prompt-sha256"][:12]
    assert [each.headers["x-prompt-cache"] for each in (first, second)] == ["miss", "hit"]
    assert first.headers["x-prompt-stale"] == "false"
    assert (first.headers["x-provider"], first.headers["x-model"]) == ("fake", "small")


async def test_a_template_with_a_user_turn_ignores_messages(
    door: HttpDoor, upstream: Upstream
) -> None:
    """The caller's messages are ignored beside a template that has a user turn."""
    await door.chat(**GREET)

    assert sent(upstream) == [("system", "Greet in French."), ("user", "Ada")]


async def test_a_bare_system_prompt_takes_messages(door: HttpDoor, upstream: Upstream) -> None:
    """A template without a user turn takes the caller's messages after its own."""
    await door.chat(model="local", prompt_id="system", prompt_variables=VARIABLES, messages=[SAID])

    assert sent(upstream) == [("system", "Speak French."), ("user", "<IGNORED>")]


@pytest.mark.parametrize("content", ["", None, []])
async def test_quotes_an_empty_answer(door: HttpDoor, upstream: Upstream, content: object) -> None:
    """An assistant who said nothing at all may be quoted."""
    empty = {"role": "assistant", "content": content}
    answer = await door.chat(model="plain", messages=[SAID, empty, SAID])

    assert answer.status == 200
    assert sent(upstream)[1] == ("assistant", "")


@pytest.mark.parametrize(("append", "expected"), [(True, 3), (False, 2)])
async def test_messages_as_the_caller_decides(
    door: HttpDoor, upstream: Upstream, append: bool, expected: int
) -> None:
    """`append_messages` decides otherwise."""
    await door.chat(**GREET, append_messages=append)

    assert len(sent(upstream)) == expected


async def test_an_alias_without_a_prompt_passes_messages(
    door: HttpDoor, upstream: Upstream
) -> None:
    """An alias without a prompt passes its messages on, and nothing in them is rendered."""
    await door.chat(
        model="plain", messages=[{"role": "user", "content": "{{name}}"}], append_messages=False
    )

    assert sent(upstream) == [("user", "{{name}}")]
    assert upstream.exchanges[-1].json["temperature"] == 0.2


async def test_the_caller_chooses_prompt_and_model(door: HttpDoor, upstream: Upstream) -> None:
    """Without an alias, a model names the store or the provider, and the request its prompt."""
    by_store = await door.chat(model="local", prompt_id="greet", prompt_variables=VARIABLES)
    by_provider = await door.chat(model="fake/big", prompt_id="greet", prompt_variables=VARIABLES)

    assert (by_store.headers["x-model"], by_store.json["model"]) == ("some-model", "local")
    assert by_provider.headers["x-model"] == "big"


async def test_parameters_reach_the_provider(door: HttpDoor, upstream: Upstream) -> None:
    """The request's parameters win over the alias', and LiteLLM's own keys stay here."""
    await door.chat(
        model="plain",
        messages=[SAID],
        temperature=0.9,
        max_completion_tokens=50,
        stop="END",
        seed=7,
        top_k=3,
        user="someone",
        logit_bias={"1": 2},
        n=1,
        presence_penalty=None,
        metadata={"team": "blue"},
        stream_options=None,
        prompt_variables={},
    )

    body = upstream.exchanges[-1].json
    assert {name for name in body if "prompt" in name} == set()
    assert (body["temperature"], body["stop"]) == (0.9, ["END"])
    assert (body["max_completion_tokens"], "max_tokens" in body) == (50, False)
    assert (body["seed"], body["top_k"], body["user"]) == (7, 3, "someone")
    assert body["logit_bias"] == {"1": 2}
    assert not {"presence_penalty", "metadata", "n"} & body.keys()


async def test_tools_and_their_results(door: HttpDoor, upstream: Upstream) -> None:
    """Tools, calls and results travel both ways."""
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"a":1}'}}

    async def answer(exchange: Exchange) -> None:
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
        await exchange.send_response(openai_answer(choices=[choice]))

    upstream.answer = answer
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    messages = [
        SAID,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "found"},
    ]

    answered = await door.chat(
        model="plain", messages=messages, tools=[tool], tool_choice="required"
    )

    body = upstream.exchanges[-1].json
    assert body["tools"] == [tool]
    assert body["tool_choice"] == "required"
    assert body["messages"] == messages
    match answered.json["choices"]:
        case [{"message": {"content": None, "tool_calls": calls}, "finish_reason": reason}]:
            assert (calls, reason) == ([call], "tool_calls")
        case other:
            raise AssertionError(other)


async def test_streams_as_it_arrives(door: HttpDoor, upstream: Upstream) -> None:
    """A stream has a chunk for each part, the usage if asked for, and `[DONE]` at its end."""
    upstream.answer = stream(*openai_events("Hel", "lo"))

    answer = await door.chat(**GREET, stream=True, stream_options={"include_usage": True})

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-prompt-id"] == "greet"
    assert answer.events[-1] == "[DONE]"
    *chunks, usage = answer.chunks
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert {chunk["model"] for chunk in chunks} == {"greeter"}
    deltas = [chunk["choices"] for chunk in chunks]
    assert text_of(deltas) == "Hello"
    assert usage["choices"] == []
    assert usage["usage"] == {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


async def test_no_usage_unless_asked_for(door: HttpDoor, upstream: Upstream) -> None:
    """Without `include_usage` there is no chunk without a choice, as clients expect."""
    upstream.answer = stream(*openai_events("Hi"))

    answer = await door.chat(**GREET, stream=True)

    assert all(chunk["choices"] for chunk in answer.chunks)


def stream(*events: bytes) -> Answer:
    async def answer(exchange: Exchange) -> None:
        await exchange.begin_stream()
        await exchange.send(b"".join(events))
        exchange.writer.close()

    return answer


def text_of(choices: list[object]) -> str:
    text = ""
    for choice in choices:
        match choice:
            case [{"delta": {"content": str(more)}}]:
                text += more
    return text


async def test_a_cut_stream_is_never_in_order(door: HttpDoor, upstream: Upstream) -> None:
    """A provider that stops in mid-answer ends the stream with an error, and without `[DONE]`."""
    upstream.answer = stream(*openai_events("Hel", "lo")[:2])

    answer = await door.chat(**GREET, stream=True)

    assert answer.status == 200
    assert "[DONE]" not in answer.events
    assert answer.cut
    assert answer.chunks[-1]["error"]["reason"] == "UPSTREAM_TRUNCATED"  # type: ignore[index]


async def test_a_failure_before_the_first_event_has_its_status(
    door: HttpDoor, upstream: Upstream
) -> None:
    """A stream that never begins is an error with the right status, and no stream."""

    async def refuse(exchange: Exchange) -> None:
        await exchange.send_response(b"{}", status="429 Busy", headers="Retry-After: 7\r\n")

    upstream.answer = refuse

    answer = await door.chat(**GREET, stream=True)

    assert answer.status == 429
    assert answer.headers["retry-after"] == "7"
    assert answer.error["code"] == "rate_limit_exceeded"


async def test_lists_the_models(door: HttpDoor) -> None:
    """The aliases are the models of the API, one by one and all together."""
    for prefix in ("/v1", ""):
        listed = await door.get(f"{prefix}/models")
        one = await door.get(f"{prefix}/models/greeter")
        other = await door.get(f"{prefix}/models/none/such")

        models = listed.json["data"]
        assert isinstance(models, list)
        assert [model["id"] for model in models] == ["greeter", "plain", "local"]
        assert one.json in models
        assert (other.status, other.error["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("document", "status", "reason", "param"),
    [
        ({"model": "none"}, 404, "ALIAS_UNKNOWN", "model"),
        ({"model": ""}, 400, "REQUEST_INVALID", "model"),
        ({"model": 5}, 400, "REQUEST_INVALID", "model"),
        ({"model": None}, 400, "REQUEST_INVALID", "model"),
        ({"model": "fake/m"}, 400, "REQUEST_INVALID", "model"),
        ({"prompt_id": "../greet"}, 400, "PROMPT_ID_INVALID", "prompt_id"),
        ({"prompt_id": "none"}, 404, "PROMPT_NOT_FOUND", "prompt_id"),
        ({"prompt_version": "v0"}, 404, "VERSION_NOT_FOUND", "prompt_version"),
        (
            {"model": "plain", "prompt_version": "v0", "prompt_variables": None},
            *(400, "REQUEST_INVALID", "prompt_id"),
        ),
        ({"model": "plain", **PROMPT}, 400, "REQUEST_INVALID", "prompt_variables"),
        ({"prompt_version": True}, 400, "SELECTOR_INVALID", "prompt_version"),
        ({"prompt_version": 2.0}, 400, "SELECTOR_INVALID", "prompt_version"),
        ({"prompt_version": 1, "prompt_label": "x"}, 400, "SELECTOR_INVALID", "prompt_version"),
        ({"prompt_label": "a", "prompt_environment": "b"}, 400, "SELECTOR_INVALID", "prompt_label"),
        ({"prompt_variables": {}}, 400, "VARIABLES_INVALID", "prompt_variables.language"),
        ({"prompt_variables": []}, 400, "VARIABLES_INVALID", "prompt_variables"),
        ({"messages": "hi"}, 400, "REQUEST_INVALID", "messages"),
        ({"messages": [{"role": "wizard"}]}, 400, "REQUEST_INVALID", "messages[0].role"),
        ({"messages": [{"role": "user"}]}, 400, "REQUEST_INVALID", "messages[0].content"),
        ({"n": 2}, 400, "PARAMETER_UNSUPPORTED", "n"),
        ({"logprobs": True}, 400, "PARAMETER_UNSUPPORTED", "logprobs"),
        ({"temperature": "hot"}, 400, "PARAMETER_UNSUPPORTED", "temperature"),
        ({"top_k": 0}, 400, "PARAMETER_UNSUPPORTED", "top_k"),
        ({"api_base": "http://h"}, 400, "PARAMETER_UNSUPPORTED", "api_base"),
        ({"api_key": "k"}, 400, "PARAMETER_UNSUPPORTED", "api_key"),
        ({"humanloop_api_key": "k"}, 400, "PARAMETER_UNSUPPORTED", "humanloop_api_key"),
        ({"extra_headers": {"a": "b"}}, 400, "PARAMETER_UNSUPPORTED", "extra_headers"),
        ({"tools": [{"type": "web"}]}, 400, "PARAMETER_UNSUPPORTED", "tools[0].type"),
        ({"tool_choice": "maybe"}, 400, "REQUEST_INVALID", "tool_choice"),
        ({"stream": "yes"}, 400, "REQUEST_INVALID", "stream"),
        ({"timeout": -1}, 400, "REQUEST_INVALID", "timeout"),
        ({"metadata": "blue"}, 400, "REQUEST_INVALID", "metadata"),
    ],
)
async def test_refuses_what_is_wrong(
    door: HttpDoor,
    upstream: Upstream,
    document: dict[str, object],
    status: int,
    reason: str,
    param: str | None,
) -> None:
    """What cannot be served is refused by its name and with the right status."""
    answer = await door.chat(**{**GREET, **document})

    assert (answer.status, answer.error["reason"]) == (status, reason)
    assert answer.error["param"] == param
    assert upstream.exchanges == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"[" * 5000, b"\xff"])
async def test_refuses_what_is_no_request(door: HttpDoor, body: bytes) -> None:
    """A body that is no JSON object is a bad request, however strange it is."""
    answer = await door.send("POST", "/v1/chat/completions", body)

    assert (answer.status, answer.error["reason"]) == (400, "REQUEST_INVALID")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("prompt_variables", "VARIABLES_INVALID"),
        ("tools", "REQUEST_INVALID"),
        ("a_parameter", "REQUEST_INVALID"),
    ],
)
async def test_refuses_more_values_than_may_be(door: HttpDoor, name: str, reason: str) -> None:
    """Lists and objects with more values than the contract lets into variables are refused."""
    values: object = {"v": [[[]] * 50_000] * 2} if name != "tools" else [[[]] * 50_000] * 2

    answer = await door.chat(**{**GREET, name: values})

    assert (answer.status, answer.error["reason"]) == (400, reason)
    assert answer.error["message"] == f"{name}: expected at most 100000 values"


async def test_refuses_a_large_body(door: HttpDoor) -> None:
    """A body beyond the limit of messages is refused with its own status."""
    answer = await door.send("POST", "/v1/chat/completions", b" " * (4 * 1024 * 1024 + 1))

    assert (answer.status, answer.error["reason"]) == (413, "REQUEST_TOO_LARGE")


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages", "/v1/embeddings", "/nowhere"])
async def test_other_routes_say_so(door: HttpDoor, path: str) -> None:
    """A route that is not served is told as one, in the form that clients read."""
    answer = await door.post(path, {"model": "greeter"})

    assert (answer.status, answer.error["reason"]) == (404, "NOT_IMPLEMENTED")
    assert "/v1/chat/completions" in str(answer.error["message"])
    assert answer.headers["server"] == "prompt-resolver"
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/chat/completions", "POST"),
        ("PUT", "/chat/completions", "POST"),
        ("OPTIONS", "/openai/deployments/plain/chat/completions", "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("DELETE", "/models/greeter", "GET, HEAD"),
        ("POST", "/beta/litellm_prompt_management", "GET, HEAD"),
    ],
)
async def test_other_methods_say_so(
    door: HttpDoor, door_service: RunningService, method: str, path: str, allowed: str
) -> None:
    """Another method than a route's is told with those that it has, and counted."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, door.url + path) as reply,
    ):
        assert (reply.status, reply.headers["Allow"]) == (405, allowed)
        assert (await reply.json())["error"]["code"] == "method_not_allowed"

    sample = 'prompt_resolver_http_requests_total{route="other",status="405"}'
    assert await door_service.metric(sample) == 1


@pytest.mark.parametrize(
    "path",
    ["/v1/chat/completions/", "/chat/completions/", "/openai/deployments/plain/chat/completions"],
)
async def test_other_paths_of_a_chat(door: HttpDoor, upstream: Upstream, path: str) -> None:
    """A slash at the end is as good as none, and Azure's clients name the alias in the path."""
    answer = await door.post(path, {"model": "plain", "messages": [SAID]})

    assert answer.text == "Hello"
    assert upstream.exchanges[-1].json["model"] == "small"


async def test_names_beyond_ascii(door: HttpDoor, prompts: Path) -> None:
    """A prompt's name that no header can carry is percent-encoded in it."""
    write_prompt(prompts, "grüße", "<user>\nHi\n</user>")

    answer = await door.chat(model="local", prompt_id="grüße")

    assert answer.status == 200
    assert answer.headers["x-prompt-id"] == "gr%C3%BC%C3%9Fe"


async def test_labels_are_logged(
    door: HttpDoor, upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    """Metadata labels the call in the log, whatever its values are, and goes no further."""
    with caplog.at_level(logging.INFO):
        await door.chat(
            **GREET,
            metadata={"team": "blue", "tags": ["a", 1]},
            litellm_session_id="s1",
            litellm_metadata={"team": "red", "cost_center": "7"},
        )

    logged = next(each for each in caplog.records if each.message == "a completion begins")
    assert vars(logged)["labels"] == {
        "team": "blue",
        "tags": '["a",1]',
        "litellm_session_id": "s1",
        "cost_center": "7",
    }
    assert not [name for name in upstream.exchanges[-1].json if "meta" in name or "litellm" in name]


@pytest.mark.parametrize("name", ["refusal", "reasoning_content"])
async def test_empty_words_beside_an_answer(door: HttpDoor, upstream: Upstream, name: str) -> None:
    """What some servers put beside an answer though it is empty may come back with it."""
    said = [{"role": "assistant", "content": "Hi", name: ""}, {"role": "user", "content": "Go on"}]

    answer = await door.chat(model="plain", messages=said)

    assert answer.status == 200
    assert sent(upstream)[0] == ("assistant", "Hi")


@pytest.mark.parametrize(
    ("name", "value"), [("audio", {"id": "a1"}), ("function_call", {"name": "f", "arguments": ""})]
)
async def test_parts_of_an_answer_that_are_not_carried(
    door: HttpDoor, upstream: Upstream, name: str, value: object
) -> None:
    """What of an assistant's message has no place here is refused by its name; null is not."""
    message = {"role": "assistant", "content": "Hi"}

    refused = await door.chat(model="plain", messages=[{**message, name: value}])
    served = await door.chat(model="plain", messages=[{**message, name: None}])

    assert (refused.status, refused.error["reason"]) == (400, "PARAMETER_UNSUPPORTED")
    assert refused.error["param"] == f"messages[0].{name}"
    assert (served.status, len(upstream.exchanges)) == (200, 1)


@pytest.mark.parametrize(
    ("part", "reason", "field"),
    [
        ({"file": {"file_id": "file-1"}}, "PARAMETER_UNSUPPORTED", "file.file_id"),
        ({"file": {"filename": "a"}}, "REQUEST_INVALID", "file.file_data"),
        ({"image_url": {"url": "https://x.invalid/a", "detail": 1}}, "REQUEST_INVALID", "detail"),
        ({"image_url": "ftp://x.invalid/a"}, "REQUEST_INVALID", "image_url.url"),
    ],
)
async def test_parts_that_cannot_be_served(
    door: HttpDoor, upstream: Upstream, part: dict[str, object], reason: str, field: str
) -> None:
    """What a part has that cannot be meant is told by its place, and nothing of it is left out."""
    (kind,) = part
    said = {"role": "user", "content": [{"type": kind, **part}]}

    answer = await door.chat(model="plain", messages=[said])

    assert (answer.status, answer.error["reason"]) == (400, reason)
    assert str(answer.error["param"]).startswith("messages[0].content[0].")
    assert str(answer.error["param"]).endswith(field)
    assert upstream.exchanges == []


@pytest.mark.parametrize(
    "name",
    [
        *("num_retries", "mock_response", "guardrails", "tags", "cache", "no-log"),
        *("request_timeout", "stream_timeout", "disable_fallbacks", "litellm_parent_otel_span"),
        *("fallbacks", "context_window_fallbacks", "max_retries", "retry_policy", "model_list"),
    ],
)
async def test_settings_of_litellms_in_a_request(
    door: HttpDoor, upstream: Upstream, name: str
) -> None:
    """What LiteLLM's proxy would keep to itself reaches no provider: it is refused by its name."""
    answer = await door.chat(
        model="plain", messages=[{"role": "user", "content": "Hi"}], **{name: 1}
    )

    assert (answer.status, answer.error["param"]) == (400, name)
    assert upstream.exchanges == []


async def test_what_a_schema_is_for(door: HttpDoor, upstream: Upstream) -> None:
    """The description beside a schema is told to the model as the schema's own."""
    form = {"name": "n", "description": "A city", "schema": {"type": "object"}}
    await door.chat(
        model="plain",
        messages=[{"role": "user", "content": "Hi"}],
        response_format={"type": "json_schema", "json_schema": form},
    )

    told = upstream.exchanges[0].json["response_format"]
    assert told == {
        "type": "json_schema",
        "json_schema": {"name": "n", "schema": {"description": "A city", "type": "object"}},
    }
