"""Hold a record to the rules before anything is destroyed that it says is gone.

Whoever promises that something is erased erases it first, or a crash in between makes the promise
untrue. A record that the ledger would then refuse has destroyed for nothing; so it is held before
to what the rules hold it to: its form, its signer, and the status of its exchange. The ledger is as
its party sees it: what others order meanwhile may still have the record refused.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledgercore import records
from ledgercore.exchange.reading import read_state
from ledgercore.ledger import Ledger
from ledgercore.records import ExchangeErase, ExchangeForget, ExchangeVoid
from ledgercore.rules import (
    FAMILIES,
    ExchangeState,
    View,
    check_key,
    exchange_object,
    exchange_status_at,
    refuse,
)

__all__ = ["check_acceptable"]

_ROWS = {row.kind: row for family in FAMILIES for row in family.rows}


def check_acceptable(
    ledger: Ledger, key: bytes, bodies: Sequence[ExchangeErase | ExchangeForget | ExchangeVoid]
) -> None:
    """Raise as the rules would for the first of these bodies that they would refuse now.

    ``MalformedError`` for what is not in the form of its kind; ``RefusedError`` where the key may
    not sign, where its member is not the exchange's party, or where the exchange is not in a state
    that the kind begins from.
    """
    for body in bodies:
        records.encode(body)
    with ledger.moment():
        member = check_key(View(ledger.state), key)
        for body in bodies:
            _check_body(ledger, member, body)


def _check_body(
    ledger: Ledger, member: str, body: ExchangeErase | ExchangeForget | ExchangeVoid
) -> None:
    row = _ROWS[body.KIND]
    state = read_state(ledger, exchange_object(body.exchange), ExchangeState)
    party = getattr(state, row.signer)
    if member != party:
        refuse("E_RECIPIENT", f"{row.signer} is {party}, not {member}", body.exchange)
    status = exchange_status_at(state, ledger.time_ms)
    if status not in row.begin:
        want = " or ".join(row.begin)
        refuse("E_EXCHANGE_STATE", f"exchange is {status}, want {want}", body.exchange)
