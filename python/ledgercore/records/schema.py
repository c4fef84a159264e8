"""Register and retire schemas: which fields there are, in which unit, and how sensitive each is.

A schema is named and numbered: version 2 of ``tax.sme`` is another object than version 1, which
stays as it was. Its hash, over everything that it says, is what an authorisation names.
``SchemaRetire(schema="tax.sme", schema_version=1)`` is ``92 a7 74 61 78 2e 73 6d 65 01``.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta

from ledgercore.arguments import LIMIT_COUNT
from ledgercore.records.base import Identifier, Part, RecordBody, Text

__all__ = ["Field", "SchemaRegister", "SchemaRetire", "SchemaVersion"]

SchemaVersion = Annotated[int, Meta(ge=1, le=LIMIT_COUNT)]
"""Which version of a schema: the first one is 1."""


class Field(Part, frozen=True):
    """One field: its code, its unit, and its sensitivity from 1 (public) to 5 (highest)."""

    code: Identifier
    unit: Text
    level: Annotated[int, Meta(ge=1, le=5)]


class SchemaRegister(RecordBody, frozen=True):
    """By a provider; a later version by the provider of the one before."""

    KIND: ClassVar[str] = "schema.register"

    schema: Identifier
    schema_version: SchemaVersion
    title: Text
    fields: tuple[Field, ...]


class SchemaRetire(RecordBody, frozen=True):
    """By the schema's provider: no product is published on this version any more."""

    KIND: ClassVar[str] = "schema.retire"

    schema: Identifier
    schema_version: SchemaVersion
