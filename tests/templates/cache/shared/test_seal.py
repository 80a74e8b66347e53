"""What is shared has a name and a seal that only the account's key can make."""

import pytest

from prompt_resolver_server.templates.cache.entries import Key
from prompt_resolver_server.templates.cache.shared.seal import SEAL_BYTES, Sealer
from prompt_resolver_server.templates.store import Account

ACCOUNT = Account("https://api.invalid/v5", "key-of-fake")
KEY = Key("hl", "p", None, None, b"")
SEALER = Sealer.of(ACCOUNT, "hl", "60")


@pytest.mark.parametrize(
    "other",
    [
        Key("hl2", "p", None, None, b""),
        Key("hl", "p1", None, None, b""),
        Key("hl", "p", "1", None, b""),
        Key("hl", "p", None, "1", b""),
        Key("hl", "p", "", None, b""),
        Key("hl", "p", None, "", b""),
        Key("h", "lp", None, None, b""),
        Key("hl", "p1:1,-,", None, None, b""),
        Key("hl", "p\ud800", None, None, b""),
    ],
    ids=repr,
)
def test_names_are_apart(other: Key) -> None:
    """No two keys have the same name, whatever is in them; the same key has the same one."""
    assert SEALER.name(KEY) == Sealer.of(ACCOUNT, "hl", "60").name(KEY)
    assert SEALER.name(other) != SEALER.name(KEY)


@pytest.mark.parametrize(
    "other",
    [
        Sealer.of(Account("https://api.invalid/v5", "another-key"), "hl", "60"),
        Sealer.of(Account("https://api.invalid/v6", "key-of-fake"), "hl", "60"),
        Sealer.of(ACCOUNT, "hl2", "60"),
        Sealer.of(ACCOUNT, "hl", "61"),
        Sealer.of(ACCOUNT, "hl6", "0"),
    ],
)
def test_accounts_are_apart(other: Sealer) -> None:
    """Another account, or another store of the same, has other names and opens nothing."""
    assert other.name(KEY) != SEALER.name(KEY)
    assert other.open("here", SEALER.seal("here", b"text")) is None


def test_opens_what_is_sealed() -> None:
    """What was sealed is opened at its place, and the same content has the same seal."""
    sealed = SEALER.seal("here", b"text")

    assert SEALER.open("here", sealed) == b"text"
    assert SEALER.seal("here", b"text")[:SEAL_BYTES] == sealed[:SEAL_BYTES]
    assert SEALER.seal("here", b"Text")[:SEAL_BYTES] != sealed[:SEAL_BYTES]


@pytest.mark.parametrize(
    ("place", "change"),
    [
        ("there", lambda sealed: sealed),
        ("here", lambda sealed: b"\0" + sealed[1:]),
        ("here", lambda sealed: sealed + b"x"),
        ("here", lambda sealed: sealed[:-1]),
        ("here", lambda sealed: sealed[:SEAL_BYTES]),
        ("here", lambda sealed: sealed[:5]),
        ("here", lambda _: b""),
    ],
)
def test_opens_nothing_else(place: str, change: object) -> None:
    """What was moved, changed or cut is not opened."""
    assert callable(change)
    assert SEALER.open(place, change(SEALER.seal("here", b"text"))) is None


def test_tells_nothing() -> None:
    """Neither the key nor an id is in a name, and the key is not shown."""
    assert "key-of-fake" not in repr((ACCOUNT, SEALER))
    assert bytes.fromhex(SEALER.name(KEY))


def test_key_that_is_no_text() -> None:
    """A key from the environment that is not UTF-8 makes names and seals as any other does."""
    sealer = Sealer.of(Account(ACCOUNT.place, "key\udcff"), "hl", "60")

    assert sealer.name(KEY) != SEALER.name(KEY)
    assert sealer.open("here", sealer.seal("here", b"content")) == b"content"
