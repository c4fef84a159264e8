"""Decide which records a ledger accepts, and what they change.

Rules are pure: a view of the state, a verified record and its position go in; changed states or a
refusal with a code come out. The transition tables are data, one a family, and the specification
prints them.
"""

from __future__ import annotations

from ledgercore.rules.agreement import status_at as agreement_status_at
from ledgercore.rules.audit import disclosure_is_due
from ledgercore.rules.audit import status_at as audit_status_at
from ledgercore.rules.authorisation import status_at as authorisation_status_at
from ledgercore.rules.codes import CODES, Code
from ledgercore.rules.consent import status_at as consent_status_at
from ledgercore.rules.decision import status_at as decision_status_at
from ledgercore.rules.engine import FAMILIES, WINDOW_TOLERANCE_MS, apply, apply_plain, next_position
from ledgercore.rules.exchange import status_at as exchange_status_at
from ledgercore.rules.governance import check_key
from ledgercore.rules.schema import schema_hash
from ledgercore.rules.state import (
    AMOUNTS,
    EMPTY_HISTORY,
    GOVERNANCE,
    NETWORK,
    Admission,
    AgreementState,
    AmountsState,
    AuditKeyState,
    AuditState,
    AuthorisationState,
    BookState,
    BusinessState,
    ConsentState,
    DecisionState,
    DisputeState,
    ExchangeState,
    GovernanceState,
    KeyState,
    MemberState,
    NetworkState,
    ProductState,
    ProposalState,
    RenewalState,
    SchemaState,
    SignerState,
    State,
    agreement_object,
    audit_key_object,
    audit_object,
    authorisation_object,
    book_object,
    check_has_history,
    consent_object,
    decision_object,
    dispute_object,
    exchange_object,
    key_object,
    member_object,
    product_object,
    proposal_object,
    renewal_object,
    schema_object,
    signer_object,
    state_type,
)
from ledgercore.rules.table import Position, extend_history
from ledgercore.rules.view import Touch, View, decode_object, decode_state, encode_state

__all__ = [
    "AMOUNTS",
    "CODES",
    "EMPTY_HISTORY",
    "FAMILIES",
    "GOVERNANCE",
    "NETWORK",
    "WINDOW_TOLERANCE_MS",
    "Admission",
    "AgreementState",
    "AmountsState",
    "AuditKeyState",
    "AuditState",
    "AuthorisationState",
    "BookState",
    "BusinessState",
    "Code",
    "ConsentState",
    "DecisionState",
    "DisputeState",
    "ExchangeState",
    "GovernanceState",
    "KeyState",
    "MemberState",
    "NetworkState",
    "Position",
    "ProductState",
    "ProposalState",
    "RenewalState",
    "SchemaState",
    "SignerState",
    "State",
    "Touch",
    "View",
    "agreement_object",
    "agreement_status_at",
    "apply",
    "apply_plain",
    "audit_key_object",
    "audit_object",
    "audit_status_at",
    "authorisation_object",
    "authorisation_status_at",
    "book_object",
    "check_has_history",
    "check_key",
    "consent_object",
    "consent_status_at",
    "decision_object",
    "decision_status_at",
    "decode_object",
    "decode_state",
    "disclosure_is_due",
    "dispute_object",
    "encode_state",
    "exchange_object",
    "exchange_status_at",
    "extend_history",
    "key_object",
    "member_object",
    "next_position",
    "product_object",
    "proposal_object",
    "renewal_object",
    "schema_hash",
    "schema_object",
    "signer_object",
    "state_type",
]
