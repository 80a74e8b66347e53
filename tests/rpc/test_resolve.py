"""`Resolve` over a real gRPC socket."""

import hashlib
from pathlib import Path

import grpc
import pytest
from google.protobuf import struct_pb2
from google.protobuf.json_format import MessageToDict
from grpc import StatusCode

from prompt_resolver.requests import Variable
from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver.v1 import prompt_resolver_pb2_grpc as pb_grpc
from tests.support.calls import VARIABLES, failure, status_of
from tests.support.prompts import write_prompt
from tests.support.raw import open_channel
from tests.support.service import RunningService, running_service
from tests.support.upstream import Upstream


async def test_renders_the_template(service: RunningService, upstream: Upstream) -> None:
    """A prompt comes back as finished messages with its model, and no model is called."""
    response = await service.client.resolve("greet", variables=VARIABLES)

    assert [(message.role, message.content[0].text) for message in response.messages] == [
        (pb.ROLE_SYSTEM, "Greet in French."),
        (pb.ROLE_USER, "Ada"),
    ]
    assert (response.provider, response.model) == ("fake", "some-model")
    assert upstream.exchanges == []


async def test_tells_what_was_served(service: RunningService, prompts: Path) -> None:
    """The answer says exactly which prompt it is, and how the cache took part."""
    content = (prompts / "greet.prompt").read_bytes()

    first = (await service.client.resolve("greet", variables=VARIABLES)).prompt
    second = (await service.client.resolve("greet", variables=VARIABLES)).prompt
    third = (await service.client.resolve("greet", variables=VARIABLES, refresh=True)).prompt

    assert (first.id, first.name, first.store) == ("greet", "greet", "local")
    assert first.content_sha256 == hashlib.sha256(content).hexdigest()
    assert first.version == first.content_sha256[:12]
    assert (first.environment, first.reason, first.stale) == ("", "deployed", False)
    assert 0 <= first.age.ToTimedelta().total_seconds() < 1
    assert [each.cache for each in (first, second, third)] == [
        pb.CACHE_RESULT_MISS,
        pb.CACHE_RESULT_HIT,
        pb.CACHE_RESULT_BYPASS,
    ]


async def test_nested_parameters(service: RunningService, prompts: Path) -> None:
    """What a template may nest reaches the caller, in whichever of its fields."""
    nested: object = "leaf"
    for _ in range(30):
        nested = {"a": nested}
    write_prompt(
        prompts,
        "deep",
        "<user>\nHi\n</user>",
        other=nested,
        tools=[{"name": "f", "parameters": nested}],
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": nested}},
    )

    response = await service.client.resolve("deep")

    form = response.parameters.response_format.json_schema.schema
    for struct in (response.parameters.extra, response.tools[0].parameters, form):
        assert MessageToDict(struct) == nested


async def test_broken_edit(service: RunningService, prompts: Path) -> None:
    """An edit that breaks a prompt is not served: what was there goes on, and is told as stale."""
    await service.client.resolve("greet", variables=VARIABLES)
    (prompts / "greet.prompt").write_text("nonsense")
    served = (await service.client.resolve("greet", variables=VARIABLES)).prompt
    assert (served.cache, served.stale) == (pb.CACHE_RESULT_STALE, True)
    assert served.age.ToTimedelta().total_seconds() > 0

    write_prompt(prompts, "greet", "<user>\nmended\n</user>")
    served = (await service.client.resolve("greet", variables=VARIABLES)).prompt
    assert (served.cache, served.stale) == (pb.CACHE_RESULT_MISS, False)


async def test_pins_a_version(service: RunningService, prompts: Path) -> None:
    """A pinned version is served for as long as it is there, and refused afterwards."""
    version = (await service.client.resolve("greet", variables=VARIABLES)).prompt.version
    pinned = await service.client.resolve("greet", variables=VARIABLES, version=version)
    write_prompt(prompts, "greet", "<user>\nHello, {{name}}\n</user>")

    error = await failure(service.client.resolve("greet", variables=VARIABLES, version=version))

    assert pinned.prompt.reason == "pinned"
    assert status_of(error) == (StatusCode.NOT_FOUND, "VERSION_NOT_FOUND")
    assert error.metadata == {"store": "local", "id": "greet", "version": version}


