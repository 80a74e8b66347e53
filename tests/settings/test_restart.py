"""What takes effect with a start alone."""

from dataclasses import replace
from pathlib import Path

from prompt_resolver_server.assembly.configuration import load_configuration
from prompt_resolver_server.settings.model import CacheSettings, Settings
from prompt_resolver_server.settings.restart import PLACES, RELOADED, list_fixed
from prompt_resolver_server.settings.server import ServerSettings


def test_what_takes_effect_with_a_start(tmp_path: Path) -> None:
    """Whatever is not said to be reloaded takes effect with a start, and is told by its place."""
    path = tmp_path / "c.yaml"
    path.write_text("")
    before = load_configuration(path, {})
    settings = before.settings
    server = dict.fromkeys(ServerSettings.model_fields, object())
    cache = dict.fromkeys(CacheSettings.model_fields, object())
    changed = {
        **dict.fromkeys(Settings.model_fields, object()),
        "server": settings.server.model_copy(update=server),
        "cache": settings.cache.model_copy(update=cache),
    }
    after = replace(before, settings=settings.model_copy(update=changed))

    places = {".".join(place) for place in PLACES}
    assert places > RELOADED
    fixed = {".".join(map(str, place)) for place in list_fixed(before, after)}
    assert fixed == places - RELOADED
    assert {"server.grpc_address", "server.state_dir", "cache.redis", "tracing"} < fixed
    assert [*list_fixed(before, before.again())] == []
