"""Open one exchange's content by order: holders give parts, and the parts are combined.

A holder gives no part before its own signature is ordered on the ledger, under an order that has
not expired and whose scope, which it is shown, names the exchange. Its part opens this one copy and
nothing else; the shares stay where they are, and the key is never made.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledgercore._core import (
    group_add_numbers,
    group_combine,
    group_open_part,
    group_verify_deal,
    group_verify_part,
)
from ledgercore.arguments import typed, typed_methods
from ledgercore.errors import InvalidProof, UntrustedError
from ledgercore.exchange.audit_copy import AuditCopy, open_copy, verify_ephemeral
from ledgercore.exchange.messages import Delivery
from ledgercore.exchange.party import Party
from ledgercore.exchange.reading import (
    check_ciphertext,
    read_copy,
    read_payload,
    read_state,
)
from ledgercore.exchange.sealing import open_payload
from ledgercore.exchange.sharing import Deal, audit_key_of
from ledgercore.exchange.submission import Draft
from ledgercore.ledger import Ledger
from ledgercore.records import AuditAccept, AuditDisclose, AuditOpen
from ledgercore.records.base import LIMIT_ITEMS, Bytes32, Bytes64, Count, Part, Value
from ledgercore.rules import (
    KEEP_WITHIN,
    Admission,
    AuditKeyState,
    AuditState,
    ExchangeState,
    audit_key_object,
    audit_object,
    audit_status_at,
    exchange_object,
    refuse,
)
from ledgercore.rules.audit import scope_commitment
from ledgercore.rules.view import decode_state

__all__ = ["Holder", "OpeningPart", "Scope", "open_content"]


class Scope(Part, frozen=True):
    """By the supervisor to holders: what an order is about, with the salt that hides it."""

    exchanges: tuple[Bytes32, ...]
    salt: Bytes32


class OpeningPart(Part, frozen=True):
    """By a holder to the supervisor: its part of one copy's point, with the proof."""

    audit: Bytes32
    exchange: Bytes32
    holder: Count
    part: Bytes32
    proof: Bytes64


@typed_methods
class Holder(Party):
    """A member that holds one share of an audit key."""

    def keep_share(self, audit_key: bytes, share: bytes) -> None:
        """Keep the share of a key, sealed as all else in the vault.

        Raises ``MalformedError`` unless it is a number of 32 bytes, as ``share_of`` gives it. Where
        the key is registered, raises ``RefusedError`` with ``E_RECIPIENT`` if this member holds
        none of it, and ``InvalidProof`` for another share than this holder's.
        """
        group_add_numbers([share])
        value = self._ledger.state(audit_key_object(audit_key))
        if value is not None:
            state = decode_state(value, AuditKeyState)
            _check_share(share, self._share_key(state))
        self._vault.store([(f"audit-share/{audit_key.hex()}", share)])

    def accept(self, audit_key: bytes, deals: Sequence[Deal]) -> Draft:
        """Say on the ledger that this holder made the key too, and has its share of it.

        ``deals`` are those of all holders, in their order, this one's as it made it itself: then
        nobody knows the key. Raises ``RefusedError`` with ``E_UNKNOWN`` for a key that is not
        registered and ``E_RECIPIENT`` where this member holds none of it, ``InvalidProof`` where
        the deals are of another key, threshold or holders, or the share kept here of another, and
        ``UntrustedError`` where none is kept.
        """
        state = read_state(self._ledger, audit_key_object(audit_key), AuditKeyState)
        share_key = self._share_key(state)
        made = audit_key_of(deals, [member for member, _ in state.holders])
        holders = tuple((each.member, each.share_key) for each in made.holders)
        registered = (audit_key, state.threshold, state.holders)
        if (made.audit_key, made.threshold, holders) != registered:
            raise InvalidProof("audit key on the ledger is not the one that these deals make")
        _check_share(self._share(audit_key), share_key)
        return Draft(self._key, AuditAccept(audit_key))

    def _share_key(self, state: AuditKeyState) -> bytes:
        share_keys = dict(state.holders)
        if self.member not in share_keys:
            refuse("E_RECIPIENT", f"{self.member} holds no share of the audit key")
        return share_keys[self.member]

    def _share(self, audit_key: bytes) -> bytes:
        share = self._vault.load(f"audit-share/{audit_key.hex()}")
        if share is None:
            raise UntrustedError("no share of this audit key is kept here")
        return share

    def sign_to_open(self, audit: bytes) -> Draft:
        """Say on the ledger that this holder opens under an order, before it does."""
        return Draft(self._key, AuditOpen(audit))

    def disclose(self, audit: bytes, scope: Scope) -> Draft:
        """Say what was opened, where the supervisor has not by the end of the embargo."""
        return Draft(self._key, AuditDisclose(audit, scope.exchanges, scope.salt))

    def part(self, audit: bytes, scope: Scope, delivery: Delivery) -> OpeningPart:
        """This holder's part of one copy, once its signature is ordered, or ``RefusedError``.

        So it is, with ``E_LIMIT`` or ``E_UNKNOWN``, under a scope that no record could disclose.
        Raises ``InvalidProof`` for a copy whose maker does not show that it knows the ephemeral
        number: the part could open another exchange's.
        """
        ledger = self._ledger
        with ledger.moment():
            state, admission = _ordered(ledger, audit, scope, delivery.exchange)
            now_ms = ledger.now_ms
            key = read_state(ledger, audit_key_object(state.audit_key), AuditKeyState)
        status = audit_status_at(state, now_ms)
        if status not in ("ORDERED", "OPENED"):
            refuse("E_AUDIT_STATE", f"audit is {status}, nothing is opened")
        if self.member not in [member for member, _ in state.openers]:
            refuse("E_AUDIT_STATE", f"{self.member} has not signed to open yet")
        copy = _copy(ledger, delivery, state, admission)
        share = self._share(state.audit_key)
        context = _context(ledger.network, audit, delivery.exchange)
        part, proof = group_open_part(share, copy.ephemeral, context, self._entropy.bytes(32))
        holder = [member for member, _ in key.holders].index(self.member) + 1
        return OpeningPart(audit, delivery.exchange, holder, part, proof)


