"""Check that a mapping offers what the demonstration can run, before anything is made.

``profiles`` reads a mapping's form; what is checked here would be refused by the records, or fail
halfway through the exchange.
"""

from __future__ import annotations

import re

import msgspec

from ledgercore.arguments import LIMIT_COUNT
from ledgercore.errors import MalformedError
from ledgercore.profiles import Mapping
from ledgercore.records.base import LIMIT_ITEMS, Identifier, Text

__all__ = ["check_offer"]

_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])", re.ASCII)


def check_offer(mapping: Mapping) -> None:
    """Raise ``MalformedError`` with the line that is wrong, and what it is for."""
    offer = mapping.offer
    _check_identifier("[offer] product", offer.product)
    _check_identifier("[offer] purpose", offer.purpose)
    _check_text("[offer] title", offer.title)
    _check_text("[offer] version", offer.version)
    for name, month in (("begin", offer.period_begin), ("end", offer.period_end)):
        if not _MONTH.fullmatch(month):
            raise MalformedError(
                f"mapping: [offer] period_{name} is {month!r}, want a month such as 2025-01"
            )
    if offer.period_end < offer.period_begin:
        raise MalformedError(
            f"mapping: [offer] period_end is {offer.period_end}, "
            f"want {offer.period_begin}, where the period begins, or later"
        )
    if len(mapping.field) > LIMIT_ITEMS:
        raise MalformedError(
            f"mapping: has {len(mapping.field)} fields, want {LIMIT_ITEMS} at most"
        )
    for column in mapping.field:
        _check_identifier("[[field]] code", column.code)
        _check_text(f"[[field]] {column.code}: unit", column.unit)
        if not 0 <= column.maximum <= LIMIT_COUNT:
            raise MalformedError(
                f"mapping: [[field]] {column.code}: maximum is {column.maximum}, "
                f"want 0 to {LIMIT_COUNT}"
            )
        if column.code == mapping.approval.field and not column.consented:
            raise MalformedError(
                f"mapping: [approval] field is {column.code}, which has consented = false: "
                "want a field that the decision may see"
            )
        if column.code == mapping.approval.field and column.type != "uint":
            raise MalformedError(
                f"mapping: [approval] field is {column.code}, of type {column.type}: want a uint"
            )


def _check_identifier(line: str, value: str) -> None:
    try:
        msgspec.convert(value, Identifier)
    except msgspec.ValidationError:
        raise MalformedError(
            f"mapping: {line} is {value!r}, want at most 64 of a-z, 0-9, dot, underscore and "
            "hyphen, such as credit.assess"
        ) from None


def _check_text(line: str, value: str) -> None:
    try:
        msgspec.convert(value, Text)
    except msgspec.ValidationError as error:
        raise MalformedError(f"mapping: {line} is too long: {error}") from None
    if not value or value != value.strip() or not value.isprintable():
        raise MalformedError(
            f"mapping: {line} is {value!r}, want printable text without blanks around it"
        )
