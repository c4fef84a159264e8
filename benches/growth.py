"""Submit records until a ledger is large: rate, disk and memory as it grows.

At the end the large ledger and a small one take turns, so that how fast the machine was meanwhile
does not decide. The peer, a row a record in SQLite with an index on its id, stops at two million.
Signing is not measured. Ten million records take a quarter of an hour and seven gigabytes; with
``--ahead`` they are signed on another thread while those before them are submitted, which takes
less time and makes the rates on the way up, but not those of the turns, worth less.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import peers
from ledgercore import Ledger, testing
from ledgercore.ledger.ahead import map_ahead
from measure import OURS, Goal, Operation, Row, compare
from submit import RECORD_BYTES, SIGNERS, create_ledger

__all__ = ["LARGE", "compare_sizes", "main"]

TOGETHER = 16_384
SMALL = 8 * TOGETHER
LARGE = 10_000_000
PEER_LIMIT = 2_097_152
ROUNDS = 7
RESULTS = Path(__file__).resolve().parent / "results"


def main() -> int:
    """Grow, print a line whenever the size has doubled, keep all of it as JSON."""
    parser = argparse.ArgumentParser(description="Measure how a ledger grows.")
    parser.add_argument("--records", type=int, default=2_000_000, help="records (2,000,000)")
    parser.add_argument("--body-bytes", type=int, default=400, help="bytes in a body (400)")
    parser.add_argument("--ahead", action="store_true", help="sign while others are submitted")
    parser.add_argument("--directory", type=Path, default=RESULTS, help="where to write files")
    parser.add_argument("--output", type=Path, default=RESULTS / "growth.json", help="the result")
    arguments = parser.parse_args()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=arguments.directory) as scratch:
        made = Made(arguments.body_bytes, arguments.ahead)
        result = measure_growth(Path(scratch), arguments.records, made)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(json.dumps(result, indent=1) + "\n")
    return 0


class Made(NamedTuple):
    """How records are made: the bytes in each body, and whether on a thread of its own."""

    body_bytes: int = 400
    ahead: bool = False

    def batches(self, ledger: Ledger) -> Iterator[list[bytes]]:
        """Batches without end that the ledger will accept."""
        batches = testing.signed_batches(
            ledger, signers=SIGNERS, count=TOGETHER, body_bytes=self.body_bytes
        )
        return map_ahead(lambda _: next(batches), count(), 1) if self.ahead else batches


def measure_growth(directory: Path, records: int, made: Made) -> dict[str, Any]:
    """All of it; our memory is read before the peer begins."""
    small = SMALL if records > 4 * SMALL else TOGETHER
    grow(create_ledger(directory / "warm.ledger"), TOGETHER, made, show=False)
    path = create_ledger(directory / "growth.ledger")
    rows = grow(path, records, made, show=True)
    small_path = create_ledger(directory / "small.ledger")
    grow(small_path, small, made, show=False)
    rates = take_turns(small_path, path, made)
    path.unlink()
    return {
        "body_bytes": made.body_bytes,
        "rows": rows,
        "small_records": small,
        "small_rates": rates[0],
        "large_rates": rates[1],
        "peer": "SQLite, id index",
        "peer_rows": grow_peer(directory / "peer.sqlite", min(records, PEER_LIMIT)),
    }


def grow(path: Path, records: int, made: Made, *, show: bool) -> list[dict[str, float]]:
    """A row whenever the size has doubled: what was submitted since the row before."""
    if show:
        print("|    records | records/s | bytes a record | its own | memory MiB | opens in s |")
        print("|------------|-----------|----------------|---------|------------|------------|")
    rows: list[dict[str, float]] = []
    total = own = 0
    while total < records:
        aim, since, seconds = min(records, max(TOGETHER, 2 * total)), total, 0.0
        with Ledger.open(path) as ledger:
            batches = made.batches(ledger)
            while total < aim:
                batch = next(batches)
                seconds += submit(ledger, batch)
                total += TOGETHER
                own += sum(map(len, batch))
        begin = time.perf_counter()
        Ledger.open(path, read_only=True).close()
        row = {
            "records": total,
            "rate": (total - since) / seconds,
            "bytes_a_record": path.stat().st_size / total,
            "own_bytes_a_record": own / total,
            "memory_mib": most_memory_mib(),
            "open_s": time.perf_counter() - begin,
        }
        rows.append(row)
        if show:
            print(format_row(row), flush=True)
    return rows


def most_memory_mib() -> float:
    """The most that this program had; what getrusage says counts the one that started it."""
    status = Path("/proc/self/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


def submit(ledger: Ledger, batch: list[bytes]) -> float:
    """How many seconds it took."""
    begin = time.perf_counter()
    outcomes = ledger.submit_many(batch)
    seconds = time.perf_counter() - begin
    if outcomes[-1] != ledger.size - 1:
        raise AssertionError("records were refused: nothing was measured")
    return seconds


def take_turns(small: Path, large: Path, made: Made) -> tuple[list[float], list[float]]:
    """The rates of two ledgers, batch by batch in turn; nothing is signed meanwhile."""
    made = made._replace(ahead=False)
    rates: tuple[list[float], list[float]] = ([], [])
    with Ledger.open(small) as first, Ledger.open(large) as second:
        sources = [made.batches(ledger) for ledger in (first, second)]
        for number in range(ROUNDS + 1):
            for ledger, source, found in zip((first, second), sources, rates, strict=True):
                seconds = submit(ledger, next(source))
                if number:
                    found.append(TOGETHER / seconds)
    return rates


def grow_peer(path: Path, records: int) -> list[dict[str, float]]:
    """The peer's rows, at the same sizes."""
    store, rows, total = peers.IndexedSqlite(path), [], 0
    try:
        while total < records:
            aim, since, seconds = min(records, max(TOGETHER, 2 * total)), total, 0.0
            while total < aim:
                numbers = range(total, total + TOGETHER)
                batch = [
                    hashlib.shake_256(number.to_bytes(8, "big")).digest(RECORD_BYTES)
                    for number in numbers
                ]
                begin = time.perf_counter()
                store.store(batch)
                seconds += time.perf_counter() - begin
                total += TOGETHER
            rows.append({"records": total, "rate": (total - since) / seconds})
    finally:
        store.close()
    return rows


