"""Exponential backoff: what fails again and again is tried again later and later."""

# Far beyond the longest pause of anybody, and what a float can still be multiplied by.
_MOST_DOUBLINGS = 64


def backoff_s(doublings: int, *, first_s: float, longest_s: float) -> float:
    """Return for how many seconds to wait: the first pause, doubled so often, or the longest."""
    return min(longest_s, first_s * 2.0 ** min(doublings, _MOST_DOUBLINGS))
