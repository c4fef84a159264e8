"""Bound what may be said under one consent, so that its packs and histories can be verified.

The trail of a consent is every record that touches it, and every decision on its exchanges with
what becomes of that. Each side has a part of its own, so that none can use up another's. Whoever
begins something takes room for the record and for all that may answer or end it, so that an
answer, an erasure or a revocation is never refused for want of room.

A record counts as one for each begun KiB of its encoding. What a supervisor discloses is not
bounded here: those whom it concerns are to learn of it.
"""

from __future__ import annotations

from typing import Any

from msgspec import structs

from ledgercore.records import (
    ConsentNarrow,
    ConsentStay,
    DecisionRecord,
    DisputeEvidence,
    DisputeOpen,
    ExchangeCorrect,
    ExchangeIntent,
    ExchangeRestrict,
    ExchangeUse,
)
from ledgercore.rules.codes import ANOTHER_CONSENT
from ledgercore.rules.state import ConsentState, TrailState, consent_object, trail_object
from ledgercore.rules.table import Case

__all__ = ["FOLLOWING", "TRAIL_LIMITS", "check_room", "take_room"]

TRAIL_LIMITS = TrailState(subject=1024, consumer=5120, provider=1024, supervisor=256)
"""How many records of a consent's trail each side may take."""

_COUNTED_BYTES = 1024

FOLLOWING: dict[str, int] = {
    ConsentNarrow.KIND: 0,
    ConsentStay.KIND: 1,  # its lift
    ExchangeIntent.KIND: 6,  # admit, release, acknowledge, restrict, erase, forget
    ExchangeUse.KIND: 0,
    ExchangeRestrict.KIND: 0,
    ExchangeCorrect.KIND: 0,
    DisputeOpen.KIND: 2,  # its ruling, and the proof of its state
    DisputeEvidence.KIND: 0,
    DecisionRecord.KIND: 2,  # its explanation, and the proof of its state
}
"""The kinds that take room, and how many records more than themselves at most follow from each.

A decision takes two more for each consent that it rests on: its contest and the review of it.
"""

_SIDES: dict[str, str] = {
    ConsentNarrow.KIND: "subject",
    ConsentStay.KIND: "supervisor",
    ExchangeIntent.KIND: "consumer",
    ExchangeUse.KIND: "consumer",
    ExchangeRestrict.KIND: "consumer",
    ExchangeCorrect.KIND: "provider",
    DecisionRecord.KIND: "consumer",
}
"""Whose part a kind takes from; of the others whoever signs is the provider, consumer or subject.

A processor takes from the part of the consumer, which answers for it.
"""


def check_room(case: Case[Any, Any], consent: bytes, consents: int = 0) -> None:
    """Refuse a record for which its side has no room left in the trail of the consent.

    ``consents`` is how many a decision rests on.
    """
    side, cost = _cost(case, consent, consents)
    taken, limit = getattr(_trail(case, consent), side), getattr(TRAIL_LIMITS, side)
    if cost and taken + cost > limit:
        message = f"{side} has taken {taken} records of the consent's trail and {case.record.kind} "
        case.refuse("E_LIMIT", f"{message}takes {cost}, want {limit} at most", ANOTHER_CONSENT)


def take_room(case: Case[Any, Any], consent: bytes, consents: int = 0) -> None:
    """Take the room that ``check_room`` found."""
    side, cost = _cost(case, consent, consents)
    if cost:
        trail = _trail(case, consent)
        taken = getattr(trail, side) + cost
        case.view.put(trail_object(consent), structs.replace(trail, **{side: taken}))


def _trail(case: Case[Any, Any], consent: bytes) -> TrailState:
    trail = case.view.get(trail_object(consent), TrailState)
    return trail or TrailState(subject=0, consumer=0, provider=0, supervisor=0)


def _cost(case: Case[Any, Any], consent: bytes, consents: int) -> tuple[str, int]:
    kind = case.record.kind
    if kind not in FOLLOWING or _is_in_intent(case):
        return "subject", 0
    begun = -(-len(case.record.encode()) // _COUNTED_BYTES)
    side = _SIDES.get(kind) or _side_of(case, consent)
    return side, begun + FOLLOWING[kind] + 2 * consents


def _is_in_intent(case: Case[Any, Any]) -> bool:
    """Whether the intent took the room: as for the first restriction, which a law may ask for."""
    return case.record.kind == ExchangeRestrict.KIND and case.state.status != "RESTRICTED"


def _side_of(case: Case[Any, Any], consent: bytes) -> str:
    if not case.member:
        return "subject"
    state = case.view.get(consent_object(consent), ConsentState)
    return "consumer" if state and case.member == state.consumer else "provider"
