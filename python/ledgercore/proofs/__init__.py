"""Prove offline states, histories, growth, broken promises, split views, and former records.

All carry the signed checkpoints that they lead to, and are verified with the trust anchor alone;
growth is held to a checkpoint that was kept as well. They need no ledger: whoever only verifies
loads neither it nor its store.
"""

from ledgercore.proofs.consistency import (
    CONSISTENCY_BYTES,
    ConsistencyProof,
    VerifiedConsistency,
)
from ledgercore.proofs.history import (
    HISTORY_BYTES,
    HISTORY_RECORDS,
    History,
    HistoryProof,
    check_complete,
    verify_history,
)
from ledgercore.proofs.promise import (
    BROKEN_PROMISE_BYTES,
    BrokenPromise,
    Promise,
    Unkept,
    verify_broken_promise,
)
from ledgercore.proofs.records import verify_records
from ledgercore.proofs.renewal import RENEWED_BYTES, Renewed, RenewedRecord, verify_renewed
from ledgercore.proofs.split_view import (
    SPLIT_VIEW_BYTES,
    SplitView,
    VerifiedSplit,
    verify_split_view,
)
from ledgercore.proofs.state import STATE_RECEIPT_BYTES, StateReceipt, VerifiedState, verify_state
from ledgercore.proofs.wire import decode_part, holds_records, verify_note

__all__ = [
    "BROKEN_PROMISE_BYTES",
    "CONSISTENCY_BYTES",
    "HISTORY_BYTES",
    "HISTORY_RECORDS",
    "RENEWED_BYTES",
    "SPLIT_VIEW_BYTES",
    "STATE_RECEIPT_BYTES",
    "BrokenPromise",
    "ConsistencyProof",
    "History",
    "HistoryProof",
    "Promise",
    "Renewed",
    "RenewedRecord",
    "SplitView",
    "StateReceipt",
    "Unkept",
    "VerifiedConsistency",
    "VerifiedSplit",
    "VerifiedState",
    "check_complete",
    "decode_part",
    "holds_records",
    "verify_broken_promise",
    "verify_history",
    "verify_note",
    "verify_records",
    "verify_renewed",
    "verify_split_view",
    "verify_state",
]
