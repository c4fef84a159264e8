"""Show offline that a record stood in a former ledger, by a tree of another suite than its own.

    [1, former network, former suite, index, record, [hash, ...], anchoring body, its receipt]

The receipt is of a ``renewal.anchor`` in the newer network, whose root is over all records of the
former one, hashed anew. So it holds although the former suite's hash is broken since: the bytes of
the record, and not their old hash, lead to the root. It begins ``98 01 c4 10``.

That the former ledger was sound when it was anchored is the word of the member that signed the
anchor, and of the others that did the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ledgercore._core import Anchor, Receipt, Record, VerifiedRecord, leaf_hashes, verify_multi
from ledgercore.errors import InvalidProof, MalformedError, UntrustedError
from ledgercore.proofs.wire import decode_part, encode_part
from ledgercore.records import RenewalAnchor, decode
from ledgercore.records.base import Bytes16, Bytes32, Count, Part

__all__ = ["RENEWED_BYTES", "Renewed", "RenewedRecord", "verify_renewed"]

RENEWED_BYTES = 512 * 1024
"""Bytes of encoded evidence at most."""


@dataclass(frozen=True)
class Renewed:
    """A record of a former ledger, where it stood, and the record that anchors it in the newer."""

    record: VerifiedRecord
    index: int
    former: RenewalAnchor
    anchored_by: VerifiedRecord


class RenewedRecord(Part, frozen=True):
    """A former ledger's record with the proof that leads it to a newer one."""

    version: Literal[1]
    network: Bytes16
    suite: Literal["std", "c2sp"]
    index: Count
    record: bytes
    proof: tuple[Bytes32, ...]
    body: bytes
    receipt: bytes

    @staticmethod
    def decode(data: bytes) -> RenewedRecord:
        return decode_part(data, RenewedRecord, "renewed record", RENEWED_BYTES)

    def encode(self) -> bytes:
        return encode_part(self)

    def verify(self, anchor: Anchor) -> Renewed:
        """The record, if the newer network's anchor trusts what it leads to; or raise."""
        anchored_by = Receipt.decode(self.receipt).verify(self.body, anchor)
        if anchored_by.kind != RenewalAnchor.KIND:
            raise MalformedError(f"receipt is of {anchored_by.kind}, want {RenewalAnchor.KIND}")
        body = decode(anchored_by.kind, self.body)
        assert isinstance(body, RenewalAnchor)
        record = Record.decode(self.record)
        if (self.network, self.suite) != (body.former_network, body.former_suite):
            raise InvalidProof("anchor is of another former network or suite")
        if (record.network, record.suite) != (self.network, self.suite):
            raise UntrustedError("record is of another network or suite than the former ledger's")
        leaf = leaf_hashes(anchor.suite, [self.record])
        verify_multi(anchor.suite, leaf, [self.index], body.former_size, self.proof, body.root)
        return Renewed(record.verify(), self.index, body, anchored_by)


def verify_renewed(data: bytes, anchor: Anchor) -> Renewed:
    """Verify encoded evidence of a record of a former ledger, or raise with what is wrong."""
    return RenewedRecord.decode(data).verify(anchor)
