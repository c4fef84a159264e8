"""Decode a block that was handed over, and check what can be checked of it alone.

The operator signed its header, there are as many records as that says, and every record is signed.
Whether it follows from the ones before is for whoever keeps them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ledgercore._core import Anchor, Block, Checkpoint, VerifiedBatch, hash_domain
from ledgercore.entropy import Entropy
from ledgercore.errors import CorruptError, InvalidSignature, MalformedError, UntrustedError
from ledgercore.ledger.head import verify_block
from ledgercore.ledger.transfer import decode_transfer
from ledgercore.records import Genesis
from ledgercore.store import StoredBlock

__all__ = ["Received", "check_genesis", "receive"]


class Received(NamedTuple):
    """A block whose header the operator signed, and whose records are signed."""

    block: Block
    checkpoint: Checkpoint
    note: str
    batch: VerifiedBatch
    bundles: Sequence[memoryview]
    """The records as they came: views of what was received, which they keep."""


def receive(
    data: bytes | memoryview, anchor: Anchor, entropy: Entropy, *, ahead: bool = False
) -> Received:
    """The block, or ``MalformedError``, ``InvalidSignature`` or ``UntrustedError``.

    What is received ``ahead`` of need gives way to the block before it.
    """
    transfer, block, batch = decode_transfer(data)
    stored = StoredBlock(block.height, block.first_index, transfer.header, transfer.note, [])
    try:
        _, checkpoint = verify_block(stored, anchor)
    except CorruptError as error:
        raise UntrustedError(str(error)) from error
    if len(batch) != block.count:
        raise MalformedError(f"block {block.height} has {len(batch)} records, want {block.count}")
    try:
        verified = batch.verify(entropy.bytes(32), ahead=ahead)
    except InvalidSignature as error:
        message = f"block {block.height}: {error}"
        raise InvalidSignature(message, tuple(error.indices)) from error
    return Received(block, checkpoint, transfer.note, verified, transfer.bundles)


def check_genesis(received: Received, anchor: Anchor) -> None:
    """Raise UntrustedError unless a block is the genesis of the anchor's network."""
    first, block = received.batch[0], received.block
    network = hash_domain(anchor.suite, "network", first.body)[:16]
    place = (block.height, block.first_index, block.count, block.parent)
    if place != (0, 0, 1, bytes(32)) or first.kind != Genesis.KIND or network != anchor.network:
        raise UntrustedError("block is not the genesis of the anchor's network")
