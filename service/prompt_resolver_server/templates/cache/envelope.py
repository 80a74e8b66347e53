"""A copy of a template as a file holds it: what it is of, since when, and that nobody changed it.

The first line names the format, the second authenticates all that follows. Content, key and place
included, cannot be changed or taken for another's by whoever does not know the secret.
"""

import hashlib
import hmac

import msgspec

from ...domain.prompts import Template
from ...domain.values import Value
from ..formats.documents import DocumentError, decode_template, encode_template
from .entries import Key

_PRODUCT = b"prompt-resolver template "
_FORMAT = _PRODUCT + b"2\n"
_CALLERS = "-caller"


class Copy(Value, frozen=True):
    """A template, what it is held under, and when its store confirmed it, in Unix time.

    `place` is the digest of where the store had it; see `digest_of`.
    """

    shown = ("confirmed_at",)

    key: Key
    place: str
    template: Template
    confirmed_at: float


class _Content(Value, frozen=True):
    key: Key
    place: str
    confirmed_at: float
    document: msgspec.Raw


class BrokenCopyError(Exception):
    """What is no copy of ours: it was cut short, or changed."""


class ForeignCopyError(Exception):
    """A copy of another version's format."""


_encode = msgspec.json.Encoder().encode
_DECODER = msgspec.json.Decoder(_Content)


def digest_of(place: str) -> str:
    """Return what stands for the place of a source in copies, from which it cannot be read."""
    return hashlib.sha256(place.encode("utf-8", "surrogatepass")).hexdigest()


def name_of(key: Key, place: str, secret: bytes) -> str:
    """Return the name of the file that a key's copy is in.

    It tells nothing of the key, but whether a caller's own opened it. Raises `ValueError` for a key
    with a text that is none, such as half of a character.
    """
    name = hmac.digest(secret, _encode((place, key)), "sha256").hex()
    return name + _CALLERS if key.credential else name


def is_callers(name: str) -> bool:
    """Tell whether a file is the copy of what a caller's own key opened."""
    return name.endswith(_CALLERS)


def seal(copy: Copy, secret: bytes) -> bytes:
    """Return what the file of a copy holds."""
    document = msgspec.Raw(encode_template(copy.template))
    body = _encode(_Content(copy.key, copy.place, copy.confirmed_at, document))
    return b"%s%s\n%s" % (_FORMAT, _authenticate(body, secret), body)


def unseal(data: bytes, secret: bytes) -> Copy:
    """Return the copy that a file holds. Raises `BrokenCopyError` and `ForeignCopyError`."""
    if not data.startswith(_FORMAT):
        first, newline, _ = data.partition(b"\n")
        if newline and first.startswith(_PRODUCT):
            raise ForeignCopyError
        raise BrokenCopyError
    code, _, body = data[len(_FORMAT) :].partition(b"\n")
    if not hmac.compare_digest(code, _authenticate(body, secret)):
        raise BrokenCopyError
    try:
        content = _DECODER.decode(body)
        template = decode_template(bytes(content.document))
        return Copy(content.key, content.place, template, content.confirmed_at)
    except (ValueError, DocumentError):
        # It is ours, so another version wrote it.
        raise ForeignCopyError from None


def _authenticate(body: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, _FORMAT + body, "sha256").hex().encode()
