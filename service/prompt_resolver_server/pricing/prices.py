"""What answers cost, as far as anybody knows: a price that is not known is none, and never zero."""

import asyncio
import importlib.util
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Protocol

from ..domain.answers import Cost, Finish, ModelRequest, Usage
from ..domain.parameters import Json
from ..domain.prompts import Media, Part
from ..logs import where

_log = logging.getLogger(__name__)

# The table is loaded in less than half a second, once. What takes longer may never end.
_PATIENCE_S = 2.0
# An answer that was asked for in another way has another price, which the table may not have.
_USUAL_TIERS = frozenset({"auto", "default", "standard", "standard_only", "unspecified"})
_USUAL = {
    "inference_geo": frozenset({"global"}),
    "performanceConfig": frozenset({"standard"}),
    "serviceTier": _USUAL_TIERS,
    "service_tier": _USUAL_TIERS,
    "speed": frozenset({"standard"}),
}
_MODALITIES = ("modalities", "responseModalities", "response_modalities")
_USUAL_TTL = "5m"
_NESTED = "additionalModelRequestFields"
"""Where Bedrock has what is meant for the model alone."""


class PriceTable(Protocol):
    """The prices of models, each at the address of the vendor whose price it is."""

    def price(self, url: str, model: str, usage: Usage) -> Cost | None:
        """Return what an answer cost that used so many tokens; None where that is not known."""
        ...


class Prices(Protocol):
    """Tells what answers cost."""

    def prepare(self, url: str) -> bool:
        """Expect an answer from this address: what is needed to price it is loaded meanwhile.

        Returns whether it may have a price at all.
        """
        ...

    async def find(
        self, url: str, request: ModelRequest, finish: Finish, *, deadline: float
    ) -> Cost | None:
        """Return what an answer from this address cost; None where that is not known by then.

        `deadline` is on the event loop's clock.
        """
        ...


class _NoPrices:
    """No price is known."""

    def prepare(self, url: str) -> bool:
        """Expect nothing; see `Prices.prepare`."""
        return False

    async def find(
        self, url: str, request: ModelRequest, finish: Finish, *, deadline: float
    ) -> Cost | None:
        """Return None; see `Prices.find`."""
        return None


NO_PRICES: Prices = _NoPrices()


class TablePrices:
    """The prices of a table, which is loaded in a thread once it is first needed.

    It is needed for addresses of vendors alone, which all have TLS. Answers wait for it no longer
    than until `patience_s` after that; those that come later have no cost until it is there.
    """

    def __init__(self, load: Callable[[], PriceTable], *, patience_s: float = _PATIENCE_S) -> None:
        self._load = load
        self._patience_s = patience_s
        self._awaited_until = 0.0
        self._loading: asyncio.Future[PriceTable | None] | None = None

    def prepare(self, url: str) -> bool:
        """Begin to load the table; see `Prices.prepare`."""
        if not url.startswith("https://"):
            return False
        if self._loading is None:
            self._awaited_until = asyncio.get_running_loop().time() + self._patience_s
            self._loading = asyncio.ensure_future(asyncio.to_thread(self._try_to_load))
        return True

    async def find(
        self, url: str, request: ModelRequest, finish: Finish, *, deadline: float
    ) -> Cost | None:
        """Return what an answer cost, once the table is there; see `Prices.find`.

        It is the price of the model that answered, by the provider's name for it, which tells more
        than a deployment's or an alias'; else of the one that was asked for.
        """
        loading, usage = self._loading, finish.usage
        if loading is None or usage is None or not _is_standard(request, usage):
            return None
        if not loading.done():
            left_s = min(deadline, self._awaited_until) - asyncio.get_running_loop().time()
            await asyncio.wait({loading}, timeout=max(0.0, left_s))
        table = loading.result() if loading.done() else None
        if table is None:
            return None
        return table.price(url, finish.model, usage) or table.price(url, request.model, usage)

    def _try_to_load(self) -> PriceTable | None:
        try:
            return self._load()
        except Exception as exception:  # noqa: BLE001  # no answer fails for its price
            _log.warning(
                "the prices could not be loaded",
                extra={"type": type(exception).__name__, "where": where(exception)},
            )
            return None


def build_prices(importing: Callable[[], AbstractContextManager[object]]) -> Prices:
    """Return the prices of the extra `prices`, or none where it is not installed.

    The extra is imported in a thread, within `importing`.
    """
    if importlib.util.find_spec("genai_prices") is None:
        return NO_PRICES
    return TablePrices(partial(_load_table, importing))


def _load_table(importing: Callable[[], AbstractContextManager[object]]) -> PriceTable:
    with importing():
        # It takes 0.2 s and 31 MB.
        from .table import GenaiPrices  # noqa: PLC0415

        return GenaiPrices()


def _is_standard(request: ModelRequest, usage: Usage) -> bool:
    """Tell whether tokens cost what the table has: those of text, on the usual terms."""
    if any(_is_audio(part) for message in request.messages for part in message.content):
        return False
    extra = request.parameters.extra
    nested = extra.get(_NESTED)
    fields = {**extra, **(nested if isinstance(nested, dict) else {})}
    said = {name: value for name, value in fields.items() if value is not None}
    if usage.cache_write_tokens and _is_kept_for_long(said.get("cache_control")):
        return False
    terms = (_word(said[name]) in usual for name, usual in _USUAL.items() if name in said)
    return all(terms) and all(_are_text(said[name]) for name in _MODALITIES if name in said)


def _is_audio(part: Part) -> bool:
    return isinstance(part, Media) and part.kind == "audio"


def _word(term: Json) -> str:
    """Return the word of a term, which some APIs have in an object."""
    match term:
        case (str() as word) | {"type": str() as word} | {"latency": str() as word}:
            return word.lower()
        case _:
            return ""


def _are_text(modalities: Json) -> bool:
    return isinstance(modalities, list) and all(_word(each) == "text" for each in modalities)


def _is_kept_for_long(caching: Json) -> bool:
    """Tell whether what is written to a cache costs more, as it stays there longer than usual."""
    return isinstance(caching, dict) and caching.get("ttl", _USUAL_TTL) != _USUAL_TTL
