"""Hold token-like schemas to authorisations that are in force, when they are registered and later.

A competent authority, which the genesis names, authorises one schema by its hash. What time and
uses make of it is computed, never stored: an authorisation is EXPIRED from ``expires_ms`` on, and
CONSUMED while all its uses are taken. From its revocation or its end on nothing new is accepted
under its schema: no product, no consent, no exchange, no use. What was accepted before stays, and
so do the ways out of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import structs

from ledgercore._core import VerifiedRecord
from ledgercore.records import AuthorisationGrant, AuthorisationRevoke
from ledgercore.rules.codes import NAME_A_TIME
from ledgercore.rules.lint import RULES, Finding
from ledgercore.rules.state import (
    NEW,
    AuthorisationState,
    MemberState,
    ProductState,
    SchemaState,
    authorisation_object,
    member_object,
    product_object,
    schema_object,
)
from ledgercore.rules.table import Case, Family, Row, SignedBy, check_names

__all__ = [
    "FAMILY",
    "IN_FORCE",
    "check_finding",
    "check_issue",
    "check_transfer",
    "check_use",
    "status_at",
    "take_transfer",
    "take_use",
]

IN_FORCE = ("GRANTED", "CONSUMED")
"""The states in which an authorisation allows what takes none of its uses."""

GrantCase = Case[AuthorisationGrant, None]


def status_at(state: AuthorisationState, time_ms: int) -> str:
    """The authorisation's status in a block of this time."""
    if state.status != "GRANTED":
        return state.status
    if time_ms >= state.expires_ms:
        return "EXPIRED"
    return "CONSUMED" if state.uses >= state.max_uses else "GRANTED"


def check_finding(case: Case[Any, Any], found: Finding, what: str, schema_hash: bytes) -> None:
    """Refuse what is found to be token-like, unless the signer is authorised to issue it."""
    _check_issue(case, _allowing(case, found, what, schema_hash), what, case.member)


def check_transfer(case: Case[Any, Any], found: Finding, product: str) -> None:
    """Refuse a row of amounts that only move, unless the issuer of their schema is authorised.

    It takes a use of the authorisation, which needs one that is left.
    """
    schema, what = _schema_of(case, product)
    state = _allowing(case, found, "decision", schema.hash)
    _check_state(case, state, what, IN_FORCE[:1])
    _check_issue(case, state, what, _product(case, product).provider)


def take_transfer(case: Case[Any, Any], products: Iterable[str]) -> None:
    """Take a use of each authorisation that a row of amounts was allowed by.

    A decision is one use of a schema, of however many products of it.
    """
    schemas = (_schema_of(case, product)[0] for product in products)
    for schema in {schema.hash: schema for schema in schemas}.values():
        _take(case, schema)


def check_issue(case: Case[Any, Any], schema: SchemaState, what: str) -> None:
    """Refuse an issue of a token-like schema that its authorisation does not allow the signer."""
    if schema.token_rule:
        _check_issue(case, _authorisation(case, schema), what, case.member)


def check_use(case: Case[Any, Any], product: str, *, takes: bool = False) -> None:
    """Refuse what is new under a product whose schema is token-like, and not authorised now.

    What takes a use of the authorisation needs one that is left.
    """
    schema, what = _schema_of(case, product)
    if schema.token_rule:
        _check_state(case, _authorisation(case, schema), what, IN_FORCE[:1] if takes else IN_FORCE)


def take_use(case: Case[Any, Any], product: str) -> None:
    """Take a use of the authorisation that a product's schema needs, if it needs one."""
    schema, _ = _schema_of(case, product)
    if schema.token_rule:
        _take(case, schema)


def _take(case: Case[Any, Any], schema: SchemaState) -> None:
    state = _authorisation(case, schema)
    case.touch(authorisation_object(schema.hash), structs.replace(state, uses=state.uses + 1))


