"""Act for the provider: endorse, admit or refuse, and release the key against a receipt.

The provider sends the sealed payload with the admit, and its key only after a receipt proves that
the admit was ordered while the consent was live. Whatever revocation comes first wins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import BinaryIO
from unicodedata import normalize

from ledgercore import keys
from ledgercore._core import VerifiedRecord, hash_domain, verify_receipts
from ledgercore.arguments import check_argument, check_number, typed_methods
from ledgercore.disk import flush
from ledgercore.entropy import Entropy
from ledgercore.errors import InvalidError, LedgerError, RefusedError, UntrustedError
from ledgercore.exchange.agreement import ProviderAgreements
from ledgercore.exchange.audit_copy import AuditCopy, copy_hash, make_copy
from ledgercore.exchange.authorised import check_authorised
from ledgercore.exchange.content import (
    corrections_folder,
    destroy,
    given_folders,
    released_name,
    sealed_folder,
)
from ledgercore.exchange.dispute import Complainant
from ledgercore.exchange.dropped import check_undropped
from ledgercore.exchange.erasure import certify_erasure
from ledgercore.exchange.kept import keep_proposal, kept_terms
from ledgercore.exchange.mandate import Mandates, check_mandate
from ledgercore.exchange.messages import (
    Correction,
    Delivery,
    Proposal,
    Release,
    Request,
    Terms,
    check_terms,
    decode_message,
    encode_message,
    request_commitment,
)
from ledgercore.exchange.party import Party
from ledgercore.exchange.reading import admitted_state, read_state
from ledgercore.exchange.salted import (
    FIELD,
    Leaf,
    commit,
    decode_leaves,
    encode_leaves,
    make_leaves,
)
from ledgercore.exchange.sealing import (
    check_delivery_key,
    release_info,
    seal_key,
    seal_payload,
    size_bucket,
)
from ledgercore.exchange.statement import keep_statement, statement_folder
from ledgercore.exchange.stream import Manifest, content_value, seal_stream, stream_key
from ledgercore.exchange.submission import Accepted, Draft, Submitted
from ledgercore.exchange.untrue import check_true, keep_withheld
from ledgercore.exchange.withheld import (
    check_active,
    check_admitted,
    check_asker,
    check_audited,
    check_copied,
    check_covered,
    check_named,
    check_unended,
    check_unvoided,
    check_wanted,
)
from ledgercore.exchange.workable import check_asked, check_corrected
from ledgercore.ledger import Ledger
from ledgercore.records import (
    ConsentRevokeOnBehalf,
    ExchangeAdmit,
    ExchangeCorrect,
    ExchangeForget,
    ExchangeRefuse,
    ExchangeRelease,
    ExchangeVoid,
    ProductPublish,
    ProductWithdraw,
    SchemaRegister,
    SchemaRetire,
    endorsement_message,
)
from ledgercore.records.base import Value
from ledgercore.rules import (
    DELIVERY_KEY,
    Admission,
    AuditState,
    ConsentState,
    ExchangeState,
    ProductState,
    audit_object,
    consent_object,
    exchange_object,
    exchange_status_at,
    product_object,
    refuse,
)
from ledgercore.vault import Vault
from ledgercore.wording import in_words

__all__ = ["KEY_LIFETIME_MS", "Provider", "Values"]

KEY_LIFETIME_MS = 24 * 3_600_000
"""How long after its admit a provider lets a consumer wait for the key at most."""

Values = Mapping[str, Value]
"""One subject's data: a value, or the code of why it is missing, by field."""

_Answer = tuple[Draft, list[tuple[str, bytes]]]
"""What an intent is answered with, and what the vault keeps for it."""


