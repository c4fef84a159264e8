"""Set up a network from its genesis, and hold every record to its signer's chain.

Genesis is record 0 and is applied once; kind ``data`` is for any member and moves no object.
"""

from __future__ import annotations

from ledgercore._core import VerifiedRecord, hash_domain
from ledgercore.records import DATA, Genesis, Member
from ledgercore.rules.codes import ADMIT, CURRENT_KEY, KEEP_WITHIN, OWN_KEY, REINSTATE, refuse
from ledgercore.rules.sound import key_fault
from ledgercore.rules.state import (
    EMPTY_HISTORY,
    GOVERNANCE,
    GOVERNANCE_ROLE,
    NETWORK,
    GovernanceState,
    KeyState,
    MemberState,
    NetworkState,
    SignerState,
    key_object,
    member_object,
)
from ledgercore.rules.table import Row, SignedBy, extend_history
from ledgercore.rules.view import View

__all__ = [
    "FIRST_POSITION",
    "OPERATOR",
    "ROWS",
    "apply_genesis",
    "check_member",
    "check_role",
    "follow_signer",
]

OPERATOR = "operator"
"""The member id of an operator whose key is no listed member's."""

FIRST_POSITION = (0, bytes(32))
"""Sequence and previous id of a key's first record."""

ROWS = (
    Row(Genesis.KIND, (), SignedBy.OPERATOR, "ACTIVE"),
    Row(DATA, (), SignedBy.MEMBER, ""),
)


def follow_signer(view: View, record: VerifiedRecord) -> tuple[bytes, SignerState]:
    """The signer's object and its next state, if the record follows the signer's last one."""
    name = b"signer/" + record.key
    signer = view.get(name, SignerState)
    sequence, previous = (signer.sequence, signer.previous) if signer else FIRST_POSITION
    record_id = record.id
    if record.sequence != sequence:
        if record_id == previous:
            refuse("E_REPLAY", f"record is its signer's last, sequence {sequence - 1}", record_id)
        refuse("E_SEQUENCE", f"sequence is {record.sequence}, want {sequence}", record_id)
    if record.previous != previous:
        got, want = record.previous.hex()[:16], previous.hex()[:16]
        refuse("E_SEQUENCE", f"previous is {got}, want {want}", record_id)
    return name, SignerState(sequence + 1, record_id)


def check_member(view: View, record: VerifiedRecord) -> str:
    """The id of the member whose key signed, if the key may sign now."""
    return check_key(view, record.key, record.id)


def check_key(view: View, key: bytes, record: bytes = b"") -> str:
    """The id of the member that a key speaks for, if it may now; ``record`` is what it signed."""
    state = view.get(key_object(key), KeyState)
    if state is None or not state.member:
        refuse("E_MEMBER", f"key {key.hex()[:16]} is not a member's", record, ADMIT)
    if state.status in ("ROTATED", "COMPROMISED"):
        message = f"key {key.hex()[:16]} of {state.member} is {state.status}, want ACTIVE"
        refuse("E_KEY", message, record, CURRENT_KEY)
    if state.status != "ACTIVE":
        message = f"member {state.member} is {state.status}, want ACTIVE"
        # One that has retired may only be admitted anew.
        remedy = REINSTATE if state.status == "SUSPENDED" else ADMIT
        refuse("E_MEMBER", message, record, remedy)
    return state.member


def check_role(view: View, record: VerifiedRecord, *roles: str) -> str:
    """The id of the member whose key signed, if it has one of the roles."""
    member = check_member(view, record)
    state = view.get(member_object(member), MemberState)
    assert state is not None, "a member's key has a member"
    if not set(roles).intersection(state.roles):
        want = " or ".join(roles)
        refuse("E_ROLE", f"member {member} has roles {list(state.roles)}, want {want}", record.id)
    return member


def apply_genesis(view: View, record: VerifiedRecord, body: Genesis) -> None:
    """Write the network, its members and their keys."""
    network = hash_domain(record.suite, "network", record.body)[:16]
    if record.network != network:
        got, want = record.network.hex(), network.hex()
        refuse("E_NET", f"network is {got}, want {want}, the hash of the genesis", record.id)
    if record.suite != body.suite:
        refuse("E_NET", f"suite is {record.suite}, want {body.suite} as in the genesis", record.id)
    if record.key != body.operator_key:
        refuse("E_ROLE", "signer is not the operator that the genesis names", record.id)
    if body.quorum > len(body.witnesses):
        message = f"quorum is {body.quorum}, want at most {len(body.witnesses)} witnesses"
        refuse("E_LIMIT", message, record.id, KEEP_WITHIN)
    names = [witness.name for witness in body.witnesses]
    if len(set(names)) < len(names):
        refuse("E_EXISTS", "a witness's name is listed twice", record.id)
    view.put(NETWORK, NetworkState(network, body.suite, body.origin, body.operator_key, record.id))
    for member in body.members:
        _put_member(view, record, member)
    governors = sorted(m.member for m in body.members if GOVERNANCE_ROLE in m.roles)
    if governors:
        history = extend_history(record.suite, EMPTY_HISTORY, record.id)
        view.touch(GOVERNANCE, GovernanceState("ACTIVE", 1, history, tuple(governors)), 0)
    if view.get(key_object(body.operator_key), KeyState) is None:
        _put_member(
            view, record, Member(OPERATOR, body.origin, (OPERATOR,), body.operator_key, b"")
        )


def _put_member(view: View, record: VerifiedRecord, member: Member) -> None:
    if view.get(member_object(member.member), MemberState) is not None:
        refuse("E_EXISTS", f"member {member.member} is listed twice", record.id)
    if view.get(key_object(member.signing_key), KeyState) is not None:
        refuse("E_EXISTS", f"signing key of {member.member} is listed twice", record.id)
    if fault := key_fault(member.signing_key):
        refuse("E_KEY", f"key of {member.member}: {fault}", record.id, OWN_KEY)
    state = MemberState(
        status="ACTIVE",
        count=1,
        history=extend_history(record.suite, EMPTY_HISTORY, record.id),
        name=member.name,
        roles=member.roles,
        signing_key=member.signing_key,
        sealing_key=member.sealing_key,
        rotations=0,
    )
    view.touch(member_object(member.member), state, 0)
    view.put(key_object(member.signing_key), KeyState(member.member, b""))
