"""Authorise one token-like schema, and take that back.

A competent authority names the schema by its hash, before it is registered, and the one member that
may issue it. ``AuthorisationRevoke(schema_hash=b"h" * 32, basis="order-7")`` is
``92 c4 20 68 .. 68 a7 6f 72 64 65 72 2d 37``.
"""

from __future__ import annotations

from typing import ClassVar

from ledgercore.records.base import Bytes32, Count, Identifier, RecordBody, Text, TimeMs

__all__ = ["AuthorisationGrant", "AuthorisationRevoke"]


class AuthorisationGrant(RecordBody, frozen=True):
    """By a competent authority: who may issue what, where, how often, and until when.

    ``infrastructure`` names the financial infrastructure that the law asks for; ``max_uses`` is how
    many exchanges may be admitted under it, and decisions recorded whose amounts move.
    """

    KIND: ClassVar[str] = "authorisation.grant"

    schema_hash: Bytes32
    member: Identifier
    infrastructure: Text
    jurisdiction: Identifier
    basis: Identifier
    max_uses: Count
    expires_ms: TimeMs


class AuthorisationRevoke(RecordBody, frozen=True):
    """By a competent authority: nothing new is accepted under the schema; what stands stays."""

    KIND: ClassVar[str] = "authorisation.revoke"

    schema_hash: Bytes32
    basis: Identifier
