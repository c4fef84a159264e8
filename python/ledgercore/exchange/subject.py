"""Act for the subject: whose data it is, and whose word decides.

Each consent has a key of its own, made here and used for nothing else, so that nobody can link two
consents of one subject on the ledger.
"""

from __future__ import annotations

from ledgercore._core import SigningKey
from ledgercore.entropy import Entropy
from ledgercore.errors import UntrustedError
from ledgercore.exchange.messages import Proposal, Terms, encode_message
from ledgercore.exchange.submission import Draft
from ledgercore.records import ConsentAuthorise, ConsentReject, ConsentRevoke
from ledgercore.vault import Vault

__all__ = ["Subject"]


class Subject:
    """One enterprise. Its methods give drafts, which are submitted with everyone else's."""

    def __init__(self, name: str, vault: Vault, entropy: Entropy) -> None:
        self.name = name
        self._vault = vault
        self._entropy = entropy

    def new_consent_key(self) -> bytes:
        """Make and keep a key for one consent; its public half."""
        seed = self._entropy.bytes(32)
        public = SigningKey(seed).public_key
        self._vault.store([(f"consent-key/{public.hex()}", seed)])
        return public

    def agree(self, proposal: Proposal) -> Terms:
        """Read the terms of a proposal, and keep them; raise if they are not for this subject."""
        terms = Terms.from_leaves(proposal.terms)
        if terms.subject != self.name:
            raise UntrustedError(f"terms are for {terms.subject!r}, want {self.name!r}")
        self._vault.store([(f"proposal/{proposal.consent.hex()}", encode_message(proposal))])
        return terms

    def authorise(self, proposal: Proposal, endorsement: bytes) -> Draft:
        """Say yes; the endorsement is the provider's word that the key is this subject's."""
        body = ConsentAuthorise(proposal.consent, endorsement)
        return Draft(self._key(proposal.consent_key), body)

    def reject(self, proposal: Proposal) -> Draft:
        """Say no."""
        return Draft(self._key(proposal.consent_key), ConsentReject(proposal.consent))

    def revoke(self, proposal: Proposal) -> Draft:
        """Take the consent back."""
        return Draft(self._key(proposal.consent_key), ConsentRevoke(proposal.consent))

    def _key(self, public: bytes) -> SigningKey:
        seed = self._vault.load(f"consent-key/{public.hex()}")
        if seed is None:
            raise UntrustedError(f"consent key {public.hex()[:16]} is not this subject's")
        return SigningKey(seed)
