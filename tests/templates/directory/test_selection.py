"""Versions, environments and further ids of a directory, by the names of its files."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from prompt_resolver_server.domain.errors import ResolverError
from prompt_resolver_server.domain.prompts import PromptRef, Template
from prompt_resolver_server.templates.directory.store import DirectoryStore
from prompt_resolver_server.templates.listing import ListQuery
from tests.support.opened import files_opened
from tests.support.prompts import write_prompt

LONG_AGO = 1_000_000_000
DEPLOYED = "default: production\nenvironments: {production: v9, staging: v10}\n"


def say(text: str) -> str:
    return f"<user>\n{text}\n</user>"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A prompt `desk` in three versions, two of which are deployed, and one that has a file."""
    for version in ("v2", "v9", "v10"):
        write_prompt(tmp_path, f"shop/desk.versions/{version}", say(version))
    (tmp_path / "shop" / "desk.deployments.yaml").write_text(DEPLOYED)
    write_prompt(tmp_path, "plain", say("plain"))
    (tmp_path / "ids.yaml").write_text("pr_123: shop/desk\npr_9: plain\nplain: shop/desk\n")
    return tmp_path


@pytest.fixture
def store(root: Path) -> DirectoryStore:
    return DirectoryStore(name="local", root=root)


async def fetch(store: DirectoryStore, prompt_id: str, **selector: str) -> Template:
    return await store.fetch(PromptRef(id=prompt_id, **selector), None)


async def failure(store: DirectoryStore, prompt_id: str, **selector: str) -> ResolverError:
    with pytest.raises(ResolverError) as caught:
        await fetch(store, prompt_id, **selector)
    return caught.value


@pytest.mark.parametrize(
    ("selector", "version", "environment"),
    [
        ({}, "v9", "production"),
        ({"environment": "production"}, "v9", "production"),
        ({"environment": "staging"}, "v10", "staging"),
        ({"version": "v2"}, "v2", ""),
        ({"version": "v9"}, "v9", ""),
    ],
)
async def test_selects(
    store: DirectoryStore, selector: dict[str, str], version: str, environment: str
) -> None:
    """A version, an environment or the default one is served, under its names."""
    template = await fetch(store, "shop/desk", **selector)

    assert (template.version, template.environment) == (version, environment)
    assert template.messages[0].text == version
    assert (template.id, template.name, template.location) == (
        *("shop/desk", "desk", "shop/desk.prompt"),
    )


@pytest.mark.parametrize(
    "selector",
    [
        {"version": "v3"},
        {"environment": "nowhere"},
        *({"version": each} for each in ("", ".", "..", "../desk.versions/v2", "a/b", ".v2", "\0")),
        {"version": "v2.prompt"},
        {"version": "\ud800"},
    ],
)
async def test_no_such_version(store: DirectoryStore, selector: dict[str, str]) -> None:
    """What there is not is told with what there is, and no version leads anywhere else."""
    error = await failure(store, "shop/desk", **selector)

    assert error.reason == "VERSION_NOT_FOUND"
    assert "its versions are 'v2', 'v9', 'v10'" in error.message
    assert "its environments are 'production', 'staging'" in error.message


async def test_no_default(store: DirectoryStore, root: Path) -> None:
    """Without a default only versions and environments can be asked for."""
    (root / "shop" / "desk.deployments.yaml").write_text("environments: {staging: v10}")
    error = await failure(store, "shop/desk")
    staging = await fetch(store, "shop/desk", environment="staging")
    (root / "shop" / "desk.deployments.yaml").unlink()

    assert (error.reason, staging.version) == ("VERSION_NOT_FOUND", "v10")
    assert "its environments are 'staging'" in error.message
    assert "it has no environments" in (await failure(store, "shop/desk")).message
    assert (await fetch(store, "shop/desk", version="v2")).version == "v2"