async def test_edit_is_served(service: RunningService, prompts: Path) -> None:
    """The call after an edit gets the edit, however quickly edits follow each other."""
    for number in range(50):
        write_prompt(prompts, "greet", f"<user>\n{number % 10}\n</user>")

        response = await service.client.resolve("greet", variables=VARIABLES)

        assert response.messages[0].content[0].text == str(number % 10)


async def test_broken_file_harms_only_itself(service: RunningService, prompts: Path) -> None:
    """A file that is broken fails its own calls, with its place, and no others."""
    write_prompt(prompts, "broken", "<user>\nHi\n</user>", temperature="hot")

    error = await failure(service.client.resolve("broken"))

    assert status_of(error) == (StatusCode.FAILED_PRECONDITION, "TEMPLATE_INVALID")
    assert error.message == ("broken.prompt, line 5: temperature: expected a number, got text")
    assert error.metadata == {"store": "local", "id": "broken", "line": "5"}
    assert await service.client.resolve("greet", variables=VARIABLES)


async def test_names_every_missing_variable(service: RunningService, prompts: Path) -> None:
    """All variables that are missing or null are named at once, each as a field."""
    write_prompt(prompts, "many", "<user>\n{{b}} {{a}} {{c}} {{a}} {{d}}\n</user>")
    variables = {"c": None, "d": "here", "unused": "ignored"}

    error = await failure(service.client.resolve("many", variables=variables))

    assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "VARIABLES_INVALID")
    assert error.metadata == {"missing": "a,b,c"}
    assert [(each.field, each.description) for each in error.violations] == [
        ("variables.a", "missing"),
        ("variables.b", "missing"),
        ("variables.c", "null"),
    ]


async def test_names_very_many_missing_variables(service: RunningService, prompts: Path) -> None:
    """An error with more to tell than headers can carry still arrives, and says so."""
    names = [f"a_rather_long_name_of_a_variable_{number:03}" for number in range(500)]
    body = " ".join(f"{{{{{name}}}}}" for name in names)
    write_prompt(prompts, "many", f"<user>\n{body}\n</user>")

    error = await failure(service.client.resolve("many"))

    assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "VARIABLES_INVALID")
    assert error.message.endswith("…") or "more" in error.message
    assert error.violations[0].field == f"variables.{names[0]}"


async def test_variables_of_all_kinds(service: RunningService, prompts: Path) -> None:
    """Text is put in as it is, everything else as JSON; whole numbers have no fraction."""
    write_prompt(prompts, "kinds", "<user>\n{{v}}\n</user>")

    async def rendered(value: Variable) -> str:
        response = await service.client.resolve("kinds", variables={"v": value})
        return response.messages[0].content[0].text

    assert await rendered("") == ""
    assert await rendered("{{v}} \\ <system>") == "{{v}} \\ <system>"
    assert await rendered(3) == "3"
    assert await rendered(-0.5) == "-0.5"
    assert await rendered(2**53) == "9007199254740992"
    assert await rendered(True) == "true"
    assert await rendered([1, "é", None]) == '[1, "é", null]'
    assert await rendered({"k": [1.5]}) == '{"k": [1.5]}'


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
async def test_variable_that_is_no_number(
    service: RunningService, prompts: Path, number: float
) -> None:
    """A number that JSON cannot write is the caller's fault."""
    write_prompt(prompts, "kinds", "<user>\n{{v}}\n</user>")

    error = await failure(service.client.resolve("kinds", variables={"v": number}))

    assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "VARIABLES_INVALID")
    assert error.violations[0].field == "variables.v"


