"""Begin to write a ledger: publish what a crash left in its journal, before anything is ordered.

A start that is refused leaves the files as they were, but for blocks that it could make of records
that stand before damage.
"""

from __future__ import annotations

from contextlib import suppress

from ledgercore.clock import Clock
from ledgercore.disk import HeadFile, exists, remove
from ledgercore.entropy import Entropy
from ledgercore.errors import PASSING, LedgerError, StoreError
from ledgercore.keys import Signer
from ledgercore.ledger.journaled import Journaled
from ledgercore.ledger.reader import Reader
from ledgercore.ledger.recovery import NOTHING, Unpublished, journal_beside, left_behind
from ledgercore.ledger.writer import Writer
from ledgercore.store import Address

__all__ = ["start_writer"]


def start_writer(
    address: Address,
    reader: Reader,
    operator: Signer,
    newest_slot: int,
    *,
    vfs: str | None,
    clock: Clock,
    entropy: Entropy,
) -> tuple[Writer, HeadFile]:
    """The writer, for whoever holds the ledger's lock, and the head file that it writes."""
    # A server's records are durable with their block, wherever the next writer is.
    left = NOTHING if address.server else left_behind(address.beside(), reader)
    if left.fault is not None and not (left.records and newest_slot >= 0):
        raise left.fault
    head, begin = f"{address.files}.head", reader.newest
    made = not exists(head)
    try:
        head_file = HeadFile(head, begin.note, newest_slot)
        try:
            journaled = None
            if not address.server:
                journal = journal_beside(address.beside())
                journaled = Journaled(journal, left, vfs, head_file)
            writer = Writer(reader, operator, head_file, journaled, clock, entropy)
            _publish(writer, left, address.name)
            head_file.remember(reader.newest.note)
        except BaseException:
            head_file.close()
            raise
    except BaseException:
        if made and reader.newest is begin:
            with suppress(StoreError):
                remove(head)
        raise
    return writer, head_file


def _publish(writer: Writer, left: Unpublished, name: str) -> None:
    """Make a block of what was left, and raise what is wrong with the rest."""
    try:
        writer.publish()
    except PASSING as error:
        raise _kept_waiting(error, len(left.records), name) from error
    if left.fault is not None:
        raise left.fault


def _kept_waiting(error: LedgerError, count: int, name: str) -> LedgerError:
    records = "1 record waits" if count == 1 else f"{count} records wait"
    kind = next(kind for kind in PASSING if isinstance(error, kind))  # a signer may raise its own
    return kind(
        f"{name} cannot be opened for writing now: {records} in {name}.journal, acknowledged, and "
        f"no block can be made of what is there: {error}; nothing is lost, and until then it can "
        f"be read: ledgercore show {name} --journal lists what waits, and Ledger.open with "
        "read_only=True gives all else"
    )
