"""Act for the consumer: propose, intend, open, acknowledge, decide, use, erase.

The consumer takes nothing on trust: what it opens must carry a receipt that the admit was ordered,
must be what the provider committed to there, and must be what was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from ledgercore import keys
from ledgercore._core import Receipt, group_commit, group_number, hash_domain
from ledgercore.entropy import Entropy
from ledgercore.errors import (
    InvalidError,
    LedgerError,
    MalformedError,
    RefusedError,
    UntrustedError,
)
from ledgercore.exchange.admission import admitted_state
from ledgercore.exchange.audit_copy import AuditCopy, copy_hash, verify_copy
from ledgercore.exchange.dispute import Complainant
from ledgercore.exchange.erasure import certify_erasure
from ledgercore.exchange.messages import (
    Correction,
    Delivery,
    Proposal,
    Release,
    Request,
    Terms,
    decode_message,
    encode_message,
    request_commitment,
)
from ledgercore.exchange.objection import Objection, make_objection, objection_commitment
from ledgercore.exchange.salted import FIELD, check_leaves, commit, decode_leaves
from ledgercore.exchange.sealing import (
    open_key,
    open_payload,
    public_delivery_key,
    release_info,
)
from ledgercore.exchange.signer import Signer
from ledgercore.exchange.statement import SALT_BYTES, keep_statement
from ledgercore.exchange.stream import Manifest, StreamReader, content_value, stream_key
from ledgercore.exchange.submission import Draft
from ledgercore.exchange.totals import Amount, TotalsReport, add_up, booked
from ledgercore.exchange.transfer import Receiver
from ledgercore.ledger import Ledger
from ledgercore.records import (
    ConsentRequest,
    DecisionExplain,
    DecisionRecord,
    DecisionReview,
    ExchangeAcknowledge,
    ExchangeDecline,
    ExchangeErase,
    ExchangeIntent,
    ExchangeRestrict,
    ExchangeTimeOut,
    ExchangeUse,
)
from ledgercore.records.base import Value
from ledgercore.rules import (
    Admission,
    DecisionState,
    ExchangeState,
    book_object,
    decision_object,
    exchange_object,
    exchange_status_at,
)
from ledgercore.rules.view import decode_state
from ledgercore.vault import Vault

__all__ = ["INTENT_LIFETIME_MS", "Consumer"]

INTENT_LIFETIME_MS = 24 * 3_600_000
"""How long an intent waits for its provider."""


class Consumer:
    """One member that asks for data, decides on it, and accounts for its use."""

    def __init__(
        self, member: str, key: keys.Signer, vault: Vault, ledger: Ledger, entropy: Entropy
    ) -> None:
        self.member = member
        self._key = Signer(key, vault)
        self._vault = vault
        self._ledger = ledger
        self._entropy = entropy

    def propose(self, terms: Terms, consent_key: bytes) -> Proposal:
        """Put terms to a subject, under a key that it made for this consent."""
        consent = self._entropy.bytes(32)
        proposal = Proposal(consent, consent_key, terms.leaves(self._entropy))
        self._vault.store([(f"proposal/{consent.hex()}", encode_message(proposal))])
        return proposal

    def request_consent(self, proposal: Proposal, lapses_ms: int) -> Draft:
        """Ask for consent on the ledger, which learns the purpose and the salted terms."""
        terms = Terms.from_leaves(proposal.terms)
        body = ConsentRequest(
            consent=proposal.consent,
            product=terms.product,
            purpose=terms.purpose,
            terms_root=proposal.root(self._ledger.suite),
            consent_key=proposal.consent_key,
            expires_ms=terms.expires_ms,
            max_uses=terms.max_uses,
            lapses_ms=lapses_ms,
        )
        return Draft(self._key, body)

    def intend(
        self, requests: Sequence[Request], *, lifetime_ms: int = INTENT_LIFETIME_MS
    ) -> list[Draft]:
        """Open exchanges under consents; each gets a delivery key of its own, and then lapses."""
        drafts, items = [], []
        lapses_ms = self._now_ms() + lifetime_ms
        for request in requests:
            private = self._entropy.bytes(32)
            commitment = request_commitment(self._ledger.suite, request)
            key = public_delivery_key(private)
            body = ExchangeIntent(request.consent, commitment, key, lapses_ms)
            drafts.append(Draft(self._key, body))
            items.append((f"request/{commitment.hex()}", encode_message(request)))
            items.append((_delivery_key(body), private))
        self._vault.store(items)
        return drafts

    def request(self, consent: bytes, fields: Sequence[str], purpose: str) -> Request:
        """A request for fields, over the whole period of the consent's terms."""
        kept = self._vault.load(f"proposal/{consent.hex()}")
        if kept is None:
            raise UntrustedError(f"consent {consent.hex()[:16]} is not known here")
        terms = Terms.from_leaves(decode_message(kept, Proposal).terms)
        nonce = self._entropy.bytes(32)
        period = (terms.period_begin, terms.period_end)
        return Request(consent, tuple(fields), *period, purpose, nonce)

    def open(self, delivery: Delivery, release: Release) -> dict[str, Value]:
        """Check and open a payload, keep it, and give its values by field.

        Raises ``InvalidError`` if anything is not as the receipt shows it, and ``RefusedError``
        with ``E_SCOPE`` if the provider sent other fields than were asked for.
        """
        state, key = self._open_key(delivery, release)
        self._check_copy(delivery, key, state)
        payload = open_payload(delivery.ciphertext, key, self._ledger.network + release.exchange)
        values = self._check_payload(release.exchange, payload, state)
        kept = f"exchange/{release.exchange.hex()}"
        self._vault.store(
            [(f"{kept}/payload", payload), (f"{kept}/release", encode_message(release))]
        )
        return values

    def receive_stream(self, delivery: Delivery, hashes: BinaryIO, partial: BinaryIO) -> Receiver:
        """Take a stream's sealed chunks into a file, before or after their key is released.

        Raises ``InvalidError`` where the manifest or the hashes are not what was admitted. Call it
        again over the same files after a cut.
        """
        state = self._state(delivery.exchange)
        if state.admission is None:
            raise RefusedError("E_EXCHANGE_STATE", f"exchange is {state.status}, not admitted")
        _check_admitted(self._ledger.suite, delivery, state.admission)
        manifest = decode_message(delivery.ciphertext, Manifest)
        return Receiver(manifest, hashes, partial, self._ledger.suite)

    def open_stream(
        self,
        delivery: Delivery,
        release: Release,
        sealed: BinaryIO,
        output: BinaryIO | None = None,
    ) -> StreamReader:
        """Check a stream as ``open`` checks a payload, all of its content included.

        What stays is the sealed file, and in the vault its key: to erase that makes the file
        unreadable. The content itself goes to an output, if there is one, which is the caller's to
        erase; ``stream`` reads from the sealed file at any time.
        """
        state, key = self._open_key(delivery, release)
        self._check_copy(delivery, key, state)
        context = self._ledger.network + release.exchange
        manifest = decode_message(delivery.ciphertext, Manifest)
        payload = open_payload(manifest.payload, key, context)
        (value,) = self._check_payload(release.exchange, payload, state).values()
        content_root = _content_root(value, manifest)
        chunk_key = stream_key(key, context)
        reader = StreamReader(sealed, manifest.size_bytes, chunk_key)
        reader.verify(content_root, self._ledger.suite, output)
        kept = f"exchange/{release.exchange.hex()}"
        self._vault.store(
            [
                (f"{kept}/payload", payload),
                (f"{kept}/release", encode_message(release)),
                (f"{kept}/stream-key", chunk_key),
            ]
        )
        return reader

    def stream(self, delivery: Delivery, sealed: BinaryIO) -> StreamReader:
        """Read a stream that was opened before, until it is erased."""
        intent = delivery.exchange
        key = self._vault.load(f"exchange/{intent.hex()}/stream-key")
        if key is None:
            raise UntrustedError(f"no key is kept for the stream of exchange {intent.hex()[:16]}")
        manifest = decode_message(delivery.ciphertext, Manifest)
        return StreamReader(sealed, manifest.size_bytes, key)

    def _check_copy(self, delivery: Delivery, key: bytes, state: ExchangeState) -> None:
        """Hold the audit copy to the key that it must be of, and keep what it opens.

        A consumer that cannot have its data audited declines it instead.
        """
        ledger, intent = self._ledger, delivery.exchange
        if state.admission is None or state.admission.audit_copy is None:
            return
        copy = decode_message(delivery.audit_copy, AuditCopy)
        if copy_hash(ledger.suite, copy) != state.admission.audit_copy:
            raise InvalidError("audit copy is not the one that was admitted")
        verify_copy(copy, key, ledger.network + intent)
        self._vault.store([(f"exchange/{intent.hex()}/delivery", encode_message(delivery))])

    def delivery(self, intent: bytes) -> Delivery:
        """What came, as it came: for an opening by order."""
        kept = self._vault.load(f"exchange/{intent.hex()}/delivery")
        if kept is None:
            raise UntrustedError(f"no audited delivery of {intent.hex()[:16]} is kept here")
        return decode_message(kept, Delivery)

    def _open_key(self, delivery: Delivery, release: Release) -> tuple[ExchangeState, bytes]:
        """The exchange's state as the receipt proves it, and the key that was released for it."""
        ledger, intent = self._ledger, release.exchange
        receipt = Receipt.decode(release.receipt)
        admit = receipt.verify(release.admit, ledger.trust_anchor)
        state = admitted_state(receipt, intent)
        assert state.admission is not None, "an admitted state has an admission"
        _check_admitted(ledger.suite, delivery, state.admission)
        private = self._vault.load(_delivery_key(state))
        if private is None:
            raise UntrustedError(f"exchange {intent.hex()[:16]} was not intended here")
        receipt_hash = hash_domain(ledger.suite, "commitment", release.receipt)
        info = release_info(ledger.network, intent, admit.id, receipt_hash)
        return state, open_key(release.sealed_key, private, info)

    def _check_payload(
        self, intent: bytes, payload: bytes, state: ExchangeState
    ) -> dict[str, Value]:
        """The values of a payload that is what was committed to, and what was asked for.

        What was committed to and not asked for is kept, to be shown in an objection.
        """
        want = self._requested(state).fields
        leaves = decode_leaves(payload, FIELD)
        assert state.admission is not None, "an admitted state has an admission"
        if commit(self._ledger.suite, leaves) != state.admission.disclosure_root:
            raise InvalidError("payload is not what the provider committed to")
        got = tuple(leaf.name for leaf in leaves)
        if got != want:
            self._vault.store([(f"exchange/{intent.hex()}/unwanted", payload)])
            raise RefusedError("E_SCOPE", f"fields are {list(got)}, want {list(want)}")
        return {leaf.name: leaf.value for leaf in leaves}

    def read_correction(self, correction: Correction) -> dict[str, Value]:
        """The corrected values, held to the ledger's newest correction of the exchange; kept.

        What was decided on the values before is to be looked at again.
        """
        encoded, intent = encode_message(correction), correction.exchange
        commitment = hash_domain(self._ledger.suite, "commitment", encoded)
        if commitment != self._state(intent).correction:
            raise InvalidError("correction is not the newest one that the provider committed to")
        check_leaves(correction.leaves, FIELD)
        self._vault.store([(f"exchange/{intent.hex()}/correction", encoded)])
        return {leaf.name: leaf.value for leaf in correction.leaves}

    def acknowledge(self, intent: bytes) -> Draft:
        """Say that what came is what was asked for."""
        return Draft(self._key, ExchangeAcknowledge(intent))

    def decline(self, intent: bytes, error: LedgerError, *, fields: Sequence[str] = ()) -> Draft:
        """Say that it is not, by the error of ``open``; ``fields`` names what is wrong with it.

        Fields that were not asked for, and those named, are opened in an ``objection`` that is
        kept here. An error of this side's own, such as a full disk, is raised: it is no reason.
        """
        match error:
            case RefusedError():
                code = error.code
            case MalformedError():
                code = "E_CANON"
            case InvalidError():
                code = "E_SCOPE"
            case _:
                raise error
        objection = self._object(intent, code, fields)
        name = f"exchange/{intent.hex()}/objection"
        self._vault.store([(name, encode_message(objection))])
        commitment = objection_commitment(self._ledger.suite, objection)
        return Draft(self._key, ExchangeDecline(intent, code, commitment))

    def _object(self, intent: bytes, code: str, fields: Sequence[str]) -> Objection:
        """Open what is wrong in the payload that came, as far as it could be opened."""
        kept = f"exchange/{intent.hex()}"
        payload = self._vault.load(f"{kept}/unwanted") or self._vault.load(f"{kept}/payload")
        leaves = () if payload is None else decode_leaves(payload, FIELD)
        asked: tuple[str, ...] = ()
        if leaves:
            asked = self._requested(self._state(intent)).fields
        wrong = [leaf.position for leaf in leaves if leaf.name not in asked or leaf.name in fields]
        nonce = self._entropy.bytes(32)
        return make_objection(self._ledger.suite, intent, code, nonce, (leaves, wrong))

    def _requested(self, state: ExchangeState) -> Request:
        kept = self._vault.load(f"request/{state.request_commitment.hex()}")
        if kept is None:
            raise UntrustedError("request of the exchange is not known here")
        return decode_message(kept, Request)

    def time_out(self, intent: bytes) -> Draft:
        """Say that no key came in time, which gives the use back.

        The private half of the delivery key is destroyed first: a key that came late opens nothing.
        Raises ``E_EXCHANGE_STATE``, with nothing destroyed, before the admit's deadline.
        """
        state = self._state(intent)
        status = exchange_status_at(state, self._now_ms())
        if status != "OVERDUE":
            raise RefusedError("E_EXCHANGE_STATE", f"exchange is {status}, want OVERDUE")
        self._vault.erase([_delivery_key(state)])
        return Draft(self._key, ExchangeTimeOut(intent))

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

        So does the amount, if there is one; ``report_totals`` adds it up.
        """
        body = DecisionRecord(
            inputs=tuple(inputs),
            outcome=outcome,  # type: ignore[arg-type]  # checked when the body is encoded
            model_hash=hash_domain(self._ledger.suite, "commitment", model),
            reasons=tuple(reasons),
            explanation_commitment=self._keep_explanation("\n".join(reasons)),
            amount_commitment=None if amount is None else self._keep_amount(amount),
        )
        return Draft(self._key, body)

    def report_totals(self, begin: int, end: int) -> TotalsReport:
        """The sum of amounts decided on by records ``[begin, end)``, and what shows it."""
        opened = []
        for index, commitment in booked(self._ledger.history(book_object(self.member))):
            if begin <= index < end:
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
        """The statement that a decision's newest explanation is in, for the subject."""
        commitment = self._decision(decision).explanation_commitment
        kept = self._vault.load(f"explanation/{commitment.hex()}")
        if kept is None:
            raise UntrustedError(f"no explanation of decision {decision.hex()[:16]} is kept here")
        return kept

    def explain(self, decision: bytes) -> Draft:
        """Say that the subject was handed the explanation; the time to contest begins anew."""
        return Draft(self._key, DecisionExplain(decision))

    def review(self, decision: bytes, outcome: str, reviewer: str, reasons: str) -> Draft:
        """Say that a person looked at a contested decision, and what came of it.

        It is upheld where the outcome is the same. Who reviewed stays here, behind a commitment.
        """
        suite, kept = self._ledger.suite, f"review/{decision.hex()}"
        by = keep_statement(self._vault, self._entropy, suite, kept, reviewer.encode())
        body = DecisionReview(
            decision=decision,
            result="upheld" if outcome == self._decision(decision).outcome else "changed",
            outcome=outcome,  # type: ignore[arg-type]  # checked when the body is encoded
            reviewer_commitment=by,
            explanation_commitment=self._keep_explanation(reasons),
        )
        return Draft(self._key, body)

    def _keep_explanation(self, text: str) -> bytes:
        statement = self._entropy.bytes(SALT_BYTES) + text.encode()
        commitment = hash_domain(self._ledger.suite, "commitment", statement)
        self._vault.store([(f"explanation/{commitment.hex()}", statement)])
        return commitment

    def _decision(self, decision: bytes) -> DecisionState:
        value = self._ledger.state(decision_object(decision))
        if value is None:
            raise RefusedError("E_UNKNOWN", f"decision {decision.hex()[:16]} does not exist")
        return decode_state(value, DecisionState)

    def use(self, intent: bytes, decision: bytes, purpose: str) -> Draft:
        """Say what the data was used for."""
        return Draft(self._key, ExchangeUse(intent, decision, purpose))

    def restrict(self, intents: Sequence[bytes], basis: str, until_ms: int) -> list[Draft]:
        """Promise to do nothing with what was delivered but keep it, as the basis asks."""
        return [Draft(self._key, ExchangeRestrict(intent, basis, until_ms)) for intent in intents]

    def erase(self, intents: Sequence[bytes], basis: str) -> list[Draft]:
        """Erase payloads, salts and keys from the vault, and promise so on the ledger.

        With the delivery key goes whatever is sealed for it, opened before or not. Raises
        ``RefusedError``, with nothing erased, if nothing was admitted in one of the exchanges.
        """
        self._vault.erase(self._erasable(intents))
        return [Draft(self._key, ExchangeErase(intent, basis)) for intent in intents]

    def certify_erasure(self, intents: Sequence[bytes]) -> bytes:
        """An erasure receipt: this vault keeps no content of these exchanges, nor a key to any."""
        ledger = self._ledger
        names, now_ms = self._erasable(intents), self._now_ms()
        return certify_erasure(self._vault, names, self._key, ledger.network, ledger.suite, now_ms)

    def _erasable(self, intents: Sequence[bytes]) -> list[str]:
        """Where content of exchanges and the keys to it are kept."""
        names = []
        for intent in intents:
            state = self._state(intent)
            if state.admission is None:
                raise RefusedError("E_EXCHANGE_STATE", f"exchange is {state.status}, not admitted")
            kept = f"exchange/{intent.hex()}"
            names += [_delivery_key(state), f"{kept}/payload", f"{kept}/stream-key"]
            names += [f"{kept}/unwanted", f"{kept}/objection", f"{kept}/delivery"]
            names.append(f"{kept}/correction")
        return names

    def _now_ms(self) -> int:
        """The ledger's time, which is its newest block's."""
        return self._ledger.block(self._ledger.height).time_ms

    def _state(self, intent: bytes) -> ExchangeState:
        value = self._ledger.state(exchange_object(intent))
        if value is None:
            raise RefusedError("E_UNKNOWN", f"exchange {intent.hex()[:16]} does not exist")
        return decode_state(value, ExchangeState)


def _delivery_key(of: ExchangeIntent | ExchangeState) -> str:
    """Where the vault keeps the private half: of each exchange, though two have one request."""
    return f"request/{of.request_commitment.hex()}/{of.delivery_key.hex()}/delivery-key"


def _check_admitted(suite: str, delivery: Delivery, admission: Admission) -> None:
    if hash_domain(suite, "commitment", delivery.ciphertext) != admission.ciphertext_hash:
        raise InvalidError("delivery is not the ciphertext that was admitted")


def _content_root(value: Value, manifest: Manifest) -> bytes:
    """The root that the payload's one value commits to."""
    words = str(value).split(" ")
    try:
        root = bytes.fromhex(words[-1])
    except ValueError:
        root = b""
    if len(root) != 32 or value != content_value(manifest.size_bytes, root):
        raise InvalidError("payload does not describe the stream that was admitted")
    return root
