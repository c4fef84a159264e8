"""Show offline that an object has a state, or has none, as of a signed checkpoint.

    [1, checkpoint, state proof]

The receipt that ``consent/1`` is unknown to a ledger begins ``93 01 c5``: a version, and the note
as bytes. A state is the newest one that the rules made; time that has passed since shows only in
what is computed from it, such as ``rules.consent_status_at``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ledgercore._core import Anchor, Checkpoint, StateProof, check_canonical
from ledgercore.arguments import typed
from ledgercore.errors import CorruptError, MalformedError
from ledgercore.proofs.wire import decode_part, encode_part, verify_note
from ledgercore.records.base import Part
from ledgercore.rules import State, decode_object, encode_state, format_object, state_type

__all__ = [
    "STATE_RECEIPT_BYTES",
    "StateReceipt",
    "VerifiedState",
    "decode_signed",
    "verify_object",
    "verify_state",
]

STATE_RECEIPT_BYTES = 256 * 1024
"""Bytes of a state receipt at most."""


@dataclass(frozen=True)
class VerifiedState:
    """What an object's state is as of a checkpoint; ``state`` is None where it has none."""

    object: bytes
    checkpoint: Checkpoint
    state: State | None


class StateReceipt(Part, frozen=True):
    """A state proof with the signed checkpoint that it leads to."""

    version: Literal[1]
    checkpoint: bytes
    proof: bytes

    @staticmethod
    def decode(data: bytes) -> StateReceipt:
        return decode_part(data, StateReceipt, "state receipt", STATE_RECEIPT_BYTES)

    def encode(self) -> bytes:
        return encode_part(self)

    def verify(self, anchor: Anchor) -> VerifiedState:
        """The state, if the anchor trusts the checkpoint and the proof leads to it."""
        return verify_object(anchor, verify_note(anchor, self.checkpoint), self.proof)


@typed
def verify_state(data: bytes, anchor: Anchor) -> VerifiedState:
    """Verify an encoded state receipt, or raise with what is wrong."""
    return StateReceipt.decode(data).verify(anchor)


def verify_object(anchor: Anchor, checkpoint: Checkpoint, encoded: bytes) -> VerifiedState:
    """The state that a proof leads to under a checkpoint that is verified already."""
    proof = StateProof.decode(encoded)
    state_type(proof.object)  # that nothing has a name that nothing can have shows nothing
    proof.verify(anchor.suite, checkpoint.state_root)
    name, value = proof.object, proof.value
    return VerifiedState(name, checkpoint, None if value is None else decode_signed(name, value))


def decode_signed(name: bytes, value: bytes) -> State:
    """The state in its one encoding; an operator may have signed any bytes."""
    check_canonical(value)
    try:
        state = decode_object(name, value)
    except CorruptError as error:
        raise MalformedError(f"state of {format_object(name)}: {error}") from error
    if encode_state(state) != value:
        raise MalformedError(f"state of {format_object(name)} is not in its canonical form")
    return state
