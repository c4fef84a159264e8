"""Publish and withdraw a data product: which fields of a schema it gives, and for which purposes.

The product is named, described and versioned on the ledger; its data never is.
"""

from __future__ import annotations

from typing import ClassVar

from ledgercore.records.base import Identifier, RecordBody, Text
from ledgercore.records.schema import SchemaVersion

__all__ = ["ProductPublish", "ProductWithdraw"]


class ProductPublish(RecordBody, frozen=True):
    """By a provider. A new version is a new product; units and levels are the schema's.

    Where it needs an agreement, every consent names one that is in force.
    """

    KIND: ClassVar[str] = "product.publish"

    product: Identifier
    title: Text
    version: Text
    schema: Identifier
    schema_version: SchemaVersion
    codes: tuple[Identifier, ...]
    purposes: tuple[Identifier, ...]
    needs_agreement: bool = False


class ProductWithdraw(RecordBody, frozen=True):
    """By the product's provider. Consents that were given before live on."""

    KIND: ClassVar[str] = "product.withdraw"

    product: Identifier
