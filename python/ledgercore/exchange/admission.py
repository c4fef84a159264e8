"""Read from a receipt that an exchange was admitted, and by what.

A release rests on this, an opening does, and an evidence pack: each has the receipt verified
first. It needs neither a ledger nor a vault.
"""

from __future__ import annotations

from ledgercore._core import Receipt
from ledgercore.errors import UntrustedError
from ledgercore.rules import ExchangeState, exchange_object
from ledgercore.rules.view import decode_state

__all__ = ["admitted_state"]


def admitted_state(receipt: Receipt, intent: bytes) -> ExchangeState:
    """The exchange's state in a verified receipt of its admit, which must show it admitted."""
    proof = receipt.state
    if proof is None or proof.value is None or proof.object != exchange_object(intent):
        raise UntrustedError("receipt does not show the state of this exchange")
    state = decode_state(proof.value, ExchangeState)
    if state.admission is None or state.admission.index != receipt.index:
        raise UntrustedError(f"exchange is {state.status}, and was not admitted by this record")
    return state
