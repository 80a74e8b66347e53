"""Names in the paths of URLs."""

import re
from urllib.parse import quote

from ...domain.errors import unsupported

_SLASHES = re.compile(r"[/\\]")
_WAYS_OUT = frozenset({".", ".."})


def write_segment(model: str) -> str:
    """Return a model's name as one segment of a path.

    Raises PARAMETER_UNSUPPORTED for what a server may take for a way to somewhere else, however
    it is spelled.
    """
    if not _WAYS_OUT.isdisjoint(_SLASHES.split(model)):
        raise unsupported("model", "expected a model's name, and no way to somewhere else")
    return quote(model, safe="")
