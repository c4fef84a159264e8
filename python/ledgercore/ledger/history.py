"""Read and prove all records of one object, found by the index of histories.

What the index finds is checked as every read is, and held to the object's signed state: a damaged
index gives an error, never a shorter list.
"""

from __future__ import annotations

from ledgercore._core import Batch, Checkpoint, Record, verify_multi
from ledgercore.errors import CorruptError, InvalidProof
from ledgercore.ledger.reader import Reader
from ledgercore.ledger.touches import walk_touches
from ledgercore.proofs import HistoryProof, StateReceipt, check_complete
from ledgercore.rules import (
    BusinessState,
    check_has_history,
    decode_object,
    format_object,
    state_type,
)

__all__ = ["prove_history", "read_history", "state_receipt"]


def read_history(reader: Reader, name: bytes) -> list[tuple[int, Record]]:
    """Every record that touched an object, with its index, in the ledger's order."""
    check_has_history(name)
    reader.check_whole(f"history of {format_object(name)}")
    with reader.moment():
        value = reader.state(name)
        if value is None:
            return []
        state = decode_object(name, value)
        assert isinstance(state, BusinessState)
        indices = list(walk_touches(reader.store, reader.anchor.suite, name, state.count))
        entries = [(index, reader.record(index)) for index in reversed(indices)]
    try:
        ids = [record.id for _, record in entries]
        check_complete(reader.anchor.suite, f"index of {format_object(name)}", state, ids)
    except InvalidProof as error:
        raise CorruptError(f"{error}") from error
    return entries


def prove_history(reader: Reader, name: bytes, height: int | None) -> HistoryProof:
    """Prove an object's history as of the newest checkpoint, or as of that of a height."""
    with reader.moment() as head:
        reader.check_published("history")
        entries = read_history(reader, name)
        earlier, consistency = None, list[bytes]()
        if height is not None and height != head.block.height:
            reader.check_published("history", height)
            block, earlier = reader.block(height), reader.note(height).encode()
            consistency = reader.prove_consistency(block.first_index + block.count, None)
        return HistoryProof(
            version=1,
            checkpoint=head.note.encode(),
            state=reader.prove_state(name).encode(),
            records=tuple((index, record.encode()) for index, record in entries),
            proof=tuple(_prove_entries(reader, head.checkpoint, entries)),
            earlier=earlier,
            consistency=tuple(consistency),
        )


def _prove_entries(
    reader: Reader, checkpoint: Checkpoint, entries: list[tuple[int, Record]]
) -> list[bytes]:
    """One proof of all records, found to verify; raise LimitError where they are too many."""
    if not entries:
        return []
    suite, size, root = reader.anchor.suite, checkpoint.size, checkpoint.root
    indices = [index for index, _ in entries]
    leaves = Batch.decode([record.encode() for _, record in entries]).leaf_hashes()
    proof = reader.prove_records(indices)
    verify_multi(suite, leaves, indices, size, proof, root)
    return proof


def state_receipt(reader: Reader, name: bytes) -> StateReceipt:
    """An object's state, or that it has none, under the newest checkpoint."""
    state_type(name)
    with reader.moment() as head:
        reader.check_published("state")
        proof = reader.prove_state(name)
        return StateReceipt(version=1, checkpoint=head.note.encode(), proof=proof.encode())
