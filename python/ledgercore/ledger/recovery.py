"""Judge what a crash left in a journal: which records of it no block has, and what is damaged.

Every record is verified. One that goes on from the newest block is lacking there, an older one
stands in a block, and what is neither is damage. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledgercore import rules
from ledgercore._core import Batch, Record, VerifiedRecord
from ledgercore.errors import CorruptError, LedgerError, RollbackError, UntrustedError
from ledgercore.ledger.reader import Reader
from ledgercore.rules import View

__all__ = ["left_records"]

_GIVE_UP = (
    "to go on without those records move the .journal and the .head file away, and keep them and a "
    "copy of the ledger as evidence"
)


def left_records(
    reader: Reader, entries: Sequence[bytes], marked: int
) -> tuple[list[bytes], CorruptError | None]:
    """The records of a journal that no block has, in order, up to one that was signed wrongly; and
    what is said of that.

    ``marked`` is the sequence of the newest that was acknowledged, or 0. Raises ``CorruptError``
    where one before the last is damaged, ``RollbackError`` where acknowledged ones are missing,
    ``UntrustedError`` where the journal is another ledger's.
    """
    if not entries and not marked:
        return [], None
    records: list[VerifiedRecord] = []
    fault: CorruptError | None = None
    for entry in entries:
        try:
            records += _verified(reader, entry)
        except CorruptError as error:
            fault = error
    sequence, previous = rules.next_position(View(reader.state), reader.anchor.operator_key)
    left: list[bytes] = []
    for record in sorted(records, key=_sequence):
        want = sequence + len(left)
        if record.sequence < sequence:
            _check_in_block(reader, record)
        elif (record.sequence, record.previous) == (want, previous):
            left.append(record.encode())
            previous = record.id
        elif fault is None:
            raise _beyond_restoring(
                f"journal goes on with the operator's record {record.sequence}, want {want}: the "
                "ledger is an older one, for which restore a newer backup or run ledgercore node "
                f"repair, or an entry is damaged; {_GIVE_UP}"
            )
    if fault is None and marked >= sequence + len(left):
        raise RollbackError(
            f"journal ends with the operator's record {sequence + len(left) - 1}, had {marked}: "
            f"records that were acknowledged are lost; {_GIVE_UP}"
        )
    return left, fault


def _sequence(record: Record) -> int:
    return record.sequence


def _verified(reader: Reader, entry: bytes) -> list[VerifiedRecord]:
    anchor = reader.anchor
    try:
        batch = Batch.decode_bundles([entry])
        records = [batch[at].verify() for at in range(len(batch))]
    except LedgerError as error:
        raise _beyond_restoring(
            f"journal has an entry, whole as it was written, that does not verify: {error}; memory "
            "or processor failed; blocks have what was acknowledged before it; "
            f"{_GIVE_UP}"
        ) from error
    for record in records:
        if (record.network, record.key) != (anchor.network, anchor.operator_key):
            raise UntrustedError(
                f"journal is of network {record.network.hex()[:16]}, want "
                f"{anchor.network.hex()[:16]}: move the .journal file to the ledger it belongs to"
            )
    return records


def _check_in_block(reader: Reader, record: Record) -> None:
    """An older entry is in a block, but where another record took its place."""
    if reader.find(record.id) is None:
        raise _beyond_restoring(
            f"journal has the operator's record {record.sequence}, whose place another has in a "
            f"block: two programs wrote; {_GIVE_UP}"
        )


def _beyond_restoring(message: str) -> CorruptError:
    """Damage that neither a backup nor a peer mends, whose note must not say so."""
    error = CorruptError(message)
    error.__notes__.clear()
    return error
