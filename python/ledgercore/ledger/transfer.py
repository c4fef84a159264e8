"""Hand a block from one copy of a ledger to another.

    [header, note, [bundle, ...]]

The header as it was hashed, the operator's signed checkpoint, and the records in their bundles: all
that a copy needs to make everything else again. A block of a ledger begins ``93 c4``.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from ledgercore._core import Batch, Block
from ledgercore.errors import LimitError, MalformedError
from ledgercore.ledger.intake import BLOCK_BYTES, BLOCK_RECORDS
from ledgercore.records.base import Part
from ledgercore.store import BUNDLE_RECORDS, StoredBlock

__all__ = ["TRANSFER_BYTES", "Transfer", "decode_transfer", "encode_transfer"]

TRANSFER_BYTES = BLOCK_BYTES + 1024 * 1024
"""Bytes of an encoded block at most: its records, and room for headers, notes and markers."""


class Transfer(Part, frozen=True):
    """A block on its way."""

    header: bytes
    note: str
    bundles: Annotated[
        tuple[memoryview, ...], Meta(min_length=1, max_length=BLOCK_RECORDS // BUNDLE_RECORDS)
    ]


_FULL = b"\xdc" + BUNDLE_RECORDS.to_bytes(2, "big")
"""How a bundle begins that has all the records that it can."""

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Transfer)


def encode_transfer(stored: StoredBlock) -> bytes:
    """A stored block's bytes to hand over."""
    return _ENCODER.encode((stored.header, stored.note, stored.bundles))


def decode_transfer(data: bytes | memoryview) -> tuple[Transfer, Block, Batch]:
    """A block with its header and records decoded, and nothing of it verified yet.

    The transfer's bundles are views of ``data``, which they keep; the records are copies.
    """
    if len(data) > TRANSFER_BYTES:
        raise LimitError(f"block has {len(data)} bytes, want at most {TRANSFER_BYTES}")
    try:
        transfer = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedError(f"block: {error}") from error
    if _canonical_bytes(transfer) != len(data):
        raise MalformedError("block is not in its canonical form")
    block, batch = Block.decode(transfer.header), Batch.decode_bundles(transfer.bundles)
    *full, _ = transfer.bundles
    last = len(batch) - BUNDLE_RECORDS * len(full)
    if not (0 < last <= BUNDLE_RECORDS and all(each[: len(_FULL)] == _FULL for each in full)):
        raise MalformedError("block is not in its canonical form: its bundles are cut otherwise")
    return transfer, block, batch


def _canonical_bytes(transfer: Transfer) -> int:
    """How many bytes the canonical form of these parts has. Any other one is longer, so that what
    was decoded from as many is that form; to make it would copy all records once more."""
    head = len(_ENCODER.encode((transfer.header, transfer.note, ())))
    markers = len(_ENCODER.encode([b""] * len(transfer.bundles))) - 2 * len(transfer.bundles) - 1
    return head + markers + sum(map(_bin_bytes, map(len, transfer.bundles)))


def _bin_bytes(length: int) -> int:
    """A byte string with its marker and its length."""
    return length + (2 if length < 1 << 8 else 3 if length < 1 << 16 else 5)
