"""What those who watch are told."""

from typing import Literal

from ..domain.prompts import PromptRef, ServedTemplate
from ..domain.values import Value
from ..templates.cache.entries import Key

Change = Literal["snapshot", "updated", "removed", "store_stale", "store_ready"]


class Event(Value, frozen=True, kw_only=True):
    """A watched prompt as it is now, and what happened to it.

    `ref` is what the prompt is watched by, its store always named. Revisions grow along a watch.
    """

    shown = ("ref", "change", "revision")

    ref: PromptRef
    served: ServedTemplate
    change: Change
    revision: int


def ref_of(key: Key) -> PromptRef:
    """Return the reference that a template is held under."""
    return PromptRef(id=key.id, store=key.store, version=key.version, environment=key.environment)
