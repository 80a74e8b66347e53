"""The one who calls, and until when."""

from ..domain.answers import Credentials
from ..domain.values import Value
from ..tracing import NO_SPAN, CallSpan


class Caller(Value, frozen=True, kw_only=True):
    """The one who calls: until when, on the event loop's clock, and with which keys of its own.

    `span` is that of the call.
    """

    deadline: float
    credentials: Credentials
    span: CallSpan = NO_SPAN
