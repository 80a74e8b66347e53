"""`directory` stores for the contract suite: of single files, of versions, and of other formats."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from prompt_resolver_server.domain.prompts import Message, Template, Text
from prompt_resolver_server.templates.directory.store import DirectoryStore
from prompt_resolver_server.templates.formats.documents import encode_template
from tests.support.prompts import write_prompt
from tests.support.subjects.subject import Subject, version_of


@asynccontextmanager
async def directory(folder: Path) -> AsyncIterator[Subject]:
    path = write_prompt(folder, "team/hello", "<user>\none\n</user>")
    yield Subject(
        store=DirectoryStore(name="subject", root=folder),
        prompt_id="team/hello",
        say=lambda text: write_prompt(folder, "team/hello", f"<user>\n{text}\n</user>"),
        break_it=lambda: path.write_text("nonsense"),
        remove=path.unlink,
    )


@asynccontextmanager
async def directory_versions(folder: Path) -> AsyncIterator[Subject]:
    """Each text is a new version, which is deployed at once."""
    prompt = folder / "team" / "hello"
    deployments = prompt.with_suffix(".deployments.yaml")
    versions = prompt.with_suffix(".versions")

    def deploy(version: str) -> None:
        text = f"default: production\nenvironments: {{old: one, production: {version}}}\n"
        deployments.write_text(text)

    def say(text: str) -> None:
        write_prompt(versions, version_of(text), f"<user>\n{text}\n</user>")
        deploy(version_of(text))

    def remove() -> None:
        deployments.unlink()
        shutil.rmtree(versions)

    say("one")
    yield Subject(
        store=DirectoryStore(name="subject", root=folder),
        prompt_id="team/hello",
        say=say,
        break_it=lambda: deploy("nowhere"),
        remove=remove,
    )


@asynccontextmanager
async def directory_dotprompt(folder: Path) -> AsyncIterator[Subject]:
    path = folder / "team" / "hello.prompt"
    path.parent.mkdir()
    path.write_text("---\nconfig: {}\n---\none")
    yield Subject(
        store=DirectoryStore(name="subject", root=folder),
        prompt_id="team/hello",
        say=lambda text: path.write_text(f"---\nconfig: {{}}\n---\n{text}"),
        break_it=lambda: path.write_text("---\nconfig: 1\n---\none"),
        remove=path.unlink,
    )


@asynccontextmanager
async def directory_documents(folder: Path) -> AsyncIterator[Subject]:
    """Each text is a document of another version."""
    (folder / "team").mkdir()
    path = folder / "team" / "hello.prompt.json"

    def say(text: str) -> None:
        template = Template(
            id="elsewhere",
            name="hello",
            version=f"v-{text}",
            content_sha256=f"{text:0>64}",
            location="elsewhere",
            messages=(Message(role="user", content=(Text(text),)),),
        )
        path.write_bytes(encode_template(template))

    say("one")
    yield Subject(
        store=DirectoryStore(name="subject", root=folder),
        prompt_id="team/hello",
        say=say,
        break_it=lambda: path.write_text("{}"),
        remove=path.unlink,
    )
