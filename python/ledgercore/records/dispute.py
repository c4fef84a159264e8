"""Dispute an exchange: open, bring evidence, rule.

There is one dispute of an exchange, named like it. What is said in it stays with the parties and
the supervisor; the ledger holds commitments.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from ledgercore.records.base import Bytes32, Code, RecordBody

__all__ = ["DisputeEvidence", "DisputeOpen", "DisputeRule"]


class DisputeOpen(RecordBody, frozen=True):
    """By the provider, the consumer or the consent's own key: the exchange is contested."""

    KIND: ClassVar[str] = "dispute.open"

    exchange: Bytes32
    grounds: Code
    statement_commitment: Bytes32


class DisputeEvidence(RecordBody, frozen=True):
    """By a party of the exchange: something is shown to the supervisor."""

    KIND: ClassVar[str] = "dispute.evidence"

    exchange: Bytes32
    evidence_commitment: Bytes32


class DisputeRule(RecordBody, frozen=True):
    """By a supervisor: the complaint is upheld or dismissed."""

    KIND: ClassVar[str] = "dispute.rule"

    exchange: Bytes32
    ruling: Literal["upheld", "dismissed"]
    reasons_commitment: Bytes32
