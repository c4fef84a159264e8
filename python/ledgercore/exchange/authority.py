"""Act for a supervisor where it signs: rule on disputes, stay consents.

What a supervisor only watches is in ``supervisor``, which needs no key. Statements and reasons
stay in its vault, behind commitments.
"""

from __future__ import annotations

from ledgercore import keys
from ledgercore.entropy import Entropy
from ledgercore.exchange.signer import Signer
from ledgercore.exchange.statement import keep_statement
from ledgercore.exchange.submission import Draft
from ledgercore.ledger import Ledger
from ledgercore.records import ConsentLift, ConsentStay, DisputeRule
from ledgercore.vault import Vault

__all__ = ["Authority"]


class Authority:
    """One member with the role ``supervisor``. Its methods give drafts."""

    def __init__(
        self, member: str, key: keys.Signer, vault: Vault, ledger: Ledger, entropy: Entropy
    ) -> None:
        self.member = member
        self._key = Signer(key, vault)
        self._vault = vault
        self._ledger = ledger
        self._entropy = entropy

    def rule(self, exchange: bytes, ruling: str, reasons: str) -> Draft:
        """Uphold or dismiss the complaint in a dispute: ``upheld`` or ``dismissed``."""
        commitment = self._keep(f"dispute/{exchange.hex()}/reasons", reasons)
        return Draft(self._key, DisputeRule(exchange, ruling, commitment))  # type: ignore[arg-type]

    def stay(self, consent: bytes, basis: str, order: str) -> Draft:
        """Let nothing be given or used under a consent; the order stays here, behind its hash."""
        commitment = self._keep(f"stay/{consent.hex()}", order)
        return Draft(self._key, ConsentStay(consent, basis, commitment))

    def lift(self, consent: bytes) -> Draft:
        """End the stay of a consent."""
        return Draft(self._key, ConsentLift(consent))

    def _keep(self, name: str, text: str) -> bytes:
        suite = self._ledger.suite
        return keep_statement(self._vault, self._entropy, suite, name, text.encode())
