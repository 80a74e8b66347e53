"""The kinds of values that settings are made of."""

from pathlib import Path

import pytest

from tests.support.configurations import load_text


@pytest.mark.parametrize(
    "url",
    [
        *("redis://a", "redis://a:1/2", "rediss://user@a.invalid:6380", "redis://[::1]:1"),
        *("unix:/run/r.sock", "unix:///run/r.sock"),
    ],
)
def test_redis(tmp_path: Path, url: str) -> None:
    """A server that is shared is named by its URL, and its password may come later."""
    password = f"file:{tmp_path}/later"
    loaded = load_text(tmp_path, f"cache: {{redis: {{url: '{url}', password: '{password}'}}}}")

    assert loaded.settings.cache.redis is not None
    assert loaded.settings.cache.redis.url == url
    assert loaded.absent_keys == ("cache.redis.password",)
