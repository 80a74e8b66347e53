"""THE table: which HTTP status each of our errors is."""

from collections.abc import Mapping

from ..domain.errors import Blame, Reason, ResolverError

# Where the operator or the prompt's author has to act, as with most 400s here, the caller's trying
# again changes nothing, which clients take a status of 500 and above for an invitation to do.
STATUSES: Mapping[Reason, int] = {
    Reason.REQUEST_INVALID: 400,
    Reason.PROMPT_ID_INVALID: 400,
    Reason.SELECTOR_INVALID: 400,
    Reason.STORE_UNKNOWN: 400,
    Reason.ALIAS_UNKNOWN: 404,
    Reason.PROMPT_NOT_FOUND: 404,
    Reason.VERSION_NOT_FOUND: 404,
    Reason.VARIABLES_INVALID: 400,
    Reason.TEMPLATE_INVALID: 400,
    Reason.TEMPLATE_FORBIDDEN: 400,
    Reason.TEMPLATE_BUDGET: 400,
    Reason.STORE_AUTH: 400,
    Reason.STORE_UNAVAILABLE: 503,
    Reason.MODEL_MISSING: 400,
    Reason.MESSAGES_MISSING: 400,
    Reason.PARAMETER_UNSUPPORTED: 400,
    Reason.PROVIDER_UNKNOWN: 400,
    Reason.PROVIDER_KEY_MISSING: 400,
    Reason.UPSTREAM_AUTH: 400,
    Reason.UPSTREAM_AUTH_CALLER_KEY: 401,
    Reason.UPSTREAM_REJECTED: 400,
    Reason.CONTEXT_LENGTH: 400,
    Reason.REQUEST_TOO_LARGE: 413,
    Reason.CONTENT_BLOCKED: 400,
    Reason.MODEL_NOT_FOUND: 404,
    Reason.UPSTREAM_RATE_LIMITED: 429,
    Reason.UPSTREAM_QUOTA: 429,
    Reason.UPSTREAM_UNAVAILABLE: 503,
    Reason.UPSTREAM_OVERLOADED: 503,
    Reason.UPSTREAM_TLS: 502,
    Reason.UPSTREAM_TIMEOUT: 504,
    Reason.UPSTREAM_PROTOCOL: 502,
    Reason.UPSTREAM_TRUNCATED: 502,
    Reason.DEADLINE: 504,
    Reason.OVERLOADED: 429,
    Reason.DRAINING: 503,
    Reason.CALLER_TOKEN_MISSING: 401,
    Reason.CALLER_TOKEN_INVALID: 401,
    Reason.CALLER_FORBIDDEN: 403,
    Reason.NOT_IMPLEMENTED: 501,
    Reason.INTERNAL: 500,
}

_BY_BLAME: Mapping[tuple[Reason, Blame], int] = {
    (Reason.STORE_AUTH, Blame.CALLER): 401,
    (Reason.UPSTREAM_AUTH_CALLER_KEY, Blame.CALLER_DENIED): 403,
}

_REPEATABLE = frozenset(
    {
        Reason.STORE_UNAVAILABLE,
        Reason.UPSTREAM_RATE_LIMITED,
        Reason.UPSTREAM_UNAVAILABLE,
        Reason.UPSTREAM_OVERLOADED,
        Reason.OVERLOADED,
        Reason.DRAINING,
    }
)


def status_of(error: ResolverError) -> int:
    """Return the HTTP status of an error."""
    return _BY_BLAME.get((error.reason, error.blame), STATUSES[error.reason])


def may_try_again(error: ResolverError) -> bool:
    """Tell whether the same request may succeed later, and trying again costs nothing."""
    return error.reason in _REPEATABLE and not error.was_for_nothing
