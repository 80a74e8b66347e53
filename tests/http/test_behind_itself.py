"""A service whose store is another service's door for Humanloop's API serves the same prompts."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec.structs import replace

from prompt_resolver.v1 import prompt_resolver_pb2 as pb
from prompt_resolver_server.assembly.stores import EXAMPLES
from prompt_resolver_server.domain.parameters import Parameters
from prompt_resolver_server.domain.prompts import Placeholder, Tool, ToolChoice
from prompt_resolver_server.templates.formats.documents import encode_template
from tests.support.calls import failure
from tests.support.humanloop import KEY, running_humanloop
from tests.support.prompts import write_prompt
from tests.support.pulling import pull
from tests.support.service import RunningService, running_service
from tests.support.stores import make_template

TOKEN = "token-of-front"
VARIABLES = dict.fromkeys(
    (
        *("company", "customer_name", "order_id", "message", "text", "question", "product"),
        *("photo_url", "note", "x"),
    ),
    'a {{b}} "c" é',
)
EXAMPLE_IDS = sorted(
    path.relative_to(EXAMPLES).with_suffix("").as_posix() for path in EXAMPLES.rglob("*.prompt")
)


@asynccontextmanager
async def behind(folder: Path, config: str = "") -> AsyncIterator[RunningService]:
    """Serve a configuration, or else the examples."""
    os.mkdir(folder)
    async with running_service(folder, config) as running:
        yield running


@asynccontextmanager
async def in_front_of(
    service: RunningService, folder: Path, key: str = TOKEN
) -> AsyncIterator[RunningService]:
    """Serve what another service serves, asking it each time."""
    os.mkdir(folder)
    store = f"type: humanloop, base_url: '{service.http_url}/v5', api_key: {key}, ttl_s: 0"
    async with running_service(folder, f"stores: {{behind: {{{store}}}}}") as running:
        yield running


def rendered(response: pb.ResolveResponse) -> pb.ResolveResponse:
    """Return an answer without what tells where it came from."""
    copy = pb.ResolveResponse()
    copy.CopyFrom(response)
    copy.ClearField("prompt")
    return copy


async def test_examples(tmp_path: Path) -> None:
    """Each example is the same prompt through two services: messages, model, parameters, tools."""
    async with (
        behind(tmp_path / "behind") as origin,
        in_front_of(origin, tmp_path / "front") as front,
    ):
        for prompt_id in EXAMPLE_IDS:
            direct = await origin.client.resolve(prompt_id, variables=VARIABLES)
            through = await front.client.resolve(prompt_id, variables=VARIABLES)

            assert rendered(through) == rendered(direct)
            assert (through.prompt.id, through.prompt.version) == (prompt_id, direct.prompt.version)
            assert through.prompt.name == direct.prompt.name


DOTPROMPT = """---
model: googleai/gemini-2.0-flash
config: {topK: 4}
input:
  schema: {n: integer, lang?: string}
  default: {lang: English}
---
{{role "system"}}In {{lang}}. {{> footer}}
{{history}}
{{role "user"}}{{n}}
"""


def write_prompts(root: Path) -> None:
    """Write prompts that Humanloop's API has no form for."""
    os.mkdir(root)
    (root / "dot.prompt").write_text(DOTPROMPT)
    (root / "_footer.prompt").write_text("Bye")
    template = replace(
        make_template("all", "v1", '{{x}}, {{mood("grim")}}'),
        placeholders=(Placeholder("history", 0), Placeholder("rest", 1)),
        parameters=Parameters(top_k=3, parallel_tool_calls=False),
        tools=(Tool(name="f", parameters={"type": "object"}),),
        tool_choice=ToolChoice(mode="required"),
        snippets={"mood": {"grim": "no smile"}},
    )
    (root / "all.prompt.json").write_bytes(encode_template(template))


