"""Submit signed records of 32 signers, 400-byte bodies: verified, durable, published.

Two rows: until ``submit_many`` returns, when a receipt of each record can be had; and until every
receipt has been made as bytes. The peer stores the same bytes durably in SQLite and does nothing
else: no signatures, no rules, no tree.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from pathlib import Path

import peers
from ledgercore import Ledger, testing
from measure import OURS, Floor, Operation, Way

__all__ = ["OPERATIONS"]

SIGNERS = 32
COUNT = 16_384


def make_ours(directory: Path, receipts: bool) -> Way:
    """A ledger of its own that grows from round to round; signing is not measured."""
    path = directory / "bench.ledger"
    members = testing.test_members(SIGNERS)
    Ledger.create(path, origin="bench.example", members=members).close()

    def run() -> tuple[int, float]:
        with Ledger.open(path) as ledger:
            records = testing.signed_records(ledger, signers=SIGNERS, count=COUNT)
            begin = time.perf_counter()
            outcomes = ledger.submit_many(records)
            if receipts:
                for receipt in ledger.receipts(outcomes):  # a refusal is no index, and raises
                    receipt.encode()
            seconds = time.perf_counter() - begin
            if outcomes != list(range(ledger.size - COUNT, ledger.size)):
                raise AssertionError("records were refused: nothing was measured")
        return COUNT, seconds

    return run


def make_peer(directory: Path) -> Callable[[], tuple[int, float]]:
    """A new file a round, on the same disk."""
    records = [number.to_bytes(568, "big") for number in range(COUNT)]
    paths = (directory / f"peer-{number}.sqlite" for number in count())

    def run() -> tuple[int, float]:
        begin = time.perf_counter()
        peers.store_sqlite(next(paths), records)
        return COUNT, time.perf_counter() - begin

    return run


def prepare(receipts: bool, directory: Path) -> Mapping[str, Way]:
    return {
        OURS: make_ours(directory, receipts),
        "SQLite, storing only": make_peer(directory),
    }


OPERATIONS = [
    Operation(
        id="submit",
        what="signed records verified, durable, published, receipts available",
        unit="records/s",
        floor=Floor("value", 40_000),
        prepare=partial(prepare, False),
    ),
    Operation(
        id="submit-receipts",
        what="the same, and each record's receipt made",
        unit="records/s",
        floor=Floor("value", 40_000),
        prepare=partial(prepare, True),
    ),
]
