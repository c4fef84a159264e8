"""Show offline that content was opened by order: on which basis, by whom, and of which exchange.

    [1, network, checkpoint, audit key's state, audit's state, exchange's state,
     [exchange, ...], salt, [audit key, ephemeral, sealed, proof], [[holder, part, proof], ...]]

The states are proofs under the one checkpoint. Each part is proven to be made by its holder's
share, and each of these holders had signed on the ledger before the order expired. It begins
``9a 01 c4 10``.

The parts lead to the key of the payload: whoever is shown this and has the ciphertext can open it.
So it is for those who may see the content. What they find there is held to the admit's root.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from msgspec import Meta

from ledgercore._core import Anchor, Checkpoint, group_combine, group_verify_part
from ledgercore.errors import InvalidProof, MalformedError, UntrustedError
from ledgercore.exchange.audit_copy import AuditCopy, copy_hash, verify_ephemeral
from ledgercore.exchange.messages import Delivery, decode_message
from ledgercore.proofs import verify_note
from ledgercore.proofs.state import verify_object
from ledgercore.proofs.wire import decode_part, encode_part
from ledgercore.records.base import LIMIT_ITEMS, Bytes16, Bytes32, Bytes64, Count, Part
from ledgercore.rules import (
    AuditKeyState,
    AuditState,
    ExchangeState,
    audit_key_object,
    audit_object,
    exchange_object,
)
from ledgercore.rules.audit import scope_commitment

if TYPE_CHECKING:  # who verifies an opening needs neither
    from ledgercore.exchange.holder import OpeningPart, Scope
    from ledgercore.ledger import Ledger

__all__ = [
    "OPENING_BYTES",
    "HolderPart",
    "OpeningProof",
    "VerifiedOpening",
    "prove_opening",
    "verify_opening",
]

OPENING_BYTES = 256 * 1024
"""Bytes of encoded evidence at most."""

StateT = TypeVar("StateT", AuditKeyState, AuditState, ExchangeState)


class HolderPart(Part, frozen=True):
    """One holder's part of the copy's point; holders count from one."""

    holder: Count
    part: Bytes32
    proof: Bytes64


@dataclass(frozen=True)
class VerifiedOpening:
    """What was opened by whom; ``common`` is the point that opens this one copy: secret."""

    audit: bytes
    exchange: bytes
    state: AuditState
    openers: tuple[str, ...]
    common: bytes


class OpeningProof(Part, frozen=True):
    """The states, the scope, the copy and the parts by which one exchange was opened."""

    version: Literal[1]
    network: Bytes16
    checkpoint: bytes
    key: bytes
    audit: bytes
    exchange: bytes
    scope: Annotated[tuple[Bytes32, ...], Meta(max_length=LIMIT_ITEMS)]
    salt: Bytes32
    copy: AuditCopy
    parts: Annotated[tuple[HolderPart, ...], Meta(max_length=LIMIT_ITEMS)]

    @staticmethod
    def decode(data: bytes) -> OpeningProof:
        return decode_part(data, OpeningProof, "opening", OPENING_BYTES)

    def encode(self) -> bytes:
        return encode_part(self)

    def verify(self, anchor: Anchor) -> VerifiedOpening:
        """The opening, if it is what the order on the anchor's ledger allows; or raise."""
        if self.network != anchor.network:
            raise UntrustedError("opening is of another network than the anchor's")
        checkpoint = verify_note(anchor, self.checkpoint)
        key_name, key = _shown(anchor, checkpoint, self.key, AuditKeyState)
        audit_name, audit = _shown(anchor, checkpoint, self.audit, AuditState)
        exchange_name, exchange = _shown(anchor, checkpoint, self.exchange, ExchangeState)
        if key_name != audit_key_object(audit.audit_key):
            raise InvalidProof("audit key is not the one that the order names")
        missing = [member for member, _ in key.holders if member not in key.accepted]
        if missing:
            raise InvalidProof(f"audit key is not accepted by its holders {missing}")
        if scope_commitment(anchor.suite, self.scope, self.salt) != audit.scope_commitment:
            raise InvalidProof("scope is not the one that the order commits to")
        audit_id, exchange_id = audit_name[-32:], exchange_name[-32:]
        if exchange_id not in self.scope:
            raise InvalidProof(f"exchange {exchange_id.hex()[:16]} is not in the order's scope")
        self._check_copy(anchor, audit, exchange_id, exchange)
        context = anchor.network + audit_id + exchange_id
        openers = self._check_parts(key, audit, context)
        holders, parts = [each.holder for each in self.parts], [each.part for each in self.parts]
        common = group_combine(holders, parts)
        return VerifiedOpening(audit_id, exchange_id, audit, openers, common)

    def _check_copy(
        self, anchor: Anchor, audit: AuditState, exchange_id: bytes, exchange: ExchangeState
    ) -> None:
        admitted = None if exchange.admission is None else exchange.admission.audit_copy
        if admitted is None or copy_hash(anchor.suite, self.copy) != admitted:
            raise InvalidProof("audit copy is not the one that was admitted")
        if self.copy.audit_key != audit.audit_key:
            raise InvalidProof("audit copy is for another audit key than the order's")
        verify_ephemeral(self.copy, anchor.network + exchange_id)

    def _check_parts(
        self, key: AuditKeyState, audit: AuditState, context: bytes
    ) -> tuple[str, ...]:
        """The members whose parts these are."""
        numbers = [each.holder for each in self.parts]
        if sorted(set(numbers)) != numbers or not set(numbers) <= {*range(1, len(key.holders) + 1)}:
            raise MalformedError(
                f"parts are of holders {numbers}, want some of the key's, ascending"
            )
        if len(numbers) < key.threshold:
            raise InvalidProof(f"parts are of {len(numbers)} holders, want {key.threshold}")
        signed, openers = dict(audit.openers), []
        for each in self.parts:
            member, share_key = key.holders[each.holder - 1]
            if signed.get(member, audit.expires_ms) >= audit.expires_ms:
                raise UntrustedError(f"{member} has not signed to open under the order")
            group_verify_part(share_key, self.copy.ephemeral, each.part, each.proof, context)
            openers.append(member)
        return tuple(openers)


