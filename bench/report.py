"""The figures of a run, as JSON and as a table."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .load import Load
from .rows import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One row in one round: what the load saw, and the CPU time that the server used for it."""

    load: Load
    cpu_s: float | None

    @property
    def cpu_us(self) -> float | None:
        """CPU time for each call."""
        if self.cpu_s is None or not self.load.calls:
            return None
        return self.cpu_s * 1e6 / self.load.calls


Rounds = Sequence[Mapping[str, Cell]]


def summarise(rows: Sequence[Row], rounds: Rounds) -> list[dict[str, object]]:
    """Return each row's medians over the rounds. Ratios are taken within a round first."""
    return [_summary(row, rounds) for row in rows]


def _summary(row: Row, rounds: Rounds) -> dict[str, object]:
    cells = [cells[row.name] for cells in rounds]
    peers = [cells.get(row.beside or "") for cells in rounds]
    pairs = [(cell, peer) for cell, peer in zip(cells, peers, strict=True) if peer is not None]
    cpu_us = _median([cell.cpu_us for cell in cells], 1)
    return {
        "name": row.name,
        "title": row.title,
        "in_flight": row.in_flight,
        "beside": row.beside if pairs else None,
        "ratio": _median([_over(a.load.per_second, b.load.per_second) for a, b in pairs], 3),
        "cpu_ratio": _median([_over(b.cpu_us, a.cpu_us) for a, b in pairs], 3),
        "times_litellm": _times_litellm(row, rounds),
        "per_second": _median([cell.load.per_second for cell in cells], 1),
        "cpu_us": cpu_us,
        "cpu_us_per_event": round(cpu_us / row.events, 2) if cpu_us and row.events > 1 else None,
        "p50_ms": _median([cell.load.p50_ms for cell in cells], 3),
        "p99_ms": _median([cell.load.p99_ms for cell in cells], 3),
        "errors": sum(cell.load.errors for cell in cells),
    }


def _times_litellm(row: Row, rounds: Rounds) -> float | None:
    """Return how often a completion of ours is answered while LiteLLM answers once."""
    if not ((row.beside or "").startswith("forward") or row.name.startswith("door")):
        return None
    litellm = [cells.get("litellm") for cells in rounds]
    pairs = [(cells[row.name], peer) for cells, peer in zip(rounds, litellm, strict=True) if peer]
    return _median([_over(a.load.per_second, b.load.per_second) for a, b in pairs], 1)


def _over(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


def _median(values: Sequence[float | None], digits: int) -> float | None:
    known = [value for value in values if value is not None]
    return round(statistics.median(known), digits) if known else None


_COLUMNS = (
    ("", "title"),
    ("in flight", "in_flight"),
    ("calls/s", "per_second"),
    ("CPU µs", "cpu_us"),
    ("CPU µs/event", "cpu_us_per_event"),
    ("p50 ms", "p50_ms"),
    ("p99 ms", "p99_ms"),
    ("beside", "beside"),
    ("ratio", "ratio"),
    ("CPU ratio", "cpu_ratio"),
    ("x LiteLLM", "times_litellm"),
    ("errors", "errors"),
)


def format_table(summary: Sequence[Mapping[str, object]]) -> str:
    """Return the rows as a table of Markdown."""
    lines = [[head for head, _ in _COLUMNS]]
    lines += [[_text(row[key]) for _, key in _COLUMNS] for row in summary]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| "
        + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    )


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case float() if value >= 100:
            return f"{value:,.0f}"
        case float():
            return f"{value:.2f}"
        case _:
            return str(value)
