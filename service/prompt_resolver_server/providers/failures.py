"""What went wrong at a provider: the one place where its failures become our errors."""

from collections.abc import Mapping

from ..domain.errors import Blame, Reason, Resource, UpstreamError
from ..domain.json_codec import JsonError, decode_json
from ..retry_after import read_number, read_retry_after
from .dialect import InBandError, ProtocolError
from .transport.transport import HttpResponse, TransportError, TransportFailure
from .wire.failures import read_retry_delay

_REASONS_BY_STATUS = {
    401: Reason.UPSTREAM_AUTH,
    402: Reason.UPSTREAM_QUOTA,
    403: Reason.UPSTREAM_AUTH,
    404: Reason.MODEL_NOT_FOUND,
    408: Reason.UPSTREAM_TIMEOUT,
    413: Reason.REQUEST_TOO_LARGE,
    429: Reason.UPSTREAM_RATE_LIMITED,
    504: Reason.UPSTREAM_TIMEOUT,
    529: Reason.UPSTREAM_OVERLOADED,
}

_TEXTS = {
    Reason.UPSTREAM_AUTH: "refuses the configured key",
    Reason.UPSTREAM_AUTH_CALLER_KEY: "refuses the caller's key",
    Reason.UPSTREAM_REJECTED: "refuses the request",
    Reason.CONTEXT_LENGTH: "says that the prompt is longer than its model can read",
    Reason.REQUEST_TOO_LARGE: "says that the request is too large",
    Reason.CONTENT_BLOCKED: "blocks the prompt by its policy",
    Reason.MODEL_NOT_FOUND: "does not know the model",
    Reason.UPSTREAM_RATE_LIMITED: "limits the rate of requests",
    Reason.UPSTREAM_QUOTA: "says that the quota is used up",
    Reason.UPSTREAM_UNAVAILABLE: "cannot be reached or failed",
    Reason.UPSTREAM_OVERLOADED: "is overloaded",
    Reason.UPSTREAM_TLS: "cannot be reached over a secure connection",
    Reason.UPSTREAM_TIMEOUT: "did not answer in time",
    Reason.UPSTREAM_PROTOCOL: "answered something that is not its protocol",
    Reason.UPSTREAM_TRUNCATED: "ended its stream before its answer was complete",
}

_PROBLEMS: Mapping[TransportFailure, str] = {
    "cut": "an answer that was cut short",
    "malformed": "expected HTTP",
    "too_large": "an answer that is too large",
}

_LONGEST_S = 1e6
"""Beyond any call's time, which is all that counts."""

_WITH_RETRY_AFTER = frozenset(
    {Reason.UPSTREAM_RATE_LIMITED, Reason.UPSTREAM_UNAVAILABLE, Reason.UPSTREAM_OVERLOADED}
)


class Failures:
    """Makes the errors of one call to one provider.

    `with_caller_key` tells whether the call carries the caller's own key, which decides whom a
    refusal of the key concerns.
    """

    def __init__(self, *, provider: str, model: str, with_caller_key: bool) -> None:
        self._provider = provider
        self._model = model
        self._with_caller_key = with_caller_key

    def of(
        self, reason: Reason, *, retry_after_s: float | None = None, **metadata: str
    ) -> UpstreamError:
        """Return the error for a reason; the metadata is added to the provider's name."""
        return UpstreamError(
            reason,
            f"provider {self._provider!r} {_TEXTS[reason]}",
            metadata={"provider": self._provider, **metadata},
            resource=Resource("model", self._model) if reason is Reason.MODEL_NOT_FOUND else None,
            retry_after_s=_bounded(retry_after_s) if reason in _WITH_RETRY_AFTER else None,
        )

    def of_status(
        self, status: int, reason: Reason | None, *, retry_after_s: float | None = None
    ) -> UpstreamError:
        """Return the error for an HTTP status and the reason that came in its body, if any."""
        by_status = _reason_of_status(status)
        # A body that says no more than that something failed says less than most statuses do.
        is_vague = reason is Reason.UPSTREAM_UNAVAILABLE
        if reason is None or (is_vague and by_status is not Reason.UPSTREAM_REJECTED):
            reason = by_status
        if reason is Reason.UPSTREAM_AUTH and self._with_caller_key:
            error = self.of(Reason.UPSTREAM_AUTH_CALLER_KEY, http_status=str(status))
            error.blame = Blame.CALLER_DENIED if status == 403 else Blame.CALLER
            return error
        return self.of(reason, retry_after_s=retry_after_s, http_status=str(status))

    def of_protocol(self, problem: str) -> UpstreamError:
        """Return the error for what is not the protocol; `problem` quotes nothing of it."""
        return self.of(Reason.UPSTREAM_PROTOCOL, problem=problem)

    def of_transport(self, error: TransportError, *, streaming: bool) -> UpstreamError:
        """Return the error for a response that did not come, or not to its end."""
        match error.kind:
            case "unreachable":
                return self.of(Reason.UPSTREAM_UNAVAILABLE, problem=error.why)
            case "tls":
                return self.of(Reason.UPSTREAM_TLS)
            case "timeout":
                return self.of(Reason.UPSTREAM_TIMEOUT, phase=error.phase or "connect")
            case "cut" if streaming:
                return self.of(Reason.UPSTREAM_TRUNCATED)
            case "cut" | "malformed" | "too_large":
                return self.of_protocol(_PROBLEMS[error.kind])

    def of_content(self, error: ProtocolError | InBandError) -> UpstreamError:
        """Return the error for what came in place of an answer."""
        match error:
            case InBandError(status=int() as status, reason=reason):
                return self.of_status(status, reason, retry_after_s=error.retry_after_s)
            case InBandError(reason=Reason() as reason):
                return self.of(reason, retry_after_s=error.retry_after_s)
            case _:
                return self.of_protocol(str(error))


def _bounded(seconds: float | None) -> float | None:
    return None if seconds is None else min(_LONGEST_S, seconds)


def _reason_of_status(status: int) -> Reason:
    if status in _REASONS_BY_STATUS:
        return _REASONS_BY_STATUS[status]
    if status >= 500:
        return Reason.UPSTREAM_UNAVAILABLE
    # Redirects are not followed, and an answer with another 2xx is none.
    return Reason.UPSTREAM_REJECTED if status >= 400 else Reason.UPSTREAM_PROTOCOL


def retry_after(response: HttpResponse) -> float | None:
    """Return how many seconds the provider asks to wait; None if it says nothing usable."""
    milliseconds = read_number(response.headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    return read_retry_after(response.headers.get("retry-after", ""), longest_s=_LONGEST_S)


def retry_delay(body: bytes) -> float | None:
    """Return how many seconds a refusal's `google.rpc.RetryInfo` asks to wait, if it has one."""
    try:
        document = decode_json(body)
    except JsonError:
        return None
    # Google's APIs have it in a list at times.
    match document[:1] if isinstance(document, list) else [document]:
        case [{"error": error}]:
            return read_retry_delay(error)
        case _:
            return None
