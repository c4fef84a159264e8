"""Verify the records and states of an evidence pack against the trust anchor.

Everything here is proven from the anchor alone: the checkpoint is signed, every record stands in
its tree and is signed by its key, the genesis is the network's, the states are those that the
checkpoint commits to, and the list of a consent's records is complete. No record is of anything
else than that consent, its product and its agreement, for it could only be taken for one that is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeVar

from ledgercore import records
from ledgercore._core import Anchor, Record, VerifiedRecord, hash_domain
from ledgercore.errors import InvalidProof, MalformedError, UntrustedError
from ledgercore.exchange.membership import MEMBER_KINDS, VOTES, Entry, Membership, is_enacted
from ledgercore.proofs import check_complete, verify_note, verify_records
from ledgercore.proofs.state import verify_object
from ledgercore.records import (
    DATA,
    AuditDisclose,
    ConsentRequest,
    DecisionContest,
    DecisionExplain,
    DecisionRecord,
    DecisionReview,
    ExchangeIntent,
    Genesis,
    ProductPublish,
    RecordBody,
)
from ledgercore.rules import BusinessState, MemberState, State, agreement, member_object

__all__ = ["AGREEMENT_ROWS", "Evidence", "concerns"]

BodyT = TypeVar("BodyT", bound=RecordBody)
StateT = TypeVar("StateT", bound=BusinessState)


AGREEMENT_ROWS = {row.kind: row for row in agreement.FAMILY.rows}
"""The kinds that move an agreement."""

_LATER = (DecisionExplain, DecisionContest, DecisionReview)
_OF_DECISIONS = (DecisionRecord, *_LATER)


def concerns(
    body: RecordBody, consent: bytes, exchanges: AbstractSet[bytes], decisions: AbstractSet[bytes]
) -> bool:
    """Whether a record is a consent's own, one of its exchanges', or of a decision on one.

    ``exchanges`` are the consent's, and ``decisions`` those that rest on them, of which those
    before the record are enough.
    """
    if isinstance(body, DecisionRecord):
        return not exchanges.isdisjoint(body.inputs)
    if isinstance(body, _LATER):
        return body.decision in decisions
    if isinstance(body, AuditDisclose):
        return not exchanges.isdisjoint(body.scope)
    return getattr(body, "consent", None) == consent or getattr(body, "exchange", None) in exchanges


class Evidence:
    """Verified records, in the ledger's order, and verified states."""

    def __init__(
        self,
        anchor: Anchor,
        checkpoint: bytes,
        proof: Sequence[bytes],
        encoded: Sequence[tuple[int, bytes]],
        states: Sequence[bytes],
    ) -> None:
        """Verify all of it, or raise."""
        self.anchor = anchor
        self.checkpoint = verify_note(anchor, checkpoint)
        verified = verify_records(anchor, self.checkpoint, encoded, proof)
        self.entries: list[Entry] = [_decoded(index, record) for index, record in verified]
        self._check_genesis()
        self._states: dict[bytes, State] = {}
        for data in states:
            shown = verify_object(anchor, self.checkpoint, data)
            if shown.state is None:
                raise InvalidProof(f"object {shown.object!r} has no state")
            self._states[shown.object] = shown.state
        self._places = {record.id: index for index, record, _ in self.entries}
        self.members = self._members()
        self._check_related()

    def _check_genesis(self) -> None:
        genesis = self.entries[0][2] if self.entries else None
        if not isinstance(genesis, Genesis) or self.entries[0][0] != 0:
            raise UntrustedError("first record is not the genesis")
        body = self.entries[0][1].body
        network = hash_domain(self.anchor.suite, "network", body)[:16]
        if network != self.anchor.network or genesis.operator_key != self.anchor.operator_key:
            raise UntrustedError("genesis is not the one that the anchor's network is named for")

    def _members(self) -> dict[str, Membership]:
        """The members whose states are in the pack."""
        size, prefix = self.checkpoint.size, member_object("")
        names = [name for name in self._states if name.startswith(prefix)]
        found = {}
        for name in names:
            try:
                member = name.removeprefix(prefix).decode()
            except UnicodeDecodeError as error:
                raise MalformedError(f"state of a member: name is no text: {error}") from error
            state = self.state(name, MemberState)
            found[member] = Membership(self.anchor, size, self.entries, member, state)
        return found

    def member(self, member: str) -> Membership:
        """A member with its keys, or raise."""
        if member not in self.members:
            raise InvalidProof(f"state of member {member} is missing")
        return self.members[member]

    def of_kind(self, kind: type[BodyT]) -> Iterator[tuple[int, Record, BodyT]]:
        """Entries whose body is of a kind."""
        for index, record, body in self.entries:
            if isinstance(body, kind):
                yield index, record, body

    def state(self, name: bytes, kind: type[StateT]) -> StateT:
        """An object's state under the checkpoint."""
        state = self._states.get(name)
        if state is None:
            raise InvalidProof(f"state of {name.split(b'/')[0].decode()} is missing")
        assert isinstance(state, kind), "an object's name tells its state's type"
        return state

    def check_complete(self, what: str, state: BusinessState, ids: Sequence[bytes]) -> None:
        """Hold a list of records to the count and the running hash in their object's state."""
        check_complete(self.anchor.suite, f"pack's list of the {what}", state, ids)

    def signed_by_member(self, record: Record, member: str) -> None:
        """Hold a record to the member whose key must have signed it."""
        if not self.is_by_member(record, member):
            raise UntrustedError(f"record {record.kind} is not signed by {member}")

    def is_by_member(self, record: Record, member: str) -> bool:
        """Whether a member signed a record."""
        return self.member(member).has(record.key, self._places[record.id])

    def signed_by_role(self, record: Record, role: str) -> bool:
        """Whether a member with the role signed the record."""
        members, index = self.members.values(), self._places[record.id]
        return any(role in each.roles and each.has(record.key, index) for each in members)

    def _check_related(self) -> None:
        consent = self.consent()
        exchanges = self._exchanges(consent)
        decisions = self._decisions(exchanges)
        enacted = [body for _, _, body in self.entries if is_enacted(body)]
        proposals = {getattr(body, "proposal", b"") for body in enacted}
        (asked,) = (body for _, _, body in self.of_kind(ConsentRequest))
        for index, record, body in self.entries[1:]:
            own_product = isinstance(body, ProductPublish) and body.product == asked.product
            of_agreement = record.kind in AGREEMENT_ROWS
            own_agreement = of_agreement and getattr(body, "agreement", None) == asked.agreement
            own_member = isinstance(body, MEMBER_KINDS) and body.member in self.members
            own_vote = isinstance(body, VOTES) and body.proposal in proposals
            if (
                not own_product
                and not own_agreement
                and not own_member
                and not own_vote
                and not concerns(body, consent, exchanges, decisions)
            ):
                raise MalformedError(f"record {index} is of another consent or product")

    def _exchanges(self, consent: bytes) -> set[bytes]:
        return {r.id for _, r, body in self.of_kind(ExchangeIntent) if body.consent == consent}

    def _decisions(self, exchanges: AbstractSet[bytes]) -> set[bytes]:
        found = self.of_kind(DecisionRecord)
        return {record.id for _, record, body in found if not exchanges.isdisjoint(body.inputs)}

    def touching(self, consent: bytes) -> list[Entry]:
        """The entries that touch a consent: its own, and those of its exchanges."""
        exchanges = self._exchanges(consent)
        return [
            entry
            for entry in self.entries
            if not isinstance(entry[2], _OF_DECISIONS)
            and concerns(entry[2], consent, exchanges, frozenset())
        ]

    def touching_exchange(self, exchange: bytes) -> list[Entry]:
        """The entries that touch an exchange: its own, and of the decisions that rest on it."""
        decisions = self._decisions({exchange})
        return [
            entry
            for entry in self.entries
            if entry[1].id == exchange
            or getattr(entry[2], "exchange", None) == exchange
            or (isinstance(entry[2], DecisionRecord) and exchange in entry[2].inputs)
            or (isinstance(entry[2], _LATER) and entry[2].decision in decisions)
            or (isinstance(entry[2], AuditDisclose) and exchange in entry[2].scope)
        ]

    def consent(self) -> bytes:
        """The one consent that the pack is about."""
        found = [body.consent for _, _, body in self.of_kind(ConsentRequest)]
        if len(found) != 1:
            raise MalformedError(f"pack has {len(found)} consents, want 1")
        return found[0]


def _decoded(index: int, record: VerifiedRecord) -> Entry:
    if record.kind == DATA:
        raise MalformedError(f"record {index}: kind is data, want one with a typed body")
    try:
        return index, record, records.decode(record.kind, record.body)
    except MalformedError as error:
        raise type(error)(f"record {index}: {error}") from error