async def test_prompt_that_grows_too_large(service: RunningService, prompts: Path) -> None:
    """Variables that multiply into a huge prompt are refused before it is made."""
    write_prompt(prompts, "large", "<user>\n" + "{{v}}" * 1000 + "\n</user>")

    error = await failure(service.client.resolve("large", variables={"v": "x" * 100_000}))

    assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "VARIABLES_INVALID")


async def test_prompt_that_fits_into_no_message(service: RunningService, prompts: Path) -> None:
    """A prompt of more bytes than a message may have is the caller's fault, and counted as one."""
    write_prompt(prompts, "wide", "<user>\n" + "{{v}}" * 1000 + "\n</user>")

    error = await failure(service.client.resolve("wide", variables={"v": "€" * 1500}))

    assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "REQUEST_TOO_LARGE")
    assert "server.max_message_bytes" in error.message
    counted = 'grpc_code="OK",grpc_method="Resolve"'
    assert counted not in await service.metrics()


async def test_many_variables(service: RunningService, prompts: Path) -> None:
    """Variables that are read beside the event loop are the same, and their faults are told."""
    write_prompt(prompts, "last", "<user>\n{{n9999}} {{list}}\n</user>")
    many: dict[str, Variable] = {f"n{number}": number for number in range(10_000)}

    response = await service.client.resolve("last", variables={**many, "list": [1, {"a": None}]})
    error = await failure(service.client.resolve("last", variables=many))

    assert response.messages[0].content[0].text == '9999 [1, {"a": null}]'
    assert error.violations[0].field == "variables.list"


async def test_more_values_than_may_be(service: RunningService) -> None:
    """Variables with more values than are read without holding up other calls are refused."""
    error = await failure(
        service.client.resolve("greet", variables={**VARIABLES, "list": [[1.0] * 50_000] * 3})
    )

    assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "VARIABLES_INVALID")
    assert error.message == "variables: expected at most 100000 values"


@pytest.mark.parametrize("messages", [10_001, 5_001])
async def test_more_messages_than_may_be(service: RunningService, messages: int) -> None:
    """More messages than are read without holding up other calls are refused."""
    said = pb.Message(role=pb.ROLE_USER, content=[pb.ContentPart(text="x")])

    error = await failure(
        service.client.resolve("greet", variables=VARIABLES, messages=[said] * messages)
    )

    assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")
    assert error.violations[0].field == "messages"


@pytest.mark.parametrize(
    ("lists", "messages", "field"),
    [(2, 2_501, "placeholders."), (10_001, 0, "placeholders")],
    ids=["messages", "names"],
)
async def test_more_placeholders_than_may_be(
    service: RunningService, lists: int, messages: int, field: str
) -> None:
    """Messages count together, whichever of the placeholders they are for, and so do names."""
    said = pb.Message(role=pb.ROLE_USER, content=[pb.ContentPart(text="x")])
    placeholders = {
        str(number): pb.MessageList(messages=[said] * messages) for number in range(lists)
    }

    error = await failure(
        service.client.resolve("greet", variables=VARIABLES, placeholders=placeholders)
    )

    assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")
    assert error.violations[0].field.startswith(field)


async def test_more_values_of_tools_than_may_be(service: RunningService) -> None:
    """The schemas of a call's tools have so many values together."""
    tools = [pb.Tool(name=name) for name in ("first", "second")]
    for tool in tools:
        tool.parameters.update({"enum": ["x"] * 60_000})

    error = await failure(service.client.complete("greet", variables=VARIABLES, tools=tools))

    assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")
    assert error.message == "tools[1].parameters: expected at most 100000 values"


async def test_more_variables_than_may_be(service: RunningService, prompts: Path) -> None:
    """A template with more variables than are rendered at once has used up its budget."""
    write_prompt(prompts, "many", f"<user>\n{'{{v}} ' * 20_000}\n</user>")

    error = await failure(service.client.resolve("many", variables={"v": "x"}))

    assert status_of(error) == (StatusCode.FAILED_PRECONDITION, "TEMPLATE_BUDGET")


