"""A store as the cache has it."""

from collections.abc import Iterable
from dataclasses import dataclass

from ...domain.errors import CallError, Reason, ServerError
from ...domain.prompts import PromptRef, ServedReason
from ...domain.values import Value
from ..store import TemplateStore
from .entries import Key


@dataclass(frozen=True, slots=True)
class Source:
    """A store, and for how many seconds what it confirmed is served without asking again.

    With 0 the store is asked with each call, after it came and before anything is served. `place`
    tells where the templates are: sources of the same name and place have the same ones. The other
    fields are those of `StoreKind`.
    """

    store: TemplateStore
    ttl_s: float
    is_remote: bool = True
    selects: ServedReason = "deployed"
    place: str = ""

    def reason(self, key: Key) -> ServedReason:
        """Return why the version that is held under a key is the one that is served."""
        return "pinned" if key.version is not None else self.selects


class Lookup(Value, frozen=True):
    """What is asked for: the key that it is held under, and what its store needs to know."""

    key: Key
    source: Source
    ref: PromptRef
    caller_key: str | None


class Member(Value, frozen=True):
    """A store that serves under the name of a chain, or of its own.

    `takes_key` tells whether it is the one that a caller's own key of the store is for.
    """

    shown = ("name",)

    name: str
    store: TemplateStore
    takes_key: bool = True


def store_unknown(name: str, known: Iterable[str]) -> CallError:
    """Return the error for a store that is not configured; `known` are those that are."""
    return CallError(
        Reason.STORE_UNKNOWN,
        f"prompt.store: expected one of {', '.join(known)}, got {name!r}",
        metadata={"store": name},
    )


def too_late(lookup: Lookup) -> ServerError:
    """Return the error for a store that has not answered by the call's deadline."""
    return ServerError(
        Reason.DEADLINE,
        f"the deadline passed while store {lookup.key.store!r} was asked",
        metadata={"phase": "fetch", "attempts": "0"},
    )
