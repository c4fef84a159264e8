"""Hash a former ledger anew under another suite, for a record that anchors it in a newer ledger.

First ``renew`` the whole of it, and have members submit the body to the newer ledger; then
``prove_renewed`` shows any record of the former one under the newer one's anchor. Both read every
record; 32 bytes for each are held in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from ledgercore._core import Record, leaf_hashes, prove_multi, tree_root
from ledgercore.errors import MalformedError, UntrustedError
from ledgercore.ledger.ledger import Ledger
from ledgercore.proofs.renewal import RenewedRecord
from ledgercore.records import RenewalAnchor, decode

__all__ = ["prove_renewed", "renew"]

BATCH = 4096
"""Records that are hashed together."""


def renew(former: Ledger, suite: str) -> RenewalAnchor:
    """Verify all of a ledger, and hash it anew; what a member signs into a newer one.

    Raises as ``Ledger.verify`` does: nothing that is unsound is carried over.
    """
    report = former.verify()
    with former.moment():
        size, note = former.size, former.checkpoint
        if size != report.records:
            raise UntrustedError(f"ledger went on to {size} while it was verified: try again")
        root = tree_root(suite, _leaves(former, suite, size))
    return RenewalAnchor(
        former_network=former.network,
        former_suite=former.suite,  # type: ignore[arg-type]  # a ledger has one of the two
        former_size=size,
        former_checkpoint=note.encode(),
        root=root,
    )


def prove_renewed(former: Ledger, newer: Ledger, anchored_at: int, index: int) -> RenewedRecord:
    """The record at an index of the former ledger, led to the anchor at an index of the newer."""
    anchoring = newer.record(anchored_at)
    if anchoring.kind != RenewalAnchor.KIND:
        raise MalformedError(f"record {anchored_at} is {anchoring.kind}, want {RenewalAnchor.KIND}")
    body = decode(anchoring.kind, anchoring.body)
    assert isinstance(body, RenewalAnchor)
    leaves = _leaves(former, newer.suite, body.former_size)
    return RenewedRecord(
        version=1,
        network=former.network,
        suite=former.suite,  # type: ignore[arg-type]  # a ledger has one of the two
        index=index,
        record=former.record(index).encode(),
        proof=tuple(prove_multi(newer.suite, [index], body.former_size, {(0, 0): leaves})),
        body=anchoring.body,
        receipt=newer.receipt(anchored_at).encode(),
    )


def _leaves(former: Ledger, suite: str, size: int) -> bytes:
    """The leaf hashes of the first records, under a suite that need not be their own."""
    batches = _batches(former.records(0, size))
    return b"".join(leaf_hashes(suite, [each.encode() for each in batch]) for batch in batches)


def _batches(records: Iterator[Record]) -> Iterator[list[Record]]:
    while batch := list(islice(records, BATCH)):
        yield batch
