"""Judge what stands in a journal: which records of it no block has, and what is damaged.

Every record is verified. One that goes on from the newest block is lacking there, an older one
stands in a block, and what is neither is damage. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ledgercore import rules
from ledgercore._core import Batch, Record, VerifiedRecord
from ledgercore.disk import HeadFile
from ledgercore.errors import (
    CorruptError,
    LedgerError,
    MalformedError,
    RollbackError,
    StoreError,
    UntrustedError,
)
from ledgercore.ledger.reader import Reader
from ledgercore.rules import View
from ledgercore.store.journal import Journal

__all__ = ["NOTHING", "Unpublished", "journal_beside", "left_behind", "left_records", "unpublished"]

_GIVE_UP = (
    "to go on without those records move the .journal and the .head file away, and keep them and a "
    "copy of the ledger as evidence"
)

_SHOWN = 8
"""Records of a list that are printed."""

_TRIES = 16
"""How often a journal is read that a writer changes meanwhile."""


class Unpublished(NamedTuple):
    """What is durable in a ledger's journal and in no block yet."""

    records: tuple[Record, ...] = ()
    """Those that go on from the newest block, in order."""
    behind: tuple[Record, ...] = ()
    """Whole ones behind a record that is damaged or missing, or one whose place another has, and
    that one; in order: they can have no index."""
    fault: LedgerError | None = None
    """What is wrong with the journal, and keeps the ledger from being opened for writing."""
    first_index: int = 0
    """The index of the first of ``records``: the ledger's size as it was then."""

    def __repr__(self) -> str:
        """For whoever prints a report: the first of many records, and how many more there are."""
        records, behind = _listed(self.records), _listed(self.behind)
        return (
            f"Unpublished(records={records}, behind={behind}, fault={self.fault!r}, "
            f"first_index={self.first_index})"
        )


def _listed(records: Sequence[Record]) -> str:
    if len(records) <= _SHOWN:
        return repr(records)
    return f"({', '.join(map(repr, records[:_SHOWN]))}, and {len(records) - _SHOWN} more)"


NOTHING = Unpublished()


def journal_beside(ledger: Path) -> Path:
    """The file of a ledger's journal."""
    return ledger.with_name(f"{ledger.name}.journal")


def unpublished(ledger: Path, reader: Reader) -> Unpublished:
    """What a ledger's journal holds that no block has, also while a writer goes on.

    Within a moment nothing is told to be wrong: what a journal lacks may be in a newer block.
    """
    path, head = journal_beside(ledger), f"{ledger}.head"
    try:
        entries = Journal.load(path)
        for _ in range(_TRIES):
            # What is acknowledged comes into the journal first: a mark that is older never lacks.
            marked = HeadFile.load_mark(head)
            before, entries = entries, Journal.load(path)
            found = left_records(reader, entries, marked)
            if found.fault is None:
                return _checked(path, found)
            if reader.in_moment:
                break
            if before == entries == Journal.load(path):
                return found
    except (StoreError, MalformedError) as error:
        return Unpublished(fault=error)
    # A writer is at it, and so it is no crash's; or may have been, since a moment began.
    return found._replace(behind=(), fault=None)


def left_behind(ledger: Path, reader: Reader) -> Unpublished:
    """The same for the one writer, before it writes; raises where the file cannot be read."""
    path = journal_beside(ledger)
    marked = HeadFile.load_mark(f"{ledger}.head")
    return _checked(path, left_records(reader, Journal.load(path), marked))


def _checked(path: Path, found: Unpublished) -> Unpublished:
    """The same, with what is nobody's here for its fault: it must not go with the file."""
    try:
        if found.fault is None:
            Journal.check(path)
    except MalformedError as error:
        return found._replace(fault=error)
    return found


