"""A store as the cache has it."""

from dataclasses import dataclass

from ...prompts import ServedReason
from ..store import TemplateStore
from .entries import Key


@dataclass(frozen=True, slots=True)
class Source:
    """A store, and for how many seconds what it confirmed is served without asking again.

    With 0 the store is asked with each call, after it came and before anything is served. The other
    fields are those of `StoreKind`.
    """

    store: TemplateStore
    ttl_s: float
    is_remote: bool = True
    selects: ServedReason = "deployed"

    def reason(self, key: Key) -> ServedReason:
        """Return why the version that is held under a key is the one that is served."""
        return "pinned" if key.version is not None else self.selects