@pytest.mark.parametrize(
    "prompt_id",
    ["", "/", "/etc/passwd", "a//b", "..", "../secret", "a/../../secret", "a/./b", "a/", "x\0y"]
    + ["a\nb", "a\\b", "a?b", "a#b", "a%2e", "x" * 513],
)
async def test_malformed_id(service: RunningService, prompt_id: str) -> None:
    """An id that breaks the store's grammar is refused before anything is opened."""
    error = await failure(service.client.resolve(prompt_id))

    assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "PROMPT_ID_INVALID")


@pytest.mark.parametrize("prompt_id", ["nowhere", "greet/nowhere", "greet.prompt", "é", "x" * 300])
async def test_unknown_id(service: RunningService, prompt_id: str) -> None:
    """An id that names nothing is not found."""
    error = await failure(service.client.resolve(prompt_id))

    assert status_of(error) == (StatusCode.NOT_FOUND, "PROMPT_NOT_FOUND")
    assert error.metadata == {"store": "local", "id": prompt_id}


async def test_unknown_store(service: RunningService) -> None:
    """A store that is not configured is named, and so are those that are."""
    error = await failure(service.client.resolve("greet", store="elsewhere"))

    assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "STORE_UNKNOWN")
    known = "local, humanloop, langfuse"
    assert error.message == f"prompt.store: expected one of {known}, got 'elsewhere'"


async def test_selector_that_is_empty(service: RunningService) -> None:
    """A selector that selects nothing is refused, never ignored."""
    error = await failure(service.client.resolve("greet", version=""))

    assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "SELECTOR_INVALID")


async def test_environment_that_is_unknown(service: RunningService) -> None:
    """An environment that the store does not have is not found, never ignored."""
    error = await failure(service.client.resolve("greet", environment="production"))

    assert status_of(error) == (StatusCode.NOT_FOUND, "VERSION_NOT_FOUND")
    assert error.metadata["environment"] == "production"


async def test_appends_messages(service: RunningService) -> None:
    """The caller's messages follow the template's, and nothing in them is rendered."""
    said = pb.Message(role=pb.ROLE_ASSISTANT, content=[pb.ContentPart(text="{{name}}")])

    response = await service.client.resolve("greet", variables=VARIABLES, messages=[said])

    assert [message.content[0].text for message in response.messages][-2:] == ["Ada", "{{name}}"]


async def test_placeholder_that_is_unknown(service: RunningService) -> None:
    """Messages for a placeholder that the template lacks are refused, not lost."""
    request = pb.ResolveRequest(prompt=pb.PromptRef(id="greet"))
    request.placeholders["history"].messages.add(role=pb.ROLE_USER)
    async with open_channel(service.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await pb_grpc.PromptResolverStub(channel).Resolve(request)

    assert caught.value.code() == StatusCode.INVALID_ARGUMENT
    assert "placeholders.history" in (caught.value.details() or "")


async def test_parameters(service: RunningService, prompts: Path) -> None:
    """Each parameter of the request wins over the template's; what is unset leaves it alone."""
    write_prompt(
        prompts, "tuned", "<user>\nHi\n</user>", temperature=0.2, max_tokens=50, stop=["END"]
    )
    extra = struct_pb2.Struct()
    extra.update({"logit_bias": {"50256": -100}})
    asked = pb.ModelParameters(temperature=0.0, max_tokens=-1, top_k=5, extra=extra)

    response = await service.client.resolve("tuned", parameters=asked)

    parameters = response.parameters
    assert parameters.HasField("temperature")
    assert (parameters.temperature, parameters.max_tokens) == (0.0, 50)
    assert list(parameters.stop) == ["END"]
    assert (parameters.top_k, parameters.HasField("top_p")) == (5, False)
    bias = parameters.extra.fields["logit_bias"].struct_value
    assert bias.fields["50256"].number_value == -100


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        (pb.ModelParameters(temperature=float("nan")), "parameters.temperature"),
        (pb.ModelParameters(temperature=-1), "parameters.temperature"),
        (pb.ModelParameters(top_p=1.1), "parameters.top_p"),
        (pb.ModelParameters(max_tokens=0), "parameters.max_tokens"),
        (pb.ModelParameters(max_tokens=-2), "parameters.max_tokens"),
        (pb.ModelParameters(top_k=0), "parameters.top_k"),
    ],
)
async def test_parameter_out_of_range(
    service: RunningService, parameters: pb.ModelParameters, field: str
) -> None:
    """A parameter that is out of its range is refused by its field."""
    error = await failure(
        service.client.resolve("greet", variables=VARIABLES, parameters=parameters)
    )

    assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "PARAMETER_UNSUPPORTED")
    assert [each.field for each in error.violations] == [field]