async def test_file_beside_versions(store: DirectoryStore, root: Path) -> None:
    """A prompt's own file is what is served without a selector, unless there is a default."""
    write_prompt(root, "shop/desk", say("own"))
    error = await failure(store, "shop/desk")
    (root / "shop" / "desk.deployments.yaml").write_text("environments: {staging: v10}")
    own = await fetch(store, "shop/desk")

    assert error.reason == "TEMPLATE_INVALID"
    assert "desk.prompt is there, too" in error.message
    assert (own.messages[0].text, own.environment) == ("own", "")
    assert own.version == own.content_sha256[:12]
    assert (await fetch(store, "shop/desk", version=own.version)).messages[0].text == "own"
    assert (await fetch(store, "shop/desk", environment="staging")).version == "v10"


async def test_prompt_of_one_version(store: DirectoryStore) -> None:
    """A prompt without versions has the one that its content names, and no environment."""
    version = (await fetch(store, "plain")).version

    assert f"its versions are '{version}'" in (await failure(store, "plain", version="x")).message
    unknown = (await failure(store, "plain", environment="x")).message
    assert unknown.endswith("has no environment 'x'; it has no environments")


@pytest.mark.parametrize("name", ["shop/desk.versions/v9", "shop/desk"])
async def test_two_files_of_one_name(store: DirectoryStore, root: Path, name: str) -> None:
    """A file and a document of the same name are an error, whichever is meant."""
    for ending in (".prompt", ".prompt.json"):
        (root / f"{name}{ending}").write_text("{}")

    error = await failure(store, "shop/desk")

    assert error.reason == "TEMPLATE_INVALID"
    assert "is there, too, and only one can be served" in error.message


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("default: production", "line 1: default: expected the name of one of the environments"),
        ("environments: {}\ndefault: 1", "line 2: default: expected the name of one"),
        ("default: a\nenvironments: {a: v3}", "environments.a: expected a version that is there"),
        ("default: a\nenvironments: {a: ../v3}", "environments.a: expected a version that is"),
        ("environments:\n  a: 10", "line 2: environments.a: expected a version as text, in quotes"),
        ("environments: [a]", "line 1: environments: expected a mapping, got a list"),
        ("- a", "line 1: expected a mapping, got a list"),
        ("defaults: a", "line 1: defaults: expected `default` and `environments` alone"),
        ("a: &a [x]\nb: [*a]", "expected no aliases"),
        ("a: [", "not valid YAML"),
        ("x" * 300_000, "expected at most 262144 bytes"),
    ],
)
async def test_broken_deployments(
    store: DirectoryStore, root: Path, text: str, problem: str
) -> None:
    """Deployments that cannot be read are their author's to mend, with file and line."""
    (root / "shop" / "desk.deployments.yaml").write_text(text)

    error = await failure(store, "shop/desk")

    assert error.reason == "TEMPLATE_INVALID"
    assert error.message.startswith("shop/desk.deployments.yaml, line ")
    assert problem in error.message
    assert (await fetch(store, "shop/desk", version="v2")).version == "v2"


async def test_further_ids(store: DirectoryStore) -> None:
    """A further id serves its prompt, selectors and all, and a prompt's own path comes first."""
    template = await fetch(store, "pr_123", environment="staging")

    assert (template.id, template.name, template.version) == ("pr_123", "desk", "v10")
    assert (await fetch(store, "pr_9")).messages[0].text == "plain"
    assert (await fetch(store, "plain")).messages[0].text == "plain"
    assert (await failure(store, "pr_1")).reason == "PROMPT_NOT_FOUND"
    assert (await failure(store, "pr_123", version="v3")).reason == "VERSION_NOT_FOUND"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("pr_123: nowhere", "PROMPT_NOT_FOUND"),
        ("pr_123: pr_9\npr_9: plain", "PROMPT_NOT_FOUND"),
        ("pr_123: .hidden", "PROMPT_NOT_FOUND"),
        ("pr_123: ../secret", "TEMPLATE_INVALID"),
        ("pr_123: [plain]", "TEMPLATE_INVALID"),
        ("- pr_123", "TEMPLATE_INVALID"),
        ("pr_123: !!python/name:os.system plain", "TEMPLATE_INVALID"),
    ],
)
async def test_ids_that_lead_nowhere(
    store: DirectoryStore, root: Path, text: str, reason: str
) -> None:
    """Further ids lead to prompts of the tree, in one step, or the error tells why not."""
    write_prompt(root.parent, "secret", say("outside"))
    (root / "ids.yaml").write_text(text)

    assert (await failure(store, "pr_123")).reason == reason
    assert (await fetch(store, "plain")).messages[0].text == "plain"


