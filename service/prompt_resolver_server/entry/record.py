"""What the log tells of a call: a line for each that fails, and at debug level for all others."""

import logging
import time
from collections.abc import Mapping

from ..answers import Cost, ModelRequest
from ..prompts import PromptRef, ServedTemplate
from ..tracing import NO_SPAN, AttemptSpan, CallSpan
from .access import Metadata, trace_id

_log = logging.getLogger(__name__)

# What a caller names may be as long as a message.
_MAX_TEXT = 256


class CallRecord:
    """Takes note of a call for its line in the log, and tells its span the same; a `CallSpan`.

    Made for every call, so it keeps what it is given as it is, and puts it into words where a line
    is written.
    """

    __slots__ = ("_alias", "_asked", "_attempts", "_provider", "_served", "_span", "_started")

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._span = NO_SPAN
        self._asked: PromptRef | None = None
        self._alias: str | None = None
        self._served: ServedTemplate | None = None
        self._provider = ""
        self._attempts = 0

    def tell(self, span: CallSpan) -> None:
        """Tell a span, too, from now on."""
        self._span = span

    @property
    def seconds(self) -> float:
        """How long the call has taken so far."""
        return time.perf_counter() - self._started

    @property
    def trace_id(self) -> str:
        """The id of the trace that the span is part of; see `CallSpan.trace_id`."""
        return self._span.trace_id

    def asked(self, prompt: PromptRef, alias: str | None) -> None:
        """Note what is asked for; see `CallSpan.asked`."""
        self._asked, self._alias = prompt, alias
        self._span.asked(prompt, alias)

    def served(self, served: ServedTemplate) -> None:
        """Note which template was served; see `CallSpan.served`."""
        self._served = served
        self._span.served(served)

    def labelled(self, labels: Mapping[str, str]) -> None:
        """Pass on the caller's labels; see `CallSpan.labelled`."""
        self._span.labelled(labels)

    def charged(self, cost: Cost) -> None:
        """Pass on what the answer cost; see `CallSpan.charged`."""
        self._span.charged(cost)

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
        return self._span.attempt(
            provider=provider, base_url=base_url, request=request, served=served, stream=stream
        )

    def end(self, code: str | int, reason: str = "") -> None:
        """End the span; see `CallSpan.end`."""
        self._span.end(code, reason)

    def write(
        self,
        level: int,
        *,
        method: str,
        code: str | int,
        caller: str,
        request_id: str,
        metadata: Metadata,
        reason: str = "",
        details: Mapping[str, str] | None = None,
    ) -> None:
        """Write the call's line: what was asked, what served it, how it ended, how long it took.

        It is one of a failure if there is a reason; `details` are those of its error.
        """
        if not _log.isEnabledFor(level):
            return
        fields: dict[str, object] = {
            "method": method,
            "code": code,
            "reason": reason.upper(),
            "caller": caller,
            "request_id": request_id,
            "trace_id": self._span.trace_id or trace_id(metadata),
            **self._describe(),
            "duration_s": round(self.seconds, 6),
        }
        if details:
            fields["details"] = {name: _cut(value) for name, value in details.items()}
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


def logs_all_calls() -> bool:
    """Tell whether calls that do not fail have a line as well."""
    return _log.isEnabledFor(logging.DEBUG)


def _cut(value: object) -> object:
    return f"{value[:_MAX_TEXT]}..." if isinstance(value, str) and len(value) > _MAX_TEXT else value
