"""Measures everything and prints it; see README.md beside this file.

python -m bench.run [--rounds N] [--seconds S] [--in-flight N] [--rows NAME,NAME] [--output FILE]
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from .litellm_proxy import find_litellm
from .machine import describe_machine, size_on_disk
from .ours import running_service
from .processes import LOAD, StartError, on_cpu
from .report import Cell, format_table, summarise
from .rows import Row, rows

_RESULTS = Path(__file__).parent / "results" / "latest.json"
_WARM_UP_S = 1.0
_SETTLE_S = 1.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the bench."""
    arguments = _parser().parse_args(argv)
    try:
        uvloop.run(_run(arguments))
    except StartError as error:
        print(f"bench: a server did not start: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make bench", description="Measure the service.")
    parser.add_argument("--rounds", type=int, default=3, help="how often each row is visited")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each visit lasts")
    parser.add_argument("--in-flight", type=int, default=16, help="calls at once in most rows")
    parser.add_argument("--starts", type=int, default=5, help="how often the start is timed")
    parser.add_argument("--rows", default="", help="only these rows: their names, with commas")
    parser.add_argument("--output", type=Path, default=_RESULTS, help="where the JSON goes")
    return parser


async def _run(arguments: argparse.Namespace) -> None:
    machine = describe_machine()
    only = set(filter(None, arguments.rows.split(",")))
    with tempfile.TemporaryDirectory() as folder, on_cpu(LOAD):
        process = await _measure_process(Path(folder), arguments.starts)
        async with AsyncExitStack() as stack:
            found = await stack.enter_async_context(
                rows(Path(folder), in_flight=arguments.in_flight)
            )
            chosen = [row for row in found if not only or row.name in only]
            rounds = await _measure_rows(chosen, arguments.rounds, arguments.seconds)
    result = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "rounds": arguments.rounds,
        "seconds": arguments.seconds,
        "rows": summarise(chosen, rounds),
        "process": process,
    }
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    print(format_table(summarise(chosen, rounds)))
    print()
    for name, value in process.items():
        print(f"{name}: {value:g}")
    if find_litellm() is None:
        print("litellm: left out, as it is not installed; make bench-peers installs it")


async def _measure_rows(chosen: Sequence[Row], count: int, seconds: float) -> list[dict[str, Cell]]:
    """Visit every row in every round, each round beginning with another."""
    for row in chosen:
        await row.load(min(_WARM_UP_S, seconds))
    rounds = []
    for number in range(count):
        turn = number * max(1, len(chosen) // count) % max(1, len(chosen))
        rounds.append(
            {row.name: await _measure(row, seconds) for row in (*chosen[turn:], *chosen[:turn])}
        )
        print(f"round {number + 1} of {count} is done", file=sys.stderr)
    return rounds


async def _measure(row: Row, seconds: float) -> Cell:
    before = row.process.cpu_seconds() if row.process is not None else None
    load = await row.load(seconds)
    if row.process is None or before is None:
        return Cell(load=load, cpu_s=None)
    return Cell(load=load, cpu_s=row.process.cpu_seconds() - before)


async def _measure_process(folder: Path, starts: int) -> dict[str, float]:
    """Return how long the service takes to start, and what it takes then."""
    seconds = []
    memory = []
    for _ in range(starts):
        # Nothing listens at the upstream's address, and nothing is asked of it.
        async with running_service(upstream="127.0.0.1:9", folder=folder) as process:
            seconds.append(process.seconds)
            await asyncio.sleep(_SETTLE_S if len(seconds) == starts else 0)
            memory.append(process.memory_mb())
    measured = {"start_s": round(statistics.median(seconds), 3)} if seconds else {}
    if memory:
        measured |= {f"idle_{name}_mb": round(size, 1) for name, size in memory[-1].items()}
    return measured | {f"disk_{name}": round(size, 1) for name, size in size_on_disk().items()}


if __name__ == "__main__":
    sys.exit(main())
