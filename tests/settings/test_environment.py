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
        ({"HTTP_PROXY": "p:1"}, "http://a.invalid/", "http://p:1"),
        ({"ALL_PROXY": "me:secret@p:1"}, "https://a.invalid/", "http://me:secret@p:1"),
        ({"HTTPS_PROXY": "https://p:1"}, "https://a.invalid/", "https://p:1"),
        ({"HTTP_PROXY": "p:1", "NO_PROXY": "a.invalid:8080"}, "http://a.invalid:8080/", None),
        ({"HTTP_PROXY": "p:1", "NO_PROXY": "a.invalid:80"}, "http://a.invalid/", None),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": ".invalid:443"}, "https://a.invalid/", None),
        ({"HTTP_PROXY": "p:1", "NO_PROXY": "a.invalid:81"}, "http://a.invalid/", "http://p:1"),
        ({"HTTP_PROXY": "p:1", "NO_PROXY": "a.invalid"}, "http://a.invalid:8080/", None),
        ({"HTTP_PROXY": "p:1", "NO_PROXY": "::1"}, "http://[::1]:8080/", None),
    ],
)
def test_proxies(variables: dict[str, str], url: str, proxy: str | None) -> None:
    """The customary variables decide which calls go by which proxy."""
    assert Environment(variables).proxy_for(url) == proxy
