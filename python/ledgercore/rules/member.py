"""Hold members and their signing keys to their transitions.

A key's own state says whether it may sign now, so that a record is judged by one lookup where it is
ordered: what it signed before stays as it was. A ROTATED or COMPROMISED key signs nothing more, nor
does that of a SUSPENDED or RETIRED member. Nothing can be dated back: each change counts from its
own record on.
"""

from __future__ import annotations

from typing import Any

from msgspec import structs

from ledgercore._core import VerifiedRecord, verify_signature
from ledgercore.errors import InvalidSignature
from ledgercore.records import (
    KeyCompromise,
    KeyReplace,
    KeyRotate,
    MemberAdmit,
    MemberReinstate,
    MemberRetire,
    MemberSuspend,
    key_message,
)
from ledgercore.rules.codes import KEY_MESSAGE, OPERATORS_KEY, OWN_KEY, REPLACE
from ledgercore.rules.proposal import enact, governors, proposal_is_carried
from ledgercore.rules.sound import key_fault
from ledgercore.rules.state import (
    GOVERNANCE,
    GOVERNANCE_ROLE,
    NETWORK,
    NEW,
    GovernanceState,
    KeyState,
    MemberState,
    NetworkState,
    SignerState,
    key_object,
    member_object,
    signer_object,
)
from ledgercore.rules.table import Case, Family, Row, SignedBy, check_names, stored_status

__all__ = ["FAMILY", "GENESIS_ROLES", "ROTATION_LIMIT"]

GENESIS_ROLES = ("operator", "competent-authority")
"""Roles that only the genesis gives."""

ROTATION_LIMIT = 128
"""How often a member rotates its key itself: all of its keys are in each pack that it signed in."""

NewKey = MemberAdmit | KeyRotate | KeyReplace
Quorum = MemberAdmit | MemberSuspend | MemberReinstate | MemberRetire | KeyReplace
MemberBody = Quorum | KeyRotate | KeyCompromise
Departure = MemberSuspend | MemberRetire | KeyCompromise


def name_of(record: VerifiedRecord, body: MemberBody) -> bytes:
    return member_object(body.member)


def roles_are_not_of_genesis(case: Case[MemberAdmit, None]) -> None:
    """no role is operator or competent-authority, which only the genesis gives, else E_ROLE"""
    for role in case.body.roles:
        if role in GENESIS_ROLES:
            case.refuse("E_ROLE", f"role {role} is given by the genesis alone")


def key_is_fresh(case: Case[NewKey, Any]) -> None:
    """no member has or had the new signing key, nor has it signed for a consent that was asked for
    under it, else E_EXISTS"""
    key = case.body.signing_key
    state = case.view.get(key_object(key), KeyState)
    # Whoever reads a key in a proposal may ask for consent under it; only its owner signs by it.
    if state and (state.member or case.view.get(signer_object(key), SignerState)):
        case.refuse("E_EXISTS", f"signing key {key.hex()[:16]} is taken")


def key_proves_itself(case: Case[NewKey, Any]) -> None:
    """the new key is a point for which not everybody can sign, and it signed the network, itself
    and the member, else E_KEY"""
    key, member = case.body.signing_key, case.body.member
    if fault := key_fault(key):
        case.refuse("E_KEY", f"key of {member}: {fault}", OWN_KEY)
    try:
        verify_signature(key, key_message(case.record.network, key, member), case.body.key_proof)
    except InvalidSignature:
        case.refuse("E_KEY", f"proof is not by the new key of {member}", KEY_MESSAGE)


def rotations_are_left(case: Case[KeyRotate, MemberState]) -> None:
    """the member has rotated its key fewer than 128 times since governance gave it one, else
    E_LIMIT"""
    rotations = case.state.rotations
    if rotations >= ROTATION_LIMIT:
        message = f"{case.body.member} has rotated its key {rotations} times since governance gave"
        case.refuse("E_LIMIT", f"{message} it one, want {ROTATION_LIMIT} at most", REPLACE)


def key_is_not_operators(case: Case[MemberBody, MemberState]) -> None:
    """the member's key is not the operator's, which trust anchors name, else E_KEY"""
    network = case.view.get(NETWORK, NetworkState)
    assert network is not None, "records are held to a network"
    if case.state.signing_key == network.operator_key:
        case.refuse(
            "E_KEY", "key is the operator's, and every trust anchor names it", OPERATORS_KEY
        )


def governance_remains(case: Case[Departure, MemberState]) -> None:
    """another member of governance is ACTIVE, else E_QUORUM"""
    if governors(case) == (case.body.member,):
        case.refuse(
            "E_QUORUM",
            f"{case.body.member} is the last member of governance: "
            "admit another first, or give it a new key by key.replace",
        )


def _mark_key(case: Case[Any, Any], key: bytes, status: str) -> None:
    case.view.put(key_object(key), KeyState(case.body.member, b"", status))


