"""Receive data for a consumer: intend, open, acknowledge or decline.

Both the consumer and a processor that acts for it do this, each with its own keys and vault. A
recipient takes nothing on trust: what it opens must carry a receipt that the admit was ordered,
must be what the provider committed to there, and must be what was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

from ledgercore._core import hash_domain
from ledgercore.arguments import typed_methods
from ledgercore.errors import (
    InvalidError,
    LedgerError,
    MalformedError,
    RefusedError,
    UntrustedError,
)
from ledgercore.exchange.audit_copy import verify_copy
from ledgercore.exchange.content import (
    delivery_key_name,
    destroy,
    opened_name,
    received_names,
)
from ledgercore.exchange.kept import kept_proposal
from ledgercore.exchange.messages import (
    Delivery,
    Release,
    Request,
    Terms,
    decode_message,
    encode_message,
    request_commitment,
)
from ledgercore.exchange.objection import (
    Objection,
    make_objection,
    objection_commitment,
    objection_name,
)
from ledgercore.exchange.party import Party
from ledgercore.exchange.reading import (
    ENDED,
    check_ciphertext,
    read_admit,
    read_copy,
    read_payload,
    read_state,
)
from ledgercore.exchange.salted import FIELD, decode_leaves
from ledgercore.exchange.sealing import (
    open_key,
    open_payload,
    public_delivery_key,
    release_info,
)
from ledgercore.exchange.stream import Manifest, StreamReader, content_value, stream_key
from ledgercore.exchange.submission import Draft
from ledgercore.exchange.transfer import Receiver
from ledgercore.exchange.untrue import check_true, keep_missed
from ledgercore.exchange.workable import check_asked
from ledgercore.records import (
    ExchangeAcknowledge,
    ExchangeDecline,
    ExchangeErase,
    ExchangeIntent,
    ExchangeTimeOut,
)
from ledgercore.records.base import Value
from ledgercore.rules import ExchangeState, exchange_object, exchange_status_at, refuse

__all__ = ["INTENT_LIFETIME_MS", "Recipient", "check_not_ended", "check_payload"]

INTENT_LIFETIME_MS = 24 * 3_600_000
"""How long an intent waits for its provider."""


@typed_methods
class Recipient(Party):
    """One member that data is delivered to."""

    def intend(
        self, requests: Sequence[Request], *, lifetime_ms: int = INTENT_LIFETIME_MS
    ) -> list[Draft]:
        """Open exchanges under consents; each gets a delivery key of its own, and then lapses."""
        drafts, items = [], []
        lapses_ms = self._ledger.now_ms + lifetime_ms
        for request in requests:
            private = self._entropy.bytes(32)
            commitment = request_commitment(self._ledger.suite, request)
            key = public_delivery_key(private)
            body = ExchangeIntent(request.consent, commitment, key, lapses_ms)
            drafts.append(Draft(self._key, body))
            items.append((f"request/{commitment.hex()}", encode_message(request)))
            items.append((delivery_key_name(body), private))
        self._vault.store(items)
        return drafts

    def request(self, consent: bytes, fields: Sequence[str], purpose: str) -> Request:
        """A request for fields, over the whole period of the consent's terms.

        Whether the consent covers fields and purpose the provider says. Raises ``RefusedError``
        for no fields, or one that is named twice.
        """
        check_asked(fields)
        proposal = kept_proposal(self._vault, consent)
        if proposal is None:
            raise UntrustedError(f"consent {consent.hex()[:16]} is not known here")
        terms = Terms.from_leaves(proposal.terms)
        nonce = self._entropy.bytes(32)
        period = (terms.period_begin, terms.period_end)
        return Request(consent, tuple(fields), *period, purpose, nonce)

    def open(self, delivery: Delivery, release: Release) -> dict[str, Value]:
        """Check and open a payload, keep it, and give its values by field.

        Raises ``InvalidError`` if anything is not as the receipt shows it, and ``RefusedError``
        with ``E_SCOPE`` if the provider sent other fields than were asked for, and with
        ``E_EXCHANGE_STATE`` once it was declined, erased, voided or timed out, or a ``time_out`` or
        ``erase`` of it was signed here.
        """
        state, key = self._open_key(delivery, release)
        self._check_copy(delivery, key, state)
        payload = open_payload(delivery.ciphertext, key, self._ledger.network + release.exchange)
        with self._opened_by(release):
            values = self._check_payload(release.exchange, payload, state)
        self._keep_opened(release, [(f"exchange/{release.exchange.hex()}/payload", payload)])
        return values

    def receive_stream(self, delivery: Delivery, hashes: BinaryIO, partial: BinaryIO) -> Receiver:
        """Take a stream's sealed chunks into a file, before or after their key is released.

        Raises ``InvalidError`` where the manifest or the hashes are not what was admitted. Call it
        again over the same files after a cut. Refused like ``open`` is once the exchange is over.
        """
        state = self._state(delivery.exchange)
        if state.admission is None:
            named = delivery.exchange
            refuse("E_EXCHANGE_STATE", f"exchange is {state.status}, not admitted", named)
        check_not_ended(delivery.exchange, state)
        check_ciphertext(self._ledger.suite, delivery, state.admission)
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
        chunk_key = stream_key(key, context)
        with self._opened_by(release):
            values = self._check_payload(release.exchange, payload, state)
            content_root = _content_root(values, manifest)
            reader = StreamReader(sealed, manifest.size_bytes, chunk_key)
            reader.verify(content_root, self._ledger.suite, output)
        kept = f"exchange/{release.exchange.hex()}"
        items = [(f"{kept}/payload", payload), (f"{kept}/stream-key", chunk_key)]
        self._keep_opened(release, items)
        return reader

    def stream(self, delivery: Delivery, sealed: BinaryIO) -> StreamReader:
        """Read a stream that was opened before. Refused like ``open`` is once it is over."""
        intent = delivery.exchange
        key = self._vault.load(f"exchange/{intent.hex()}/stream-key")
        self._check_openable(intent)  # after the key is looked for, as in ``open``
        if key is None:
            raise UntrustedError(f"no key is kept for the stream of exchange {intent.hex()[:16]}")
        manifest = decode_message(delivery.ciphertext, Manifest)
        return StreamReader(sealed, manifest.size_bytes, key)

    def _check_copy(self, delivery: Delivery, key: bytes, state: ExchangeState) -> None:
        """Hold the audit copy to the key that it must be of, and keep what it opens.

        A consumer that cannot have its data audited declines it instead.
        """
        ledger, intent = self._ledger, delivery.exchange
        assert state.admission is not None, "an admitted state has an admission"
        copy = read_copy(ledger.suite, delivery, state.admission)
        if copy is None:
            return
        verify_copy(copy, key, ledger.network + intent)
        self._keep_unended(
            intent, [(f"exchange/{intent.hex()}/delivery", encode_message(delivery))]
        )

    def delivery(self, intent: bytes) -> Delivery:
        """What came, as it came: for an opening by order, until it is erased."""
        kept = self._vault.load(f"exchange/{intent.hex()}/delivery")
        if kept is None:
            check_not_ended(intent, self._state(intent))
            raise UntrustedError(f"no audited delivery of {intent.hex()[:16]} is kept here")
        return decode_message(kept, Delivery)

    def _open_key(self, delivery: Delivery, release: Release) -> tuple[ExchangeState, bytes]:
        """The exchange's state as the receipt proves it, and the key that was released for it."""
        ledger, intent = self._ledger, release.exchange
        if delivery.exchange != intent:
            raise InvalidError("delivery and release are of two exchanges")
        admit, state = read_admit(release, intent, ledger.trust_anchor)
        assert state.admission is not None, "an admitted state has an admission"
        check_ciphertext(ledger.suite, delivery, state.admission)
        private = self._vault.load(delivery_key_name(state))
        self._check_openable(intent)  # after the key is looked for: what took it shows here
        if private is None:
            named = f"exchange {intent.hex()[:16]}"
            raise UntrustedError(f"no delivery key of {named} is kept: intended elsewhere, or gone")
        receipt_hash = hash_domain(ledger.suite, "commitment", release.receipt)
        info = release_info(ledger.network, intent, admit.id, receipt_hash)
        return state, open_key(release.sealed_key, private, info)

    def _check_openable(self, intent: bytes) -> None:
        """Refuse to open what has ended, or was signed here to be gone or never to have come."""
        # In this order: a promise that is kept no more shows in the state.
        for kind in (ExchangeTimeOut.KIND, ExchangeErase.KIND):
            self._key.check_unpromised(self._ledger.network, kind, intent)
        check_not_ended(intent, self._state(intent))

    def _check_kept(self, intent: bytes) -> None:
        """Refuse to keep more of what was signed, or is on the ledger, to be gone."""
        self._key.check_unpromised(self._ledger.network, ExchangeErase.KIND, intent)
        if self._state(intent).status == "ERASED":
            refuse("E_EXCHANGE_STATE", "exchange is ERASED: nothing of it is kept", intent)

    @contextmanager
    def _opened_by(self, release: Release) -> Iterator[None]:
        """Keep by which release a payload was opened, whatever is wrong with what it opened.

        A key that opens what was admitted is the one that came: it bars a time-out all the same.
        """
        try:
            yield
        except (LedgerError, OSError):
            self._keep_opened(release, [])
            raise

    def _keep_opened(self, release: Release, items: Sequence[tuple[str, bytes]]) -> None:
        """Keep what was opened and by which release."""
        opened = (opened_name(release.exchange), encode_message(release))
        self._keep_unended(release.exchange, [*items, opened])

    def _keep_unended(self, intent: bytes, items: Sequence[tuple[str, bytes]]) -> None:
        """Keep what came, unless another process signed meanwhile that it did not, or is gone."""
        with self._vault.transaction():
            self._check_openable(intent)
            self._vault.store(items)

    def _check_payload(
        self, intent: bytes, payload: bytes, state: ExchangeState
    ) -> dict[str, Value]:
        """The payload's values, as ``check_payload`` finds them.

        What was committed to and not asked for is kept, to be shown in an objection.
        """
        try:
            return check_payload(self._ledger.suite, payload, state, self._requested(state))
        except RefusedError:
            self._keep_unended(intent, [(f"exchange/{intent.hex()}/unwanted", payload)])
            raise

    def acknowledge(self, intent: bytes) -> Draft:
        """Say that what came is what was asked for."""
        return Draft(self._key, ExchangeAcknowledge(intent))

    def decline(self, intent: bytes, error: LedgerError, *, fields: Sequence[str] = ()) -> Draft:
        """Say that it is not, by the error of ``open``; ``fields`` names what is wrong with it.

        Fields that were not asked for, and those named, are opened in an ``objection`` that is
        kept here. An error of this side's own, such as a full disk, is raised: it is no reason.
        Raises ``RefusedError`` with ``E_EXCHANGE_STATE``, and keeps nothing, once it is erased.
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
        commitment = objection_commitment(self._ledger.suite, objection)
        # Kept under what the decline says: one that is refused takes nothing from the one ordered.
        with self._vault.transaction():
            self._check_kept(intent)
            self._vault.store([(objection_name(intent, commitment), encode_message(objection))])
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
            elsewhere = state.processor not in ("", self.member)
            remedy = f": take over what {state.processor} received" if elsewhere else ""
            raise UntrustedError(f"request of the exchange is not known here{remedy}")
        return decode_message(kept, Request)

    def time_out(self, intent: bytes, *, checked: bool = False) -> Draft:
        """Say that no key came in time, which gives the use back.

        Once that is ordered the private half of the delivery key is destroyed: a key that comes
        late opens nothing, from when it is signed. Raises ``E_EXCHANGE_STATE`` before the admit's
        deadline, where the exchange was opened here, and where it may have been: the delivery key
        is not in this vault, as where a processor asked, or the vault was restored from a backup
        since the admit, as records of its key on the ledger show. So does ``submit``, if it was
        since.

        With ``checked`` you say that you have found out what this vault cannot tell: that no key
        came, to the vault that was lost or another one. The vault keeps that you did.
        """
        state = self._state(intent)
        status = exchange_status_at(state, self._ledger.now_ms)
        if status != "OVERDUE":
            refuse("E_EXCHANGE_STATE", f"exchange is {status}, want OVERDUE", intent)
        check_true(self._ledger, self._vault, ExchangeTimeOut.KIND, intent, checked=checked)
        return Draft(self._key, ExchangeTimeOut(intent))

    def forget(self, intents: Sequence[bytes]) -> int:
        """Destroy what was received in these exchanges, and the keys to it; how many items it was.

        With the delivery key goes whatever is sealed for it, opened before or not. That it opened
        nothing stays as long as a ``time_out`` rests on it.
        """
        names = received_names(self._ledger, intents)
        over = keep_missed(self._ledger, self._vault, intents)
        return destroy(self._vault, [*names, *over])

    def _state(self, intent: bytes) -> ExchangeState:
        return read_state(self._ledger, exchange_object(intent), ExchangeState)


def check_not_ended(intent: bytes, state: ExchangeState) -> None:
    """Refuse to open what was said on the ledger not to be kept, not to be used, or never sent.

    The recipient declined it or promised to erase it, or signed that no key came; or the provider
    signed that it sent none, and the use was given back. The release's receipt is of the admit, and
    shows nothing of what came after.
    """
    if state.status in ENDED:
        message = f"exchange is {state.status}: nothing of it is opened or handed over"
        refuse("E_EXCHANGE_STATE", message, intent)


def check_payload(
    suite: str, payload: bytes, state: ExchangeState, request: Request
) -> dict[str, Value]:
    """The values of a payload that was committed to in an admitted state, and was asked for.

    Raises ``InvalidError`` where it is another payload, and ``RefusedError`` with ``E_SCOPE`` where
    it has other fields.
    """
    assert state.admission is not None, "an admitted state has an admission"
    leaves = read_payload(suite, payload, state.admission)
    got = tuple(leaf.name for leaf in leaves)
    if got != request.fields:
        refuse("E_SCOPE", f"fields are {list(got)}, want {list(request.fields)}")
    return {leaf.name: leaf.value for leaf in leaves}


def _content_root(values: dict[str, Value], manifest: Manifest) -> bytes:
    """The root that the payload's one value commits to."""
    words = str(next(iter(values.values()), "")).split(" ")
    try:
        root = bytes.fromhex(words[-1])
    except ValueError:
        root = b""
    if len(root) != 32 or list(values.values()) != [content_value(manifest.size_bytes, root)]:
        raise InvalidError("payload does not describe the stream that was admitted")
    return root