@pytest.mark.parametrize(
    "name",
    ["model", "messages", "stream", "n", "tools", "temperature", "api_base", "base_url", "api_key"]
    + ["extra_headers", "Headers", "organization", "aws_secret_access_key", "http_proxy"]
    + ["apiKey", "api-key", "x-api-key", "baseURL", "base url", "\u017ftream", "models", "route"]
    + ["fallbacks", "user_config", "litellm_params", "functionCall", "access_token", "token"],
)
async def test_extra_parameter_that_is_refused(service: RunningService, name: str) -> None:
    """Nothing that routes, and nothing that has a field of its own, may come as an extra."""
    extra = struct_pb2.Struct()
    extra.update({name: "x"})

    error = await failure(
        service.client.resolve(
            "greet", variables=VARIABLES, parameters=pb.ModelParameters(extra=extra)
        )
    )

    assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "PARAMETER_UNSUPPORTED")
    assert error.violations[0].field == f"parameters.extra.{name}"


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (pb.Message(content=[pb.ContentPart(text="x")]), "messages[0].role"),
        (pb.Message(role=pb.ROLE_USER), "messages[0].content"),
        (pb.Message(role=pb.ROLE_USER, content=[pb.ContentPart()]), "messages[0].content[0]"),
        (
            pb.Message(role=pb.ROLE_TOOL, content=[pb.ContentPart(text="x")]),
            "messages[0].tool_call_id",
        ),
        (
            pb.Message(role=pb.ROLE_USER, content=[pb.ContentPart(text="x")], tool_call_id="c"),
            "messages[0].tool_call_id",
        ),
        (
            pb.Message(role=pb.ROLE_USER, tool_calls=[pb.ToolCall(id="c", name="f")]),
            "messages[0].tool_calls",
        ),
        (
            pb.Message(role=pb.ROLE_ASSISTANT, tool_calls=[pb.ToolCall(name="f")]),
            "messages[0].tool_calls[0]",
        ),
        (
            pb.Message(role=pb.ROLE_USER, content=[pb.ContentPart(image=pb.Media())]),
            "messages[0].content[0].image",
        ),
        (
            pb.Message(
                role=pb.ROLE_USER, content=[pb.ContentPart(image=pb.Media(url="file:///etc/x"))]
            ),
            "messages[0].content[0].image.url",
        ),
        (
            pb.Message(role=pb.ROLE_USER, content=[pb.ContentPart(file=pb.Media(data=b"x"))]),
            "messages[0].content[0].file.media_type",
        ),
    ],
)
async def test_malformed_message(service: RunningService, message: pb.Message, field: str) -> None:
    """A message that contradicts itself is refused by its field."""
    error = await failure(service.client.resolve("greet", variables=VARIABLES, messages=[message]))

    assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")
    assert [each.field for each in error.violations] == [field]


