"""Hold proposals to their transitions: opened, approved, lapsed, and enacted by what they allow.

A proposal is LAPSED from ``lapses_ms`` on, which is computed, never stored. It becomes ENACTED by
the record that it allows, of another family. A quorum is more than half of the members of
governance who are ACTIVE when that record is ordered. An approval is kept by the key that signed
it, and counts while that key may sign: one by a stolen key does not count for its owner's new one.
"""

from __future__ import annotations

from typing import Any

from msgspec import structs

from ledgercore import records
from ledgercore._core import Equivocation, VerifiedRecord, hash_domain
from ledgercore.errors import LedgerError
from ledgercore.records import (
    GovernanceApprove,
    GovernancePropose,
    GovernanceReport,
    MemberSuspend,
)
from ledgercore.rules.codes import NAME_A_TIME
from ledgercore.rules.state import (
    GOVERNANCE,
    NEW,
    GovernanceState,
    KeyState,
    ProposalState,
    key_object,
    proposal_object,
)
from ledgercore.rules.table import Case, Family, Row, SignedBy, check_names

__all__ = ["FAMILY", "STATUSES", "enact", "governors", "proposal_is_carried", "status_at"]

STATUSES = ("OPEN", "LAPSED", "ENACTED")

ProposalBody = GovernancePropose | GovernanceApprove | GovernanceReport


def status_at(state: ProposalState, time_ms: int) -> str:
    """The proposal's status in a block of this time."""
    return "LAPSED" if state.status == "OPEN" and time_ms >= state.lapses_ms else state.status


def governors(case: Case[Any, Any]) -> tuple[str, ...]:
    """The ACTIVE members of governance."""
    state = case.view.get(GOVERNANCE, GovernanceState)
    return state.members if state else ()


def name_of(record: VerifiedRecord, body: ProposalBody) -> bytes:
    return proposal_object(body.proposal)


def _content(case: Case[Any, Any], kind: str, body: bytes) -> bytes:
    """The hash of what is proposed, and of what is done."""
    return hash_domain(case.record.suite, "commitment", kind.encode() + b"\0" + body)


def proposal_is_sound(case: Case[GovernancePropose, None]) -> None:
    """the kind needs a quorum, else E_KIND; the body is one of it and names this, else E_CANON"""
    kind, proposal = case.body.kind, case.body.proposal
    fields = records.BODIES[kind].__struct_fields__ if kind in records.BODIES else ()
    if "proposal" not in fields or kind in FAMILY.effects:
        case.refuse("E_KIND", f"kind is {kind}, want one that needs a quorum")
    try:
        body = records.decode(kind, case.body.body)
    except LedgerError as error:
        case.refuse("E_CANON", f"proposed body: {error}")
    if getattr(body, "proposal", None) != proposal:
        case.refuse("E_CANON", f"proposed body does not name proposal {proposal.hex()[:16]}")


def lapse_is_ahead(case: Case[GovernancePropose | GovernanceReport, None]) -> None:
    """block time < lapses_ms, else E_CLOCK"""
    now_ms, lapses_ms = case.position.time_ms, case.body.lapses_ms
    if lapses_ms <= now_ms:
        case.refuse("E_CLOCK", f"lapses_ms is {lapses_ms}, want more than {now_ms}", NAME_A_TIME)


def approval_is_first(case: Case[GovernanceApprove, ProposalState]) -> None:
    """the member's key has not approved it yet, else E_EXISTS"""
    if case.record.key in case.state.approvals:
        case.refuse("E_EXISTS", f"member {case.member} has approved the proposal already")


def evidence_convicts(case: Case[GovernanceReport, None]) -> None:
    """two records of this network and one sequence are by the member's key, else E_EVIDENCE"""
    try:
        record = Equivocation.decode(case.body.evidence).first
    except LedgerError as error:
        case.refuse("E_EVIDENCE", f"evidence: {error}")
    if record.network != case.record.network:
        case.refuse("E_EVIDENCE", "evidence is of another network")
    key = case.view.get(key_object(record.key), KeyState)
    if key is None or key.member != case.body.member:
        case.refuse("E_EVIDENCE", f"evidence is not by a key of {case.body.member}")


def proposal_is_carried(case: Case[Any, Any]) -> None:
    """the proposal (else E_UNKNOWN) is OPEN and of this body, by a quorum, else E_QUORUM"""
    proposal = case.body.proposal.hex()[:16]
    state = case.view.get(proposal_object(case.body.proposal), ProposalState)
    if state is None:
        case.refuse("E_UNKNOWN", f"proposal {proposal} does not exist")
    status = status_at(state, case.position.time_ms)
    if status != "OPEN":
        case.refuse("E_QUORUM", f"proposal {proposal} is {status}, want OPEN")
    if state.content != _content(case, case.record.kind, case.record.body):
        case.refuse("E_QUORUM", f"proposal {proposal} is of another record than this one")
    keys = (case.view.get(key_object(key), KeyState) for key in state.approvals)
    count = sum(key is not None and key.status == "ACTIVE" for key in keys)
    want = len(governors(case)) // 2 + 1
    if count < want:
        case.refuse("E_QUORUM", f"proposal {proposal} has {count} approvals, want {want}")


def enact(case: Case[Any, Any]) -> None:
    """Close the proposal that the record was allowed by."""
    name = proposal_object(case.body.proposal)
    state = case.view.get(name, ProposalState)
    assert state is not None, "the record was held to it"
    case.touch(name, structs.replace(state, status="ENACTED", enacted_ms=case.position.time_ms))


def propose(case: Case[GovernancePropose, None]) -> ProposalState:
    body = case.body
    content = _content(case, body.kind, body.body)
    return ProposalState(*NEW, body.kind, content, body.lapses_ms, (case.record.key,), 0)


def report(case: Case[GovernanceReport, None]) -> ProposalState:
    """Whoever reports need not be of governance, so nobody has approved it yet."""
    body = case.body
    suspension = records.encode(MemberSuspend(body.proposal, body.member))
    content = _content(case, MemberSuspend.KIND, suspension)
    return ProposalState(*NEW, MemberSuspend.KIND, content, body.lapses_ms, (), 0)


def approve(case: Case[GovernanceApprove, ProposalState]) -> ProposalState:
    """What the member approved with an earlier key gives way, so that each has one approval."""
    others = (
        key
        for key in case.state.approvals
        if (state := case.view.get(key_object(key), KeyState)) and state.member != case.member
    )
    return structs.replace(case.state, approvals=(*others, case.record.key))


FAMILY = Family(
    name="proposal",
    state_type=ProposalState,
    name_of=name_of,
    status_at=status_at,
    status_code="E_QUORUM",
    rows=(
        Row(
            GovernancePropose.KIND,
            (),
            SignedBy.GOVERNANCE,
            "OPEN",
            ("proposal_is_sound", "lapse_is_ahead"),
        ),
        Row(
            GovernanceReport.KIND,
            (),
            SignedBy.MEMBER,
            "OPEN",
            ("evidence_convicts", "lapse_is_ahead"),
        ),
        Row(
            GovernanceApprove.KIND,
            ("OPEN",),
            SignedBy.GOVERNANCE,
            "OPEN",
            ("approval_is_first",),
        ),
    ),
    checks=check_names((proposal_is_sound, lapse_is_ahead, evidence_convicts, approval_is_first)),
    effects={
        GovernancePropose.KIND: propose,
        GovernanceReport.KIND: report,
        GovernanceApprove.KIND: approve,
    },
)
