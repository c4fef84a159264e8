"""Bound what may be said under one consent, so that its packs and histories can be verified.

The trail of a consent is every record that touches it, and every decision on its exchanges with
what becomes of that. Each side has a part of its own, so that none can use up another's. Processors
take from the part of the consumer, which answers for them, and leave it some. Whoever begins
something takes room for the record and for all that may answer or end it, so that an answer, an
erasure or a revocation is never refused for want of room.

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
from ledgercore.rules.codes import ANOTHER_CONSENT, CONSUMER_RECEIVES, PROVIDER_REVOKES
from ledgercore.rules.state import ConsentState, TrailState, consent_object, trail_object
from ledgercore.rules.table import Case

__all__ = ["FOLLOWING", "TRAIL_LIMITS", "check_room", "take_room"]

TRAIL_LIMITS = TrailState(
    subject=1024, consumer=5120, processors=3072, provider=1024, supervisor=256
)
"""How many records of a consent's trail each side may take; the processors' are the consumer's."""

_COUNTED_BYTES = 1024

FOLLOWING: dict[str, int] = {
    ConsentNarrow.KIND: 0,
    ConsentStay.KIND: 1,  # its lift
    ExchangeIntent.KIND: 6,  # admit, release, acknowledge, restrict, erase, forget
    ExchangeUse.KIND: 0,
    ExchangeRestrict.KIND: 0,
    ExchangeCorrect.KIND: 0,
    DisputeOpen.KIND: 4,  # its ruling, the proof of its state, a piece of each other party
    DisputeEvidence.KIND: 0,
    DecisionRecord.KIND: 2,  # its explanation, and the proof of its state
}
"""The kinds that take room, and how many records more than themselves at most follow from each.

What is corrected after the provider forgot takes one more, with which it forgets that as well.
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
"""Whose part a kind takes from; of the others it is that of whoever signs."""

_REMEDIES: dict[str, str] = {"processors": CONSUMER_RECEIVES, "supervisor": PROVIDER_REVOKES}
"""What helps who has no room, where it is not another consent."""


def check_room(case: Case[Any, Any], consent: bytes, consents: int = 0) -> None:
    """Refuse a record for which its side has no room left in the trail of the consent.

    ``consents`` is how many a decision rests on.
    """
    cost = _cost(case, consents)
    for side in _sides(case, consent) if cost else ():
        taken, limit = getattr(_trail(case, consent), side), getattr(TRAIL_LIMITS, side)
        if taken + cost > limit:
            message = f"records of the consent's trail taken by {side} are {taken}"
            want = f"{case.record.kind} takes {cost}, want {limit} at most"
            remedy = _REMEDIES.get(side, ANOTHER_CONSENT)
            case.refuse("E_LIMIT", f"{message}, and {want}", remedy)


def take_room(case: Case[Any, Any], consent: bytes, consents: int = 0) -> None:
    """Take the room that ``check_room`` found."""
    if cost := _cost(case, consents):
        trail = _trail(case, consent)
        taken = {side: getattr(trail, side) + cost for side in _sides(case, consent)}
        case.view.put(trail_object(consent), structs.replace(trail, **taken))


def _trail(case: Case[Any, Any], consent: bytes) -> TrailState:
    trail = case.view.get(trail_object(consent), TrailState)
    return trail or TrailState(subject=0, consumer=0, processors=0, provider=0, supervisor=0)


def _cost(case: Case[Any, Any], consents: int) -> int:
    kind = case.record.kind
    if kind not in FOLLOWING or _has_room(case):
        return 0
    begun = -(-len(case.record.encode()) // _COUNTED_BYTES)
    return begun + FOLLOWING[kind] + _is_forgotten_again(case) + 2 * consents


def _is_forgotten_again(case: Case[Any, Any]) -> bool:
    """Whether a promise to forget follows that no other record took room for."""
    if case.record.kind != ExchangeCorrect.KIND:
        return False
    return bool(case.state.forgotten and not case.state.corrected_since)


def _has_room(case: Case[Any, Any]) -> bool:
    """Whether what a record answers took the room for it.

    An intent does for its first restriction, which a law may ask for, and who opens a dispute for
    the first piece of each other party, which would else have no word in it.
    """
    if case.record.kind == ExchangeRestrict.KIND:
        return bool(case.state.status != "RESTRICTED")
    if case.record.kind != DisputeEvidence.KIND:
        return False
    brought = {party for party, _ in case.state.evidence}
    return case.member not in (case.state.complainants[-1], *brought)


def _sides(case: Case[Any, Any], consent: bytes) -> tuple[str, ...]:
    """Whose parts a record takes from."""
    state = case.view.get(consent_object(consent), ConsentState)
    assert state is not None, "the rules found the consent"
    side = _SIDES.get(case.record.kind)
    if side is None:
        side = {"": "subject", state.consumer: "consumer"}.get(case.member, "provider")
    if case.record.kind == ExchangeIntent.KIND and case.member != state.consumer:
        return side, "processors"
    return (side,)
