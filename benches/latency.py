"""Wait for one record after another: milliseconds from a signed record to its receipt as bytes.

The record is verified, durable and published when its receipt is there. The peer waits for a row in
SQLite, durable, and for nothing else.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from pathlib import Path

import peers
from ledgercore import Ledger, testing
from measure import OURS, Goal, Operation, Skipped, Way
from submit import RECORD_BYTES, SIGNERS, create_ledger

__all__ = ["OPERATIONS"]

COUNT = 400


def percentile(waits: list[float], rank: int) -> float:
    """The wait that so many in a hundred do not exceed."""
    return statistics.quantiles(waits, n=100, method="inclusive")[rank - 1]


def prepare(rank: int, directory: Path) -> Mapping[str, Way | Skipped]:
    path = create_ledger(directory / "bench.ledger")
    paths = (directory / f"peer-{number}" for number in count())
    rows = [number.to_bytes(RECORD_BYTES, "big") for number in range(COUNT)]

    def ours() -> tuple[int, float]:
        with Ledger.open(path) as ledger:
            records = testing.signed_records(ledger, signers=SIGNERS, count=COUNT)
            waits = wait_for_each(lambda record: ledger.submit(record).encode(), records)
            return 1, percentile(waits, rank)

    def peer() -> tuple[int, float]:
        with peers.sqlite_rows(next(paths)) as store:
            return 1, percentile(wait_for_each(store, rows), rank)

    return {OURS: ours, "SQLite, a row each": peer}


def wait_for_each(work: Callable[[bytes], object], items: list[bytes]) -> list[float]:
    """How long each took, the next beginning when the one before is done."""
    waits = []
    for item in items:
        begin = time.perf_counter()
        work(item)
        waits.append(time.perf_counter() - begin)
    return waits


OPERATIONS = [
    Operation(
        id=f"P8-p{rank}",
        what=f"submit one record and wait for its receipt, {rank} in 100 wait at most",
        unit="ms",
        floor=None,
        goal=Goal("value", limit),
        less_is_better=True,
        units_a_second=1e3,
        prepare=partial(prepare, rank),
    )
    for rank, limit in ((50, 5), (99, 50))
]
