"""What arrived together travels together."""

from collections.abc import Sequence

from ...domain.answers import Delta, TextDelta


def coalesce(deltas: Sequence[Delta]) -> list[Delta]:
    """Join texts that follow each other."""
    joined: list[Delta] = []
    texts: list[str] = []
    for delta in deltas:
        if isinstance(delta, TextDelta):
            texts.append(delta.text)
            continue
        if texts:
            joined.append(TextDelta("".join(texts)))
            texts = []
        joined.append(delta)
    if texts:
        joined.append(TextDelta("".join(texts)))
    return joined