def prove_opening(
    ledger: Ledger, audit: bytes, scope: Scope, delivery: Delivery, parts: Sequence[OpeningPart]
) -> OpeningProof:
    """What shows an opening by these parts; of one moment of the ledger, and not verified yet."""
    copy = decode_message(delivery.audit_copy, AuditCopy)
    named = (audit_key_object(copy.audit_key), audit_object(audit))
    with ledger.moment():
        key, order, exchange = (
            ledger.prove_state(name).encode()
            for name in (*named, exchange_object(delivery.exchange))
        )
        checkpoint = ledger.checkpoint.encode()
    found = sorted((each.holder, each.part, each.proof) for each in parts)
    return OpeningProof(
        version=1,
        network=ledger.network,
        checkpoint=checkpoint,
        key=key,
        audit=order,
        exchange=exchange,
        scope=scope.exchanges,
        salt=scope.salt,
        copy=copy,
        parts=tuple(HolderPart(*each) for each in found),
    )


def verify_opening(data: bytes, anchor: Anchor) -> VerifiedOpening:
    """Verify an encoded opening, or raise with what is wrong."""
    return OpeningProof.decode(data).verify(anchor)


def _shown(
    anchor: Anchor, checkpoint: Checkpoint, proof: bytes, kind: type[StateT]
) -> tuple[bytes, StateT]:
    """The name and the state of an object of the kind, which must be there."""
    verified = verify_object(anchor, checkpoint, proof)
    if not isinstance(verified.state, kind):
        raise InvalidProof(f"opening shows no {kind.__name__} where it should")
    return verified.object, verified.state
