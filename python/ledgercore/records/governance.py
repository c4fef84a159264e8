"""State what a network is: its operator, its witnesses and its members.

The genesis is record 0. The network's id is the hash of its body, so nothing in it can change.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from ledgercore.records.base import Bytes32, Count, Identifier, Part, RecordBody, Text, TimeMs

__all__ = ["Genesis", "Member", "Witness"]

Origin = Annotated[str, Meta(min_length=1, max_length=255)]


class Witness(Part, frozen=True):
    """Who cosigns checkpoints."""

    name: Origin
    key: Bytes32


class Member(Part, frozen=True):
    """An institution with its keys; ``provider`` and ``consumer`` are the roles that rules name."""

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
