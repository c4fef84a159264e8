"""Say what is durable in a ledger's journal and in no block yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ledgercore.cli.output import one_line
from ledgercore.errors import AbsentError, UnavailableError

if TYPE_CHECKING:
    from ledgercore.ledger import Ledger, Unpublished

__all__ = ["check_waiting", "counted", "tell_copied", "tell_unpublished"]


def counted(count: int) -> str:
    """How many records, in words."""
    return "1 record is" if count == 1 else f"{count} records are"


def check_waiting(
    place: str, ledger: Ledger, *, index: int | None = None, record_id: bytes = b""
) -> None:
    """Of a record that no block has: raise ``AbsentError`` where the journal has it."""
    found = ledger.unpublished()
    prints = f"ledgercore show {place} --journal prints it"
    for at, record in enumerate(found.records, found.first_index):
        if at == index or record.id == record_id:
            raise AbsentError(
                f"record {at} is durable in {place}.journal and in no block yet: {prints}; a "
                "writer that has the ledger open publishes it, and where none has ledgercore "
                f"append {place} --lines /dev/null does"
            )
    if any(record.id == record_id for record in found.behind):
        raise AbsentError(
            f"record {record_id.hex()} is in {place}.journal and in no block, and can have no "
            f"index: {prints}, and says why"
        )
    if found.fault is not None:
        tell_unpublished(place, found)  # it may wait in what cannot be read


def tell_unpublished(ledger: str, found: Unpublished) -> None:
    """What waits beside a ledger, and what is wrong there; nothing where nothing is."""
    if found.records:
        _tell(
            f"{counted(len(found.records))} durable in {ledger}.journal and in no block yet: a "
            "writer that has the ledger open publishes what is there; where none has, opening it "
            f"for writing does, as ledgercore append {ledger} --lines /dev/null"
        )
    if isinstance(found.fault, UnavailableError):  # as where only its owner may read it
        _tell(
            f"what waits in {ledger}.journal, if anything does, is not known here: {found.fault}: "
            "have the user look who writes the ledger"
        )
    elif found.fault is not None:
        _tell(f"{ledger} cannot be opened for writing as it is: {found.fault}")


def tell_copied(ledger: str, target: str, found: Unpublished) -> None:
    """What of that came into a copy."""
    if found.records:
        _tell(
            f"{counted(len(found.records))} in no block yet, and copied to {target}.journal: it "
            "belongs to the copy, and whoever opens that for writing publishes what is there"
        )
    if found.fault is not None:
        _tell(
            f"the copy lacks what else is in {ledger}.journal, which cannot be used as it is: "
            f"{found.fault}"
        )


def _tell(message: str) -> None:
    click.echo(f"ledgercore: {one_line(message)}", err=True)
