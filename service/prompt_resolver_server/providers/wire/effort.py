"""How much a model should think, where that is said by a number."""

_MAX_DIGITS = 10


def read_budget(effort: str | None) -> int | None:
    """Return the number of tokens that an effort is, or None for a word, and for none at all."""
    digits = (effort or "").removeprefix("-")
    if not digits.isdecimal() or len(digits) > _MAX_DIGITS:
        return None
    return int(effort or "")
