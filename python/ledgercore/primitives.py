"""Check keys, signatures, leaves, proofs, states and receipts without a ledger.

The same functions that the ledger itself calls, over raw bytes. A suite is ``"std"`` or
``"c2sp"``; hashes and proofs are ``bytes`` and sequences of ``bytes``. Every ``verify`` raises;
what has a type once it is verified is returned as that.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledgercore import _core
from ledgercore._core import (
    Anchor,
    VerifiedBatch,
    check_public_key,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
    verify_inclusions,
    verify_signature,
    verify_states,
)
from ledgercore.entropy import SystemEntropy

__all__ = [
    "check_public_key",
    "leaf_hash",
    "node_hash",
    "verify_consistency",
    "verify_inclusion",
    "verify_inclusions",
    "verify_receipts",
    "verify_signature",
    "verify_signatures",
    "verify_states",
]


def verify_signatures(
    public_keys: Sequence[bytes], messages: Sequence[bytes], signatures: Sequence[bytes]
) -> None:
    """Accept every signature, or raise ``InvalidSignature`` whose ``indices`` name all bad ones.

    Ed25519 with ZIP-215 acceptance, the same verdict for each as ``verify_signature``.
    """
    _core.verify_signatures(public_keys, messages, signatures, SystemEntropy().bytes(32))


def verify_receipts(
    receipts: Sequence[bytes], bodies: Sequence[bytes], anchor: Anchor
) -> VerifiedBatch:
    """The records of encoded receipts, in their order, or the error of the first that fails.

    Each is held to what ``Receipt.verify`` holds one to. A checkpoint that many carry is verified
    once, and the records' signatures as one batch: ``InvalidSignature.indices`` names all bad ones.
    """
    return _core.verify_receipts(receipts, bodies, anchor, SystemEntropy().bytes(32))
