"""Read what a party acts on, each thing held to what it must be before anything is done with it.

States come from a ledger and are there, or the record that names them is refused. An admit comes
with a receipt that shows the exchange admitted by it: a release rests on that, and an evidence
pack. What an admit commits to is the ciphertext, the payload in it and the audit copy.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from ledgercore._core import Receipt, VerifiedRecord, hash_domain
from ledgercore.errors import InvalidError, InvalidProof, UntrustedError
from ledgercore.exchange.audit_copy import AuditCopy, copy_hash
from ledgercore.exchange.messages import Delivery, Release, decode_message
from ledgercore.exchange.salted import FIELD, Leaf, commit, decode_leaves
from ledgercore.proofs.state import decode_signed
from ledgercore.rules import Admission, ExchangeState, State, exchange_object, refuse
from ledgercore.rules.view import decode_state

if TYPE_CHECKING:  # who verifies a pack needs none
    from ledgercore._core import Anchor
    from ledgercore.exchange.case import ReleaseEvidence
    from ledgercore.ledger import Ledger

__all__ = [
    "ENDED",
    "admitted_state",
    "check_ciphertext",
    "check_payload",
    "read_admit",
    "read_copy",
    "read_payload",
    "read_state",
]

ENDED = ("VOIDED", "TIMED_OUT", "DECLINED", "ERASED")
"""States of an exchange of which nothing is opened, released or handed over."""

StateT = TypeVar("StateT", bound=State)

_NAME = re.compile(rb"[!-~]+")
"""What may be shown as it is; other bytes could steer a terminal."""


def read_state(ledger: Ledger, name: bytes, kind: type[StateT]) -> StateT:
    """The state of an object; raises ``RefusedError`` with ``E_UNKNOWN`` where there is none."""
    value = ledger.state(name)
    if value is None:
        family, _, rest = name.partition(b"/")
        shown = rest.decode() if len(rest) != 32 and _NAME.fullmatch(rest) else rest.hex()[:16]
        refuse("E_UNKNOWN", f"{family.decode()} {shown} does not exist")
    return decode_state(value, kind)


def read_admit(
    release: Release | ReleaseEvidence, intent: bytes, anchor: Anchor
) -> tuple[VerifiedRecord, ExchangeState]:
    """The admit that a release rests on, and the state in which it left the exchange."""
    receipt = Receipt.decode(release.receipt)
    admit = receipt.verify(release.admit, anchor)
    return admit, admitted_state(receipt, intent)


def admitted_state(receipt: Receipt, intent: bytes) -> ExchangeState:
    """The exchange's state in a verified receipt of its admit, which must show it admitted."""
    proof = receipt.state
    if proof is None or proof.value is None or proof.object != exchange_object(intent):
        raise UntrustedError("receipt does not show the state of this exchange")
    state = decode_signed(proof.object, proof.value)
    assert isinstance(state, ExchangeState), "an object's name tells its state's type"
    if state.admission is None or state.admission.index != receipt.index:
        raise UntrustedError(f"exchange is {state.status}, and was not admitted by this record")
    return state


def check_ciphertext(suite: str, delivery: Delivery, admission: Admission) -> None:
    """Raise ``InvalidError`` unless a delivery is the one that was admitted."""
    if hash_domain(suite, "commitment", delivery.ciphertext) != admission.ciphertext_hash:
        raise InvalidError("delivery is not the ciphertext that was admitted")


def read_payload(suite: str, data: bytes, admission: Admission) -> tuple[Leaf, ...]:
    """The leaves of a payload, if it is the one that the provider committed to."""
    leaves = decode_leaves(data, FIELD)
    check_payload(suite, leaves, admission)
    return leaves


def check_payload(suite: str, leaves: tuple[Leaf, ...], admission: Admission) -> None:
    """Raise ``InvalidProof`` unless the leaves are those that the provider committed to."""
    if commit(suite, leaves) != admission.disclosure_root:
        raise InvalidProof("payload is not what the provider committed to")


def read_copy(suite: str, delivery: Delivery, admission: Admission) -> AuditCopy | None:
    """The audit copy in a delivery, if it is the one that was admitted; None if none was."""
    if admission.audit_copy is None:
        return None
    if not delivery.audit_copy:
        raise InvalidError("delivery has no audit copy, want the one that was admitted with it")
    copy = decode_message(delivery.audit_copy, AuditCopy)
    if copy_hash(suite, copy) != admission.audit_copy:
        raise InvalidError("audit copy is not the one that was admitted")
    return copy
