"""`Retry-After`, as stores and providers send it: how long they ask to be left alone."""

import email.utils
from datetime import UTC, datetime


def read_retry_after(value: str, *, longest_s: float, now: datetime | None = None) -> float | None:
    """Return how many seconds a header asks to wait; None if it says nothing usable."""
    seconds = read_number(value)
    if seconds is not None:
        return min(seconds, longest_s)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    return min(max(0.0, seconds), longest_s)


def read_number(text: str) -> float | None:
    """Return a number that is not negative: whole by the standard, and at some providers not."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if text.isascii() and number >= 0 else None
