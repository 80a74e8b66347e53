"""Whether it was a deadline that has ended something."""

_EARLY_S = 0.02
"""A client that keeps its own deadline ends its call some milliseconds before it is over here."""


def has_passed(left_s: float) -> bool:
    """Tell whether what has just been ended, with so much time left, was ended by its deadline."""
    return left_s <= _EARLY_S
