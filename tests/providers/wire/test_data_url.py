"""URLs that hold what they name."""

import pytest

from prompt_resolver_server.errors import CallError, Reason
from prompt_resolver_server.providers.wire.data_url import is_data_url, read_data_url


@pytest.mark.parametrize(
    ("url", "media_type", "data"),
    [
        ("data:image/png;base64,AAE=", "image/png", b"\x00\x01"),
        ("DATA:image/png;base64,AAE%3D", "image/png", b"\x00\x01"),
        ("data:text/plain;charset=utf-8,a%20b", "text/plain", b"a b"),
        ("data:,", "", b""),
    ],
)
def test_data_url(url: str, media_type: str, data: bytes) -> None:
    """A data URL has a media type and bytes, whichever way they are written."""
    assert is_data_url(url)
    assert read_data_url(url, "p") == (media_type, data)


@pytest.mark.parametrize(
    "url", ["data:image/png;base64", "data:image/png;base64,A", "data:;base64,!"]
)
def test_no_data(url: str) -> None:
    """A data URL without data that can be read is refused by its place."""
    with pytest.raises(CallError) as caught:
        read_data_url(url, "messages[0]")

    assert caught.value.reason is Reason.PARAMETER_UNSUPPORTED
    assert [violation.field for violation in caught.value.violations] == ["messages[0]"]


def test_other_urls() -> None:
    """Other URLs are none."""
    assert not is_data_url("https://x.invalid/data:")
