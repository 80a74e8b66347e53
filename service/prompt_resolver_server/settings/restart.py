"""Which settings a process keeps until it is started again."""

from collections.abc import Iterator

from .load import Loaded, Place
from .model import ServerSettings

RELOADED = frozenset(
    {
        *("ca_file", "default_deadline_s", "drain_s", "insecure", "log_level", "max_deadline_s"),
        *("max_completions", "max_resolves", "max_streams", "max_watches"),
    }
)
"""The keys of the `server` block that may change while the service runs. The others are about what
is opened once, for as long as the process lives."""

_BLOCKS: tuple[tuple[str, ...], ...] = (("cache", "redis"), ("tracing",))


def list_fixed(before: Loaded, after: Loaded) -> Iterator[Place]:
    """Return the places of the settings that differ, and take effect with a start alone."""
    places = [("server", key) for key in ServerSettings.model_fields if key not in RELOADED]
    for place in (*places, *_BLOCKS):
        if _value_at(before, place) != _value_at(after, place):
            yield place


def _value_at(loaded: Loaded, place: tuple[str, ...]) -> object:
    value: object = loaded.settings
    for key in place:
        value = getattr(value, key)
    return value
