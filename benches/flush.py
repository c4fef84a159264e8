"""Append records one by one, each durable before the next: beside a write-and-flush loop."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import count
from pathlib import Path

import peers
from ledgercore import Ledger
from measure import OURS, Floor, Operation, Way, timed

__all__ = ["OPERATIONS"]

COUNT = 200
ITEM_BYTES = 400


def prepare(directory: Path) -> Mapping[str, Way]:
    """Both write to the same directory, so to the same disk."""
    items = [number.to_bytes(ITEM_BYTES, "big") for number in range(COUNT)]
    path = directory / "bench.ledger"
    Ledger.create(path, origin="bench.example").close()
    paths = (directory / f"raw-{number}" for number in count())

    def append() -> tuple[int, float]:
        with Ledger.open(path) as ledger:
            begin = time.perf_counter()
            for item in items:
                ledger.append_many([item])
            return COUNT, time.perf_counter() - begin

    return {
        OURS: append,
        "write and fdatasync": timed(lambda: peers.write_and_flush(next(paths), items), COUNT),
    }


OPERATIONS = [
    Operation(
        id="flush-each",
        what="append 400 bytes, durable before the next",
        unit="records/s",
        floor=Floor("ratio", 0.5),
        prepare=prepare,
    )
]
