"""The metrics of what providers are asked: how long it took, how it ended, and what it cost."""

from ..domain.answers import Usage
from ..domain.errors import Reason
from .families import OTHER, Families

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
        self._first_chunks = families.histogram(
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
        self._truncated = families.counter(
            "prompt_resolver_upstream_stream_truncated",
            "Streams of a provider that ended before their answer was complete.",
            ("provider",),
        )
        self._attempts = families.counter(
            "prompt_resolver_upstream_attempts",
            "Candidates that were asked or passed over, by what came of it, and why.",
            ("provider", "model", "outcome", "reason"),
        )
        self._budget_exhausted = families.counter(
            "prompt_resolver_upstream_retry_budget_exhausted",
            "Retries that were left out, as there had been too many.",
            ("provider",),
        )
        self._breakers = families.gauge(
            "prompt_resolver_upstream_breaker_state",
            "The worst of a provider's breakers: 0 closed, 1 half-open, 2 open.",
            ("provider",),
        )
        self._retries = families.counter(
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
        self._costs = families.counter(
            "prompt_resolver_cost_usd",
            "What answers cost in US dollars, as far as their prices are known.",
            ("provider", "model"),
        )
        self._labels: dict[tuple[str, str], str] = {}
        """Those of models that are vouched for, up to a hundred; others share one."""

    def started(self, provider: str) -> None:
        """Count a request that a provider is answering from now on."""
        self.inflight[provider,].value += 1
        # Whoever alerts on the first of these sees it rise only from a 0 that was there before.
        self._truncated[provider,].value += 0
        self._budget_exhausted[provider,].value += 0

    def first_chunk(self, provider: str, model: str, seconds: float) -> None:
        """Count the first event of a provider's stream."""
        self._first_chunks[provider, self._labels.get((provider, model), OTHER)].observe(seconds)

    def ended(self, provider: str, model: str, outcome: str, seconds: float) -> None:
        """Count a request that a provider no longer answers: `ok`, `cancelled`, or failed."""
        self.inflight[provider,].value -= 1
        label = self._labels.get((provider, model), OTHER)
        self.seconds[provider, label, outcome].observe(seconds)
        kind = outcome if outcome in ("ok", "cancelled") else "failed"
        reason = outcome if kind == "failed" else ""
        self._attempts[provider, label, kind, reason].value += 1
        if outcome == _TRUNCATED:
            self._truncated[provider,].value += 1

    def passed_over(self, provider: str, model: str, reason: str) -> None:
        """Count a candidate that was not asked."""
        label = self._labels.get((provider, model), OTHER)
        self._attempts[provider, label, "passed_over", reason].value += 1

    def unsent(self, provider: str, model: str, reason: str) -> None:
        """Count a request that a provider could not be sent, and so is not answering."""
        self.inflight[provider,].value -= 1
        self.passed_over(provider, model, reason)

    def breaker_changed(self, provider: str, state: int) -> None:
        """Note how a provider's breakers stand: 0 closed, 1 half-open, 2 open."""
        self._breakers[provider,].value = state

    def retry_budget_exhausted(self, provider: str) -> None:
        """Count a retry that was left out, as a provider had had too many."""
        self._budget_exhausted[provider,].value += 1

    def retried(self, provider: str, model: str, reason: str) -> None:
        """Count a failed request that is tried again."""
        label = self._labels.get((provider, model), OTHER)
        self._retries[provider, label, reason].value += 1

    def fell_back(self, alias: str, to: str, reason: str) -> None:
        """Count a call that goes on from one alias to another."""
        self._fallbacks[alias, to, reason].value += 1

    def answered(self, method: str, seconds: float) -> None:
        """Count a call that was answered, and the time that it took beside its providers'."""
        self._overhead[method,].observe(seconds)

    def used(self, provider: str, model: str, usage: Usage) -> None:
        """Count the tokens of an answer, as far as the provider told how many."""
        label = self._labels.get((provider, model), OTHER)
        for direction, count in (
            ("input", usage.input_tokens),
            ("output", usage.output_tokens),
            ("cache_read", usage.cache_read_tokens),
            ("cache_write", usage.cache_write_tokens),
            ("reasoning", usage.reasoning_tokens),
        ):
            if count:
                self.tokens[provider, label, direction].value += count

    def charged(self, provider: str, model: str, usd: float) -> None:
        """Count what an answer cost."""
        self._costs[provider, self._labels.get((provider, model), OTHER)].value += usd

    def know_model(self, provider: str, model: str) -> None:
        """Let a model have a label of its own, as its name does not come from a caller."""
        if len(self._labels) < _MAX_MODELS:
            self._labels[provider, model] = model
