"""Copy a ledger: follow it block by block, verifying everything, or begin at a snapshot.

A follower asks, verifies signatures, rules, tree and states, and makes each block durable. The peer
stores the same bundles, headers and notes in the same store, a block a transaction, and looks at
nothing. The transport is a call within the process: neither network nor server is measured.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import count
from pathlib import Path

from ledgercore import Ledger, testing
from ledgercore.clock import SystemClock
from ledgercore.entropy import SystemEntropy
from ledgercore.ledger.transfer import decode_transfer
from ledgercore.store import SqliteStore
from ledgercore.sync import Follower, Request, Response, Source, begin_copy, catch_up, join_copy
from measure import OURS, Goal, Operation, Skipped, Way
from submit import SIGNERS, create_ledger, submit_in_batches

__all__ = ["OPERATIONS"]

BLOCK = 4_096
FOLLOWED = 24 * BLOCK
JOINED = 245 * BLOCK
PEER = "peer"


def grown(path: Path, records: int) -> Ledger:
    """A ledger of so many records of 400-byte bodies, in full blocks."""
    ledger = Ledger.open(create_ledger(path))
    for _ in range(records // BLOCK):
        submit_in_batches(ledger, testing.signed_records(ledger, signers=SIGNERS, count=BLOCK))
    return ledger


class Carrier:
    """A ledger's answers, as a transport."""

    def __init__(self, ledger: Ledger) -> None:
        self._source = Source(ledger)

    def __call__(self, peer: str, request: Request) -> Response:
        return self._source.answer(request)


class Recorded(Carrier):
    """Answers that were made once: what a server takes to make them is not the follower's."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(ledger)
        self._made: dict[str, Response] = {}

    def __call__(self, peer: str, request: Request) -> Response:
        if request.path not in self._made:
            self._made[request.path] = super().__call__(peer, request)
        return self._made[request.path]


def prepare_follow(directory: Path) -> Mapping[str, Way | Skipped]:
    ledger = grown(directory / "bench.ledger", FOLLOWED)
    carry, anchor = Recorded(ledger), ledger.trust_anchor
    blocks = list(ledger.blocks(1))
    names = count()

    def ours() -> tuple[int, float]:
        path = directory / f"copy-{next(names)}.ledger"
        begin = time.perf_counter()
        with begin_copy(path, anchor, [PEER], carry) as copy:
            follower = Follower(copy, [PEER], SystemClock(), SystemEntropy())
            catch_up(follower, carry, lambda seconds: None)
            seconds = time.perf_counter() - begin
            if copy.checkpoint != ledger.checkpoint:
                raise AssertionError("copy is not the ledger: nothing was measured")
        path.unlink()
        return FOLLOWED, seconds

    def storing_only() -> tuple[int, float]:
        path = directory / f"peer-{next(names)}.ledger"
        begin = time.perf_counter()
        store = SqliteStore.create(path)
        store.take_room(1)
        for data in blocks:
            transfer, block, _ = decode_transfer(data)
            with store.transaction():
                store.add_bundles(block.height, block.first_index, transfer.bundles)
                store.add_header(block.height, block.first_index, transfer.header, transfer.note)
        seconds = time.perf_counter() - begin
        store.close()
        path.unlink()
        return FOLLOWED, seconds

    return {OURS: ours, "same store, storing only": storing_only}


def prepare_join(directory: Path) -> Mapping[str, Way | Skipped]:
    ledger = grown(directory / "bench.ledger", JOINED)
    anchor, names = ledger.trust_anchor, count()

    def ours() -> tuple[int, float]:
        path = directory / f"copy-{next(names)}.ledger"
        begin = time.perf_counter()
        with join_copy(path, anchor, [PEER], Carrier(ledger)) as copy:
            seconds = time.perf_counter() - begin
            if copy.checkpoint != ledger.checkpoint:
                raise AssertionError("copy is not the ledger: nothing was measured")
        path.unlink()
        return 1, seconds

    return {OURS: ours}


OPERATIONS = [
    Operation(
        id="P9",
        what=f"follow {FOLLOWED:,} records in blocks of {BLOCK:,}, all verified, durable",
        unit="records/s",
        floor=None,
        goal=Goal("ratio", 0.8),
        prepare=prepare_follow,
    ),
    Operation(
        id="P9-join",
        what=f"begin a copy of {JOINED:,} records at a snapshot, made, verified and stored",
        unit="s",
        floor=None,
        goal=Goal("value", 1),
        less_is_better=True,
        units_a_second=1,
        prepare=prepare_join,
    ),
]
