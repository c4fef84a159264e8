"""Order an opening of content, open with a share of the audit key, disclose it, report on it.

What is opened is in no record: an order commits to its scope, and who holds a share signs before it
acts. The scope is disclosed when the embargo is over, into the trail of those whom it concerns.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta

from ledgercore.records.base import Bytes32, Count, Identifier, Part, RecordBody, TimeMs

__all__ = [
    "AuditAccept",
    "AuditDisclose",
    "AuditKey",
    "AuditOpen",
    "AuditOrder",
    "AuditReport",
    "ShareHolder",
]


class ShareHolder(Part, frozen=True):
    """A member with the public half of its share."""

    member: Identifier
    share_key: Bytes32


class AuditKey(RecordBody, frozen=True):
    """By a supervisor: a key that nobody has, and of which ``threshold`` holders open together."""

    KIND: ClassVar[str] = "audit.key"

    audit_key: Bytes32
    threshold: Count
    holders: tuple[ShareHolder, ...]


class AuditAccept(RecordBody, frozen=True):
    """By a holder: it took part in making this very key, and has the share that is named for it."""

    KIND: ClassVar[str] = "audit.accept"

    audit_key: Bytes32


class AuditOrder(RecordBody, frozen=True):
    """By a supervisor, on a legal basis. The scope is hidden until the embargo is over."""

    KIND: ClassVar[str] = "audit.order"

    audit_key: Bytes32
    basis: Identifier
    scope_commitment: Bytes32
    expires_ms: TimeMs
    embargo_until_ms: TimeMs


class AuditOpen(RecordBody, frozen=True):
    """By a holder of a share, before it gives its part of anything."""

    KIND: ClassVar[str] = "audit.open"

    audit: Bytes32


class AuditDisclose(RecordBody, frozen=True):
    """By the supervisor, or by any holder once the embargo is over: which exchanges were opened."""

    KIND: ClassVar[str] = "audit.disclose"

    audit: Bytes32
    scope: Annotated[tuple[Bytes32, ...], Meta(min_length=1)]
    salt: Bytes32


class AuditReport(RecordBody, frozen=True):
    """By a supervisor: the audit is closed; what was found stays off the ledger."""

    KIND: ClassVar[str] = "audit.report"

    audit: Bytes32
    report_commitment: Bytes32
