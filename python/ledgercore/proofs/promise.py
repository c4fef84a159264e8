"""Show offline that an operator promised to order a revocation, and did not.

A promise is the operator's signature on what it received, and until when it is on the ledger:

    [1, network, record id, key, sequence, by, signature]

It begins ``97 01 c4 10``. The evidence that it was not kept is the promise, the header of a block
of a later time, and the state receipt of the signer under that block's checkpoint:

    [1, promise, header, state receipt]

It begins ``94 01 c4``. A key's records are numbered without gaps: where its next sequence is still
that of the record, or is below it, the record is not on the ledger. Where the key has gone on, it
is, or its signer signed another record of the same sequence: neither is evidence.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec
from msgspec import structs

from ledgercore._core import Anchor, Block, Checkpoint, VerifiedRecord, verify_signature
from ledgercore.arguments import check_count
from ledgercore.errors import InvalidProof, InvalidSignature, UntrustedError
from ledgercore.keys import Signer, sign_message
from ledgercore.proofs.state import STATE_RECEIPT_BYTES, StateReceipt
from ledgercore.proofs.wire import decode_part, encode_part
from ledgercore.records.base import Bytes16, Bytes32, Bytes64, Count, Part, TimeMs
from ledgercore.rules import SignerState, signer_object

__all__ = ["BROKEN_PROMISE_BYTES", "BrokenPromise", "Promise", "Unkept", "verify_broken_promise"]

BROKEN_PROMISE_BYTES = STATE_RECEIPT_BYTES + 1024
"""Bytes of encoded evidence at most."""

CONTEXT = b"ledgercore promise v1\n"


class Promise(Part, frozen=True):
    """The operator's word that a record will be in a block whose time is ``by_ms`` at most.

    ``key`` and ``sequence`` are the record's; ``by_ms`` is in milliseconds of the ledger's time.
    """

    version: Literal[1]
    network: Bytes16
    record: Bytes32
    key: Bytes32
    sequence: Count
    by_ms: TimeMs
    signature: Bytes64

    @staticmethod
    def sign(operator: Signer, record: VerifiedRecord, by_ms: int) -> Promise:
        """Promise a record; whether the rules take it is for who signs to know."""
        check_count("by_ms", by_ms)
        unsigned = Promise(
            1, record.network, record.id, record.key, record.sequence, by_ms, bytes(64)
        )
        return structs.replace(unsigned, signature=sign_message(operator, unsigned._message()))

    @staticmethod
    def decode(data: bytes) -> Promise:
        return decode_part(data, Promise, "promise", 512)

    def encode(self) -> bytes:
        return encode_part(self)

    def verify(self, anchor: Anchor) -> Promise:
        """The promise, if this network's operator signed it; or raise."""
        if self.network != anchor.network:
            raise UntrustedError("promise is of another network than the anchor's")
        try:
            verify_signature(anchor.operator_key, self._message(), self.signature)
        except InvalidSignature as error:
            raise InvalidSignature(f"promise: {error}, want the operator's signature") from None
        return self

    def _message(self) -> bytes:
        """What is signed: the context, and the array without its last item."""
        return CONTEXT + msgspec.msgpack.encode(structs.astuple(self)[:-1])


class Unkept(NamedTuple):
    """A promise, and a checkpoint of a block at a later time without what was promised."""

    promise: Promise
    checkpoint: Checkpoint
    time_ms: int


class BrokenPromise(Part, frozen=True):
    """A promise, the header of a later block, and the signer's state receipt as of that block."""

    version: Literal[1]
    promise: bytes
    header: bytes
    receipt: bytes

    @staticmethod
    def of(
        anchor: Anchor, promise: Promise, header: bytes, receipt: StateReceipt
    ) -> BrokenPromise | None:
        """The evidence that these are, or None where the promise is kept, or not due yet.

        Raises what is wrong with them: a header of another block shows neither.
        """
        made = BrokenPromise(1, promise.encode(), header, receipt.encode())
        return None if _why_kept(*made._read(anchor)) else made

    @staticmethod
    def decode(data: bytes) -> BrokenPromise:
        return decode_part(data, BrokenPromise, "broken promise", BROKEN_PROMISE_BYTES)

    def encode(self) -> bytes:
        return encode_part(self)

    def verify(self, anchor: Anchor) -> Unkept:
        """What was not kept; ``InvalidProof`` where it was, or where its time is not over."""
        unkept, next_sequence = self._read(anchor)
        if why := _why_kept(unkept, next_sequence):
            raise InvalidProof(why)
        return unkept

    def _read(self, anchor: Anchor) -> tuple[Unkept, int]:
        """What is shown, each part verified, and the signer's next sequence as of the block."""
        promise = Promise.decode(self.promise).verify(anchor)
        signer = StateReceipt.decode(self.receipt).verify(anchor)
        checkpoint, block = signer.checkpoint, Block.decode(self.header)
        if (block.hash(anchor.suite), block.height) != (checkpoint.block_hash, checkpoint.height):
            raise InvalidProof("header is not that of the checkpoint's block")
        if signer.object != signer_object(promise.key):
            raise InvalidProof("state is not that of the promised record's signer")
        state = signer.state
        next_sequence = state.sequence if isinstance(state, SignerState) else 0
        return Unkept(promise, checkpoint, block.time_ms), next_sequence


def _why_kept(unkept: Unkept, next_sequence: int) -> str:
    """Why the promise may be kept, or nothing where it is not."""
    promise, _, time_ms = unkept
    if time_ms <= promise.by_ms:
        return f"block's time is {time_ms}, want one after {promise.by_ms}: it can still be kept"
    if next_sequence > promise.sequence:
        return (
            f"signer's next sequence is {next_sequence}, want at most {promise.sequence}: the "
            "record is on the ledger, or another one that its signer gave the same sequence"
        )
    return ""


def verify_broken_promise(data: bytes, anchor: Anchor) -> Unkept:
    """Verify encoded evidence of a promise that was not kept, or raise with what is wrong."""
    return BrokenPromise.decode(data).verify(anchor)
