"""A permissioned, token-free ledger whose receipts anyone can check offline.

>>> with Ledger.create("audit.ledger", origin="audit.example") as ledger:
...     receipt = ledger.append(b"an entry")
...     receipt.verify(b"an entry", ledger.trust_anchor)

Names are resolved when they are first used, so that importing the package is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ledgercore._core import (
        Anchor,
        Block,
        Checkpoint,
        Equivocation,
        Receipt,
        Record,
        SigningKey,
        StateProof,
        VerifiedRecord,
        build_info,
        cosign_checkpoint,
    )
    from ledgercore.aio import AsyncLedger
    from ledgercore.anchor import format_anchor, parse_anchor
    from ledgercore.errors import (
        AbsentError,
        BusyError,
        CorruptError,
        DiskFullError,
        FencedError,
        ForkError,
        InconsistentError,
        InvalidError,
        InvalidProof,
        InvalidSignature,
        LedgerError,
        LimitError,
        MalformedError,
        OutOfRangeError,
        PassphraseError,
        RefusedError,
        RollbackError,
        SignerAwayError,
        StoreError,
        UnavailableError,
        UntrustedError,
    )
    from ledgercore.keys import ensure_signer, load_signer
    from ledgercore.ledger import Ledger, Receipts, Replica, Report, Unpublished
    from ledgercore.proofs import (
        History,
        HistoryProof,
        StateReceipt,
        VerifiedState,
        verify_history,
        verify_state,
    )
    from ledgercore.records import Member
    from ledgercore.vault import Vault

__all__ = [
    "AbsentError",
    "Anchor",
    "AsyncLedger",
    "Block",
    "BusyError",
    "Checkpoint",
    "CorruptError",
    "DiskFullError",
    "Equivocation",
    "FencedError",
    "ForkError",
    "History",
    "HistoryProof",
    "InconsistentError",
    "InvalidError",
    "InvalidProof",
    "InvalidSignature",
    "Ledger",
    "LedgerError",
    "LimitError",
    "MalformedError",
    "Member",
    "OutOfRangeError",
    "PassphraseError",
    "Receipt",
    "Receipts",
    "Record",
    "RefusedError",
    "Replica",
    "Report",
    "RollbackError",
    "SignerAwayError",
    "SigningKey",
    "StateProof",
    "StateReceipt",
    "StoreError",
    "UnavailableError",
    "Unpublished",
    "UntrustedError",
    "Vault",
    "VerifiedRecord",
    "VerifiedState",
    "build_info",
    "cosign_checkpoint",
    "ensure_signer",
    "format_anchor",
    "load_signer",
    "parse_anchor",
    "verify_history",
    "verify_state",
]

_HOMES = {
    "AsyncLedger": "ledgercore.aio",
    "History": "ledgercore.proofs",
    "HistoryProof": "ledgercore.proofs",
    "Ledger": "ledgercore.ledger",
    "Member": "ledgercore.records",
    "Receipts": "ledgercore.ledger",
    "Replica": "ledgercore.ledger",
    "Report": "ledgercore.ledger",
    "StateReceipt": "ledgercore.proofs",
    "Unpublished": "ledgercore.ledger",
    "Vault": "ledgercore.vault",
    "VerifiedState": "ledgercore.proofs",
    "ensure_signer": "ledgercore.keys",
    "format_anchor": "ledgercore.anchor",
    "load_signer": "ledgercore.keys",
    "parse_anchor": "ledgercore.anchor",
    "verify_history": "ledgercore.proofs",
    "verify_state": "ledgercore.proofs",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'ledgercore' has no attribute {name!r}")
    errors = import_module("ledgercore.errors")
    home = _HOMES.get(name)
    module = import_module(home) if home else errors
    if home is None and not hasattr(errors, name):
        module = import_module("ledgercore._core")
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
