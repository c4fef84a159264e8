"""Begin what each member of an exchange has: a key that signs, a vault, a ledger to read."""

from __future__ import annotations

from ledgercore import keys
from ledgercore.arguments import typed_methods
from ledgercore.entropy import Entropy, SystemEntropy
from ledgercore.exchange.signer import RecordSigner
from ledgercore.ledger import Ledger
from ledgercore.vault import Vault

__all__ = ["Party"]


@typed_methods
class Party:
    """One member, whose methods give drafts."""

    def __init__(
        self,
        member: str,
        key: keys.Signer,
        vault: Vault,
        ledger: Ledger,
        entropy: Entropy | None = None,
    ) -> None:
        self.member = member
        self._key = RecordSigner(key, vault)
        self._vault = vault
        self._ledger = ledger
        self._entropy = entropy or SystemEntropy()

    @property
    def signer(self) -> RecordSigner:
        """Who signs for this member: ``resume`` submits what it left when its program ended."""
        return self._key
