"""Publish and withdraw a data product: which fields it can give, and for which purposes.

The product is named, described and versioned on the ledger; its data never is.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta

from ledgercore.records.base import Identifier, Part, RecordBody, Text

__all__ = ["Field", "ProductPublish", "ProductWithdraw"]


class Field(Part, frozen=True):
    """One field: its code, its unit, and its sensitivity from 1 (public) to 5 (highest)."""

    code: Identifier
    unit: Text
    level: Annotated[int, Meta(ge=1, le=5)]


class ProductPublish(RecordBody, frozen=True):
    """By a provider. A new version is a new product."""

    KIND: ClassVar[str] = "product.publish"

    product: Identifier
    title: Text
    version: Text
    fields: tuple[Field, ...]
    purposes: tuple[Identifier, ...]


class ProductWithdraw(RecordBody, frozen=True):
    """By the product's provider. Consents that were given before live on."""

    KIND: ClassVar[str] = "product.withdraw"

    product: Identifier
