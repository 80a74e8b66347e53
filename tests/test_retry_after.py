"""`Retry-After`: seconds, parts of them, and dates."""

from datetime import UTC, datetime

import pytest

from prompt_resolver_server.retry_after import read_retry_after


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("1.25", 1.25),
        ("999999999", 3600.0),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30.0),
        ("Sun, 22 Nov 2026 12:00:30 -0000", 30.0),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0.0),
        ("Sun, 22 Nov 2099 11:00:00 GMT", 3600.0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1e3", 1000.0),
        ("nan", None),
        ("inf", 3600.0),
        ("٣", None),
        ("Sun, 99 Nov 2026 12:00:30 GMT", None),
        ("Sun, 22 Nov 99999999999 12:00:30 GMT", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    """Seconds and dates are read, up to the longest wait, and nonsense is nothing."""
    now = datetime(2026, 11, 22, 12, tzinfo=UTC)

    assert read_retry_after(value, longest_s=3600, now=now) == seconds