async def test_what_the_api_has_no_form_for(tmp_path: Path) -> None:
    """Defaults, schemas, partials, snippets, choices and placeholders arrive, in lists, too."""
    write_prompts(tmp_path / "prompts")
    config = f"stores: {{local: {{type: directory, path: {tmp_path}/prompts}}}}"
    said = pb.Message(role=pb.ROLE_USER, content=[pb.ContentPart(text="hm")])
    async with (
        behind(tmp_path / "behind", config) as origin,
        in_front_of(origin, tmp_path / "front") as front,
    ):
        for prompt_id, placed in (
            ("dot", {}),
            ("all", {"history": pb.MessageList(messages=[said])}),
        ):
            direct, through = [
                await service.client.resolve(
                    prompt_id, variables={"n": 7, "x": "y"}, placeholders=placed
                )
                for service in (origin, front)
            ]
            assert rendered(through) == rendered(direct)
        errors = [
            await failure(service.client.resolve("dot", variables={"n": "none"}))
            for service in (origin, front)
        ]
        into = tmp_path / "copies"
        environ = {"HUMANLOOP_API_KEY": TOKEN, "HUMANLOOP_BASE_URL": f"{origin.http_url}/v5"}
        done = await pull("--store", "humanloop", "--into", str(into), environ=environ)

    assert [error.reason for error in errors] == ["VARIABLES_INVALID", "VARIABLES_INVALID"]
    assert (done.code, done.out) == (0, f"{into}: 2 written\n")


async def test_versions(tmp_path: Path) -> None:
    """Versions and environments of a store two services away are found by their names."""
    async with running_humanloop() as api:
        api.put("Team/Hi", prompt_id="pr_1", version="prv_1", to="staging", template="old {{x}}")
        api.put("Team/Hi", prompt_id="pr_1", version="prv_2", template="new {{x}}", model="")
        config = f"stores: {{hl: {{type: humanloop, base_url: '{api.url}', api_key: {KEY}}}}}"
        async with (
            behind(tmp_path / "behind", config) as origin,
            in_front_of(origin, tmp_path / "front") as front,
        ):
            resolve = front.client.resolve
            for prompt_id in ("pr_1", "Team/Hi"):
                newest = await resolve(prompt_id, variables=VARIABLES)
                pinned = await resolve(prompt_id, variables=VARIABLES, version="prv_1")
                staged = await resolve(prompt_id, variables=VARIABLES, environment="staging")
                versions = [each.prompt.version for each in (newest, pinned, staged)]
                assert versions == ["prv_2", "prv_1", "prv_1"]
                assert (newest.model, staged.messages[0].content[0].text) == (
                    "",
                    f"old {VARIABLES['x']}",
                )
            failures = [
                await failure(resolve("pr_1", version="nope")),
                await failure(resolve("Team/Hi", environment="nope")),
                await failure(resolve("Team/none")),
            ]
            assert [error.reason for error in failures] == [
                *("VERSION_NOT_FOUND", "VERSION_NOT_FOUND", "PROMPT_NOT_FOUND")
            ]


async def test_edits(tmp_path: Path) -> None:
    """The hash stays the same until the prompt is edited, and then the edit is served."""
    root = tmp_path / "prompts"
    write_prompt(root, "team/p", "<user>\none\n</user>")
    config = f"stores: {{local: {{type: directory, path: {root}}}}}"
    async with (
        behind(tmp_path / "behind", config) as origin,
        in_front_of(origin, tmp_path / "front") as front,
    ):
        first = await front.client.resolve("team/p")
        again = await front.client.resolve("team/p", refresh=True)
        write_prompt(root, "team/p", "<user>\ntwo\n</user>")
        edited = await front.client.resolve("team/p")
        write_prompt(root, "team/p", "<user>\nnever closed")
        broken = await front.client.resolve("team/p")

    assert first.prompt.content_sha256 == again.prompt.content_sha256
    assert edited.prompt.content_sha256 != first.prompt.content_sha256
    assert edited.messages[0].content[0].text == "two"
    # The one behind goes on serving what it held.
    assert broken.prompt.content_sha256 == edited.prompt.content_sha256


async def test_token(tmp_path: Path) -> None:
    """The key of the one is the token of the other."""
    guard = f"callers: {{front: {{token: {TOKEN}}}}}"
    async with behind(tmp_path / "behind", guard) as origin:
        async with in_front_of(origin, tmp_path / "front") as front:
            assert (await front.client.resolve("support/reply", variables=VARIABLES)).messages
        async with in_front_of(origin, tmp_path / "other", key="wrong") as front:
            error = await failure(front.client.resolve("support/reply", variables=VARIABLES))

    assert error.reason == "STORE_AUTH"
