"""Values as JSON text: what stands in a prompt for a number or a list, in whichever language."""

import json

from ..domain.parameters import Json

# Made once: `json.dumps` makes one for each call. A Struct keeps no order of its keys, and a prompt
# that changes from call to call is a prompt that no provider can cache.
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True)


class ValueUnwritableError(Exception):
    """A value that no text can stand for; says what was expected, never the value."""


def write_json(value: Json) -> str:
    """Return a value as JSON. Raises `ValueUnwritableError` for what JSON lacks."""
    if type(value) is int:
        return str(value)
    try:
        return _ENCODER.encode(value)
    except ValueError:
        raise ValueUnwritableError("expected finite numbers") from None
    except RecursionError:
        raise ValueUnwritableError("expected fewer levels of nesting") from None
