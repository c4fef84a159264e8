"""Act for the consumer: propose, decide on what was received, account for its use, erase.

What it receives it may receive itself, as a ``Recipient``, or by a processor that hands it over.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledgercore._core import group_commit, group_number, hash_domain
from ledgercore.arguments import check_count, typed_methods
from ledgercore.errors import InvalidError, MalformedError, UntrustedError
from ledgercore.exchange.agreement import ConsumerAgreements
from ledgercore.exchange.content import received_names
from ledgercore.exchange.dispute import Complainant
from ledgercore.exchange.erasure import certify_erasure
from ledgercore.exchange.kept import keep_proposal
from ledgercore.exchange.messages import (
    Correction,
    Handover,
    Proposal,
    Terms,
    decode_message,
    encode_message,
    request_commitment,
)
from ledgercore.exchange.reading import read_admit, read_state
from ledgercore.exchange.recipient import Recipient, check_payload
from ledgercore.exchange.salted import FIELD, check_leaves
from ledgercore.exchange.statement import (
    encode_text,
    keep_statement,
    kept_statement,
    statement_folder,
)
from ledgercore.exchange.submission import Draft
from ledgercore.exchange.totals import Amount, TotalsReport, add_up, booked
from ledgercore.exchange.workable import (
    check_agreed,
    check_corrected,
    check_offered,
    check_workable,
)
from ledgercore.records import (
    ConsentRequest,
    DecisionExplain,
    DecisionRecord,
    DecisionReview,
    ExchangeErase,
    ExchangeRestrict,
    ExchangeUse,
)
from ledgercore.records.base import Value
from ledgercore.rules import (
    DecisionState,
    book_object,
    decision_object,
    refuse,
)
from ledgercore.rules.decision import open_contest

__all__ = ["Consumer"]


@typed_methods
class Consumer(Recipient):
    """One member that asks for data, decides on it, and accounts for its use."""

    def propose(self, terms: Terms, consent_key: bytes) -> Proposal:
        """Put terms to a subject, under a key that it made for this consent.

        Raises ``RefusedError`` for terms that could never work, such as a field that the product
        does not have or an end that has passed, and ``UntrustedError`` for another consumer's.
        ``MalformedError`` for a key of another length than 32 bytes.
        """
        if len(consent_key) != 32:
            raise MalformedError(f"consent_key has {len(consent_key)} bytes, want 32")
        check_workable(terms)
        if terms.consumer != self.member:
            raise UntrustedError(f"terms are for consumer {terms.consumer!r}, want {self.member!r}")
        check_offered(self._ledger, terms)
        consent = self._entropy.bytes(32)
        proposal = Proposal(consent, consent_key, terms.leaves(self._entropy))
        keep_proposal(self._vault, None, proposal)
        return proposal

    @property
    def agreements(self) -> ConsumerAgreements:
        """What this consumer says in negotiations, and how it ends what came of them."""
        return ConsumerAgreements(self._key, self._entropy, self._ledger)

    def request_consent(
        self, proposal: Proposal, lapses_ms: int, agreement: bytes | None = None
    ) -> Draft:
        """Ask for consent on the ledger, which learns the purpose and the salted terms.

        A product that needs an agreement is asked for under one that is in force. Raises
        ``RefusedError`` for terms that could never work, by now or under that agreement.
        """
        terms = Terms.from_leaves(proposal.terms)
        check_workable(terms)
        check_offered(self._ledger, terms)
        if agreement is not None:
            check_agreed(self._ledger, terms, agreement)
        body = ConsentRequest(
            consent=proposal.consent,
            product=terms.product,
            purpose=terms.purpose,
            terms_root=proposal.root(self._ledger.suite),
            consent_key=proposal.consent_key,
            expires_ms=terms.expires_ms,
            max_uses=terms.max_uses,
            lapses_ms=lapses_ms,
            processors=terms.processors,
            agreement=agreement,
        )
        return Draft(self._key, body)

    def take_over(self, handover: Handover) -> dict[str, Value]:
        """Take what a processor received for this consumer, keep it, and give its values by field.

        It is checked as if it had come here: the release by its receipt, the payload by the admit,
        the request by the intent. Raises ``InvalidError`` for what is not of the exchange, and
        ``UntrustedError`` for one of which this is not the consumer. Refused like ``open`` is.
        """
        intent, suite = handover.exchange, self._ledger.suite
        state = self._state(intent)
        if (state.consumer, bool(state.processor)) != (self.member, True):
            raise UntrustedError(f"exchange {intent.hex()[:16]} was not received for {self.member}")
        self._check_openable(intent)
        release, request = handover.release, encode_message(handover.request)
        _, admitted = read_admit(release, intent, self._ledger.trust_anchor)
        if request_commitment(suite, handover.request) != state.request_commitment:
            raise InvalidError("request is not the one that the intent commits to")
        values = check_payload(suite, handover.payload, admitted, handover.request)
        items = [
            (f"request/{state.request_commitment.hex()}", request),
            (f"exchange/{intent.hex()}/payload", handover.payload),
        ]
        self._keep_opened(release, items)
        return values

    def read_correction(self, correction: Correction) -> dict[str, Value]:
        """The corrected values, held to the ledger's newest correction of the exchange; kept.

        What was decided on the values before is to be looked at again. Raises ``RefusedError``,
        with nothing kept, for fields that the product does not have or that were not asked for, and
        once an ``erase`` of the exchange is signed, which destroys the correction with the rest;
        ``MalformedError`` for values that are none; and ``UntrustedError`` where the request is not
        kept here: what a processor received is taken over first.
        """
        encoded, intent = encode_message(correction), correction.exchange
        commitment = hash_domain(self._ledger.suite, "commitment", encoded)
        state = self._state(intent)
        if commitment != state.correction:
            raise InvalidError("correction is not the newest one that the provider committed to")
        leaves = decode_message(encoded, Correction).leaves  # one made here may hold anything
        check_leaves(leaves, FIELD)
        names, asked = [leaf.name for leaf in leaves], self._requested(state).fields
        for scope in {leaf.scope for leaf in leaves}:
            check_corrected(self._ledger, state.consent, scope, names, asked)
        with self._vault.transaction():
            self._check_kept(intent)
            self._vault.store([(f"exchange/{intent.hex()}/correction", encoded)])
        return {leaf.name: leaf.value for leaf in leaves}

    @property
    def disputes(self) -> Complainant:
        """What this consumer says in disputes."""
        return Complainant(self._key, self._entropy, self._ledger.suite)

    def decide(
        self,
        inputs: Sequence[bytes],
        outcome: str,
        model: bytes,
        reasons: Sequence[str],
        *,
        amount: int | None = None,
    ) -> Draft:
        """Record a decision on exchanges; the explanation stays here, behind a commitment.

        So does the amount, if there is one, of 0 to 2^53 - 1; ``report_totals`` adds it up. Raises
        ``MalformedError`` for another.
        """
        if amount is not None:
            check_count("amount", amount)  # before anything of the decision is kept
        explanation = encode_text("reasons", "\n".join(reasons))
        body = DecisionRecord(
            inputs=tuple(inputs),
            outcome=outcome,  # type: ignore[arg-type]  # checked when the body is encoded
            model_hash=hash_domain(self._ledger.suite, "commitment", model),
            reasons=tuple(reasons),
            explanation_commitment=self._keep(DecisionRecord.KIND, explanation),
            amount_commitment=None if amount is None else self._keep_amount(amount),
        )
        return Draft(self._key, body)

    def report_totals(self, begin: int, end: int) -> TotalsReport:
        """The sum of amounts decided on by records ``[begin, end)``, and what shows it.

        Raises ``MalformedError`` where the period is none, or ends after the ledger's last record,
        and ``LimitError`` where the sum is 2^64 or more.
        """
        with self._ledger.moment():
            size = self._ledger.size
            if not 0 <= begin <= end <= size:
                want = f"0 <= begin <= end <= {size}, the ledger's size"
                raise MalformedError(f"period is [{begin}, {end}), want {want}")
            book = booked(self._ledger.history(book_object(self.member)))
            period = [(index, commitment) for index, commitment in book if begin <= index < end]
        opened = []  # outside: whoever holds the vault waits for the ledger, and not the other way
        for index, commitment in period:
            kept = self._vault.load(f"amount/{commitment.hex()}")
            if kept is None:
                raise UntrustedError(f"amount of record {index} is not kept here")
            opened.append(decode_message(kept, Amount))
        return add_up(self.member, begin, end, opened)

    def _keep_amount(self, amount: int) -> bytes:
        opening = Amount(amount, group_number(self._entropy.bytes(64)))
        (commitment,) = group_commit([amount], [opening.blinding])
        self._vault.store([(f"amount/{commitment.hex()}", encode_message(opening))])
        return commitment

    def explanation(self, decision: bytes) -> bytes:
        """The statement that a decision's newest explanation is in, for the subject.

        After a review the one before is ``show_statement``'s, by the decision's id.
        """
        commitment = self._decision(decision).explanation_commitment
        return kept_statement(self._vault, statement_folder(DecisionRecord.KIND), commitment)

    def explain(self, decision: bytes) -> Draft:
        """Say that the subject was handed the explanation; the time to contest begins anew."""
        return Draft(self._key, DecisionExplain(decision))

    def review(
        self,
        decision: bytes,
        outcome: str,
        reviewer: str,
        reasons: str,
        *,
        contest: bytes | None = None,
    ) -> Draft:
        """Say that a person looked at a contested decision, and what came of it.

        ``contest`` is the id of the contest's record that it answers, each of which has a review of
        its own: without it the one that has waited longest, now. It is upheld where the outcome is
        the same. Who reviewed stays here, behind a commitment. Raises ``RefusedError`` with
        ``E_DECISION_STATE`` where none is named and none waits.
        """
        said_by, said = encode_text("reviewer", reviewer), encode_text("reasons", reasons)
        state = self._decision(decision)
        body = DecisionReview(
            decision=decision,
            contest=_waiting(state) if contest is None else contest,
            result="upheld" if outcome == state.outcome else "changed",
            outcome=outcome,  # type: ignore[arg-type]  # checked when the body is encoded
            reviewer_commitment=self._keep(DecisionReview.KIND, said_by, decision=decision),
            explanation_commitment=self._keep(DecisionRecord.KIND, said),
        )
        return Draft(self._key, body)

    def _keep(self, kind: str, content: bytes, **named: bytes) -> bytes:
        suite, folder = self._ledger.suite, statement_folder(kind, **named)
        return keep_statement(self._vault, self._entropy, suite, folder, content)

    def _decision(self, decision: bytes) -> DecisionState:
        return read_state(self._ledger, decision_object(decision), DecisionState)

    def use(self, intent: bytes, decision: bytes, purpose: str) -> Draft:
        """Say what the data was used for."""
        return Draft(self._key, ExchangeUse(intent, decision, purpose))

    def restrict(self, intents: Sequence[bytes], basis: str, until_ms: int) -> list[Draft]:
        """Promise to do nothing with what was delivered but keep it, as the basis asks.

        Acknowledge it first, unless the provider put on record that it sent the key: else the
        ledger refuses this with ``E_EXCHANGE_STATE``.
        """
        return [Draft(self._key, ExchangeRestrict(intent, basis, until_ms)) for intent in intents]

    def erase(self, intents: Sequence[bytes], basis: str) -> list[Draft]:
        """Promise that payloads, salts and keys are gone: they are erased once that is ordered.

        With the delivery key goes whatever is sealed for it, opened before or not. An exchange
        whose key has not come is waived: its deadline ends and its use stays taken. Who wants the
        use back waits for the deadline, times it out, and erases it then. The ledger
        refuses it with ``E_EXCHANGE_STATE`` where nothing was admitted or it is erased already.
        """
        return [Draft(self._key, ExchangeErase(intent, basis)) for intent in intents]

    def certify_erasure(self, intents: Sequence[bytes]) -> bytes:
        """An erasure receipt: this vault keeps no content of these exchanges, nor a key to any."""
        ledger = self._ledger
        names, now_ms = self._erasable(intents), self._ledger.now_ms
        return certify_erasure(self._vault, names, self._key, ledger.network, ledger.suite, now_ms)

    def _erasable(self, intents: Sequence[bytes]) -> list[str]:
        """Where content of exchanges and the keys to it are kept, once something was admitted."""
        for intent in intents:
            state = self._state(intent)
            if state.admission is None:
                refuse("E_EXCHANGE_STATE", f"exchange is {state.status}, not admitted", intent)
        return received_names(self._ledger, intents)


def _waiting(state: DecisionState) -> bytes:
    """The contest of a decision that has waited longest."""
    contest = open_contest(state)
    if contest is None:
        refuse("E_DECISION_STATE", f"decision is {state.status}, and no contest of it waits")
    return contest.record
