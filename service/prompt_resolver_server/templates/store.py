"""What every store of templates does."""

from typing import Protocol, runtime_checkable

from ..domain.errors import CallError, Reason, Resource, StoreError
from ..domain.prompts import PromptRef, Template
from ..domain.values import Value

_MAX_ID_BYTES = 512
_MAX_SELECTOR_BYTES = 512
_FORBIDDEN = frozenset("?#%\\") | {chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))}

PROMPT_SEEN = "the prompt itself is there"
PROMPT_UNSEEN = "the store does not tell whether the prompt itself is there"
"""What is known of a prompt that has no such version, where its versions cannot be listed."""


class TemplateStore(Protocol):
    """A place where templates live."""

    async def fetch(
        self, ref: PromptRef, held: Template | None, *, caller_key: str | None = None
    ) -> Template:
        """Return the template that `ref` names, or `held` itself if that is what it would return.

        `caller_key` is used in place of the store's own key, by stores that have one. Checks the id
        by the store's grammar before any input or output. Raises `CallError` for a malformed id or
        selector, `StoreError` for a prompt that is not there or a store that does not answer, and
        `TemplateError` for a template that is broken.
        """
        ...

    def confirms(self, held: Template) -> bool:
        """Return whether a template that this store returned is current, if it can tell at once.

        False where the store would have to be asked.
        """
        ...

    async def aclose(self) -> None:
        """Release what the store holds. Whoever made the store calls this once."""
        ...


class Account(Value, frozen=True):
    """Whose prompts a store gives: where it is asked, and the key it is asked with."""

    shown = ("place",)

    place: str
    key: str


@runtime_checkable
class AccountStore(Protocol):
    """A store that can tell whose prompts it gives, so that replicas may share them."""

    def account(self) -> Account | None:
        """Return what the store is asked with at the moment; None while it has no key."""
        ...


def check_path_id(prompt_id: str, *, store: str) -> tuple[str, ...]:
    """Return the segments of an id that is a path, for stores whose ids are.

    Raises PROMPT_ID_INVALID for what `find_id_problem` finds.
    """
    if problem := find_id_problem(prompt_id):
        raise CallError(
            Reason.PROMPT_ID_INVALID, f"prompt.id: {problem}", metadata={"store": store}
        )
    return tuple(prompt_id.split("/"))


def find_id_problem(prompt_id: str) -> str | None:
    """Return what is wrong with an id for a store whose ids are paths, as those of all kinds are.

    Every segment is to be a plain name: so no id reaches anything but a prompt below the store's
    root, whatever the store makes of it.
    """
    if not prompt_id:
        return "expected an id, got an empty one"
    if len(prompt_id.encode("utf-8", "surrogatepass")) > _MAX_ID_BYTES:
        return f"expected an id of at most {_MAX_ID_BYTES} bytes"
    if any(segment in ("", ".", "..") for segment in prompt_id.split("/")):
        return "expected names separated by '/', none of them empty, '.' or '..'"
    if not _FORBIDDEN.isdisjoint(prompt_id):
        return "expected no control character and none of ? # % \\ in an id"
    return None


def check_ref(ref: PromptRef, *, store: str) -> None:
    """Refuse a reference that no store could have an answer to, for stores whose ids are paths.

    Raises what `check_path_id` raises, PROMPT_ID_INVALID for an id that is no Unicode text, and
    SELECTOR_INVALID for a version or an environment that is empty, too long or no Unicode text.
    """
    check_path_id(ref.id, store=store)
    if not _is_unicode(ref.id):
        raise CallError(
            Reason.PROMPT_ID_INVALID,
            "prompt.id: expected Unicode text",
            metadata={"store": store},
        )
    for kind, value in (("version", ref.version), ("environment", ref.environment)):
        if value is None:
            continue
        if not value or not _is_unicode(value) or len(value.encode()) > _MAX_SELECTOR_BYTES:
            raise CallError(
                Reason.SELECTOR_INVALID,
                f"prompt.{kind}: expected a text of 1 to {_MAX_SELECTOR_BYTES} bytes",
                metadata={"store": store, "id": ref.id},
            )


def is_same(template: Template, held: Template) -> bool:
    """Return whether a template that was read anew is the one that is held, names included."""
    return _identity(template) == _identity(held)


def _identity(template: Template) -> tuple[str, ...]:
    return (
        *(template.content_sha256, template.version, template.environment),
        *(template.id, template.name, template.location),
    )


def prompt_not_found(ref: PromptRef, *, store: str, hint: str = "") -> StoreError:
    """Return the error for a prompt that the store does not have."""
    return StoreError(
        Reason.PROMPT_NOT_FOUND,
        f"store {store!r} has no prompt {ref.id!r}{hint}",
        metadata={"store": store, "id": ref.id},
        resource=Resource("prompt", ref.id),
    )


def unreadable(problem: str, *, store: str) -> StoreError:
    """Return the error for files of one prompt that cannot be read, though their store is there."""
    return StoreError(
        Reason.STORE_UNAVAILABLE,
        f"store {store!r} {problem}",
        metadata={"store": store, "problem": "unreadable"},
    )


def version_not_found(ref: PromptRef, *, store: str, known: str) -> StoreError:
    """Return the error for an unknown version or environment; `known` tells which there are.

    Where the reference selects neither, it is the error for a prompt without a default version.
    """
    metadata = {"store": store, "id": ref.id}
    lacks, name = "default version", ref.id
    for kind, wanted in (("version", ref.version), ("environment", ref.environment)):
        if wanted is not None:
            metadata[kind] = wanted
            lacks, name = f"{kind} {wanted!r}", f"{ref.id}@{wanted}"
    return StoreError(
        Reason.VERSION_NOT_FOUND,
        f"prompt {ref.id!r} of store {store!r} has no {lacks}; {known}",
        metadata=metadata,
        resource=Resource("prompt version", name),
    )


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
