"""What the files of a directory say: prompts of two formats, their partials, and documents."""

import os
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from prompt_resolver_server.domain.errors import ResolverError
from prompt_resolver_server.domain.parameters import Json, Parameters
from prompt_resolver_server.domain.prompts import PromptRef, Template, Tool
from prompt_resolver_server.templates.directory.store import DirectoryStore
from prompt_resolver_server.templates.formats.documents import encode_template
from prompt_resolver_server.templates.formats.format_rule import FormatRule
from tests.support.opened import files_opened
from tests.templates.formats.test_documents import FULL

LONG_AGO = 1_000_000_000
NAMELESS = replace(FULL, version="", content_sha256="")
DOTPROMPT = '---\nmodel: googleai/gemini\n---\n{{role "system"}}Hi {{> footer}}'


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(name="local", root=tmp_path)


def write(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path


async def fetch(store: DirectoryStore, prompt_id: str, **selector: str) -> Template:
    return await store.fetch(PromptRef(id=prompt_id, **selector), None)


async def failure(store: DirectoryStore, prompt_id: str) -> ResolverError:
    with pytest.raises(ResolverError) as caught:
        await fetch(store, prompt_id)
    return caught.value


async def test_dotprompt(store: DirectoryStore, tmp_path: Path) -> None:
    """A dotprompt is served as one text with its partials, the folder's before the root's."""
    write(tmp_path, "team/greet.formal.prompt", DOTPROMPT + "{{> logo}}{{> none}}{{> ../x}}")
    write(tmp_path, "team/_footer.prompt", "by {{> name}}")
    write(tmp_path, "_footer.prompt", "root")
    write(tmp_path, "_logo.prompt", "logo\r\n")
    write(tmp_path, "_name.prompt", "{{name}}")

    template = await fetch(store, "team/greet.formal")

    assert (template.language, template.provider, template.model) == (
        *("handlebars", "gemini", "gemini"),
    )
    assert template.name == "greet.formal"
    assert template.partials == {"footer": "by {{> name}}", "logo": "logo\n", "name": "{{name}}"}


async def test_partials_are_part_of_it(store: DirectoryStore, tmp_path: Path) -> None:
    """A partial that changes, or comes to stand before another, makes another version."""
    write(tmp_path, "team/greet.prompt", DOTPROMPT)
    root = write(tmp_path, "_footer.prompt", "root")
    first = await fetch(store, "team/greet")
    confirmed = store.confirms(first)
    root.write_text("edited")
    edited = await fetch(store, "team/greet")
    os.utime(root, (LONG_AGO, LONG_AGO))
    again = await store.fetch(PromptRef(id="team/greet"), edited)
    sure = store.confirms(again)
    write(tmp_path, "team/_footer.prompt", "nearer")

    assert (confirmed, sure, again is edited) == (True, True, True)
    assert not store.confirms(again)
    nearer = await fetch(store, "team/greet")
    assert len({each.version for each in (first, edited, nearer)}) == 3
    assert nearer.partials == {"footer": "nearer"}


@pytest.mark.parametrize(
    ("partial", "problem"),
    [
        (b"\xff", "partial 'footer': expected UTF-8"),
        (b"x" * 1024 * 1024 + b"x", "expected at most 1048576 bytes of partials"),
        (b"".join(b"{{> p%d}}" % number for number in range(101)), "expected at most 100 partials"),
    ],
)
async def test_partials_have_bounds(
    store: DirectoryStore, tmp_path: Path, partial: bytes, problem: str
) -> None:
    """Partials that are too large, too many or no text break the prompt, and it says so."""
    write(tmp_path, "greet.prompt", DOTPROMPT)
    (tmp_path / "_footer.prompt").write_bytes(partial)

    error = await failure(store, "greet")

    assert (error.reason, problem in error.message) == ("TEMPLATE_INVALID", True)


async def test_partials_that_include_each_other(store: DirectoryStore, tmp_path: Path) -> None:
    """Partials that include each other are read once each."""
    write(tmp_path, "greet.prompt", DOTPROMPT)
    write(tmp_path, "_footer.prompt", "{{> other}}")
    write(tmp_path, "_other.prompt", "{{> footer}}{{> other}}")

    assert set((await fetch(store, "greet")).partials) == {"footer", "other"}


async def test_no_partial_from_outside(tmp_path: Path) -> None:
    """A partial that is a link out of the root is not opened."""
    write(tmp_path, "secret", "outside")
    root = tmp_path / "root"
    write(root, "greet.prompt", DOTPROMPT + "{{> ../secret}}{{> .hidden}}")
    (root / "_footer.prompt").symlink_to(tmp_path / "secret")

    with files_opened() as files:
        template = await fetch(DirectoryStore(name="local", root=root), "greet")

    assert template.partials == {}
    assert not [name for name in files if "secret" in name]


async def test_formats(tmp_path: Path) -> None:
    """The store's rule tells the format of its files."""
    write(tmp_path, "greet.prompt", "---\nmodel: m\n---\nHi {{name}}")
    languages = []
    for rule in (
        FormatRule(always="humanloop"),
        FormatRule(always="dotprompt"),
        FormatRule(otherwise="humanloop"),
    ):
        store = DirectoryStore(name="local", root=tmp_path, rule=rule)
        languages.append((await fetch(store, "greet")).language)
    error = await failure(DirectoryStore(name="local", root=tmp_path), "greet")

    assert languages == ["default", "handlebars", "default"]
    assert error.reason == "TEMPLATE_INVALID"
    assert "set `format: humanloop` or `format: dotprompt`" in error.message


async def test_document(store: DirectoryStore, tmp_path: Path) -> None:
    """A document is served as it says, under the id and the place that it has here."""
    document = encode_template(FULL)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "desk.prompt.json").write_bytes(document)

    template = await fetch(store, "shop/desk")

    expected = replace(
        FULL,
        id="shop/desk",
        environment="",
        location="shop/desk.prompt",
        size=len(document),
    )
    assert encode_template(template) == encode_template(expected)
    assert (await fetch(store, "shop/desk", version="v7")).version == "v7"


