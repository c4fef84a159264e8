"""Verify receipts with their signatures: one after another, and in a batch.

Ours checks the record's signature, the inclusion path and the operator's signature of the
checkpoint; the peer, COSE receipts of a smaller tree, only a path and the log's signature.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import peers
from ledgercore import Ledger, Receipt, testing
from ledgercore.primitives import verify_receipts
from measure import OURS, Goal, Operation, Skipped, Way, timed
from submit import SIGNERS, create_ledger

__all__ = ["OPERATIONS"]

COUNT = 16_384
ONE_BY_ONE = 1_024
PEER_LEAVES = 1_024
PEER_RECEIPTS = 16


def prepare(together: bool, directory: Path) -> Mapping[str, Way | Skipped]:
    """Receipts of one block, as bytes, and their records' bodies."""
    with Ledger.open(create_ledger(directory / "bench.ledger")) as ledger:
        records = testing.signed_records(ledger, signers=SIGNERS, count=COUNT)
        indices = [each for each in ledger.submit_many(records) if isinstance(each, int)]
        encoded = [receipt.encode() for receipt in ledger.receipts(indices)]
        bodies = [ledger.record(index).body for index in indices[:ONE_BY_ONE]]
        if together:
            bodies = [record.body for record in ledger.records(indices[0])]
        anchor = ledger.trust_anchor
    if len(encoded) != COUNT:
        raise AssertionError("records were refused: nothing was measured")

    def verify_each() -> None:
        for data, body in zip(encoded, bodies, strict=False):
            Receipt.decode(data).verify(body, anchor)

    if together:
        ours = timed(lambda: verify_receipts(encoded, bodies, anchor), COUNT)
    else:
        ours = timed(verify_each, ONE_BY_ONE)
    public, receipts = peers.make_scitt_receipts(PEER_LEAVES, PEER_RECEIPTS)
    times = ONE_BY_ONE // PEER_RECEIPTS
    return {
        OURS: ours,
        f"scitt-cose, {PEER_LEAVES:,} leaves": timed(
            lambda: peers.verify_scitt(public, receipts, times), ONE_BY_ONE
        ),
    }


OPERATIONS = [
    Operation(
        id="P7",
        what="decode and verify receipts with their signatures, one by one",
        unit="receipts/s",
        floor=None,
        goal=Goal("value", 30_000),
        prepare=partial(prepare, False),
    ),
    Operation(
        id="P7-batch",
        what=f"decode and verify {COUNT:,} receipts of one checkpoint in a batch",
        unit="receipts/s",
        floor=None,
        goal=Goal("value", 300_000),
        prepare=partial(prepare, True),
    ),
]
