"""What every store promises, tested on every store."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from prompt_resolver_server.domain.errors import CallError, ResolverError, StoreError, TemplateError
from prompt_resolver_server.domain.prompts import PromptRef
from prompt_resolver_server.templates.listing import ListingStore, ListQuery
from prompt_resolver_server.templates.store import AccountStore
from tests.support.subjects.chain import chain
from tests.support.subjects.directory import (
    directory,
    directory_documents,
    directory_dotprompt,
    directory_versions,
)
from tests.support.subjects.humanloop import humanloop
from tests.support.subjects.humanloop_export import humanloop_export
from tests.support.subjects.langfuse import langfuse
from tests.support.subjects.litellm_generic import litellm_generic
from tests.support.subjects.subject import MakeSubject, Subject

SUBJECTS: list[MakeSubject] = [
    chain,
    directory,
    directory_documents,
    directory_dotprompt,
    directory_versions,
    humanloop,
    humanloop_export,
    langfuse,
    litellm_generic,
]


@pytest.fixture(params=SUBJECTS, ids=lambda make: str(make.__name__))
async def subject(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Subject]:
    make: MakeSubject = request.param
    async with make(tmp_path) as made:
        yield made


HELLO = PromptRef(id="team/hello")


async def test_fetches(subject: Subject) -> None:
    """A prompt is fetched with its id, its version and the hash of its content."""
    template = await subject.store.fetch(HELLO, None)

    assert (template.id, template.messages[0].text) == (subject.prompt_id, "one")
    assert template.version
    assert len(template.content_sha256) == 64


async def test_confirms_what_is_held(subject: Subject) -> None:
    """A held template that is current comes back itself."""
    held = await subject.store.fetch(HELLO, None)

    assert await subject.store.fetch(HELLO, held) is held


async def test_replaces_what_is_held(subject: Subject) -> None:
    """A held template that is not current is replaced, under another version and hash."""
    held = await subject.store.fetch(HELLO, None)
    subject.say("two")

    template = await subject.store.fetch(HELLO, held)

    assert template.messages[0].text == "two"
    assert template.version != held.version
    assert template.content_sha256 != held.content_sha256


async def test_never_confirms_what_changed(subject: Subject) -> None:
    """A store confirms at once only what is still current."""
    held = await subject.store.fetch(HELLO, None)
    subject.say("two")
    assert not subject.store.confirms(held)

    held = await subject.store.fetch(HELLO, None)
    subject.remove()
    assert not subject.store.confirms(held)


async def test_tells_its_account(subject: Subject) -> None:
    """A store that is somebody's service tells where it is and by which key, and shows no key."""
    kind = getattr(sys.modules[type(subject.store).__module__], "KIND", None)
    assert isinstance(subject.store, AccountStore) == (kind is not None and kind.is_remote)

    if isinstance(subject.store, AccountStore):
        account = subject.store.account()
        assert account is not None
        assert account.place.startswith("http")
        assert not account.key or account.key not in repr(account)


async def test_pins(subject: Subject) -> None:
    """A version that was served can be asked for by its name."""
    version = (await subject.store.fetch(HELLO, None)).version

    pinned = await subject.store.fetch(PromptRef(id="team/hello", version=version), None)

    assert pinned.version == version


@pytest.mark.parametrize(
    ("ref", "kind", "reason"),
    [
        (PromptRef(id=""), CallError, "PROMPT_ID_INVALID"),
        (PromptRef(id="../hello"), CallError, "PROMPT_ID_INVALID"),
        (PromptRef(id="team//hello"), CallError, "PROMPT_ID_INVALID"),
        (PromptRef(id="team/hello\n"), CallError, "PROMPT_ID_INVALID"),
        (PromptRef(id="team/nobody"), StoreError, "PROMPT_NOT_FOUND"),
        (PromptRef(id="team/hello", environment="nope"), StoreError, "VERSION_NOT_FOUND"),
    ],
)
async def test_refuses(
    subject: Subject, ref: PromptRef, kind: type[ResolverError], reason: str
) -> None:
    """What is malformed, or not there, is told apart."""
    with pytest.raises(kind) as caught:
        await subject.store.fetch(ref, None)

    assert caught.value.reason == reason
    assert caught.value.metadata["store"] == "subject"


async def test_unknown_version(subject: Subject) -> None:
    """A version that there is none of is told apart from a prompt that there is none of."""
    with pytest.raises(StoreError) as caught:
        await subject.store.fetch(PromptRef(id="team/hello", version=subject.unknown_version), None)

    assert caught.value.reason == "VERSION_NOT_FOUND"


async def test_removed_prompt_is_gone(subject: Subject) -> None:
    """A prompt that was removed is not found, although it is held."""
    held = await subject.store.fetch(HELLO, None)
    subject.remove()

    with pytest.raises(StoreError) as caught:
        await subject.store.fetch(HELLO, held)

    assert caught.value.reason == "PROMPT_NOT_FOUND"


async def test_broken_prompt_is_the_authors(subject: Subject) -> None:
    """A prompt that cannot be read is its author's to mend."""
    subject.break_it()

    with pytest.raises(TemplateError) as caught:
        await subject.store.fetch(HELLO, None)

    assert caught.value.reason == "TEMPLATE_INVALID"


async def test_lists_what_it_serves(subject: Subject) -> None:
    """A store that has lists lists each prompt as it serves it, in as many versions as it says."""
    assert isinstance(subject.store, ListingStore) is subject.lists
    if not isinstance(subject.store, ListingStore):
        return
    served = await subject.store.fetch(HELLO, None)

    page = await subject.store.list_prompts(ListQuery())
    beyond = await subject.store.list_prompts(ListQuery(page=2))
    versions = await subject.store.list_versions("team/hello")

    assert [(each.id, each.content_sha256) for each in page.templates] == [
        (subject.prompt_id, served.content_sha256)
    ]
    assert (page.total, beyond.total, beyond.templates) == (1, 1, ())
    assert served.version in [each.version for each in versions]
    for environment in await subject.store.list_environments("team/hello"):
        ref = PromptRef(id="team/hello", environment=environment.name)
        assert environment.template is not None
        assert (await subject.store.fetch(ref, None)).version == environment.template.version
