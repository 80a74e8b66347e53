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
# A key begins where a word does, and no part of it is longer than any key's is: so a file is looked
# through once, whatever it holds. Words that hyphens join are prose, unless a digit is among them.
_SHAPES = re.compile(
    r"""-----BEGIN[ ][A-Z ]{0,40}PRIVATE[ ]KEY-----
    | (?<![\w-])(?: (?:[srp]k-|glpat-)(?=[A-Za-z_-]{0,256}[0-9])[\w-]{20,256}
      | xox[abeprs]-(?=[A-Za-z_-]{0,256}[0-9])[\w-]{10,256} | [sr]k_live_\w{16,256}
      | AKIA[0-9A-Z]{16} | AIza[\w-]{35} | gh[pousr]_\w{36,256} | github_pat_\w{22,256}
      | hf_\w{30,256} | eyJ[\w-]{10,4096}\.[\w-]{10,4096}\.[\w-]{10,4096} )""",
    re.VERBOSE,
)


class Suspicion(NamedTuple):
    """Where something looks like a secret, and why."""

    position: int
    why: str


def find_secrets(text: str, header: range) -> Iterator[Suspicion]:
    """Find what looks like a secret: by its form, and in the header by the name that it is given.

    Elsewhere such a name is a word like others.
    """
    for match in _NAMED.finditer(text, header.start, header.stop):
        yield Suspicion(match.start("name"), f"the value of {match['name']!r}")
    for match in _SHAPES.finditer(text):
        yield Suspicion(match.start(), "a text in the form of a key")
