"""Record a decision with the exchanges and the model that it rests on.

The decision's id is the id of its record. The explanation stays with the consumer.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from ledgercore.records.base import Bytes32, RecordBody, Text

__all__ = ["DecisionRecord"]


class DecisionRecord(RecordBody, frozen=True):
    """By the consumer."""

    KIND: ClassVar[str] = "decision.record"

    inputs: Annotated[tuple[Bytes32, ...], Meta(min_length=1)]
    outcome: Literal["approved", "declined", "referred"]
    model_hash: Bytes32
    reasons: tuple[Text, ...]
    explanation_commitment: Bytes32
