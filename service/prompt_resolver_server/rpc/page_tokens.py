"""Page tokens: where a page ended, and of which list. Opaque to callers, and checked as theirs."""

import base64

from ..domain.errors import invalid_request
from ..domain.json_codec import JsonReader, encode_json
from ..domain.values import Value
from ..templates.cache.inventory import Place

_MAX_CHARACTERS = 8_192


class _Content(Value, frozen=True):
    """What is in a token: of which store the list is, and where the page ended."""

    store: str | None
    end: Place


_reader = JsonReader(_Content)


def write_page_token(store: str | None, end: Place) -> str:
    """Return the token of the page after this end, of one store or of all."""
    return base64.urlsafe_b64encode(encode_json({"store": store, "end": [*end]})).decode()


def read_page_token(token: str, store: str | None) -> Place | None:
    """Return where the page begins after which a token was given; None for an empty one.

    Raises REQUEST_INVALID for what is no token of this list.
    """
    if not token:
        return None
    try:
        if len(token) > _MAX_CHARACTERS:
            raise ValueError
        document = base64.b64decode(token, altchars=b"-_", validate=True)
        content = _reader.read(document)
    except ValueError:
        raise _invalid() from None
    if content.store != store:
        raise _invalid()
    return content.end


def _invalid() -> Exception:
    return invalid_request(
        "page_token", "expected the next_page_token of a page of the same list, or none"
    )
