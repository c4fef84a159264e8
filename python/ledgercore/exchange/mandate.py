"""Hold terms to the mandate of whoever signs for a subject, as the provider's register has it.

An institution agrees through a person: its legal representative, or someone whom it mandated. The
provider knows who that is today, and the ledger never does. So the provider looks when it endorses
the consent, and again whenever it is asked for data under it: a mandate that has ended since gives
nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping

from ledgercore.exchange.messages import Terms
from ledgercore.rules import refuse

__all__ = ["Mandates", "check_mandate"]

Mandates = Mapping[str, Mapping[str, str]]
"""By subject, who holds each mandate, by its reference; what is in force now and nothing else."""


def check_mandate(terms: Terms, mandates: Mandates) -> None:
    """Refuse terms whose signatory does not hold the mandate that they name, with ``E_MANDATE``.

    Terms that name neither are agreed to by the subject itself.
    """
    if not terms.signatory and not terms.mandate:
        return
    holder = mandates.get(terms.subject, {}).get(terms.mandate)
    if holder is None or holder != terms.signatory:
        message = f"mandate {terms.mandate!r} of the subject is not held by the signatory"
        refuse("E_MANDATE", message)
