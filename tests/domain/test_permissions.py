"""What the rules of a caller let it name, and what not."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prompt_resolver_server.domain.errors import CallError
from prompt_resolver_server.domain.permissions import UNLIMITED, Globs, Permissions

_TEXTS = st.text(alphabet="ab/*.", max_size=12)


def reference(glob: str, name: str) -> bool:
    """Tell whether a glob matches, in the plainest way."""
    return re.fullmatch(re.escape(glob).replace(r"\*", ".*"), name, re.DOTALL) is not None


@given(st.lists(_TEXTS, max_size=4), _TEXTS)
def test_globs(globs: list[str], name: str) -> None:
    """A star is any characters, slashes included, or none; all else is itself, from end to end."""
    assert (name in Globs.of(globs)) == any(reference(glob, name) for glob in globs)


@pytest.mark.parametrize(
    ("glob", "inside", "outside"),
    [
        ("support/*", ["support/reply", "support/a/b", "support/"], ["support", "Support/a", "a"]),
        ("*", ["", "a", "a/b", "a\nb"], []),
        ("a*b", ["ab", "a/b", "axxb"], ["a", "b", "ba", "abc"]),
        ("aba*aba", ["abaaba", "aba-aba"], ["aba", "ababa"]),
        ("v?.[ab]", ["v?.[ab]"], ["v1.a"]),
    ],
)
def test_what_a_star_matches(glob: str, inside: list[str], outside: list[str]) -> None:
    """Ids have slashes, and a star does not stop there."""
    names = Globs.of([glob])

    assert [name for name in inside + outside if name in names] == inside


def test_a_long_name_is_looked_at_once() -> None:
    """A name of megabytes that almost matches many stars is refused, in the time that it takes."""
    assert "a" * 4_000_000 not in Globs.of(["*a" * 50 + "b*"])


def test_rules() -> None:
    """What there is no rule for may be used; an empty rule lets nothing be used."""
    permissions = Permissions({"prompt": Globs.of(["a/*"]), "alias": Globs.of([])})

    assert permissions.allow("prompt", "a/b")
    assert permissions.allow("store", "any")
    assert not permissions.allow("alias", "any")
    with pytest.raises(CallError, match=r"this caller may not use the prompt 'b'") as caught:
        permissions.check("prompt", "b")
    assert (caught.value.reason, caught.value.metadata) == (
        "CALLER_FORBIDDEN",
        {"kind": "prompt"},
    )


def test_limits() -> None:
    """One rule is enough to be limited, and one that lets all be used is a rule."""
    assert not UNLIMITED.are_limited
    assert Permissions({"model": Globs.of(["*"])}).are_limited