def format_row(row: dict[str, float]) -> str:
    """A line of the table."""
    return (
        f"| {row['records']:>10,} | {row['rate']:>9,.0f} | {row['bytes_a_record']:>14.0f} "
        f"| {row['own_bytes_a_record']:>7.0f} | {row['memory_mib']:>10.0f} "
        f"| {row['open_s']:>10.3f} |"
    )


def compare_sizes(found: dict[str, Any]) -> list[Row]:
    """Rate, memory and disk as rows; the goals are judged only at ten million records."""
    last = found["rows"][-1]
    disk = last["bytes_a_record"] / last["own_bytes_a_record"]
    size, small = f"{last['records']:,}", f"at {found['small_records']:,} records"
    own, less = {OURS: [last["memory_mib"]]}, {OURS: [disk]}
    both = {OURS: found["large_rates"], small: found["small_rates"]}
    rows = [
        *compare(_operation("P10", f"submit at {size} records", "records/s", 0.9), both, {}),
        *compare(_operation("P10-memory", f"most memory, to {size} records", "MiB", 256), own, {}),
        *compare(_operation("P10-disk", f"file / records, {size}", "times", 1.15), less, {}),
    ]
    if last["records"] < LARGE:
        rows = [replace(row, met=None) for row in rows]
    return rows


def _operation(id: str, what: str, unit: str, goal: float) -> Operation:
    """What the growth is told by: a rate beside a rate, or an amount that is to be small."""
    rate = unit.endswith("/s")
    return Operation(
        id=id,
        what=what,
        unit=unit,
        floor=None,
        prepare=lambda directory: {},
        goal=Goal("ratio" if rate else "value", goal),
        less_is_better=not rate,
    )


if __name__ == "__main__":
    sys.exit(main())
