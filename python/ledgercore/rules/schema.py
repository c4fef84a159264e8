"""Hold schemas to their transitions, and those that describe tokens to an authorisation.

A version is registered once and never changed. Whoever registered the first version of a name
registers the later ones, each by the number that follows.
"""

from __future__ import annotations

from ledgercore import records
from ledgercore._core import VerifiedRecord, hash_domain
from ledgercore.records import SchemaRegister, SchemaRetire
from ledgercore.rules.authorisation import check_finding
from ledgercore.rules.lint import Finding, find_token
from ledgercore.rules.state import NEW, SchemaState, schema_object
from ledgercore.rules.table import Case, Family, Row, SignedBy, check_names, stored_status

__all__ = ["FAMILY", "schema_hash", "schema_texts"]

RegisterCase = Case[SchemaRegister, None]


def schema_hash(suite: str, body: SchemaRegister) -> bytes:
    """What an authorisation calls the schema: the hash of all that it says."""
    return hash_domain(suite, "commitment", records.encode(body))


def schema_texts(schema: str, title: str, fields: tuple[tuple[str, str, int], ...]) -> list[str]:
    """All words of a schema; a field is its code, unit and level."""
    return [schema, title, *(text for code, unit, _ in fields for text in (code, unit))]


def name_of(record: VerifiedRecord, body: SchemaRegister | SchemaRetire) -> bytes:
    return schema_object(body.schema, body.schema_version)


def _fields(body: SchemaRegister) -> tuple[tuple[str, str, int], ...]:
    return tuple((field.code, field.unit, field.level) for field in body.fields)


def _find_token(body: SchemaRegister) -> Finding | None:
    return find_token(schema_texts(body.schema, body.title, _fields(body)))


def version_is_next(case: RegisterCase) -> None:
    """schema_version is 1, or the one before exists (else E_UNKNOWN) and is the signer's, else
    E_RECIPIENT"""
    name, version = case.body.schema, case.body.schema_version
    if version == 1:
        return
    before = case.view.get(schema_object(name, version - 1), SchemaState)
    if before is None:
        case.refuse("E_UNKNOWN", f"schema {name} has no version {version - 1} yet")
    if before.provider != case.member:
        message = f"provider of schema {name} is {before.provider}, not {case.member}"
        case.refuse("E_RECIPIENT", message)


def codes_are_distinct(case: RegisterCase) -> None:
    """no code is listed twice, else E_CANON"""
    codes = [field.code for field in case.body.fields]
    if len(set(codes)) < len(codes):
        case.refuse("E_CANON", f"{len(codes)} fields have {len(set(codes))} codes")


def schema_is_not_token_like(case: RegisterCase) -> None:
    """the words describe no token by T1 to T4 or T6 (else E_TOKEN_LIKE), and none is reserved
    (T5, else E_RESERVED_WORD); or, but for T6, an authorisation of it is in force (else
    E_AUTHORISATION) and names the signer, else E_RECIPIENT"""
    body = case.body
    found = _find_token(body)
    if found:
        what = f"schema {body.schema}/{body.schema_version}"
        check_finding(case, found, what, schema_hash(case.record.suite, body))


def register(case: RegisterCase) -> SchemaState:
    body = case.body
    found = _find_token(body)
    return SchemaState(
        *NEW,
        provider=case.member,
        title=body.title,
        fields=_fields(body),
        hash=schema_hash(case.record.suite, body),
        token_rule=found.rule if found else "",
    )


def retire(case: Case[SchemaRetire, SchemaState]) -> SchemaState:
    return case.state


FAMILY = Family(
    name="schema",
    state_type=SchemaState,
    name_of=name_of,
    status_at=stored_status,
    status_code="E_SCHEMA",
    rows=(
        Row(
            SchemaRegister.KIND,
            (),
            SignedBy.PROVIDER,
            "REGISTERED",
            ("version_is_next", "codes_are_distinct", "schema_is_not_token_like"),
        ),
        Row(SchemaRetire.KIND, ("REGISTERED",), SignedBy.PROVIDER, "RETIRED"),
    ),
    checks=check_names((version_is_next, codes_are_distinct, schema_is_not_token_like)),
    effects={SchemaRegister.KIND: register, SchemaRetire.KIND: retire},
)
