"""Placeholders, from the request to the response and to the model."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from msgspec.structs import replace

from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver_server.domain.answers import Credentials
from prompt_resolver_server.domain.errors import CallError
from prompt_resolver_server.domain.prompts import Message, Placeholder, Template, Text
from prompt_resolver_server.entry.caller import Caller
from prompt_resolver_server.rpc.servicer import PromptResolverServicer
from tests.support.rendering import make_text
from tests.support.serving import make_serving
from tests.support.stores import make_template

CHAT = replace(
    make_template("p", "1"),
    provider="echo",
    messages=(
        Message(role="system", content=(Text("Be {{tone}}."),)),
        Message(role="user", content=(Text("{{question}}"),)),
    ),
    placeholders=(Placeholder("examples", 0), Placeholder("history", 1)),
)
DOTPROMPT = replace(
    make_text('{{role "system"}}Be {{tone}}.{{history}}{{role "user"}}{{question}}', "handlebars"),
    provider="echo",
)
VARIABLES = {"tone": "kind", "question": "Why?"}


def said(text: str, role: pb.Role.ValueType = pb.ROLE_USER) -> pb.Message:
    return pb.Message(role=role, content=[pb.ContentPart(text=text)])


def request(
    *messages: pb.Message, variables: dict[str, str] = VARIABLES, **named: pb.Message
) -> pb.ResolveRequest:
    asked = pb.ResolveRequest(prompt=pb.PromptRef(id="p"), messages=messages)
    asked.variables.update(variables)
    for name, message in named.items():
        asked.placeholders[name].messages.append(message)
    return asked


def caller() -> Caller:
    deadline = asyncio.get_running_loop().time() + 30
    return Caller(deadline=deadline, credentials=Credentials())


def serving(template: Template, stack: AsyncExitStack) -> PromptResolverServicer:
    """Return what answers the calls of a service that has this template alone."""
    return PromptResolverServicer(make_serving(stack, template))


async def resolve(template: Template, *asked: pb.ResolveRequest) -> list[str]:
    """Return the texts of what is resolved of each request in turn, by one service."""
    async with AsyncExitStack() as stack:
        servicer = serving(template, stack)
        responses = [await servicer.resolve(each, caller()) for each in asked]
    return [
        "|".join(message.content[0].text for message in response.messages) for response in responses
    ]


@pytest.mark.parametrize("template", [CHAT, DOTPROMPT])
async def test_history(template: Template) -> None:
    """Messages stand in the template's history, unrendered, and no call leaves any to the next."""
    answer = said("{{tone}}", pb.ROLE_ASSISTANT)

    texts = await resolve(
        template,
        request(),
        request(said("Hi"), answer),
        request(history=said("Hi")),
        request(said("more"), history=said("Hi")),
        request(),
    )

    assert texts == [
        "Be kind.|Why?",
        "Be kind.|Hi|{{tone}}|Why?",
        "Be kind.|Hi|Why?",
        "Be kind.|Hi|more|Why?",
        "Be kind.|Why?",
    ]


async def test_named() -> None:
    """Each placeholder gets what is meant for it."""
    asked = request(said("h"), examples=said("e"))

    assert await resolve(CHAT, asked) == ["e|Be kind.|h|Why?"]


async def test_unknown_name() -> None:
    """A name that the template lacks is refused."""
    with pytest.raises(CallError, match=r"placeholders\.other"):
        await resolve(CHAT, request(other=said("x")))


async def test_completed() -> None:
    """What stands in a placeholder reaches the model, and the answer tells it if asked."""
    asked = request(history=said("Hi"))
    async with AsyncExitStack() as stack:
        response = await serving(CHAT, stack).complete(
            pb.CompleteRequest(
                prompt=asked.prompt,
                variables=asked.variables,
                placeholders=asked.placeholders,
                include_resolved=True,
            ),
            caller(),
        )

    assert response.message.content[0].text == "Why?"
    assert response.usage.input_tokens == 4
    assert len(response.resolved.messages) == 3


async def test_fewer_messages_than_the_template() -> None:
    """Messages that rendering leaves out are in no response, whatever was answered before."""
    template = make_text('{{#if on}}{{role "system"}}S{{/if}}{{role "user"}}U', "handlebars")

    texts = await resolve(
        template, request(variables={"on": "x"}), request(variables={}), request(said("more"))
    )

    assert texts == ["S|U", "U", "U|more"]
