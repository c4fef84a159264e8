"""Prove offline what state an object has, and which records are all of its history.

Both proofs carry the signed checkpoint that they lead to, and are verified with the trust anchor
alone. They need no ledger: whoever only verifies loads neither it nor its store.
"""

from ledgercore.proofs.history import (
    HISTORY_BYTES,
    History,
    HistoryProof,
    check_complete,
    verify_history,
)
from ledgercore.proofs.records import verify_records
from ledgercore.proofs.state import STATE_RECEIPT_BYTES, StateReceipt, VerifiedState, verify_state
from ledgercore.proofs.wire import decode_part, verify_note

__all__ = [
    "HISTORY_BYTES",
    "STATE_RECEIPT_BYTES",
    "History",
    "HistoryProof",
    "StateReceipt",
    "VerifiedState",
    "check_complete",
    "decode_part",
    "verify_history",
    "verify_note",
    "verify_records",
    "verify_state",
]