@typed_methods
class Provider(Party):
    """One member that gives data out of its own records of its subjects."""

    def __init__(
        self,
        member: str,
        key: keys.Signer,
        vault: Vault,
        ledger: Ledger,
        source: Mapping[str, Values],
        entropy: Entropy | None = None,
        *,
        audit_key: bytes | None = None,
        mandates: Mandates | None = None,
    ) -> None:
        """``source`` gives each subject's values by field; it is read when an intent is answered.

        With an audit key, what is sealed can be opened by order of a supervisor. Intents are
        refused with ``E_AUDIT_STATE`` until each of its holders has accepted it on the ledger.

        ``mandates`` is read whenever terms name a signatory: without it each of them is refused.
        """
        super().__init__(member, key, vault, ledger, entropy)
        self._audit_key = audit_key
        self._source = source
        self._mandates: Mandates = {} if mandates is None else mandates

    def register_schema(self, schema: SchemaRegister) -> Draft:
        """Say which fields there are; products name the schema."""
        return Draft(self._key, schema)

    def retire_schema(self, schema: str, version: int) -> Draft:
        """Let no product be published on this version any more; those that are live on."""
        return Draft(self._key, SchemaRetire(schema, version))

    def publish(self, product: ProductPublish) -> Draft:
        """Offer a product."""
        return Draft(self._key, product)

    def withdraw(self, product: str) -> Draft:
        """Offer a product no more; consents that were given before live on."""
        return Draft(self._key, ProductWithdraw(product))

    @property
    def agreements(self) -> ProviderAgreements:
        """What this provider says in negotiations, and how it ends what came of them."""
        return ProviderAgreements(self._key, self._entropy, self._ledger)

    def endorse(self, subject: str, proposal: Proposal) -> bytes:
        """Vouch that the consent key is the subject's, whom the provider has authenticated.

        Raises ``RefusedError`` with ``E_MANDATE`` where the terms' signatory has no mandate, and
        ``UntrustedError`` for terms in the place of others of the same consent.
        """
        terms = Terms.from_leaves(proposal.terms)
        if (terms.subject, terms.provider) != (subject, self.member):
            raise UntrustedError(f"terms are for {terms.subject!r} at {terms.provider!r}")
        check_mandate(terms, self._mandates)
        keep_proposal(self._vault, self._ledger, proposal)
        root = proposal.root(self._ledger.suite)
        message = endorsement_message(self._ledger.network, proposal.consent_key, root)
        return self._key.sign(message)

    def answer(self, intents: Sequence[tuple[bytes, Request]]) -> list[Draft]:
        """Admit or refuse each intent, by its id and the request behind it.

        What is admitted is sealed and kept: ``delivery`` gives it, ``release`` its key. Answer
        again after a crash: whichever admit is then ordered, what it admitted can be opened. An
        intent that another process answered meanwhile is refused, and nothing is kept for it.
        """
        answers: list[tuple[bytes, _Answer]] = []
        for intent, request in intents:
            try:
                terms = self._check(intent, request)
                answers.append((intent, self._seal(intent, request, terms)))
            except RefusedError as refusal:
                answers.append((intent, self._refuse(intent, refusal)))
        return self._keep_sealed(answers)

    def _refuse(self, intent: bytes, refusal: RefusedError) -> _Answer:
        return Draft(self._key, ExchangeRefuse(intent, refusal.code)), []

    def _keep_sealed(self, answers: Sequence[tuple[bytes, _Answer]]) -> list[Draft]:
        """The drafts, with what they admit kept, unless another process answered meanwhile.

        It may have voided the exchange since: what is stored after that, nothing would erase.
        """
        drafts, items = [], []
        with self._vault.transaction():
            with self._ledger.moment():
                for intent, (draft, kept) in answers:
                    try:
                        if kept:
                            self._intended(intent)
                    except RefusedError as refusal:
                        draft, kept = self._refuse(intent, refusal)
                    drafts.append(draft)
                    items += kept
            self._vault.store(items)
        return drafts

    def _intended(self, intent: bytes) -> ExchangeState:
        """The state of an exchange that waits for its answer."""
        state = self._exchange(intent)
        status = exchange_status_at(state, self._ledger.now_ms)
        if status != "INTENDED":
            refuse("E_EXCHANGE_STATE", f"exchange is {status}, want INTENDED", intent)
        return state

    def _check(self, intent: bytes, request: Request) -> Terms:
        """Hold a request to its commitment and to the terms of its consent."""
        state = self._intended(intent)
        if request_commitment(self._ledger.suite, request) != state.request_commitment:
            refuse("E_SCOPE", "request is not the one that the intent commits to", intent)
        consent = self._consent(state.consent)
        check_named(consent, state)
        check_asker(self._ledger, intent, state)
        if self._audit_key is not None:
            check_active(self._ledger, self._audit_key, intent)
        _check_sealable(state)
        terms = kept_terms(self._vault, self._ledger, state.consent, consent.terms_root)
        try:
            check_terms(terms, consent)
        except InvalidError as error:
            refuse("E_SCOPE", str(error), intent)
        check_mandate(terms, self._mandates)
        if request.purpose != terms.purpose:
            refuse("E_PURPOSE", f"purpose is {request.purpose}, want {terms.purpose}", intent)
        covered = self._offered(terms.product).intersection(terms.fields)
        outside = [field for field in request.fields if field not in covered]
        if outside:
            refuse("E_SCOPE", f"fields {outside} are not in consent and product", intent)
        check_asked(request.fields)
        if not (
            terms.period_begin <= request.period_begin <= request.period_end <= terms.period_end
        ):
            refuse("E_SCOPE", "period is not within the consent's", intent)
        return terms

    def answer_stream(
        self, intent: bytes, request: Request, content: BinaryIO, sealed: BinaryIO, hashes: BinaryIO
    ) -> Draft:
        """Admit or refuse an intent for one field, whose content is of any size.

        The content is sealed chunk by chunk into ``sealed``, and the chunks' hashes into
        ``hashes``: two new files, which are durable on return, and are sent to the consumer.
        """
        try:
            terms = self._check(intent, request)
            if len(request.fields) != 1:
                refuse("E_SCOPE", f"fields are {list(request.fields)}, want one", intent)
        except RefusedError as refusal:
            return self._refuse(intent, refusal)[0]
        key, context = self._entropy.bytes(32), self._ledger.network + intent
        stream = seal_stream(content, sealed, hashes, stream_key(key, context), self._ledger.suite)
        flush(sealed)
        flush(hashes)
        value = content_value(stream.size_bytes, stream.content_root)
        leaves = make_leaves(FIELD, terms.product, [(request.fields[0], value)], self._entropy)
        payload = seal_payload(encode_leaves(leaves), key, context, self._entropy)
        manifest = Manifest("ledgercore stream v1", stream.size_bytes, stream.root, payload)
        encoded = encode_message(manifest)
        answer = self._admit(intent, leaves, key, encoded, manifest.sealed_bytes)
        return self._keep_sealed([(intent, answer)])[0]

    def _seal(self, intent: bytes, request: Request, terms: Terms) -> _Answer:
        values = self._values(terms.subject, request.fields)
        leaves = make_leaves(FIELD, terms.product, values, self._entropy)
        key = self._entropy.bytes(32)
        context = self._ledger.network + intent
        payload = _encode_readable(leaves, intent)
        ciphertext = seal_payload(payload, key, context, self._entropy)
        return self._admit(intent, leaves, key, ciphertext, len(ciphertext))

    def _admit(
        self, intent: bytes, leaves: Sequence[Leaf], key: bytes, ciphertext: bytes, count: int
    ) -> _Answer:
        """The admit of what was sealed, and what the vault keeps of it."""
        suite, copy = self._ledger.suite, None
        if self._audit_key is not None:
            copy = make_copy(key, self._audit_key, self._ledger.network + intent)
        body = ExchangeAdmit(
            exchange=intent,
            ciphertext_hash=hash_domain(suite, "commitment", ciphertext),
            disclosure_root=commit(suite, leaves),
            size_bucket_bytes=size_bucket(count),
            deadline_ms=self._ledger.now_ms + KEY_LIFETIME_MS,
            audit_copy=None if copy is None else copy_hash(suite, copy),
        )
        # Kept under the hash that the admit names: sealing again takes nothing from this.
        name = sealed_folder(intent, body.ciphertext_hash)
        kept = [(f"{name}/ciphertext", ciphertext), (f"{name}/key", key)]
        if copy is not None:
            kept.append((f"{name}/audit-copy", encode_message(copy)))
        return Draft(self._key, body), kept

    def _values(self, subject: str, fields: Sequence[str]) -> list[tuple[str, Value]]:
        row = self._source.get(subject)
        if row is None:
            refuse("E_UNKNOWN", "there is no data of the subject")
        absent = [field for field in fields if field not in row]
        if absent:
            refuse("E_UNKNOWN", f"there are no fields {absent} of the subject")
        return [(field, _one_form(row[field])) for field in fields]

    def delivery(self, intent: bytes, *, audit: bytes | None = None) -> Delivery:
        """The sealed payload of an admitted exchange.

        Raises ``RefusedError`` with ``E_EXCHANGE_STATE`` once the exchange is over: voided, timed
        out, declined, erased or forgotten. An order still opens what was sealed with an audit copy:
        with its ``audit`` it is given for the holders, until it is forgotten here, or
        ``E_AUDIT_STATE`` where the audit is over, ``E_SCOPE`` where it is of another audit key.
        ``UntrustedError`` where it is not kept. Who gives an ``audit`` vouches that a holder asked,
        and that the order's scope names the exchange: the ledger does not show the scope.
        """
        state = self._exchange(intent)
        if state.admission is None:
            refuse("E_EXCHANGE_STATE", f"exchange is {state.status}, not admitted", intent)
        ordered = None
        if audit is None:
            check_unended(state, intent)
        else:
            ordered = read_state(self._ledger, audit_object(audit), AuditState)
            check_audited(ordered, state, self._ledger.now_ms)
        audited = state.admission.audit_copy is not None
        copy = self._kept(intent, state.admission, "audit-copy") if audited else b""
        if ordered is not None:
            check_copied(ordered, decode_message(copy, AuditCopy))
        return Delivery(intent, self._kept(intent, state.admission, "ciphertext"), copy)

    def release(self, intent: bytes, admit: Submitted) -> Release:
        """The payload's key for the consumer, if a receipt proves that the admit was in time.

        Raises the refusal if the admit was refused, and ``E_CONSENT_STATE`` if the consent has been
        revoked since or has expired: then the key is withheld although the admit stands. So it is,
        with ``E_SCOPE``, where the subject has dropped a field of it since; with
        ``E_EXCHANGE_STATE`` from the admit's deadline on, when the use may be given back, once it
        was declined, erased or forgotten, by a ``forget`` without a promise as well, and once a
        ``void`` of it was signed here; with ``E_MEMBER`` where who asked is suspended or retired,
        and ``E_KEY`` where the key that asked was called compromised; and with ``E_AUTHORISATION``
        where a token-like schema is authorised no more.
        """
        (release,) = self.release_all([(intent, admit)])
        if isinstance(release, RefusedError):
            raise release
        return release

    def release_all(
        self, admits: Sequence[tuple[bytes, Submitted]]
    ) -> list[Release | RefusedError]:
        """The keys of many exchanges, each as ``release`` gives it, or why it is withheld.

        Their receipts are made and verified together, all of one moment of the ledger. Raises
        ``UnavailableError`` until the quorum has cosigned its newest checkpoint: ask again.
        """
        for _, admit in admits:
            if isinstance(admit, Accepted):
                check_argument("index of admit", int, admit.index)
                check_number("index of admit", admit.index)
        # Until this ends nobody signs a void: whoever does so later finds what is kept here.
        with self._vault.transaction():
            return self._release_all(admits)

    def _release_all(
        self, admits: Sequence[tuple[bytes, Submitted]]
    ) -> list[Release | RefusedError]:
        ledger = self._ledger
        made: dict[int, Release | RefusedError] = {}
        admitted: list[tuple[int, bytes, int]] = []
        # Read before the states are: a void that is kept no more shows there.
        voided = self._key.promises(ledger.network, ExchangeVoid.KIND)
        with ledger.moment():
            for at, (intent, admit) in enumerate(admits):
                if isinstance(admit, RefusedError):
                    made[at] = admit
                    continue
                try:
                    check_unvoided(intent, voided)
                    check_admitted(self._exchange(intent), intent, admit.index)
                    admitted.append((at, intent, admit.index))
                except RefusedError as refusal:
                    made[at] = refusal
            objects = [exchange_object(intent) for _, intent, _ in admitted]
            receipts = ledger.receipts([index for *_, index in admitted], states_of=objects)
            encoded = [receipt.encode() for receipt in receipts]
            bodies = [ledger.record(index).body for *_, index in admitted]
            seed = self._entropy.bytes(32)
            verified = verify_receipts(encoded, bodies, ledger.trust_anchor, seed)
            pairs = zip(receipts, admitted, strict=True)
            states = [admitted_state(receipt, intent) for receipt, (_, intent, _) in pairs]
            withheld = [
                self._withheld(intent, state)
                for (_, intent, _), state in zip(admitted, states, strict=True)
            ]
        for number, (at, intent, _) in enumerate(admitted):
            try:
                made[at] = withheld[number] or self._release(
                    intent, states[number], verified[number], encoded[number]
                )
            except RefusedError as refusal:
                made[at] = refusal
        given = [each.exchange for each in made.values() if isinstance(each, Release)]
        self._vault.store([(released_name(intent), b"") for intent in given])
        return [made[at] for at in range(len(admits))]

    def _withheld(self, intent: bytes, state: ExchangeState) -> RefusedError | None:
        """Why a key is not given out as the ledger stands now."""
        now_ms = self._ledger.now_ms
        try:
            check_wanted(state, now_ms)
            consent = self._consent(state.consent)
            check_covered(consent, now_ms)
            check_named(consent, state)
            check_asker(self._ledger, intent, state)
            check_undropped(self._ledger, self._vault, intent, state, consent)
            check_authorised(self._ledger, consent.product, now_ms)
        except RefusedError as refusal:
            return refusal
        return None

    def _release(
        self, intent: bytes, state: ExchangeState, admit: VerifiedRecord, receipt: bytes
    ) -> Release:
        """Seal the key of an admitted exchange, bound to the receipt that allows it."""
        assert state.admission is not None, "an admitted state has an admission"
        key = self._load(intent, state.admission, "key")
        if key is None:
            message = f"exchange is {state.status}, and no key of it is kept: it was forgotten here"
            refuse("E_EXCHANGE_STATE", f"{message}, or sealed in another vault", intent)
        receipt_hash = hash_domain(self._ledger.suite, "commitment", receipt)
        info = release_info(self._ledger.network, intent, admit.id, receipt_hash)
        return Release(intent, admit.body, receipt, seal_key(key, state.delivery_key, info))

    def confirm_release(self, release: Release) -> Draft:
        """Say on the ledger that the key was sent, before the deadline lets the consumer deny it.

        Whoever holds the release can show that it is the one: to the supervisor in a dispute.
        Raises ``RefusedError`` with ``E_EXCHANGE_STATE``, and keeps nothing, where the ledger would
        refuse it: once the exchange is released, over, or voided here.
        """
        encoded, intent = encode_message(release), release.exchange
        commitment = hash_domain(self._ledger.suite, "commitment", encoded)
        with self._vault.transaction():
            self._key.check_unpromised(self._ledger.network, ExchangeVoid.KIND, intent)
            status = exchange_status_at(self._exchange(intent), self._ledger.now_ms)
            if status != "ADMITTED":
                refuse("E_EXCHANGE_STATE", f"exchange is {status}, want ADMITTED", intent)
            self._vault.store([(f"{sealed_folder(intent)}sent/{commitment.hex()}", encoded)])
        return Draft(self._key, ExchangeRelease(intent, commitment))

    def void(self, intent: bytes, code: str, *, checked: bool = False) -> Draft:
        """Say that no key was sent and none will be; once ordered, what was sealed is erased.

        Raises ``RefusedError`` with ``E_EXCHANGE_STATE`` where ``release`` gave the key out, or may
        have: where the exchange was admitted and this vault has never had its key, or was restored
        from a backup since, as records of its key on the ledger show. So does ``submit``, if it
        did since, and the ledger after a release that is on record.

        With ``checked`` you say that you have found out what this vault cannot tell: that no key
        was given out, from the vault that was lost or another one. The vault keeps that you did.
        """
        check_true(self._ledger, self._vault, ExchangeVoid.KIND, intent, checked=checked)
        return Draft(self._key, ExchangeVoid(intent, code))

    def revoke_on_behalf(self, consent: bytes, evidence: bytes) -> Draft:
        """Revoke for a subject that lost its key; the evidence stays here, behind a commitment."""
        suite = self._ledger.suite
        folder = statement_folder(ConsentRevokeOnBehalf.KIND, consent=consent)
        commitment = keep_statement(self._vault, self._entropy, suite, folder, evidence)
        return Draft(self._key, ConsentRevokeOnBehalf(consent, commitment))

    @property
    def disputes(self) -> Complainant:
        """What this provider says in disputes."""
        return Complainant(self._key, self._entropy, self._ledger.suite)

    def correct(self, intent: bytes, product: str, values: Values) -> tuple[Draft, Correction]:
        """Tell whoever still has what was delivered that values of it are others now.

        Raises ``RefusedError`` for another product than was delivered from, for fields that it does
        not have, or that the terms did not cover when they were admitted, with ``E_UNKNOWN`` where
        no terms are kept here, with ``E_CANON`` for a value that cannot be sent, and while an
        ``erase`` of the exchange is signed and not settled, which would destroy the correction with
        the rest. No value is held to its unit.
        """
        state = self._exchange(intent)
        root = (state.admission or self._consent(state.consent)).terms_root
        covered = kept_terms(self._vault, self._ledger, state.consent, root).fields
        check_corrected(self._ledger, state.consent, product, list(values), covered)
        pairs = [(field, _one_form(value)) for field, value in values.items()]
        leaves = make_leaves(FIELD, product, pairs, self._entropy)
        _encode_readable(leaves, intent)
        correction = Correction(intent, leaves)
        encoded = encode_message(correction)
        commitment = hash_domain(self._ledger.suite, "commitment", encoded)
        with self._vault.transaction():
            self._key.check_unpromised(self._ledger.network, ExchangeForget.KIND, intent)
            self._vault.store([(f"{corrections_folder(intent)}{commitment.hex()}", encoded)])
        return Draft(self._key, ExchangeCorrect(intent, commitment)), correction

    def erase(self, intents: Sequence[bytes], basis: str) -> list[Draft]:
        """Promise that nothing is kept of what was sealed for exchanges that are over.

        It is erased, and what was corrected with it, once the promise is ordered. The ledger
        refuses it with ``E_EXCHANGE_STATE`` before an exchange is over.
        """
        return [Draft(self._key, ExchangeForget(intent, basis)) for intent in intents]

    def forget(self, intents: Sequence[bytes]) -> int:
        """Erase at once, with no promise, what was sealed and corrected; how many items it was.

        Whether a key was released stays as long as a ``void`` rests on it.
        """
        over = keep_withheld(self._ledger, self._vault, intents)
        return destroy(self._vault, [*given_folders(intents), *over])

    def certify_erasure(self, intents: Sequence[bytes]) -> bytes:
        """An erasure receipt: this vault keeps nothing sealed for these exchanges or corrected.

        Raises ``RefusedError`` with ``E_UNKNOWN`` for an exchange that there is not.
        """
        ledger = self._ledger
        for intent in intents:
            self._exchange(intent)
        names, now_ms = given_folders(intents), self._ledger.now_ms
        return certify_erasure(self._vault, names, self._key, ledger.network, ledger.suite, now_ms)

    def _kept(self, intent: bytes, admission: Admission, part: str) -> bytes:
        kept = self._load(intent, admission, part)
        if kept is None:
            raise UntrustedError(f"no {part} is kept for exchange {intent.hex()[:16]}")
        return kept

    def _load(self, intent: bytes, admission: Admission, part: str) -> bytes | None:
        return self._vault.load(f"{sealed_folder(intent, admission.ciphertext_hash)}/{part}")

    def _exchange(self, intent: bytes) -> ExchangeState:
        return read_state(self._ledger, exchange_object(intent), ExchangeState)

    def _offered(self, product: str) -> set[str]:
        """The fields that a product offers."""
        offered = read_state(self._ledger, product_object(product), ProductState)
        return {code for code, _, _ in offered.fields}

    def _consent(self, consent: bytes) -> ConsentState:
        return read_state(self._ledger, consent_object(consent), ConsentState)


def _check_sealable(state: ExchangeState) -> None:
    """Give nothing where no key can be sealed: in a batch that would stop what is others'."""
    try:
        check_delivery_key(state.delivery_key)
    except InvalidError as error:
        refuse("E_KEY", str(error), remedy=DELIVERY_KEY)


def _encode_readable(leaves: Sequence[Leaf], intent: bytes) -> bytes:
    """The leaves, read as their consumer will read them: what nobody can open is said for good."""
    try:
        payload = encode_leaves(leaves)
        decode_leaves(payload, FIELD)
    except (LedgerError, OverflowError, TypeError) as error:
        refuse("E_CANON", f"values of the subject cannot be sent: {in_words(error)}", intent)
    return payload


def _one_form(value: Value) -> Value:
    """Text as canonical encodings have it; a source may write one letter in two ways."""
    return normalize("NFC", value) if isinstance(value, str) else value