@typed
def open_content(
    ledger: Ledger, audit: bytes, scope: Scope, delivery: Delivery, parts: Sequence[OpeningPart]
) -> dict[str, Value]:
    """The values of one exchange, from enough holders' parts; nothing is kept.

    Raises ``InvalidError`` where a part is not its holder's, or the content not what was admitted.
    """
    state, admission = _ordered(ledger, audit, scope, delivery.exchange)
    key = read_state(ledger, audit_key_object(state.audit_key), AuditKeyState)
    copy = _copy(ledger, delivery, state, admission)
    found = {part.holder: part for part in parts}
    if len(found) < key.threshold:
        message = f"parts are of {len(found)} holders, want {key.threshold}"
        refuse("E_AUDIT_STATE", message)
    chosen = [found[holder] for holder in sorted(found)]
    context = _context(ledger.network, audit, delivery.exchange)
    for part in chosen:
        if not 1 <= part.holder <= len(key.holders):
            raise UntrustedError(f"holder {part.holder} is none of {len(key.holders)}")
        _, share_key = key.holders[part.holder - 1]
        group_verify_part(share_key, copy.ephemeral, part.part, part.proof, context)
    common = group_combine([part.holder for part in chosen], [part.part for part in chosen])
    bound = ledger.network + delivery.exchange
    payload_key = open_copy(copy, common, bound)
    payload = open_payload(delivery.ciphertext, payload_key, bound)
    leaves = read_payload(ledger.suite, payload, admission)
    return {leaf.name: leaf.value for leaf in leaves}


def _check_share(share: bytes, share_key: bytes) -> None:
    """Raise ``InvalidProof`` unless a share's public half is this one.

    A number dealt by a polynomial of one coefficient is that coefficient, and is committed to so.
    """
    try:
        group_verify_deal([share_key], 1, share)
    except InvalidProof as error:
        raise InvalidProof(
            "share is not the one of this holder's share key on the ledger: see that all dealt "
            "numbers are in it, and that it is of this audit key"
        ) from error


def _ordered(
    ledger: Ledger, audit: bytes, scope: Scope, exchange: bytes
) -> tuple[AuditState, Admission]:
    """The order and the admission, where the scope is the order's and names the exchange."""
    state = read_state(ledger, audit_object(audit), AuditState)
    if scope_commitment(ledger.suite, scope.exchanges, scope.salt) != state.scope_commitment:
        refuse("E_SCOPE", "scope is not the one that the order commits to")
    if exchange not in scope.exchanges:
        refuse("E_SCOPE", f"exchange {exchange.hex()[:16]} is not in the scope")
    _check_disclosable(ledger, scope)
    admission = read_state(ledger, exchange_object(exchange), ExchangeState).admission
    if admission is None:
        refuse("E_EXCHANGE_STATE", "exchange was not admitted")
    return state, admission


def _check_disclosable(ledger: Ledger, scope: Scope) -> None:
    """Open nothing that could not be disclosed: those whom it concerns would never learn of it.

    No record names more exchanges than one body holds, and the rules disclose none that there is
    not.
    """
    if (got := len(scope.exchanges)) > LIMIT_ITEMS:
        message = f"scope has {got} exchanges, and {LIMIT_ITEMS} at most can be disclosed"
        refuse("E_LIMIT", message, remedy=KEEP_WITHIN)
    for each in scope.exchanges:
        read_state(ledger, exchange_object(each), ExchangeState)


def _copy(ledger: Ledger, delivery: Delivery, state: AuditState, admission: Admission) -> AuditCopy:
    """The copy in a delivery, held to what was admitted and to this exchange."""
    check_ciphertext(ledger.suite, delivery, admission)
    copy = read_copy(ledger.suite, delivery, admission)
    if copy is None:
        refuse("E_EXCHANGE_STATE", "exchange was admitted without an audit copy")
    if copy.audit_key != state.audit_key:
        refuse("E_SCOPE", "audit copy is for another audit key than the order's")
    verify_ephemeral(copy, ledger.network + delivery.exchange)
    return copy


def _context(network: bytes, audit: bytes, exchange: bytes) -> bytes:
    return network + audit + exchange
