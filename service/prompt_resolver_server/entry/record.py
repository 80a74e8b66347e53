"""What the log tells of a call: a line for each that fails, and at debug level for all others."""

import logging
import time
from collections.abc import Mapping
from functools import partial
from itertools import islice

from ..domain.answers import Cost, ModelRequest
from ..domain.errors import Blame, Reason, ResolverError
from ..domain.prompts import PromptRef, ServedTemplate
from ..tracing import NO_SPAN, AttemptSpan, CallSpan
from .access import Metadata, trace_id

_log = logging.getLogger(__name__)

# What a caller names may be as long as a message.
_MAX_TEXT = 256
_MAX_LABELS = 64

# What a caller asked amiss, whichever door it came through. All else, operators have to know of.
_OF_CALLERS = frozenset(
    {
        *(Reason.REQUEST_INVALID, Reason.PROMPT_ID_INVALID, Reason.SELECTOR_INVALID),
        *(Reason.STORE_UNKNOWN, Reason.ALIAS_UNKNOWN, Reason.PROMPT_NOT_FOUND),
        *(Reason.VERSION_NOT_FOUND, Reason.VARIABLES_INVALID, Reason.MODEL_MISSING),
        *(Reason.MESSAGES_MISSING, Reason.PARAMETER_UNSUPPORTED, Reason.UPSTREAM_REJECTED),
        *(Reason.UPSTREAM_AUTH_CALLER_KEY, Reason.CONTEXT_LENGTH, Reason.REQUEST_TOO_LARGE),
        *(Reason.CONTENT_BLOCKED, Reason.MODEL_NOT_FOUND, Reason.CALLER_TOKEN_MISSING),
        *(Reason.CALLER_TOKEN_INVALID, Reason.CALLER_FORBIDDEN, Reason.NOT_IMPLEMENTED),
    }
)
_OF_WHOEVER_IS_TO_BLAME = frozenset({Reason.STORE_AUTH, Reason.PROVIDER_UNKNOWN})


class CallRecord:
    """A `CallSpan` that takes note of a call for its line in the log, and tells `span` the same.

    `started` is when the call began, on the clock of `time.perf_counter`. One is made for every
    call, so it keeps what it is given as it is, and puts it into words where a line is written.
    """

    # Most calls leave most of these as they are.
    span: CallSpan = NO_SPAN
    """What is told the same."""
    caller = ""
    """The name of who calls, once that is known."""
    _asked: PromptRef | None = None
    _alias: str | None = None
    _served: ServedTemplate | None = None
    _provider = ""
    _attempts = 0

    def __init__(self) -> None:
        self.started = time.perf_counter()

    @property
    def trace_id(self) -> str:
        """The id of the trace that the span is part of; see `CallSpan.trace_id`."""
        return self.span.trace_id

    def asked(self, prompt: PromptRef, alias: str | None) -> None:
        """Note what is asked for; see `CallSpan.asked`."""
        self._asked, self._alias = prompt, alias
        self.span.asked(prompt, alias)

    def served(self, served: ServedTemplate) -> None:
        """Note which template was served; see `CallSpan.served`."""
        self._served = served
        self.span.served(served)

    def labelled(self, labels: Mapping[str, str]) -> None:
        """Pass on the caller's labels; see `CallSpan.labelled`."""
        self.span.labelled(labels)

    def charged(self, cost: Cost) -> None:
        """Pass on what the answer cost; see `CallSpan.charged`."""
        self.span.charged(cost)

    def attempt(
        self,
        *,
        provider: str,
        base_url: str,
        request: ModelRequest,
        served: ServedTemplate | None,
        stream: bool,
    ) -> AttemptSpan:
        """Note that a provider is asked; see `CallSpan.attempt`."""
        self._provider = provider
        self._attempts += 1
        return self.span.attempt(
            provider=provider, base_url=base_url, request=request, served=served, stream=stream
        )

    def end(self, code: str | int, reason: str = "") -> None:
        """End the span; see `CallSpan.end`."""
        self.span.end(code, reason)

    def write(
        self,
        *,
        method: str,
        code: str | int,
        reason: str,
        request_id: str,
        metadata: Metadata,
        error: ResolverError | None = None,
        level: int = logging.DEBUG,
    ) -> None:
        """Write the call's line: what was asked, what served it, how it ended, how long it took.

        It is one of a failure if there is a reason. The error tells how much it matters to an
        operator, and `level` where there is none.
        """
        level = level if error is None else level_of(error)
        if not _log.isEnabledFor(level):
            return
        fields: dict[str, object] = {
            "method": method,
            # A text at either door: stores of logs take a field to be of one type.
            "code": str(code),
            "reason": reason.upper(),
            "caller": self.caller,
            "request_id": request_id,
            "trace_id": self.span.trace_id or trace_id(metadata),
            **self._describe(),
            "duration_s": round(time.perf_counter() - self.started, 6),
        }
        if error is not None and error.metadata:
            fields["details"] = {name: _cut(value) for name, value in error.metadata.items()}
        _log.log(level, "a call failed" if reason else "a call ended", extra=fields)

    def _describe(self) -> Mapping[str, object]:
        """Return what was asked and what served it, as far as there was anything."""
        described: dict[str, object] = {}
        if self._asked is not None:
            described |= {"prompt": self._asked.id, "store": self._asked.store}
        if self._served is not None:
            template = self._served.template
            described |= {
                "prompt": template.id,
                "version": template.version,
                "store": self._served.store,
                "cache": self._served.cache,
            }
        described |= {
            "alias": self._alias,
            "provider": self._provider,
            "attempts": self._attempts,
        }
        return {name: _cut(value) for name, value in described.items() if value}


def level_of(error: ResolverError) -> int:
    """Return how much a failure matters to an operator."""
    of_caller = error.reason in _OF_CALLERS or (
        error.reason in _OF_WHOEVER_IS_TO_BLAME and error.blame is Blame.CALLER
    )
    return logging.INFO if of_caller else logging.WARNING


logs_all_calls = partial(_log.isEnabledFor, logging.DEBUG)
"""Tells whether calls that do not fail have a line as well."""


def cut_labels(labels: Mapping[str, str]) -> Mapping[str, str]:
    """Return a call's labels as logs and traces tell them: so many, and so much of each."""
    told = islice(labels.items(), _MAX_LABELS)
    return {name[:_MAX_TEXT]: value[:_MAX_TEXT] for name, value in told}


def _cut(value: object) -> object:
    return f"{value[:_MAX_TEXT]}..." if isinstance(value, str) and len(value) > _MAX_TEXT else value
