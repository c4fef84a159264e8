"""Hold what governance did to its proposals and its votes, from the genesis on.

A pack has, for each record that needed a quorum, every record of its proposal, and the complete
history of governance itself. Who governed is followed from the genesis through each change; so is
whose a key was. That no proposal had lapsed is shown by the block's time in its state: it is the
operator's word, as all times are.
"""

from __future__ import annotations

from collections.abc import Mapping

from ledgercore._core import Equivocation, Record
from ledgercore.errors import InvalidProof, UntrustedError
from ledgercore.exchange.case import Case, Claim
from ledgercore.exchange.membership import MEMBER_KINDS, Entry, is_enacted
from ledgercore.records import (
    Genesis,
    GovernanceApprove,
    GovernancePropose,
    GovernanceReport,
    KeyRotate,
    MemberSuspend,
    RecordBody,
)
from ledgercore.rules import (
    GOVERNANCE,
    GOVERNANCE_ROLE,
    GovernanceState,
    ProposalState,
    proposal_object,
)

__all__ = ["prove_quorums"]


def prove_quorums(case: Case) -> list[Claim]:
    """More than half of governance stood behind each record that needed it."""
    evidence = case.evidence
    enacted = [entry for entry in evidence.entries if is_enacted(entry[2])]
    if not enacted:
        return []
    governors = _governors(case)
    claims = []
    for index, record, body in enacted:
        governed = governors[index]
        for_it = _approvals(case, (index, record, body))
        if not evidence.signed_by_role(record, GOVERNANCE_ROLE):
            raise UntrustedError(f"record {record.kind} is not signed by governance")
        want = len(governed) // 2 + 1
        if len(for_it) < want:
            message = f"record {index} has {len(for_it)} approvals of governance, want {want}"
            raise InvalidProof(message)
        member = getattr(body, "member", "")
        statement = f"{len(for_it)} of {len(governed)} of governance approved record {index}"
        claims.append(Claim("quorum", f"{statement}, {record.kind} of {member}"))
    return claims


def _governors(case: Case) -> Mapping[int, frozenset[str]]:
    """Who governed when each record was ordered, by its index."""
    evidence = case.evidence
    state = evidence.state(GOVERNANCE, GovernanceState)
    (_, genesis, founded), *later = evidence.entries
    assert isinstance(founded, Genesis), "evidence begins with the genesis"
    governed = {each.member for each in founded.members if GOVERNANCE_ROLE in each.roles}
    touching, found = [genesis.id], dict[int, frozenset[str]]()
    for index, record, body in later:
        found[index] = frozenset(governed)
        name: str = getattr(body, "member", "")
        if not isinstance(body, MEMBER_KINDS) or isinstance(body, KeyRotate):
            continue  # a rotation goes on with the same member
        if GOVERNANCE_ROLE in evidence.member(name).roles:
            touching.append(record.id)
            governed.discard(name)
            if any(each.begin == index for each in evidence.member(name).tenures):
                governed.add(name)
    evidence.check_complete("governance", state, touching)
    if tuple(sorted(governed)) != state.members:
        raise InvalidProof("governance is not the one that its history makes")
    return found


def _approvals(case: Case, enacted: Entry) -> set[str]:
    """Who of governance had approved this very record, with a key that could sign then."""
    index, record, body = enacted
    evidence, proposal = case.evidence, _proposal(body)
    own = [entry for entry in evidence.entries if _proposal(entry[2]) == proposal]
    state = evidence.state(proposal_object(proposal), ProposalState)
    evidence.check_complete("proposal", state, [each.id for _, each, _ in own])
    if (state.status, own[-1][0]) != ("ENACTED", index):
        raise InvalidProof(f"proposal is not the one that record {index} closed")
    _check_proposed(case, own[0], record, body)
    lapses_ms = getattr(own[0][2], "lapses_ms", 0)
    if state.lapses_ms != lapses_ms or state.enacted_ms >= lapses_ms:
        raise InvalidProof(f"proposal of record {index} had lapsed before it was enacted")
    found = set()
    for at, vote, said in own:
        if not isinstance(said, GovernancePropose | GovernanceApprove):
            continue
        names = [name for name, each in evidence.members.items() if each.has(vote.key, at)]
        if not names or GOVERNANCE_ROLE not in evidence.member(names[0]).roles:
            raise UntrustedError(f"record {at} is not signed by governance")
        if evidence.member(names[0]).has(vote.key, index):
            found.add(names[0])
    return found


def _check_proposed(case: Case, first: Entry, record: Record, body: RecordBody) -> None:
    """Hold the record to what was proposed, byte for byte, or to whom it was that was reported."""
    _, _, proposed = first
    if isinstance(proposed, GovernancePropose):
        if (proposed.kind, proposed.body) != (record.kind, record.body):
            raise InvalidProof(f"what was proposed is another record than this {record.kind}")
        return
    if not isinstance(proposed, GovernanceReport) or not isinstance(body, MemberSuspend):
        raise InvalidProof(f"record {record.kind} was never proposed")
    pair = Equivocation.decode(proposed.evidence).first
    keys = [each.key for each in case.evidence.member(body.member).tenures]
    if body.member != proposed.member or pair.key not in keys:
        raise InvalidProof(f"evidence is not by a key of {body.member}")
    if pair.network != case.evidence.anchor.network:
        raise UntrustedError("evidence is of another network")


def _proposal(body: RecordBody) -> bytes:
    """The proposal that a record is of, or nothing."""
    found: bytes = getattr(body, "proposal", b"")
    return found
