"""What answers cost, by a table of prices that is there where the extra `prices` is installed."""

from .prices import NO_PRICES, Prices, build_prices

__all__ = ["NO_PRICES", "Prices", "build_prices"]
