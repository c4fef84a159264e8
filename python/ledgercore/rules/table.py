"""Say what a transition is, so that each family's table is data.

A row reads: a record of this kind, on an object in one of these states, signed by this party and
passing these checks, takes the object to that state. The engine runs the rows, and
``rules.document`` prints them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, NamedTuple, NoReturn, TypeVar

from msgspec import Struct, structs

from ledgercore._core import VerifiedRecord, hash_domain
from ledgercore.records import RecordBody
from ledgercore.rules.codes import refuse
from ledgercore.rules.state import BusinessState, ConsentState
from ledgercore.rules.view import View

__all__ = [
    "SAME",
    "UNMADE",
    "Case",
    "Family",
    "Position",
    "Row",
    "SignedBy",
    "check_names",
    "extend_history",
    "no_consents",
    "stored_status",
]

BodyT = TypeVar("BodyT", bound=RecordBody)
StateT = TypeVar("StateT", bound=BusinessState | None)


class Position(Struct, frozen=True):
    """Where a record is ordered: its block's height, its index, and its block's time."""

    height: int
    index: int
    time_ms: int


class SignedBy(StrEnum):
    """Who may sign. A state names its parties in fields that are called like these.

    A party is the provider, the consumer or the key of a consent that the object rests on; an
    owner is the member that the body names, and a recipient the consumer or the processor that
    acts for it. Either is one of the members that the state names as provider and consumer.
    """

    OPERATOR = "operator"
    MEMBER = "member"
    PROVIDER = "provider"
    CONSUMER = "consumer"
    RECIPIENT = "recipient"
    CONSENT_KEY = "consent_key"
    PARTY = "party"
    SUPERVISOR = "supervisor"
    GOVERNANCE = "governance"
    COMPETENT_AUTHORITY = "competent-authority"
    OWNER = "owner"
    EITHER = "provider or consumer"


SAME = ""
"""The end of a row that leaves its object in the state that it found."""


UNMADE = ""
"""Among the beginnings of a row: the record may also make the object."""


class Row(NamedTuple):
    """One transition. ``begin`` is empty where the record makes the object, and only then.

    ``end`` is ``SAME`` where its status stays what it was.
    """

    kind: str
    begin: tuple[str, ...]
    signer: SignedBy
    end: str
    checks: tuple[str, ...] = ()


@dataclass(slots=True, frozen=True)
class Case(Generic[BodyT, StateT]):
    """One record before the rules: its body, its object's state, and the member who signed.

    ``member`` is empty where a consent key signed; ``view`` is dropped if any check refuses.
    """

    view: View
    record: VerifiedRecord
    position: Position
    body: BodyT
    state: StateT
    member: str

    def refuse(self, code: str, message: str, remedy: str = "") -> NoReturn:
        refuse(code, message, self.record.id, remedy)

    def touch(self, name: bytes, state: BusinessState) -> None:
        """Put the state of an object, with this record added to its history."""
        history = extend_history(self.record.suite, state.history, self.record.id)
        touched = structs.replace(state, count=state.count + 1, history=history)
        self.view.touch(name, touched, self.position.index)


Check = Callable[[Case[Any, Any]], None]
Effect = Callable[[Case[Any, Any]], BusinessState]
Consents = Callable[[View, Any, Any], tuple[ConsentState, ...]]


def no_consents(view: View, body: RecordBody, state: BusinessState | None) -> tuple[()]:
    """Of objects that no consent's key and no party of a consent may move."""
    return ()


@dataclass(slots=True, frozen=True)
class Family:
    """The kinds of record that move one kind of object.

    ``name_of`` finds the object that a record moves. ``status_at`` is its status at a block's time,
    which may be computed. An effect returns the next state; the engine sets its status and history.
    ``consents`` finds those that the object rests on, by the body and the object's state.
    ``status_remedies`` are those of its code that help where the object is in a status.
    """

    name: str
    state_type: type[BusinessState]
    name_of: Callable[[VerifiedRecord, Any], bytes]
    status_at: Callable[[Any, int], str]
    status_code: str
    rows: tuple[Row, ...]
    checks: dict[str, Check]
    effects: dict[str, Effect]
    consents: Consents = no_consents
    status_remedies: Mapping[str, str] = field(default_factory=dict)


def check_names(checks: Iterable[Check]) -> dict[str, Check]:
    """Checks by the names that rows call them."""
    return {check.__name__: check for check in checks}


def stored_status(state: BusinessState, time_ms: int) -> str:
    """The status of an object on which time has no effect."""
    return state.status


def extend_history(suite: str, history: bytes, record_id: bytes) -> bytes:
    """The running hash of an object's records, with one more record."""
    return hash_domain(suite, "history", history + record_id)
