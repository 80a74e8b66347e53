"""What travels in headers: of a request who, until when and under which id; of an answer what ran.

A request may say `x-request-id`, `traceparent`, and how long it may take as `x-request-timeout-ms`,
or, as LiteLLM's callers do, as `x-litellm-timeout` in seconds. Of both, the earlier ends the call.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple
from urllib.parse import quote

from ..domain.answers import Dispatch, Finish
from ..domain.errors import Reason, ResolverError, invalid_request
from ..domain.prompts import ResolvedPrompt, ServedTemplate
from ..entry.access import make_request_id, request_id
from .status import may_try_again


class KeyHeaders(NamedTuple):
    """Headers, by names in lower case, that may bring the token as `Authorization` does.

    Those that are `spare`, the first of them that is there, count only where nothing else tells who
    calls, as others may set them as well; else a call that has both is refused.
    """

    names: Collection[str] = ()
    spare: bool = False


NO_KEY_HEADERS = KeyHeaders()
OPENAI_KEYS = KeyHeaders(("api-key", "x-api-key", "x-litellm-api-key"), spare=True)
"""The headers in which clients of OpenAI's API send their key."""

_TIMEOUTS = {"x-request-timeout-ms": 1000.0, "x-litellm-timeout": 1.0}

# What a header's value may have in it as it is.
_PLAIN = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%") + " "

_TOKEN_ASKED_FOR = (Reason.CALLER_TOKEN_MISSING, Reason.CALLER_TOKEN_INVALID)

# Names of prompts and paths may be long; a proxy may refuse headers of more than 4 KiB.
_MAX_VALUE = 512


def read_request_id(headers: Mapping[str, str]) -> str:
    """Return the id that the caller gave the call, else a new one."""
    return request_id(read_metadata(headers)) or make_request_id()


def read_metadata(
    headers: Mapping[str, str], keys: KeyHeaders = NO_KEY_HEADERS
) -> Iterable[tuple[str, str]]:
    """Return the headers as metadata, whose bearer token may be in one of `keys`, too."""
    names = [] if keys.spare and "Authorization" in headers else keys.names
    if keys.spare:
        names = [name for name in names if name in headers][:1]
    for name, value in headers.items():
        lower = name.lower()
        if lower in names:
            yield "authorization", f"Bearer {value.removeprefix('Bearer ')}"
        else:
            yield lower, value


def read_deadline(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds the call may take, or None. Raises REQUEST_INVALID."""
    return min(
        (
            _positive(name, headers[name]) / per_second
            for name, per_second in _TIMEOUTS.items()
            if name in headers
        ),
        default=None,
    )


def _positive(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise invalid_request(name, "expected a number above 0")
    return number


def resolved_headers(prompt: ResolvedPrompt) -> dict[str, str]:
    """Return the headers that tell which prompt was served, how, and whose model answers."""
    headers = {"x-provider": _value(prompt.provider), "x-model": _value(prompt.model)}
    return headers if prompt.served is None else headers | served_headers(prompt.served)


def served_headers(served: ServedTemplate) -> dict[str, str]:
    """Return the headers that tell which template was served, and how."""
    template = served.template
    headers = {
        "x-prompt-id": _value(template.id),
        "x-prompt-name": _value(template.name),
        "x-prompt-store": _value(served.store),
        "x-prompt-version": _value(template.version),
        "x-prompt-environment": _value(template.environment),
        "x-prompt-reason": served.reason,
        "x-prompt-sha256": _value(template.content_sha256),
        "x-prompt-cache": served.cache,
        "x-prompt-age": f"{served.age_s:.3f}",
        "x-prompt-stale": "true" if served.stale else "false",
    }
    return {name: value for name, value in headers.items() if value}


def answered_headers(finish: Finish, dispatch: Dispatch) -> dict[str, str]:
    """Return the headers that tell how an answer came about."""
    headers = {
        "x-attempts": str(sum(each.duration_s is not None for each in dispatch.attempts)),
        "x-upstream-duration-ms": f"{dispatch.upstream_s * 1000:.1f}",
    }
    if dispatch.cost is not None:
        headers["x-cost-usd"] = f"{dispatch.cost.usd:.12f}".rstrip("0").rstrip(".")
        headers["x-cost-source"] = _value(dispatch.cost.source)
    if finish.dropped:
        headers["x-dropped-parameters"] = _value(", ".join(finish.dropped))
    return headers


def error_headers(error: ResolverError) -> dict[str, str]:
    """Return the headers that tell when to try again, or not to."""
    headers = {} if may_try_again(error) else {"x-should-retry": "false"}
    if error.reason in _TOKEN_ASKED_FOR:
        headers["www-authenticate"] = "Bearer"
    if error.retry_after_s is not None:
        headers["retry-after"] = str(math.ceil(error.retry_after_s))
        headers["retry-after-ms"] = str(math.ceil(error.retry_after_s * 1000))
    return headers


def _value(text: str) -> str:
    """Return a text as a header carries it: percent-encoded where it is not plain ASCII."""
    encoded = quote(text, safe=_PLAIN)
    return encoded if len(encoded) <= _MAX_VALUE else encoded[: _MAX_VALUE - 3] + "..."
