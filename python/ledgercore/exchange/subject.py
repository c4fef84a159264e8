"""Act for the subject: whose data it is, and whose word decides.

Each consent has a key of its own, made here and used for nothing else, so that nobody can link two
consents of one subject on the ledger.
"""

from __future__ import annotations

from ledgercore._core import SigningKey
from ledgercore.entropy import Entropy
from ledgercore.errors import UntrustedError
from ledgercore.exchange.dispute import Complainant
from ledgercore.exchange.messages import Proposal, Terms, check_terms, encode_message
from ledgercore.exchange.signer import Signer
from ledgercore.exchange.submission import Draft
from ledgercore.ledger import Ledger
from ledgercore.records import ConsentAuthorise, ConsentReject, ConsentRevoke
from ledgercore.rules import ConsentState, consent_object
from ledgercore.rules.view import decode_state
from ledgercore.vault import Vault

__all__ = ["Subject"]


class Subject:
    """One enterprise. Its methods give drafts, which are submitted with everyone else's.

    Give it a ledger to read: without one it cannot see what the consumer has asked for there, and
    authorises whatever stands under the proposal's id.
    """

    def __init__(
        self, name: str, vault: Vault, entropy: Entropy, ledger: Ledger | None = None
    ) -> None:
        self.name = name
        self._vault = vault
        self._entropy = entropy
        self._ledger = ledger

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
        """Say yes; the endorsement is the provider's word that the key is this subject's.

        Raises ``InvalidError`` if the ledger's consent is not the one that the terms describe.
        """
        if self._ledger is not None:
            self._check_asked(proposal, self._ledger)
        body = ConsentAuthorise(proposal.consent, endorsement)
        return Draft(self._key(proposal.consent_key), body)

    def reject(self, proposal: Proposal) -> Draft:
        """Say no."""
        return Draft(self._key(proposal.consent_key), ConsentReject(proposal.consent))

    def revoke(self, proposal: Proposal) -> Draft:
        """Take the consent back."""
        return Draft(self._key(proposal.consent_key), ConsentRevoke(proposal.consent))

    def disputes(self, proposal: Proposal) -> Complainant:
        """What this subject says in disputes of exchanges under a consent."""
        if self._ledger is None:
            raise UntrustedError("a dispute is of a ledger: give this subject one to read")
        return Complainant(self._key(proposal.consent_key), self._entropy, self._ledger.suite)

    def _check_asked(self, proposal: Proposal, ledger: Ledger) -> None:
        value = ledger.state(consent_object(proposal.consent))
        if value is None:
            raise UntrustedError(f"consent {proposal.consent.hex()[:16]} is not on the ledger")
        consent = decode_state(value, ConsentState)
        if consent.consent_key != proposal.consent_key:
            raise UntrustedError("consent on the ledger is under another key than the proposal's")
        if consent.terms_root != proposal.root(ledger.suite):
            raise UntrustedError("consent on the ledger commits to other terms than the proposal's")
        check_terms(Terms.from_leaves(proposal.terms), consent)

    def _key(self, public: bytes) -> Signer:
        seed = self._vault.load(f"consent-key/{public.hex()}")
        if seed is None:
            raise UntrustedError(f"consent key {public.hex()[:16]} is not this subject's")
        return Signer(SigningKey(seed), self._vault)