async def test_ids_are_read_once(store: DirectoryStore, root: Path) -> None:
    """The further ids are read again when their file has changed."""
    os.utime(root / "ids.yaml", (LONG_AGO, LONG_AGO))
    assert (await fetch(store, "pr_9")).name == "plain"
    (root / "ids.yaml").write_text("pr_9: shop/desk")

    assert (await fetch(store, "pr_9")).name == "desk"


@pytest.mark.parametrize(
    "edit",
    [
        lambda root: (root / "shop" / "desk.deployments.yaml").write_text(DEPLOYED + "#"),
        lambda root: write_prompt(root, "shop/desk", say("own")),
        lambda root: write_prompt(root, "pr_123", say("own")),
        lambda root: (root / "shop" / "desk.versions" / "v9.prompt").unlink(),
        lambda root: (root / "shop" / "desk.versions" / "v9.prompt.json").write_text("{}"),
        lambda root: (root / "ids.yaml").write_text("pr_123: plain"),
    ],
    ids=["deployments", "file", "id", "version", "document", "ids"],
)
async def test_confirms_all_that_it_depends_on(
    store: DirectoryStore, root: Path, edit: Callable[[Path], object]
) -> None:
    """A template is confirmed without reading, until any file that it depends on changes."""
    age(root)
    held = await fetch(store, "pr_123")
    with files_opened() as files:
        confirmed = store.confirms(held)
    edit(root)

    assert (confirmed, files) == (True, [])
    assert not store.confirms(held)


def age(root: Path) -> None:
    for path in [root, *root.rglob("*")]:
        os.utime(path, (LONG_AGO, LONG_AGO))


async def test_lists(store: DirectoryStore, root: Path) -> None:
    """Versions are listed in their order with an environment, environments with their version."""
    (root / "shop" / "desk.versions" / "v11.prompt").write_text("broken")

    versions = await store.list_versions("pr_123")
    environments = await store.list_environments("shop/desk")
    page = await store.list_prompts(ListQuery())

    assert [(each.version, each.environment) for each in versions] == [
        *(("v2", ""), ("v9", "production"), ("v10", "staging")),
    ]
    assert [
        (each.name, each.tag, each.template and each.template.version) for each in environments
    ] == [
        *(("production", "default", "v9"), ("staging", "other", "v10")),
    ]
    assert [(each.id, each.version) for each in page.templates[1:]] == [("shop/desk", "v9")]
    assert page.total == 2


async def test_lists_of_what_is_broken(store: DirectoryStore, root: Path) -> None:
    """A prompt whose only version is broken has nothing to list, and the error says why."""
    (root / "plain.prompt").write_text("broken")

    with pytest.raises(ResolverError) as caught:
        await store.list_versions("plain")

    assert caught.value.reason == "TEMPLATE_INVALID"


async def test_what_is_no_prompt(store: DirectoryStore, root: Path) -> None:
    """Versions and partials are no prompts by themselves, in no list and by no id."""
    write_prompt(root, "shop/_part", say("part"))
    page = await store.list_prompts(ListQuery())

    assert [each.id for each in page.templates] == ["plain", "shop/desk"]
    for prompt_id in ("shop/desk.versions/v9", "shop/_part", "shop/desk.deployments", "ids"):
        assert (await failure(store, prompt_id)).reason == "PROMPT_NOT_FOUND"
