"""What looks like a secret in a text. It is told where it is, and never what it is."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_NAMED = re.compile(
    r"""^[ \t]*["']?
    (?P<name> [\w-]*(?:api|access|secret|private)[_-]?key | authorization | password
      | [\w-]*(?:access|auth|bearer|secret)[_-]?token )
    ["']?[ \t]*:[ \t]*(?!os\.environ/|null\b|~|["']{2}|\{\{)[^\s{\[]""",
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
_SHAPES = re.compile(
    r"""-----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----
    | \b(?: [srp]k-[\w-]{20,} | [sr]k_live_\w{16,} | AKIA[0-9A-Z]{16} | AIza[\w-]{35}
      | gh[pousr]_\w{36,} | github_pat_\w{22,} | xox[abeprs]-[\w-]{10,} | glpat-[\w-]{20,}
      | hf_\w{30,} | eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,} )""",
    re.VERBOSE,
)


class Suspicion(NamedTuple):
    """Where something looks like a secret, and why."""

    position: int
    why: str


def find_secrets(text: str) -> Iterator[Suspicion]:
    """Find what looks like a secret: by the name that it is given, or by its form."""
    for match in _NAMED.finditer(text):
        yield Suspicion(match.start("name"), f"the value of {match['name']!r}")
    for match in _SHAPES.finditer(text):
        yield Suspicion(match.start(), "a text in the form of a key")
