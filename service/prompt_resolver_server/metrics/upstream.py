"""The metrics of what providers are asked: how long it took, how it ended, and what it cost."""

from typing import NamedTuple

from ..domain.answers import Usage
from ..domain.errors import Reason
from .families import OTHER, Families
from .tallies import Distribution, Tally

_SECONDS = (
    *(0.01 * 2**power for power in range(14)),
    *(163.84, 327.68, 600.0),
)
_OVERHEAD_SECONDS = (
    *(0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
_MAX_MODELS = 100
_TRUNCATED = Reason.UPSTREAM_TRUNCATED.lower()


class UpstreamMetrics:
    """What is counted of calls to providers."""

    def __init__(self, families: Families) -> None:
        self.seconds = families.histogram(
            "prompt_resolver_upstream_request_duration_seconds",
            "Time from sending a request to a provider to the end of its answer.",
            ("provider", "model", "outcome"),
            _SECONDS,
        )
        self.first_chunks = families.histogram(
            "prompt_resolver_upstream_time_to_first_chunk_seconds",
            "Time from sending a request to a provider to the first event of its stream.",
            ("provider", "model"),
            _SECONDS,
        )
        self._overhead = families.histogram(
            "prompt_resolver_overhead_seconds",
            "Time that an answered call took beside that of its providers.",
            ("method",),
            _OVERHEAD_SECONDS,
        )
        self.truncated = families.counter(
            "prompt_resolver_upstream_stream_truncated",
            "Streams of a provider that ended before their answer was complete.",
            ("provider",),
        )
        self.attempts = families.counter(
            "prompt_resolver_upstream_attempts",
            "Candidates that were asked or passed over, by what came of it, and why.",
            ("provider", "model", "outcome", "reason"),
        )
        self.budget_exhausted = families.counter(
            "prompt_resolver_upstream_retry_budget_exhausted",
            "Retries that were left out, as there had been too many.",
            ("provider",),
        )
        self._breakers = families.gauge(
            "prompt_resolver_upstream_breaker_state",
            "The worst of a provider's breakers: 0 closed, 1 half-open, 2 open.",
            ("provider",),
        )
        self.retries = families.counter(
            "prompt_resolver_upstream_retries",
            "Failed requests to a provider that were tried again, by why they failed.",
            ("provider", "model", "reason"),
        )
        self._fallbacks = families.counter(
            "prompt_resolver_upstream_fallbacks",
            "Calls that went on from one alias to another, by why.",
            ("from", "to", "reason"),
        )
        self.inflight = families.gauge(
            "prompt_resolver_upstream_inflight",
            "Requests that a provider is answering.",
            ("provider",),
        )
        self.tokens = families.counter(
            "prompt_resolver_tokens",
            "Tokens that providers counted.",
            ("provider", "model", "direction"),
        )
        self.costs = families.counter(
            "prompt_resolver_cost_usd",
            "What answers cost in US dollars, as far as their prices are known.",
            ("provider", "model"),
        )
        self._models: dict[tuple[str, str], ModelMetrics] = {}
        self._known = 0

    def of(self, provider: str, model: str, *, vouched: bool = False) -> "ModelMetrics":
        """Return the metrics of a model.

        One that was ever `vouched` for, as its name did not come from a caller, has a label of its
        own, as long as there are few enough of them. All others of a provider share one.
        """
        found = self._models.get((provider, model))
        if found is None and vouched and self._known < _MAX_MODELS:
            self._known += 1
            found = self._models[provider, model] = ModelMetrics(self, provider, model)
        if found is None:
            found = self._models.get((provider, OTHER))
        if found is None:
            found = self._models[provider, OTHER] = ModelMetrics(self, provider, OTHER)
        return found

    def breaker_changed(self, provider: str, state: int) -> None:
        """Note how a provider's breakers stand: 0 closed, 1 half-open, 2 open."""
        self._breakers[provider,].value = state

    def retry_budget_exhausted(self, provider: str) -> None:
        """Count a retry that was left out, as a provider had had too many."""
        self.budget_exhausted[provider,].value += 1

    def fell_back(self, alias: str, to: str, reason: str) -> None:
        """Count a call that goes on from one alias to another."""
        self._fallbacks[alias, to, reason].value += 1

    def answered(self, method: str, seconds: float) -> None:
        """Count a call that was answered, and the time that it took beside its providers'."""
        self._overhead[method,].observe(seconds)


class _Ended(NamedTuple):
    """The series of requests that ended in one way."""

    seconds: Distribution
    attempts: Tally


class ModelMetrics:
    """The metrics of one model, or of all models of a provider that have no label of their own."""

    __slots__ = ("_ended", "_families", "_inflight", "_model", "_provider")

    def __init__(self, families: UpstreamMetrics, provider: str, model: str) -> None:
        self._families = families
        self._provider = provider
        self._model = model
        self._inflight: Tally | None = None
        self._ended: dict[tuple[str, str], _Ended] = {}

    def started(self) -> None:
        """Count a request that is being answered from now on."""
        inflight = self._inflight
        if inflight is None:
            families, provider = self._families, self._provider
            inflight = self._inflight = families.inflight[provider,]
            # Whoever alerts on the first of these sees it rise only from a 0 that was there before.
            families.truncated[provider,].value += 0
            families.budget_exhausted[provider,].value += 0
        inflight.value += 1

    def _left(self) -> None:
        assert self._inflight is not None
        self._inflight.value -= 1

    def first_chunk(self, seconds: float) -> None:
        """Count the first event of a stream."""
        self._families.first_chunks[self._provider, self._model].observe(seconds)

    def ended(self, outcome: str, seconds: float, *, by: str = "") -> None:
        """Count a request that is no longer answered: `ok`, `cancelled` by whom, or failed."""
        self._left()
        ended = self._ended.get((outcome, by)) or self._find(outcome, by)
        ended.seconds.observe(seconds)
        ended.attempts.value += 1
        if outcome == _TRUNCATED:
            self._families.truncated[self._provider,].value += 1

    def _find(self, outcome: str, by: str) -> _Ended:
        families, provider, model = self._families, self._provider, self._model
        kind = outcome if outcome in ("ok", "cancelled") else "failed"
        reason = outcome if kind == "failed" else by
        timed, counted = (provider, model, outcome), (provider, model, kind, reason)
        ended = _Ended(families.seconds[timed], families.attempts[counted])
        if timed in families.seconds and counted in families.attempts:
            # Others share a series with whatever does not fit, which counts how often.
            self._ended[outcome, by] = ended
        return ended

    def passed_over(self, reason: str) -> None:
        """Count a candidate that was not asked."""
        attempts = self._families.attempts
        attempts[self._provider, self._model, "passed_over", reason].value += 1

    def unsent(self, reason: str) -> None:
        """Count a request that could not be sent, and so is not being answered."""
        self._left()
        self.passed_over(reason)

    def retried(self, reason: str) -> None:
        """Count a failed request that is tried again."""
        self._families.retries[self._provider, self._model, reason].value += 1

    def used(self, usage: Usage) -> None:
        """Count the tokens of an answer, as far as the provider told how many."""
        tokens, provider, model = self._families.tokens, self._provider, self._model
        if usage.input_tokens:
            tokens[provider, model, "input"].value += usage.input_tokens
        if usage.output_tokens:
            tokens[provider, model, "output"].value += usage.output_tokens
        if usage.cache_read_tokens:
            tokens[provider, model, "cache_read"].value += usage.cache_read_tokens
        if usage.cache_write_tokens:
            tokens[provider, model, "cache_write"].value += usage.cache_write_tokens
        if usage.reasoning_tokens:
            tokens[provider, model, "reasoning"].value += usage.reasoning_tokens

    def charged(self, usd: float) -> None:
        """Count what an answer cost."""
        self._families.costs[self._provider, self._model].value += usd
