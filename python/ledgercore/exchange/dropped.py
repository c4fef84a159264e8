"""Withhold the key of what was sealed with a field that the subject has dropped since.

The ledger sees no more of a narrowing than its root. The provider knows both: the terms that are
left, and the fields of what it sealed, which it reads again where the consent was narrowed. What
was delivered before stays delivered.
"""

from __future__ import annotations

from ledgercore.errors import MalformedError
from ledgercore.exchange.content import sealed_folder
from ledgercore.exchange.kept import kept_proposal, kept_terms
from ledgercore.exchange.messages import decode_message
from ledgercore.exchange.reading import read_payload
from ledgercore.exchange.sealing import open_payload
from ledgercore.exchange.stream import Manifest
from ledgercore.ledger import Ledger
from ledgercore.rules import ConsentState, ExchangeState, refuse
from ledgercore.vault import Vault

__all__ = ["check_undropped"]


def check_undropped(
    ledger: Ledger, vault: Vault, intent: bytes, state: ExchangeState, consent: ConsentState
) -> None:
    """Refuse with ``E_SCOPE`` where a field that was sealed is no more among the terms.

    What an admit notes of them may be narrower than what was sealed for it: it may have been drawn
    up before the narrowing and ordered after it.
    """
    admission, proposal = state.admission, kept_proposal(vault, state.consent)
    assert admission is not None, "only what was admitted is sealed"
    if proposal is not None and proposal.root(ledger.suite) == consent.terms_root:
        return  # it was never narrowed
    at = sealed_folder(intent, admission.ciphertext_hash)
    sealed, key = vault.load(f"{at}/ciphertext"), vault.load(f"{at}/key")
    if sealed is None or key is None:
        return  # it is forgotten, and no key is given of it
    terms = kept_terms(vault, ledger, state.consent, consent.terms_root)
    payload = open_payload(_payload_of(sealed), key, ledger.network + intent)
    names = [leaf.name for leaf in read_payload(ledger.suite, payload, admission)]
    if dropped := [name for name in names if name not in terms.fields]:
        message = f"fields {dropped} were dropped from the consent: key is withheld"
        refuse("E_SCOPE", message, intent)


def _payload_of(sealed: bytes) -> bytes:
    """The sealed payload; that of a stream stands in its manifest."""
    try:
        return decode_message(sealed, Manifest).payload
    except MalformedError:
        return sealed