async def test_document_without_names(store: DirectoryStore, tmp_path: Path) -> None:
    """A document that tells no version and no hash has those of its content."""
    write(tmp_path, "desk.prompt.json", encode_template(NAMELESS).decode())

    template = await fetch(store, "desk")

    assert template.version == template.content_sha256[:12] != ""


async def test_document_of_a_version(store: DirectoryStore, tmp_path: Path) -> None:
    """A version's document has the version of its name, and the environment that it is in."""
    write(tmp_path, "desk.versions/v8.prompt.json", encode_template(FULL).decode())
    write(tmp_path, "desk.deployments.yaml", "default: live\nenvironments: {live: v8}")

    template = await fetch(store, "desk")

    assert (template.version, template.environment) == ("v8", "live")


@pytest.mark.parametrize(
    ("change", "reason", "problem"),
    [
        ({"parameters": Parameters(extra={"api_base": "x"})}, "TEMPLATE_FORBIDDEN", "api_base"),
        ({"parameters": Parameters(temperature=-1)}, "TEMPLATE_INVALID", "temperature: expected"),
        ({"parameters": Parameters(top_k=2**40)}, "TEMPLATE_INVALID", "top_k: expected a smaller"),
        ({"tools": (Tool(name=""),)}, "TEMPLATE_INVALID", "tools.0.name: expected the tool's"),
        ({"language": "handlebars"}, "TEMPLATE_INVALID", "messages: expected one text"),
        ({"language": "handlebars", "messages": ()}, "TEMPLATE_INVALID", "expected one text"),
        (
            {"schema": msgspec.json.decode('{"a":' * 40 + "1" + "}" * 40)},
            "TEMPLATE_INVALID",
            "at mos",
        ),
    ],
)
async def test_document_that_asks_too_much(
    store: DirectoryStore, tmp_path: Path, change: dict[str, Json], reason: str, problem: str
) -> None:
    """A document may ask for nothing that a prompt in another format may not ask for."""
    write(tmp_path, "desk.prompt.json", encode_template(replace(FULL, **change)).decode())

    error = await failure(store, "desk")

    assert (error.reason, problem in error.message) == (reason, True)
    assert error.message.startswith("desk.prompt.json, line 1: ")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"{}", b"[" * 100_000, b'{"format": 2, "template": {}}', b"\xff", b" " * 1_100_000],
)
async def test_what_is_no_document(store: DirectoryStore, tmp_path: Path, content: bytes) -> None:
    """What is no document is its author's to mend."""
    (tmp_path / "desk.prompt.json").write_bytes(content)

    assert (await failure(store, "desk")).reason == "TEMPLATE_INVALID"


BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20)
)


@pytest.mark.parametrize(
    "content",
    [
        f"---\n{BOMB}---\n{{{{#if x}}}}".encode(),
        b"---\n" + b"[" * 200_000 + b"\n---\n",
        b"---\nconfig: " + b"{a: " * 500 + b"1" + b"}" * 500 + b"\n---\n",
        b"{{#if x}}" + b"x" * 10 * 1024 * 1024,
        b"#\n" * 500_000 + b"---\n",
        b"---\nconfig: !!python/object/apply:os.system [x]\n---\n",
        b"---\nconfig: {temperature: .inf}\n---\n",
    ],
    ids=["bomb", "brackets", "depth", "large", "comments", "tag", "infinite"],
)
async def test_hostile_files(store: DirectoryStore, tmp_path: Path, content: bytes) -> None:
    """A file that was made to do harm is refused, and the prompt beside it is served."""
    (tmp_path / "bad.prompt").write_bytes(content)
    write(tmp_path, "good.prompt", "{{#if x}}<<<dotprompt:role:system>>>{{/if}}")

    assert (await failure(store, "bad")).reason == "TEMPLATE_INVALID"
    (message,) = (await fetch(store, "good")).messages
    assert message.text == "{{#if x}}<<<dotprompt:role:system>>>{{/if}}"