def _mark_current_key(case: Case[Any, MemberState], status: str) -> str:
    """Change what the member's key may do, and say it; a COMPROMISED one is so for good."""
    state = case.view.get(key_object(case.state.signing_key), KeyState)
    assert state is not None, "a member has a key"
    if state.status == "COMPROMISED":
        return state.status
    _mark_key(case, case.state.signing_key, status)
    return status


def _set_governor(case: Case[Any, Any], roles: tuple[str, ...], active: bool) -> None:
    if GOVERNANCE_ROLE in roles:
        others = [member for member in governors(case) if member != case.body.member]
        members = sorted([*others, case.body.member] if active else others)
        state = case.view.get(GOVERNANCE, GovernanceState)
        assert state is not None, "governance is of the genesis, or nobody has the role"
        case.touch(GOVERNANCE, structs.replace(state, members=tuple(members)))


def admit(case: Case[MemberAdmit, None]) -> MemberState:
    body = case.body
    enact(case)
    _mark_key(case, body.signing_key, "ACTIVE")
    _set_governor(case, body.roles, active=True)
    return MemberState(*NEW, body.name, body.roles, body.signing_key, body.sealing_key, 0)


def suspend(case: Case[MemberSuspend, MemberState]) -> MemberState:
    enact(case)
    _mark_current_key(case, "SUSPENDED")
    _set_governor(case, case.state.roles, active=False)
    return case.state


def reinstate(case: Case[MemberReinstate, MemberState]) -> MemberState:
    enact(case)
    status = _mark_current_key(case, "ACTIVE")
    _set_governor(case, case.state.roles, active=status == "ACTIVE")
    return case.state


def retire(case: Case[MemberRetire, MemberState]) -> MemberState:
    enact(case)
    _mark_current_key(case, "RETIRED")
    _set_governor(case, case.state.roles, active=False)
    return case.state


def _take_key(case: Case[Any, MemberState], old: str) -> MemberState:
    body = case.body
    _mark_current_key(case, old)
    _mark_key(case, body.signing_key, "ACTIVE")
    return structs.replace(case.state, signing_key=body.signing_key, sealing_key=body.sealing_key)


def rotate(case: Case[KeyRotate, MemberState]) -> MemberState:
    return structs.replace(_take_key(case, "ROTATED"), rotations=case.state.rotations + 1)


def compromise(case: Case[KeyCompromise, MemberState]) -> MemberState:
    """Others may approve with the key: the member is of governance again with a new one."""
    _mark_current_key(case, "COMPROMISED")
    _set_governor(case, case.state.roles, active=False)
    return case.state


def replace(case: Case[KeyReplace, MemberState]) -> MemberState:
    enact(case)
    _set_governor(case, case.state.roles, active=True)
    return structs.replace(_take_key(case, "COMPROMISED"), rotations=0)


_NEW_KEY = ("key_is_fresh", "key_proves_itself")

FAMILY = Family(
    name="member",
    state_type=MemberState,
    name_of=name_of,
    status_at=stored_status,
    status_code="E_MEMBER_STATE",
    rows=(
        Row(
            MemberAdmit.KIND,
            (),
            SignedBy.GOVERNANCE,
            "ACTIVE",
            ("proposal_is_carried", "roles_are_not_of_genesis", *_NEW_KEY),
        ),
        Row(
            MemberSuspend.KIND,
            ("ACTIVE",),
            SignedBy.GOVERNANCE,
            "SUSPENDED",
            ("proposal_is_carried", "governance_remains"),
        ),
        Row(
            MemberReinstate.KIND,
            ("SUSPENDED",),
            SignedBy.GOVERNANCE,
            "ACTIVE",
            ("proposal_is_carried",),
        ),
        Row(
            MemberRetire.KIND,
            ("ACTIVE", "SUSPENDED"),
            SignedBy.GOVERNANCE,
            "RETIRED",
            ("proposal_is_carried", "governance_remains"),
        ),
        Row(
            KeyRotate.KIND,
            ("ACTIVE",),
            SignedBy.OWNER,
            "ACTIVE",
            ("key_is_not_operators", "rotations_are_left", *_NEW_KEY),
        ),
        Row(
            KeyCompromise.KIND,
            ("ACTIVE",),
            SignedBy.OWNER,
            "ACTIVE",
            ("key_is_not_operators", "governance_remains"),
        ),
        Row(
            KeyReplace.KIND,
            ("ACTIVE",),
            SignedBy.GOVERNANCE,
            "ACTIVE",
            ("proposal_is_carried", "key_is_not_operators", *_NEW_KEY),
        ),
    ),
    checks=check_names(
        (
            proposal_is_carried,
            roles_are_not_of_genesis,
            key_is_fresh,
            key_proves_itself,
            key_is_not_operators,
            rotations_are_left,
            governance_remains,
        )
    ),
    effects={
        MemberAdmit.KIND: admit,
        MemberSuspend.KIND: suspend,
        MemberReinstate.KIND: reinstate,
        MemberRetire.KIND: retire,
        KeyRotate.KIND: rotate,
        KeyCompromise.KIND: compromise,
        KeyReplace.KIND: replace,
    },
)
