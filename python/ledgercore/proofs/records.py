"""Verify records that stand in the tree of one checkpoint, with one multiproof of them all."""

from __future__ import annotations

from collections.abc import Sequence

from ledgercore._core import Anchor, Batch, Checkpoint, Record, VerifiedRecord, verify_multi
from ledgercore.arguments import typed
from ledgercore.errors import LedgerError, UntrustedError

__all__ = ["verify_records"]


@typed
def verify_records(
    anchor: Anchor,
    checkpoint: Checkpoint,
    encoded: Sequence[tuple[int, bytes]],
    proof: Sequence[bytes],
) -> list[tuple[int, VerifiedRecord]]:
    """The records with their indices, which ascend; each is of the network, signed and included.

    The checkpoint must be verified already. There is no proof of no record at all.
    """
    indices = [index for index, _ in encoded]
    batch = Batch.decode([record for _, record in encoded])
    size, root = checkpoint.size, checkpoint.root
    verify_multi(anchor.suite, batch.leaf_hashes(), indices, size, proof, root)
    return [(index, _verified(anchor, index, batch[at])) for at, index in enumerate(indices)]


def _verified(anchor: Anchor, index: int, record: Record) -> VerifiedRecord:
    if record.network != anchor.network or record.suite != anchor.suite:
        raise UntrustedError(f"record {index} is of another network or suite")
    try:
        return record.verify()
    except LedgerError as error:
        raise type(error)(f"record {index}: {error}") from error
