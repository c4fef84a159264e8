"""Define what the state map holds: one class an object, and the objects' names.

States are canonical arrays like record bodies, and only rules write them. A withdrawn product's
state begins ``9b a9 57 49 54 48 44 52 41 57 4e 02 c4 20``: eleven fields, status, count, history.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta, Struct

from ledgercore.errors import MalformedError
from ledgercore.records.base import LIMIT_ITEMS, Bytes16, Bytes32, Identifier, Text

__all__ = [
    "AMOUNTS",
    "EMPTY_HISTORY",
    "GOVERNANCE",
    "GOVERNANCE_ROLE",
    "NETWORK",
    "NEW",
    "PROCESSOR_ROLE",
    "ROLES",
    "Admission",
    "AgreementState",
    "AmountsState",
    "AuditKeyState",
    "AuditState",
    "AuthorisationState",
    "BookState",
    "BusinessState",
    "ConsentState",
    "Contest",
    "DecisionState",
    "DisputeState",
    "ExchangeState",
    "GovernanceState",
    "KeyState",
    "MemberState",
    "NetworkState",
    "ProductState",
    "ProposalState",
    "RenewalState",
    "SchemaState",
    "SignerState",
    "State",
    "TrailState",
    "agreement_object",
    "audit_key_object",
    "audit_object",
    "authorisation_object",
    "book_object",
    "check_has_history",
    "consent_object",
    "decision_object",
    "dispute_object",
    "exchange_object",
    "format_object",
    "key_object",
    "member_object",
    "parse_object",
    "product_object",
    "proposal_object",
    "renewal_object",
    "schema_object",
    "signer_object",
    "state_type",
    "trail_object",
]

EMPTY_HISTORY = bytes(32)
"""The history of an object that no record has touched."""

NEW = ("", 0, EMPTY_HISTORY)
"""Status, count and history of an object that is being made."""

AMOUNTS = b"amounts"

NETWORK = b"network"

GOVERNANCE = b"governance"

GOVERNANCE_ROLE = "governance"
"""The role of the members whose quorum changes who the members are."""

PROCESSOR_ROLE = "processor"
"""The role of a member that acts for consumers, and for nobody on its own account."""

ROLES = (
    *("provider", "consumer", PROCESSOR_ROLE, "supervisor"),
    *(GOVERNANCE_ROLE, "competent-authority"),
)
"""What a rule may ask a member to be; a genesis keeps what it is given for ever."""


Number = Annotated[int, Meta(ge=0)]
"""A whole number below 2^64: a count, a time in milliseconds, or another that a record gave."""

_Items = Meta(max_length=LIMIT_ITEMS)
Names = Annotated[tuple[str, ...], _Items]
Hashes = Annotated[tuple[Bytes32, ...], _Items]
Counted = Annotated[tuple[tuple[str, Number], ...], _Items]
SchemaFields = Annotated[
    tuple[tuple[Identifier, Text, Annotated[int, Meta(ge=1, le=5)]], ...], _Items
]
"""A schema's fields: code, unit and level of each."""


