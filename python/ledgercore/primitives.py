"""Check signatures, leaves and proofs without a ledger.

The same functions that the ledger itself calls, over raw bytes. A suite is ``"std"`` or
``"c2sp"``; hashes and proofs are ``bytes`` and sequences of ``bytes``. Every ``verify`` raises
or returns nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledgercore import _core
from ledgercore._core import leaf_hash, verify_consistency, verify_inclusion, verify_signature
from ledgercore.entropy import SystemEntropy

__all__ = [
    "leaf_hash",
    "verify_consistency",
    "verify_inclusion",
    "verify_signature",
    "verify_signatures",
]


def verify_signatures(
    public_keys: Sequence[bytes], messages: Sequence[bytes], signatures: Sequence[bytes]
) -> None:
    """Accept every signature, or raise ``InvalidSignature`` whose ``indices`` name all bad ones.

    Ed25519 with ZIP-215 acceptance, the same verdict for each as ``verify_signature``.
    """
    _core.verify_signatures(public_keys, messages, signatures, SystemEntropy().bytes(32))
