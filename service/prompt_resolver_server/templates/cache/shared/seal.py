"""How what is shared is named, and how it is known to be from a replica.

All is keyed by what the store is asked with. So what one account's key has opened has no name in
the eyes of another account, whatever stores and services are called; what was written, moved or
changed by anybody without the key is no copy; and a key that is taken back ends what it opened.
Neither ids nor keys can be read from a name. A store without a key has names, but no secret.
"""

import hmac
from typing import Final

from ....domain.values import Value
from ...store import Account
from ..entries import Key

SEAL_BYTES: Final = 32
"""How long a seal is, which stands before what it seals: the same for the same."""

_FORM = "prompt-resolver 1"


class Sealer(Value, frozen=True):
    """Names and seals what the replicas share of one store's account.

    Only those find it who are configured with the same `scope` as well: its parts are the store's
    name, and whatever else has to be the same for all.
    """

    secret: bytes

    @classmethod
    def of(cls, account: Account, *scope: str) -> "Sealer":
        """Return the sealer of an account."""
        # A key from the environment may be no text.
        key = account.key.encode("utf-8", "surrogatepass")
        return cls(_digest(key, _join(_FORM, account.place, *scope)))

    def name(self, key: Key) -> str:
        """Return the name of what is shared under a key; no two keys have the same."""
        parts = _join("name", key.store, key.id, key.version, key.environment)
        return _digest(self.secret, parts).hex()

    def seal(self, place: str, content: bytes) -> bytes:
        """Return the content behind its seal, which holds at this place alone."""
        return self._seal(place, content) + content

    def open(self, place: str, sealed: bytes) -> bytes | None:
        """Return the content, or None if it was not sealed for this place."""
        seal, content = sealed[:SEAL_BYTES], sealed[SEAL_BYTES:]
        return content if hmac.compare_digest(seal, self._seal(place, content)) else None

    def _seal(self, place: str, content: bytes) -> bytes:
        return _digest(self.secret, _join("seal", place) + content)


def _digest(key: bytes, content: bytes) -> bytes:
    return hmac.digest(key, content, "sha256")


def _join(*parts: str | None) -> bytes:
    """Return texts as one, from which no other texts can be read."""
    written = b""
    for part in parts:
        text = b"" if part is None else part.encode("utf-8", "surrogatepass")
        written += b"-," if part is None else b"%d:%b," % (len(text), text)
    return written