def left_records(reader: Reader, entries: Sequence[bytes], marked: int) -> Unpublished:
    """Which records of a journal no block has.

    ``marked`` is the sequence of the newest that was acknowledged, or 0. The fault is a
    ``CorruptError`` where one before the last is damaged, a ``RollbackError`` where acknowledged
    ones are missing, an ``UntrustedError`` where the journal is another ledger's.
    """
    if not entries and not marked:
        return NOTHING
    records: list[VerifiedRecord] = []
    reason = ""
    for entry in entries:
        try:
            records += _verified(reader, entry)
        except CorruptError as error:
            reason = str(error)
        except UntrustedError as error:
            return Unpublished(fault=error)
    with reader.moment() as head:
        sequence, previous = rules.next_position(View(reader.state), reader.anchor.operator_key)
        left: list[Record] = []
        behind: list[Record] = []
        for record in sorted(records, key=_sequence):
            if record.sequence < sequence:
                if reader.find(record.id) is None:  # an older one is in a block
                    behind.append(record)
            elif not behind and (record.sequence, record.previous) == (
                sequence + len(left),
                previous,
            ):
                left.append(record)
                previous = record.id
            else:
                behind.append(record)
    if behind and behind[0].sequence < sequence:
        return Unpublished(behind=tuple(behind), fault=_taken(behind))
    fault = _fault(sequence + len(left), behind, marked, reason)
    return Unpublished(tuple(left), tuple(behind), fault, head.checkpoint.size)


def _fault(end: int, behind: Sequence[Record], marked: int, reason: str) -> LedgerError | None:
    """What is wrong where records of these sequences follow, up to ``end`` and behind it."""
    if behind and not reason:
        reason = (
            f"journal goes on with the operator's record of sequence {behind[0].sequence}, want "
            f"{end}: an entry between them is damaged, or the ledger is an older one, for which "
            "restore a newer backup or run ledgercore node repair"
        )
    if reason:
        return _beyond_restoring(f"{reason}; {_saved(behind)}{_GIVE_UP}")
    if marked >= end:
        return RollbackError(
            f"journal ends with the operator's record of sequence {end - 1}, had {marked}: "
            f"records that were acknowledged are lost; {_GIVE_UP}"
        )
    return None


def _saved(behind: Sequence[Record]) -> str:
    """How many whole records stand behind what is damaged, and how what is in them is kept."""
    if not behind:
        return ""
    count, first, last = len(behind), behind[0].sequence, behind[-1].sequence
    them = "record stands" if count == 1 else "records stand"
    where = f"{first}" if first == last else f"{first} to {last}"
    return (
        f"{count} whole {them} behind that, of sequence {where}: each names the one before, so "
        "that none can have its place; ledgercore show LEDGER --journal prints what is in them, "
        "to be appended anew; "
    )


def _sequence(record: Record) -> int:
    return record.sequence


def _verified(reader: Reader, entry: bytes) -> list[VerifiedRecord]:
    anchor = reader.anchor
    try:
        batch = Batch.decode_bundles([entry])
        records = [batch[at].verify() for at in range(len(batch))]
    except LedgerError as error:
        raise CorruptError(
            f"journal has an entry, whole as it was written, that does not verify: {error}; memory "
            "or processor failed; blocks have what was acknowledged before it"
        ) from error
    for record in records:
        if (record.network, record.key) != (anchor.network, anchor.operator_key):
            raise UntrustedError(
                f"journal is of network {record.network.hex()[:16]}, want "
                f"{anchor.network.hex()[:16]}: move the .journal file to the ledger it belongs to"
            )
    return records


def _taken(behind: Sequence[Record]) -> CorruptError:
    count, first = len(behind), behind[0].sequence
    them = "record of it is" if count == 1 else "records of it are"
    return _beyond_restoring(
        f"journal has the operator's record of sequence {first}, whose place another has in a "
        "block: an older copy went on without this journal, or two programs wrote; "
        f"{count} whole {them} in no block: ledgercore show LEDGER --journal prints what is in "
        f"them, to be appended anew; {_GIVE_UP}"
    )


def _beyond_restoring(message: str) -> CorruptError:
    """Damage that neither a backup nor a peer mends, whose note must not say so."""
    error = CorruptError(message)
    error.__notes__.clear()
    return error
