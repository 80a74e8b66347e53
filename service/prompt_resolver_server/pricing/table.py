"""The table of prices that comes with the package `genai-prices`. Nothing is fetched.

This is the only module that knows the package, which is there where the extra is installed.
"""

from bisect import bisect_left
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

import genai_prices
from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

from ..domain.answers import Cost, Usage

_MAX_MODELS = 1_024
_FREE = ":free"
_ANY_MODEL = ("https://api.openai.com/v1", "gpt-4o")
_ANY_PRICE = ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(1))


class GenaiPrices:
    """A `PriceTable`: the package's, which knows vendors by the addresses of their APIs."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        # It is read now, in the thread that this is made in, rather than with the first answer. So
        # is what the package imports only as it is asked: a fork meanwhile could never import it.
        _find(*_ANY_MODEL)
        _Rates(_ANY_PRICE, is_free=False)
        self._source = f"genai-prices {genai_prices.__version__}"
        self._find = lru_cache(_MAX_MODELS)(_find)
        # A price lives as long as the table, so that it is known by its id.
        self._rates: dict[int, _Rates] = {}

    def price(self, url: str, model: str, usage: Usage) -> Cost | None:
        """Return what an answer cost that used so many tokens; see `PriceTable.price`."""
        info = self._find(url, model)
        if info is None:
            return None
        # A price may depend on the date, and on the hour.
        price = info.get_prices(self._now())
        rates = self._rates.get(id(price))
        if rates is None:
            rates = self._rates[id(price)] = _Rates(price, is_free=info.id.endswith(_FREE))
        usd = rates.charge(usage)
        return Cost(usd=float(usd), source=self._source) if usd is not None else None


def _find(url: str, model: str) -> ModelInfo | None:
    try:
        found = genai_prices.calc_price(genai_prices.Usage(), model, provider_api_url=url)
    except LookupError:
        return None
    return found.model


class _Tier(NamedTuple):
    """What a token costs of each kind, in a request whose input is of some length."""

    input: Decimal
    cache_read: Decimal
    cache_write: Decimal
    output: Decimal
    reasoning: Decimal


class _Rates:
    """What a model's tokens cost, worked out once: to ask for each answer takes 60 µs.

    The package is asked what a token of each kind adds. That is the same for every token, but for
    those of long inputs, which make all tokens of the request dearer.
    """

    def __init__(self, price: ModelPrice, *, is_free: bool) -> None:
        values = [each for each in vars(price).values() if each is not None]
        # A model that is listed without a price is free only if its name says so.
        free = is_free and not values
        self._knows_input = free or price.input_mtok is not None
        self._knows_output = free or price.output_mtok is not None
        self._starts = sorted(
            {tier.start for each in values if isinstance(each, TieredPrices) for tier in each.tiers}
        )
        self._fee = _ask(price)
        self._tiers = [
            _read_tier(price, self._fee, length)
            for length in (1, *[start + 1 for start in self._starts])
        ]

    def charge(self, usage: Usage) -> Decimal | None:
        """Return what so many tokens cost; None where a price or a count is missing or wrong."""
        count, written = usage.input_tokens, usage.output_tokens
        if count is None or written is None:
            return None
        if (count and not self._knows_input) or (written and not self._knows_output):
            return None
        read, kept = usage.cache_read_tokens or 0, usage.cache_write_tokens or 0
        thought = usage.reasoning_tokens or 0
        if read + kept > count or thought > written:
            return None
        tier = self._tiers[bisect_left(self._starts, count)]
        return (
            self._fee
            + (count - read - kept) * tier.input
            + read * tier.cache_read
            + kept * tier.cache_write
            + (written - thought) * tier.output
            + thought * tier.reasoning
        )


def _read_tier(price: ModelPrice, fee: Decimal, length: int) -> _Tier:
    plain = _ask(price, input_tokens=length)

    def each_input(**counts: int) -> Decimal:
        return (_ask(price, input_tokens=length, **counts) - fee) / length

    def each_output(**counts: int) -> Decimal:
        return _ask(price, input_tokens=length, output_tokens=1, **counts) - plain

    return _Tier(
        input=each_input(),
        cache_read=each_input(cache_read_tokens=length),
        cache_write=each_input(cache_write_tokens=length),
        output=each_output(),
        reasoning=each_output(output_reasoning_tokens=1),
    )


def _ask(price: ModelPrice, **counts: int) -> Decimal:
    return price.calc_price(genai_prices.Usage(**counts))["total_price"]
