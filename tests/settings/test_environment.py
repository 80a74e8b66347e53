"""What the environment says of calls."""

import pytest

from prompt_resolver_server.settings.environment import Environment


@pytest.mark.parametrize(
    ("variables", "url", "proxy"),
    [
        ({}, "http://a.invalid/", None),
        ({"HTTP_PROXY": "http://p:1"}, "http://a.invalid/", "http://p:1"),
        ({"http_proxy": "http://p:1"}, "https://a.invalid/", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://a.invalid/", "http://p:1"),
        ({"ALL_PROXY": "http://p:1"}, "https://a.invalid/", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "a.invalid"}, "http://a.invalid/", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": ".invalid"}, "http://a.invalid/", None),
        ({"HTTP_PROXY": "http://p:1", "NO_PROXY": "b"}, "http://a.invalid/", "http://p:1"),
    ],
)
def test_proxies(variables: dict[str, str], url: str, proxy: str | None) -> None:
    """The customary variables decide which calls go by which proxy."""
    assert Environment(variables).proxy_for(url) == proxy
