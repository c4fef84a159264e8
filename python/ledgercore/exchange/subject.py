"""Act for the subject: whose data it is, and whose word decides.

Each consent has a key of its own, made here and used for nothing else, so that nobody can link two
consents of one subject on the ledger.
"""

from __future__ import annotations

from collections.abc import Collection

from msgspec import structs

from ledgercore._core import SigningKey
from ledgercore.arguments import typed_methods
from ledgercore.entropy import Entropy, SystemEntropy
from ledgercore.errors import InvalidProof, MalformedError, UntrustedError
from ledgercore.exchange.dispute import Complainant
from ledgercore.exchange.kept import consent_asked, keep_proposal
from ledgercore.exchange.messages import Proposal, Terms, check_terms
from ledgercore.exchange.narrowing import leaves_of_root, make_narrowing
from ledgercore.exchange.reading import read_state
from ledgercore.exchange.signer import RecordSigner
from ledgercore.exchange.statement import (
    encode_text,
    keep_statement,
    open_statement,
    statement_folder,
)
from ledgercore.exchange.submission import Draft
from ledgercore.exchange.workable import check_offered, check_workable
from ledgercore.ledger import Ledger
from ledgercore.records import (
    ConsentAuthorise,
    ConsentReject,
    ConsentRevoke,
    DecisionContest,
)
from ledgercore.rules import ConsentState, DecisionState, consent_object, decision_object, refuse
from ledgercore.rules.codes import NAME_A_TIME
from ledgercore.vault import Vault

__all__ = ["Subject"]


@typed_methods
class Subject:
    """One enterprise. Its methods give drafts, which are submitted with everyone else's.

    Give it a ledger to read: without one it cannot see what the consumer has asked for there, and
    authorises whatever stands under the proposal's id.
    """

    def __init__(
        self,
        name: str,
        vault: Vault,
        ledger: Ledger | None = None,
        entropy: Entropy | None = None,
    ) -> None:
        self.name = name
        self._vault = vault
        self._entropy = entropy or SystemEntropy()
        self._ledger = ledger

    def signers(self) -> list[RecordSigner]:
        """Who signs for this subject: every consent key that its vault keeps, for ``resume``."""
        names = self._vault.names("consent-key/")
        return [self._key(bytes.fromhex(name.rpartition("/")[2])) for name in names]

    def new_consent_key(self) -> bytes:
        """Make and keep a key for one consent; its public half."""
        seed = self._entropy.bytes(32)
        public = SigningKey(seed).public_key
        self._vault.store([(f"consent-key/{public.hex()}", seed)])
        return public

    def agree(self, proposal: Proposal) -> Terms:
        """Read the terms of a proposal, and keep them; raise if they are not for this subject.

        Raises ``UntrustedError``, too, for terms in the place of others of the same consent, and
        ``RefusedError`` for terms that could never work: on no ledger, by themselves alone.
        """
        terms = Terms.from_leaves(proposal.terms)
        if terms.subject != self.name:
            raise UntrustedError(f"terms are for {terms.subject!r}, want {self.name!r}")
        check_workable(terms)
        if self._ledger is not None:
            check_offered(self._ledger, terms)
        keep_proposal(self._vault, self._ledger, proposal)
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

    def narrow(
        self,
        proposal: Proposal,
        fields: Collection[str],
        *,
        processors: Collection[str] | None = None,
        expires_ms: int | None = None,
        max_uses: int | None = None,
    ) -> Draft:
        """Keep only some fields, and if given only some processors, an earlier end, fewer uses.

        Provider and consumer know from the record what is left. What was delivered is not undone;
        what a processor asked for that is dropped is neither admitted nor released. Raises
        ``RefusedError`` where no field, use or time is left: what permits nothing is revoked.
        """
        if not fields:
            refuse("E_SCOPE", "fields are none, want one at least, or to revoke the consent")
        ledger = self._reading()
        now_ms = ledger.now_ms
        if expires_ms is not None and expires_ms <= now_ms:
            want = f"more than {now_ms}, or to revoke the consent"
            refuse("E_CLOCK", f"expires_ms is {expires_ms}, want {want}", remedy=NAME_A_TIME)
        consent = read_state(ledger, consent_object(proposal.consent), ConsentState)
        if max_uses is not None and max_uses <= consent.uses:
            want = f"more than the {consent.uses} that are taken, or to revoke the consent"
            refuse("E_USES", f"max_uses is {max_uses}, want {want}")
        leaves = leaves_of_root(ledger, proposal, consent.terms_root)
        kept = consent.processors if processors is None else processors
        body = structs.replace(
            make_narrowing(ledger.suite, proposal.consent, leaves, fields, kept),
            expires_ms=consent.expires_ms if expires_ms is None else expires_ms,
            max_uses=consent.max_uses if max_uses is None else max_uses,
        )
        return Draft(self._key(proposal.consent_key), body)

    def contest(self, proposal: Proposal, decision: bytes, grounds: str) -> Draft:
        """Ask that a person look at a decision; the grounds stay here, behind a commitment.

        Under each consent that it rests on it is contested once (``E_EXISTS``).
        """
        suite = self._reading().suite
        folder = statement_folder(DecisionContest.KIND, decision=decision)
        content = encode_text("grounds", grounds)
        commitment = keep_statement(self._vault, self._entropy, suite, folder, content)
        return Draft(self._key(proposal.consent_key), DecisionContest(decision, commitment))

    def read_explanation(self, decision: bytes, statement: bytes) -> str:
        """The newest explanation of a decision, as the consumer handed it over.

        Raises ``InvalidProof`` where the ledger commits to another. One that a review followed is
        read with ``read_statement``, by the decision's id, which is that of its record.
        """
        ledger = self._reading()
        state = read_state(ledger, decision_object(decision), DecisionState)
        commitment = state.explanation_commitment
        try:
            return open_statement(statement, commitment, ledger.suite).decode()
        except InvalidProof as error:
            raise InvalidProof(
                "statement is not the newest one of the decision: an older one is read with "
                "read_statement, by the decision's id"
            ) from error
        except UnicodeDecodeError as error:
            raise MalformedError(f"explanation is not text: {error}") from error

    def revoke(self, proposal: Proposal) -> Draft:
        """Take the consent back."""
        return Draft(self._key(proposal.consent_key), ConsentRevoke(proposal.consent))

    def disputes(self, proposal: Proposal) -> Complainant:
        """What this subject says in disputes of exchanges under a consent."""
        suite = self._reading().suite
        return Complainant(self._key(proposal.consent_key), self._entropy, suite)

    def _reading(self) -> Ledger:
        if self._ledger is None:
            raise UntrustedError("this is of a ledger: give this subject one to read")
        return self._ledger

    def _check_asked(self, proposal: Proposal, ledger: Ledger) -> None:
        consent = consent_asked(ledger, proposal)
        if consent.terms_root != proposal.root(ledger.suite):
            raise UntrustedError("consent on the ledger commits to other terms than the proposal's")
        check_terms(Terms.from_leaves(proposal.terms), consent)

    def _key(self, public: bytes) -> RecordSigner:
        seed = self._vault.load(f"consent-key/{public.hex()}")
        if seed is None:
            raise UntrustedError(f"consent key {public.hex()[:16]} is not this subject's")
        return RecordSigner(SigningKey(seed), self._vault)
