"""Record a decision with what it rests on; explain it, contest it, review it.

The decision's id is the id of its record. The explanation stays with the consumer, which hands it
to the subject; who reviewed, and on what grounds it was contested, stays behind commitments.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from ledgercore.records.base import Bytes32, RecordBody, Text

__all__ = [
    "DecisionContest",
    "DecisionExplain",
    "DecisionOutcome",
    "DecisionRecord",
    "DecisionReview",
]

DecisionOutcome = Literal["approved", "declined", "referred"]


class DecisionRecord(RecordBody, frozen=True):
    """By the consumer; the commitment, where there is one, is to the amount that was decided on."""

    KIND: ClassVar[str] = "decision.record"

    inputs: Annotated[tuple[Bytes32, ...], Meta(min_length=1)]
    outcome: DecisionOutcome
    model_hash: Bytes32
    reasons: tuple[Text, ...]
    explanation_commitment: Bytes32
    amount_commitment: Bytes32 | None


class DecisionExplain(RecordBody, frozen=True):
    """By the consumer: the explanation that the decision commits to was handed to the subject."""

    KIND: ClassVar[str] = "decision.explain"

    decision: Bytes32


class DecisionContest(RecordBody, frozen=True):
    """By the key of a consent that the decision rests on: a person is to look at it."""

    KIND: ClassVar[str] = "decision.contest"

    decision: Bytes32
    grounds_commitment: Bytes32


class DecisionReview(RecordBody, frozen=True):
    """By the consumer: a person has looked at it, and upheld or changed the outcome.

    ``contest`` is the id of the ``decision.contest`` that it answers.
    """

    KIND: ClassVar[str] = "decision.review"

    decision: Bytes32
    contest: Bytes32
    result: Literal["upheld", "changed"]
    outcome: DecisionOutcome
    reviewer_commitment: Bytes32
    explanation_commitment: Bytes32
