"""Keep what must stay off the ledger: every item sealed at rest, and erasable by itself."""

from __future__ import annotations

from ledgercore.vault.vault import NAME_BYTES, Vault

__all__ = ["NAME_BYTES", "Vault"]
