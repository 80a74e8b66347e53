"""The ids of tool calls, which in a conversation may be another provider's."""

import hashlib
import re
import secrets

_TAKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NOT_TAKEN = re.compile(r"[^A-Za-z0-9_-]")
_KEPT = 47
_HASH_BYTES = 8
_MADE = 9
"""The length of an id of ours: Mistral's models want just that."""


def spell_id(call_id: str) -> str:
    """Return an id of letters, digits, `_` and `-`, at most 64: itself if it is one.

    The same id is spelled the same everywhere, and no two are spelled alike.
    """
    if _TAKEN.fullmatch(call_id):
        return call_id
    digest = hashlib.blake2b(call_id.encode(), digest_size=_HASH_BYTES).hexdigest()
    return f"{_NOT_TAKEN.sub('_', call_id[:_KEPT])}_{digest}"


def make_id() -> str:
    """Return an id for a call that came without one, which no other call of a conversation has."""
    return secrets.token_hex(_MADE)[:_MADE]
