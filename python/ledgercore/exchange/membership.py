"""Say which key was whose where, from the genesis and the complete histories of its members.

A pack has, for each member who signed in it, the member's state and every record that touched it.
So a rotation is followed from the old key to the new one, and none is left out. That a quorum stood
behind an admission, a suspension or a replacement is shown in ``quorum``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ledgercore._core import Anchor, Record, verify_signature
from ledgercore.errors import InvalidProof, UntrustedError
from ledgercore.proofs import check_complete
from ledgercore.records import (
    Genesis,
    GovernanceApprove,
    GovernancePropose,
    GovernanceReport,
    KeyCompromise,
    KeyReplace,
    KeyRotate,
    MemberAdmit,
    MemberReinstate,
    MemberRetire,
    MemberSuspend,
    RecordBody,
    key_message,
)
from ledgercore.rules import MemberState

__all__ = ["MEMBER_KINDS", "VOTES", "Entry", "Membership", "Tenure", "is_enacted"]

MEMBER_KINDS = (
    MemberAdmit,
    MemberSuspend,
    MemberReinstate,
    MemberRetire,
    KeyRotate,
    KeyCompromise,
    KeyReplace,
)
"""Bodies that touch the member that they name."""

VOTES = (GovernancePropose, GovernanceApprove, GovernanceReport)
"""Bodies that a proposal is made and carried by."""

Entry = tuple[int, Record, RecordBody]
"""A record of a pack, with its index and its decoded body."""


def is_enacted(body: RecordBody) -> bool:
    """Whether a quorum has to stand behind a record: it names the proposal that it closes."""
    return isinstance(body, MEMBER_KINDS) and "proposal" in body.__struct_fields__


class Tenure(NamedTuple):
    """A key that signs for a member after the record ``begin``, up to and with ``end``."""

    key: bytes
    begin: int
    end: int


class Membership:
    """The keys of one member, in order, and where a key of it was called compromised."""

    def __init__(
        self, anchor: Anchor, size: int, entries: Sequence[Entry], member: str, state: MemberState
    ) -> None:
        """Walk through every record that touched the member, or raise."""
        own = [entry for entry in entries if _touches(entry[2], member)]
        ids = [record.id for _, record, _ in own]
        check_complete(anchor.suite, f"pack's list of member {member}", state, ids)
        if not own or not isinstance(own[0][2], Genesis | MemberAdmit):
            raise InvalidProof(f"records of member {member} do not begin with its admission")
        self.roles: tuple[str, ...] = ()
        self.tenures: list[Tenure] = []
        self.compromises: list[int] = []
        self._anchor, self._member, self._size = anchor, member, size
        for index, record, body in own:
            self._follow(index, record, body)
        if self.tenures[-1].key != state.signing_key:
            raise InvalidProof(f"key of {member} is not the one in its state")
        if self.roles != state.roles:
            raise InvalidProof(f"roles of {member} are not those that it was given")

    def has(self, key: bytes, index: int) -> bool:
        """Whether the record at an index may be by this key."""
        return any(key == each.key and each.begin < index <= each.end for each in self.tenures)

    def key_at(self, index: int) -> bytes:
        """The member's key for the record at an index."""
        for each in self.tenures:
            if each.begin < index <= each.end:
                return each.key
        raise UntrustedError(f"{self._member} has no key at record {index}")

    def _follow(self, index: int, record: Record, body: RecordBody) -> None:
        if isinstance(body, Genesis):
            listed = next(m for m in body.members if m.member == self._member)
            self.roles = listed.roles
            self.tenures.append(Tenure(listed.signing_key, index, self._size))
            return
        if isinstance(body, MemberAdmit):
            self.roles = body.roles
        if isinstance(body, KeyRotate | KeyCompromise) and not self.has(record.key, index):
            raise UntrustedError(f"record {record.kind} is not signed by {self._member}")
        if self.tenures and self.tenures[-1].end > index:
            self.tenures[-1] = self.tenures[-1]._replace(end=index)
        if isinstance(body, KeyCompromise | KeyReplace):
            self.compromises.append(index)
        if isinstance(body, MemberAdmit | KeyRotate | KeyReplace):
            message = key_message(self._anchor.network, body.signing_key, self._member)
            verify_signature(body.signing_key, message, body.key_proof)
            self.tenures.append(Tenure(body.signing_key, index, self._size))
        elif isinstance(body, MemberReinstate) and self.tenures[-1].end not in self.compromises:
            self.tenures.append(Tenure(self.tenures[-1].key, index, self._size))


def _touches(body: RecordBody, member: str) -> bool:
    if isinstance(body, Genesis):
        return any(each.member == member for each in body.members)
    return isinstance(body, MEMBER_KINDS) and body.member == member
