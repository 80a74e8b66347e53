"""Counts of tokens, where APIs count otherwise than we do."""


def count_input(
    others: int | None, *, cache_read: int | None, cache_write: int | None
) -> int | None:
    """Return the tokens of a prompt, for an API that counts those of its cache beside the others.

    None where it does not tell the others.
    """
    return None if others is None else others + (cache_read or 0) + (cache_write or 0)
