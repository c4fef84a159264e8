"""Show offline which records are all that ever touched an object, as of a signed checkpoint.

    [1, checkpoint, state proof, [[index, record], ...], [hash, ...],
     nil or earlier checkpoint, [hash, ...]]

An object's state commits to the count and the running hash of its records' ids, so one state proof
and one multiproof show that none is left out and none is added. A whole history of a ledger begins
``97 01 c5``. With an earlier checkpoint and the proof that the newer one goes on from it, the
records that stood before the earlier size are complete as of the earlier one: the list of all of
them is, and nothing is put between records that have their places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from ledgercore._core import (
    PROOF_HASHES,
    Anchor,
    Checkpoint,
    VerifiedRecord,
    verify_consistency,
)
from ledgercore.arguments import typed
from ledgercore.errors import InvalidProof, LimitError, MalformedError
from ledgercore.proofs.records import verify_records
from ledgercore.proofs.state import VerifiedState, verify_object
from ledgercore.proofs.wire import decode_part, encode_part, verify_note
from ledgercore.records.base import Bytes32, Count, Part
from ledgercore.rules import EMPTY_HISTORY, BusinessState, check_has_history, extend_history

__all__ = [
    "HISTORY_BYTES",
    "HISTORY_RECORDS",
    "History",
    "HistoryProof",
    "check_complete",
    "verify_history",
]

HISTORY_BYTES = 16 * 1024 * 1024
"""Bytes of a history proof at most."""
HISTORY_RECORDS = 64 * 1024
"""Records of a history proof, or of a pack, at most."""


@dataclass(frozen=True)
class History:
    """All records that touched an object, with their indices, as of a checkpoint.

    ``newest`` is its state as of the newest checkpoint that was proven, which is ``checkpoint``
    unless the history is as of an earlier one.
    """

    object: bytes
    checkpoint: Checkpoint
    records: tuple[tuple[int, VerifiedRecord], ...]
    newest: VerifiedState


class HistoryProof(Part, frozen=True):
    """An object's state and its records under one signed checkpoint."""

    version: Literal[1]
    checkpoint: bytes
    state: bytes
    records: Annotated[tuple[tuple[Count, bytes], ...], Meta(max_length=HISTORY_RECORDS)]
    proof: tuple[Bytes32, ...]
    earlier: bytes | None
    consistency: Annotated[tuple[Bytes32, ...], Meta(max_length=PROOF_HASHES)]

    @staticmethod
    def decode(data: bytes) -> HistoryProof:
        return decode_part(data, HistoryProof, "history", HISTORY_BYTES)

    def encode(self) -> bytes:
        """The bytes to hand over; raise LimitError where nobody would take so many."""
        data = encode_part(self)
        if len(data) > HISTORY_BYTES:
            raise LimitError(f"history has {len(data)} bytes, want at most {HISTORY_BYTES}")
        return data

    def verify(self, anchor: Anchor) -> History:
        """The history, if everything in it leads to what the anchor trusts; or raise."""
        checkpoint = verify_note(anchor, self.checkpoint)
        newest = verify_object(anchor, checkpoint, self.state)
        check_has_history(newest.object)
        assert newest.state is None or isinstance(newest.state, BusinessState)
        records = self._verify_records(anchor, checkpoint)
        ids = [record.id for _, record in records]
        check_complete(anchor.suite, "history", newest.state, ids)
        as_of = self._verify_earlier(anchor, checkpoint)
        kept = tuple(entry for entry in records if entry[0] < as_of.size)
        return History(newest.object, as_of, kept, newest)

    def _verify_records(
        self, anchor: Anchor, checkpoint: Checkpoint
    ) -> list[tuple[int, VerifiedRecord]]:
        if self.records:
            return verify_records(anchor, checkpoint, self.records, self.proof)
        if self.proof:
            raise InvalidProof(f"proof of no record has {len(self.proof)} hashes, want none")
        return []

    def _verify_earlier(self, anchor: Anchor, newest: Checkpoint) -> Checkpoint:
        """The checkpoint as of which the history is."""
        if self.earlier is None:
            if self.consistency:
                raise MalformedError("consistency proof is there, want an earlier checkpoint too")
            return newest
        earlier = verify_note(anchor, self.earlier)
        first, second = earlier.size, newest.size
        if first >= second:
            raise InvalidProof(f"earlier checkpoint has size {first}, want less than {second}")
        roots = (earlier.root, newest.root)
        verify_consistency(anchor.suite, first, second, self.consistency, *roots)
        return earlier


@typed
def verify_history(data: bytes, anchor: Anchor) -> History:
    """Verify an encoded history proof, or raise with what is wrong."""
    return HistoryProof.decode(data).verify(anchor)


def check_complete(
    suite: str, what: str, state: BusinessState | None, ids: Sequence[bytes]
) -> None:
    """Hold a list of records to the count and the running hash in their object's state.

    An object without a state has no records.
    """
    count, want = (state.count, state.history) if state else (0, EMPTY_HISTORY)
    if len(ids) != count:
        raise InvalidProof(f"{what} has {len(ids)} records, want {count} as in the object's state")
    history = EMPTY_HISTORY
    for record_id in ids:
        history = extend_history(suite, history, record_id)
    if history != want:
        got = f"running hash is {history.hex()[:16]}, want {want.hex()[:16]}"
        raise InvalidProof(f"{what} has other records than the object, or another order: {got}")