def _allowing(
    case: Case[Any, Any], found: Finding, what: str, schema_hash: bytes
) -> AuthorisationState:
    """The authorisation of what is found, or the refusal of what none can allow or none does."""
    state = case.view.get(authorisation_object(schema_hash), AuthorisationState)
    if not RULES[found.rule].authorised or state is None:
        case.refuse(found.code, f"{what} is {found}")
    return state


def _product(case: Case[Any, Any], product: str) -> ProductState:
    offered = case.view.get(product_object(product), ProductState)
    assert offered is not None, "a consent has a product"
    return offered


def _schema_of(case: Case[Any, Any], product: str) -> tuple[SchemaState, str]:
    """The schema of a product, and what to call it."""
    offered = _product(case, product)
    name, version = offered.schema, offered.schema_version
    schema = case.view.get(schema_object(name, version), SchemaState)
    assert schema is not None, "a product has a schema"
    return schema, f"schema {name}/{version}"


def _authorisation(case: Case[Any, Any], schema: SchemaState) -> AuthorisationState:
    state = case.view.get(authorisation_object(schema.hash), AuthorisationState)
    assert state is not None, "what is token-like was held to an authorisation"
    return state


def _check_issue(case: Case[Any, Any], state: AuthorisationState, what: str, issuer: str) -> None:
    _check_state(case, state, what, IN_FORCE)
    if state.member != issuer:
        case.refuse("E_RECIPIENT", f"{what} may be issued by {state.member}, not by {issuer}")


def _check_state(
    case: Case[Any, Any], state: AuthorisationState, what: str, states: tuple[str, ...]
) -> None:
    status = status_at(state, case.position.time_ms)
    if status not in states:
        want = " or ".join(states)
        case.refuse("E_AUTHORISATION", f"authorisation of {what} is {status}, want {want}")


def name_of(record: VerifiedRecord, body: AuthorisationGrant | AuthorisationRevoke) -> bytes:
    return authorisation_object(body.schema_hash)


def issuer_is_member(case: GrantCase) -> None:
    """the member exists, else E_UNKNOWN"""
    if case.view.get(member_object(case.body.member), MemberState) is None:
        case.refuse("E_UNKNOWN", f"member {case.body.member} does not exist")


def uses_are_granted(case: GrantCase) -> None:
    """max_uses is at least 1, else E_USES"""
    if case.body.max_uses < 1:
        case.refuse("E_USES", f"max_uses is {case.body.max_uses}, want at least 1")


def end_is_ahead(case: GrantCase) -> None:
    """block time < expires_ms, else E_CLOCK"""
    now_ms, expires_ms = case.position.time_ms, case.body.expires_ms
    if expires_ms <= now_ms:
        case.refuse("E_CLOCK", f"expires_ms is {expires_ms}, want more than {now_ms}", NAME_A_TIME)


def grant(case: GrantCase) -> AuthorisationState:
    body = case.body
    return AuthorisationState(
        *NEW,
        authority=case.member,
        member=body.member,
        infrastructure=body.infrastructure,
        jurisdiction=body.jurisdiction,
        basis=body.basis,
        max_uses=body.max_uses,
        uses=0,
        expires_ms=body.expires_ms,
    )


def revoke(case: Case[AuthorisationRevoke, AuthorisationState]) -> AuthorisationState:
    return structs.replace(case.state, basis=case.body.basis)


FAMILY = Family(
    name="authorisation",
    state_type=AuthorisationState,
    name_of=name_of,
    status_at=status_at,
    status_code="E_AUTHORISATION",
    rows=(
        Row(
            AuthorisationGrant.KIND,
            (),
            SignedBy.COMPETENT_AUTHORITY,
            "GRANTED",
            ("issuer_is_member", "uses_are_granted", "end_is_ahead"),
        ),
        Row(AuthorisationRevoke.KIND, IN_FORCE, SignedBy.COMPETENT_AUTHORITY, "REVOKED"),
    ),
    checks=check_names((issuer_is_member, uses_are_granted, end_is_ahead)),
    effects={AuthorisationGrant.KIND: grant, AuthorisationRevoke.KIND: revoke},
)
