"""State what a network is, and let a quorum of its members change who they are.

The genesis is record 0. The network's id is the hash of its body, so nothing in it can change.
What a quorum does is proposed first, byte for byte, then approved, and then done by a record of
the kind and body that were proposed.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from ledgercore.records.base import (
    Bytes32,
    Bytes64,
    Count,
    Identifier,
    Part,
    RecordBody,
    Text,
    TimeMs,
)

__all__ = [
    "Genesis",
    "GovernanceApprove",
    "GovernancePropose",
    "GovernanceReport",
    "KeyCompromise",
    "KeyReplace",
    "KeyRotate",
    "Member",
    "MemberAdmit",
    "MemberReinstate",
    "MemberRetire",
    "MemberSuspend",
    "Witness",
    "key_message",
]

KEY_CONTEXT = b"ledgercore member key v1\n"

Origin = Annotated[str, Meta(min_length=1, max_length=255)]
Kind = Annotated[str, Meta(max_length=64, pattern=r"\A[a-z.-]+\Z")]
Content = Annotated[bytes, Meta(max_length=32 * 1024)]
"""The whole body of another record, or a proof made of records."""


def key_message(network: bytes, key: bytes, member: str) -> bytes:
    """What a new signing key signs to show that its holder means to be this member."""
    return KEY_CONTEXT + network + key + member.encode()


class Witness(Part, frozen=True):
    """Who cosigns checkpoints."""

    name: Origin
    key: Bytes32


class Member(Part, frozen=True):
    """An institution with its keys, and the roles that rules name."""

    member: Identifier
    name: Text
    roles: tuple[Identifier, ...]
    signing_key: Bytes32
    sealing_key: Bytes32


class Genesis(RecordBody, frozen=True):
    """The first record, signed by the operator that it names."""

    KIND: ClassVar[str] = "genesis"

    origin: Origin
    suite: Literal["std", "c2sp"]
    created_ms: TimeMs
    operator_key: Bytes32
    witnesses: tuple[Witness, ...]
    quorum: Count
    members: tuple[Member, ...]


class GovernancePropose(RecordBody, frozen=True):
    """By a member of governance: the kind and the body of the record that is to be allowed.

    ``proposal`` is a random id that the proposed body names too. To propose is to approve.
    """

    KIND: ClassVar[str] = "governance.propose"

    proposal: Bytes32
    kind: Kind
    body: Content
    lapses_ms: TimeMs


class GovernanceApprove(RecordBody, frozen=True):
    """By a member of governance, once."""

    KIND: ClassVar[str] = "governance.approve"

    proposal: Bytes32


class GovernanceReport(RecordBody, frozen=True):
    """By any member: two records of one key and sequence. It proposes to suspend their signer."""

    KIND: ClassVar[str] = "governance.report"

    proposal: Bytes32
    member: Identifier
    evidence: Content
    lapses_ms: TimeMs


class MemberAdmit(RecordBody, frozen=True):
    """By governance; ``key_proof`` is the new member's signature over ``key_message``."""

    KIND: ClassVar[str] = "member.admit"

    proposal: Bytes32
    member: Identifier
    name: Text
    roles: tuple[Identifier, ...]
    signing_key: Bytes32
    sealing_key: Bytes32
    key_proof: Bytes64


class MemberSuspend(RecordBody, frozen=True):
    """By governance: the member signs nothing until it is reinstated."""

    KIND: ClassVar[str] = "member.suspend"

    proposal: Bytes32
    member: Identifier


class MemberReinstate(RecordBody, frozen=True):
    """By governance."""

    KIND: ClassVar[str] = "member.reinstate"

    proposal: Bytes32
    member: Identifier


class MemberRetire(RecordBody, frozen=True):
    """By governance, for good."""

    KIND: ClassVar[str] = "member.retire"

    proposal: Bytes32
    member: Identifier


class KeyRotate(RecordBody, frozen=True):
    """By the member's old key; ``key_proof`` is the new one's signature over ``key_message``."""

    KIND: ClassVar[str] = "key.rotate"

    member: Identifier
    signing_key: Bytes32
    sealing_key: Bytes32
    key_proof: Bytes64


class KeyCompromise(RecordBody, frozen=True):
    """By the member's key: others may have it. It signs nothing after this record."""

    KIND: ClassVar[str] = "key.compromise"

    member: Identifier


class KeyReplace(RecordBody, frozen=True):
    """By governance, for a member whose key others have, or that has lost it."""

    KIND: ClassVar[str] = "key.replace"

    proposal: Bytes32
    member: Identifier
    signing_key: Bytes32
    sealing_key: Bytes32
    key_proof: Bytes64