class State(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The state of one object in the map."""


class BusinessState(State, frozen=True):
    """A state that counts its records.

    ``history`` is the running hash of the ids of all records that touched the object, so ``count``
    and one state proof show that a list of them is complete.
    """

    status: str
    count: Number
    history: Bytes32


class NetworkState(State, frozen=True):
    """What every record is held to; ``genesis`` is the id of record 0."""

    network: Bytes16
    suite: str
    origin: str
    operator_key: Bytes32
    genesis: Bytes32


class GovernanceState(BusinessState, frozen=True):
    """The members of governance who are ACTIVE, in the order of their ids.

    Its history is the genesis and every record that changed who they are.
    """

    members: tuple[str, ...]


class KeyState(State, frozen=True):
    """Whose a signing key is: a member's, or one consent's; the other is empty.

    ``status`` is ACTIVE where it may sign now; ROTATED, COMPROMISED, SUSPENDED or RETIRED else.
    """

    member: str
    consent: bytes
    status: str = "ACTIVE"

    def __post_init__(self) -> None:
        _check_empty_or_32("consent", self.consent)


class SignerState(State, frozen=True):
    """Where a key's chain of records goes on: its next sequence, and the id of its last record."""

    sequence: Number
    previous: Bytes32


class MemberState(BusinessState, frozen=True):
    """A member with its current keys; the operator alone may have an empty sealing key.

    ``rotations`` is how often it rotated its key since governance gave it one.
    """

    name: str
    roles: Names
    signing_key: Bytes32
    sealing_key: bytes
    rotations: Number

    def __post_init__(self) -> None:
        _check_empty_or_32("sealing_key", self.sealing_key)


class ProposalState(BusinessState, frozen=True):
    """What governance is to allow, as the hash of a kind and a body, and the keys that approved.

    ``enacted_ms`` is the block's time of the record that it allowed, and 0 until then.
    """

    kind: str
    content: Bytes32
    lapses_ms: Number
    approvals: tuple[Bytes32, ...]
    enacted_ms: Number


class AuthorisationState(BusinessState, frozen=True):
    """Who may issue a token-like schema, under what, and the uses taken; ``basis`` is the newest.

    ``uses`` are the exchanges that were admitted under it, and the decisions whose amounts it let
    move.
    """

    authority: str
    member: str
    infrastructure: str
    jurisdiction: str
    basis: str
    max_uses: Number
    uses: Number
    expires_ms: Number


class SchemaState(BusinessState, frozen=True):
    """One version of a schema; a field is its code, unit and level, ``hash`` is of its body.

    ``token_rule`` is the rule by which it is token-like, or empty.
    """

    provider: str
    title: str
    fields: SchemaFields
    hash: Bytes32
    token_rule: str


class ProductState(BusinessState, frozen=True):
    """What a product offers, and who provides it; its fields are as its schema has them."""

    provider: str
    title: str
    version: str
    schema: str
    schema_version: Number
    fields: SchemaFields
    purposes: Names
    needs_agreement: bool = False


class AgreementState(BusinessState, frozen=True):
    """What a consumer and a provider negotiate or have agreed on.

    ``ended_by`` and ``code`` say who terminated, suspended or retired it and why; else empty.
    ``finalized_ms`` is the block's time at which it came into force, and 0 until then.
    ``suspensions`` has each party that suspended it, in the order of their first, and how often.
    """

    consumer: str
    provider: str
    product: str
    purposes: Names
    contract_commitment: Bytes32
    expires_ms: Number
    ended_by: str
    code: str
    finalized_ms: Number
    suspensions: Counted


class ConsentState(BusinessState, frozen=True):
    """One consent: its parties, its bounds, the uses taken so far, who may act, its agreement.

    ``revoked_by`` are those who revoked it, in order: the subject, by its key, is empty.
    """

    consumer: str
    provider: str
    product: str
    purpose: str
    terms_root: Bytes32
    consent_key: Bytes32
    expires_ms: Number
    lapses_ms: Number
    max_uses: Number
    uses: Number
    processors: Names
    agreement: Bytes32 | None
    revoked_by: Names


class TrailState(State, frozen=True):
    """How many records of a consent's trail each side has taken; all supervisors are one side.

    ``processors`` is how many of the consumer's its processors took.
    """

    subject: Number
    consumer: Number
    processors: Number
    provider: Number
    supervisor: Number


class Admission(State, frozen=True):
    """The consent as it stood before the admit, which use the admit took, and what was sealed."""

    consent_status: str
    consent_count: Number
    terms_root: Bytes32
    use_number: Number
    height: Number
    index: Number
    time_ms: Number
    ciphertext_hash: Bytes32
    disclosure_root: Bytes32
    size_bucket_bytes: Number
    deadline_ms: Number
    audit_copy: Bytes32 | None


class ExchangeState(BusinessState, frozen=True):
    """One exchange; ``admission`` is None until it is admitted, ``code`` says why it was not.

    ``processor`` is who acts for the consumer in it, or empty where that acts itself. ``forgotten``
    is True once the provider has promised that it keeps nothing of what it sealed or corrected,
    and ``corrected_since`` where it corrected something after its last such promise; ``correction``
    is the commitment to the newest correction of what was delivered.
    """

    consent: Bytes32
    consumer: str
    provider: str
    processor: str
    request_commitment: Bytes32
    delivery_key: Bytes32
    lapses_ms: Number
    code: str
    forgotten: bool
    corrected_since: bool
    correction: Bytes32 | None
    admission: Admission | None


class DisputeState(BusinessState, frozen=True):
    """The disputes of one exchange, one after the other: grounds and ruling are the newest one's.

    ``complainants`` are the parties that opened them, in order; the subject, by its key, is empty.
    ``evidence`` has each party that brought any in the newest one, in the order of their first, and
    how many pieces.
    """

    complainants: Names
    grounds: str
    ruling: str
    evidence: Counted


class AuditKeyState(BusinessState, frozen=True):
    """A shared key: how many open together, each holder's member and public share, and who of them
    has accepted it."""

    supervisor: str
    threshold: Number
    holders: Annotated[tuple[tuple[str, Bytes32], ...], _Items]
    accepted: Names


class AuditState(BusinessState, frozen=True):
    """An order to open content, who signed to open it and when, and whether it is disclosed."""

    supervisor: str
    audit_key: Bytes32
    basis: str
    scope_commitment: Bytes32
    expires_ms: Number
    embargo_until_ms: Number
    threshold: Number
    openers: Counted
    disclosed: bool


class BookState(BusinessState, frozen=True):
    """A consumer's decisions that commit to an amount, and the sum of their commitments."""

    sum: Bytes32


class AmountsState(State, frozen=True):
    """The running sum of all commitments in all books, after each of the newest ones."""

    sums: Hashes


class RenewalState(BusinessState, frozen=True):
    """A former ledger as a member anchored it: its records, and their root under this suite."""

    member: str
    former_network: Bytes16
    former_suite: str
    former_size: Number
    root: Bytes32


class Contest(State, frozen=True):
    """The word of a consent's subject against a decision, and until when it is to be answered.

    ``record`` is the id of the record that says it, which the review that answers it names.
    ``review`` is the result of the review that answered it, ``upheld`` or ``changed``, and empty
    until then.
    """

    record: Bytes32
    consent: Bytes32
    review_until_ms: Number
    review: str


class DecisionState(BusinessState, frozen=True):
    """One decision, the exchanges that it rests on, and who contested it, in their order.

    It may be contested before ``contest_until_ms``; outcome and explanation are the newest.
    """

    consumer: str
    inputs: Hashes
    outcome: str
    model_hash: Bytes32
    explanation_commitment: Bytes32
    contest_until_ms: Number
    contests: Annotated[tuple[Contest, ...], _Items]


def member_object(member: str) -> bytes:
    return b"member/" + member.encode()


def proposal_object(proposal: bytes) -> bytes:
    return b"proposal/" + proposal


def key_object(key: bytes) -> bytes:
    return b"key/" + key


def signer_object(key: bytes) -> bytes:
    return b"signer/" + key


def authorisation_object(schema_hash: bytes) -> bytes:
    return b"authorisation/" + schema_hash


def schema_object(schema: str, version: int) -> bytes:
    return b"schema/%s/%d" % (schema.encode(), version)


def product_object(product: str) -> bytes:
    return b"product/" + product.encode()


def agreement_object(agreement: bytes) -> bytes:
    return b"agreement/" + agreement


def consent_object(consent: bytes) -> bytes:
    return b"consent/" + consent


def trail_object(consent: bytes) -> bytes:
    return b"trail/" + consent


def exchange_object(exchange: bytes) -> bytes:
    return b"exchange/" + exchange


def dispute_object(exchange: bytes) -> bytes:
    return b"dispute/" + exchange


def audit_key_object(audit_key: bytes) -> bytes:
    return b"audit-key/" + audit_key


def audit_object(audit: bytes) -> bytes:
    return b"audit/" + audit


def book_object(member: str) -> bytes:
    return b"book/" + member.encode()


def renewal_object(renewal: bytes) -> bytes:
    return b"renewal/" + renewal


def decision_object(decision: bytes) -> bytes:
    return b"decision/" + decision


_STATE_TYPES: dict[bytes, type[State]] = {
    b"network": NetworkState,
    b"governance": GovernanceState,
    b"member": MemberState,
    b"key": KeyState,
    b"signer": SignerState,
    b"authorisation": AuthorisationState,
    b"schema": SchemaState,
    b"product": ProductState,
    b"agreement": AgreementState,
    b"consent": ConsentState,
    b"trail": TrailState,
    b"exchange": ExchangeState,
    b"dispute": DisputeState,
    b"decision": DecisionState,
    b"book": BookState,
    b"amounts": AmountsState,
    b"audit-key": AuditKeyState,
    b"audit": AuditState,
    b"renewal": RenewalState,
    b"proposal": ProposalState,
}
_NAMED = (b"member", b"schema", b"product", b"book")
"""Families whose objects have names; the others' ids are 32 bytes, but for what there is one of."""
_ONE = (NETWORK, GOVERNANCE, AMOUNTS)
_ID = re.compile("[0-9a-fA-F]{64}")


def state_type(name: bytes) -> type[State]:
    """The type that every state of an object has; raise MalformedError for what can have none."""
    family, slash, rest = name.partition(b"/")
    if family not in _STATE_TYPES or (slash == b"") != (family in _ONE):
        raise MalformedError(
            f"object {format_object(name)} is of no family that has states, want one of "
            f"{_listed(_STATE_TYPES)}; all but {_listed(_ONE)} with a slash and an id or a name"
        )
    if slash and family not in _NAMED and len(rest) != 32:
        raise MalformedError(
            f"object {format_object(name)} has an id of {len(rest)} bytes, want 32"
        )
    return _STATE_TYPES[family]


def check_has_history(name: bytes) -> None:
    """Raise MalformedError unless the object is of a family whose states count records."""
    if not issubclass(state_type(name), BusinessState):
        counted = [each for each, kind in _STATE_TYPES.items() if issubclass(kind, BusinessState)]
        raise MalformedError(
            f"object {format_object(name)} has no history, want one of {_listed(counted)}"
        )


def parse_object(text: str) -> bytes:
    """An object's name from its text, ``consent/`` and 64 digits or ``member/bank-a``.

    Raises MalformedError for what can have no state.
    """
    family, slash, rest = text.partition("/")
    if not text:
        raise MalformedError("object's name is empty, want one such as member/bank-a")
    name = text.encode()
    if slash and _has_id(family.encode()):
        if not _ID.fullmatch(rest):
            raise MalformedError(
                f"object id is {rest!r}, want 64 hexadecimal digits after {family}/"
            )
        name = family.encode() + b"/" + bytes.fromhex(rest)
    state_type(name)
    return name


def format_object(name: bytes) -> str:
    """An object's name as the text that ``parse_object`` takes."""
    family, slash, rest = name.partition(b"/")
    if slash and _has_id(family):
        return f"{family.decode()}/{rest.hex()}"
    return name.decode(errors="backslashreplace")


def _check_empty_or_32(name: str, value: bytes) -> None:
    if len(value) not in (0, 32):
        raise ValueError(f"{name} has {len(value)} bytes, want 32 or none")


def _has_id(family: bytes) -> bool:
    return family in _STATE_TYPES and family not in _NAMED and family not in _ONE


def _listed(families: Iterable[bytes]) -> str:
    return ", ".join(family.decode() for family in families)
