"""Which settings a process keeps until it is started again: all that are not named here.

They are about what is opened once, for as long as the process lives.
"""

from collections.abc import Iterator, Mapping

from .faults import Place
from .fields import Block
from .load import Loaded
from .model import CacheSettings, Settings
from .server import ServerSettings

RELOADED = frozenset(
    {
        *("callers", "default_store", "general_settings", "litellm_settings", "model_list"),
        *("prefetch", "providers", "rendering", "router_settings", "stores"),
        *("cache.max_bytes", "cache.max_entries", "cache.negative_ttl_s"),
        *("server.ca_file", "server.default_deadline_s", "server.drain_s", "server.insecure"),
        *("server.log_level", "server.max_completions", "server.max_deadline_s"),
        *("server.max_resolves", "server.max_streams", "server.max_watches"),
    }
)
"""The settings that may change while the service runs. Of two blocks, these are single keys."""

_KEYS: Mapping[str, type[Block]] = {"cache": CacheSettings, "server": ServerSettings}
PLACES: tuple[tuple[str, ...], ...] = tuple(
    place
    for block in Settings.model_fields
    for place in (
        [(block, key) for key in _KEYS[block].model_fields] if block in _KEYS else [(block,)]
    )
)
"""The places of all settings, as far as they are told apart here."""


def list_fixed(before: Loaded, after: Loaded) -> Iterator[Place]:
    """Return the places of the settings that differ, and take effect with a start alone."""
    for place in PLACES:
        fixed = ".".join(place) not in RELOADED
        if fixed and _value_at(before, place) != _value_at(after, place):
            yield place


def _value_at(loaded: Loaded, place: tuple[str, ...]) -> object:
    value: object = loaded.settings
    for key in place:
        value = getattr(value, key)
    return value
