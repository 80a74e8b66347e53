"""Errors in the form of Humanloop's v5 API: `detail` is a text, or a list of what is malformed.

`reason` and `metadata` stand beside it, and tell what the contract's error details tell.
"""

from collections.abc import Mapping

from ...domain.errors import Blame, Reason, ResolverError
from ...domain.json_codec import encode_json
from ...domain.parameters import Json
from ..status import status_of

_MALFORMED = 422
# To this API's callers a prompt that is broken, or that this server's own key may not see, is a
# fault of the server: no status of theirs must read as "there is no such prompt".
_STATUSES: Mapping[Reason, int] = {
    Reason.REQUEST_INVALID: _MALFORMED,
    Reason.PROMPT_ID_INVALID: _MALFORMED,
    Reason.SELECTOR_INVALID: _MALFORMED,
    Reason.TEMPLATE_INVALID: 500,
    Reason.TEMPLATE_FORBIDDEN: 500,
    Reason.STORE_AUTH: 500,
}
_PLACES: Mapping[Reason, tuple[str, ...]] = {
    Reason.PROMPT_ID_INVALID: ("path", "id"),
    Reason.SELECTOR_INVALID: ("query",),
}


class HumanloopErrors:
    """An `ErrorForm`."""

    def status(self, error: ResolverError) -> int:
        """Return the status of an error."""
        if error.reason is Reason.STORE_AUTH and error.blame is not Blame.OPERATOR:
            return status_of(error)
        return _STATUSES.get(error.reason, status_of(error))

    def body(self, error: ResolverError) -> bytes:
        """Return an error as a body."""
        malformed = self.status(error) == _MALFORMED
        return encode_json(
            {
                "detail": _list_malformed(error) if malformed else error.message,
                "reason": str(error.reason),
                "metadata": dict(error.metadata),
            }
        )

    def event(self, error: ResolverError) -> bytes:
        """Return an error as a body: this API streams nothing."""
        return self.body(error)


def _list_malformed(error: ResolverError) -> Json:
    found = [(each.field.split("."), each.description) for each in error.violations]
    if not found:
        found = [([*_PLACES.get(error.reason, ())], error.message)]
    return [{"loc": [*place], "msg": problem, "type": "value_error"} for place, problem in found]