async def test_whole_prompt(service: RunningService, prompts: Path) -> None:
    """Tools, images, tool calls, their answers and the response's form all arrive."""
    tool = {"name": "find", "description": "Find it", "parameters": {"type": "object"}}
    schema = {"name": "out", "strict": True, "schema": {"type": "object"}}
    body = """
<user>
  <text>
    See {{what}}
  </text>
  <image url="https://example.invalid/{{what}}.png" detail="low" />
</user>
<assistant>
  <tool name="find" id="call_1">
    {"q": "{{what}}"}
  </tool>
</assistant>
<tool name="find" id="call_1">
  found {{what}}
</tool>
"""
    form = {"type": "json_schema", "json_schema": schema}
    write_prompt(prompts, "whole", body, tools=[tool], response_format=form)

    response = await service.client.resolve("whole", variables={"what": 'a "b"'})

    user, assistant, answer = response.messages
    assert user.content[0].text == 'See a "b"'
    assert user.content[1].image.url == 'https://example.invalid/a "b".png'
    assert user.content[1].image.detail == "low"
    assert assistant.tool_calls[0].arguments_json == '{"q": "a \\"b\\""}'
    assert (answer.role, answer.tool_call_id) == (pb.ROLE_TOOL, "call_1")
    assert answer.content[0].text == 'found a "b"'
    assert response.tools[0].name == "find"
    assert response.tools[0].parameters["type"] == "object"
    assert response.parameters.response_format.json_schema.name == "out"
    assert response.parameters.response_format.json_schema.strict


async def test_template_of_another_language(service: RunningService, prompts: Path) -> None:
    """A template language that is not served is the author's fault, and told."""
    write_prompt(prompts, "other", "<user>\n{{ x }}\n</user>", template_language="mustache")

    error = await failure(service.client.resolve("other"))

    assert status_of(error) == (StatusCode.FAILED_PRECONDITION, "TEMPLATE_INVALID")
    assert "template_language" in error.message


async def test_template_with_a_snippet(service: RunningService, prompts: Path) -> None:
    """A tool's output that the store cannot deliver is the author's fault, and names the tool."""
    write_prompt(prompts, "snippet", '<user>\n{{ tone-of-voice("calm") }}\n</user>')

    error = await failure(service.client.resolve("snippet"))

    assert status_of(error) == (StatusCode.FAILED_PRECONDITION, "TEMPLATE_INVALID")
    assert error.metadata == {"store": "local", "id": "snippet", "tool": "tone-of-voice"}


async def test_template_that_would_route(service: RunningService, prompts: Path) -> None:
    """A template that names a base URL is refused, so no key follows it there."""
    write_prompt(
        prompts, "routes", "<user>\nHi\n</user>", other={"api_base": "http://evil.invalid"}
    )

    error = await failure(service.client.resolve("routes"))

    assert status_of(error) == (StatusCode.FAILED_PRECONDITION, "TEMPLATE_FORBIDDEN")


async def test_no_configuration_at_all(tmp_path: Path) -> None:
    """Without a configuration, every example prompt resolves and the echo answers it."""
    variables: dict[str, dict[str, Variable]] = {
        "support/reply": {"company": "J", "customer_name": "A", "order_id": 1, "message": "m"},
        "extract/invoice": {"text": "Invoice 1"},
        "assistant/orders": {"company": "J", "question": "Where is it?"},
        "vision/damage": {"product": "bikes", "note": "bent", "photo_url": "https://x.invalid/p"},
    }
    async with running_service(tmp_path) as service:
        for prompt_id, values in variables.items():
            response = await service.client.complete(prompt_id, variables=values)

            assert response.provider == "echo"
            assert response.message.content[0].text


@pytest.mark.parametrize("model", ["echo/", "/x", "a//b", "/"])
async def test_model_with_an_empty_part(service: RunningService, model: str) -> None:
    """A model's name has no empty parts."""
    error = await failure(service.client.resolve("greet", variables=VARIABLES, model=model))

    assert status_of(error) == (StatusCode.INVALID_ARGUMENT, "REQUEST_INVALID")
    assert error.message.startswith("model: expected <provider>/<model>")
