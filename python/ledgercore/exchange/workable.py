"""Refuse terms under which nothing could ever be done, before anyone signs for them.

The ledger sees no more of the terms than their root, purpose, end and number of uses, so its rules
cannot see that a consent asks for a field that the product does not have, or for a period that
ends before it begins. What the rules do see is refused here with their codes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from ledgercore.arguments import check_parts
from ledgercore.exchange.messages import Terms
from ledgercore.exchange.reading import read_state
from ledgercore.rules import (
    AgreementState,
    ConsentState,
    ProductState,
    agreement_object,
    consent_object,
    product_object,
    refuse,
)
from ledgercore.rules.codes import NAME_A_TIME

if TYPE_CHECKING:
    from ledgercore.ledger import Ledger

__all__ = ["check_agreed", "check_asked", "check_corrected", "check_offered", "check_workable"]

_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])", re.ASCII)

_SAID = {
    "subject": "whose data it is",
    "onward": "to whom it may be passed on, or none",
}


def check_workable(terms: Terms) -> None:
    """Raise ``RefusedError`` where the terms by themselves leave nothing to be done.

    ``TypeError`` where one of them has a wrong type, such as text for a list of fields.
    """
    check_parts(terms)
    check_asked(terms.fields)
    for name, said in (("subject", terms.subject), ("onward", terms.onward)):
        if not said:
            refuse("E_SCOPE", f"{name} is empty, want {_SAID[name]}")
    for name, month in (("begin", terms.period_begin), ("end", terms.period_end)):
        if not _MONTH.fullmatch(month):
            refuse("E_SCOPE", f"period_{name} is {month!r}, want a month such as 2025-01")
    if terms.period_begin > terms.period_end:
        refuse(
            "E_SCOPE", f"period is {terms.period_begin} to {terms.period_end}, want its begin first"
        )
    if terms.max_uses < 1:
        refuse("E_USES", f"max_uses is {terms.max_uses}, want at least 1")
    if terms.retain_until_ms < terms.expires_ms:
        want = f"at least expires_ms, which is {terms.expires_ms}"
        refuse(
            "E_CLOCK",
            f"retain_until_ms is {terms.retain_until_ms}, want {want}",
            remedy=NAME_A_TIME,
        )


def check_asked(fields: Sequence[str]) -> None:
    """Raise ``RefusedError`` unless there are fields, each named once."""
    if not fields:
        refuse("E_SCOPE", "fields are none, want at least one")
    if len(set(fields)) < len(fields):
        twice = sorted(field for field, count in Counter(fields).items() if count > 1)
        refuse("E_CANON", f"fields {twice} are named more than once")


def check_offered(ledger: Ledger, terms: Terms) -> None:
    """Hold terms to the product on the ledger and to its time, or raise ``RefusedError``."""
    offer = read_state(ledger, product_object(terms.product), ProductState)
    if terms.provider != offer.provider:
        refuse("E_RECIPIENT", f"provider is {terms.provider}, want {offer.provider} of the product")
    offered = [code for code, _, _ in offer.fields]
    unknown = [field for field in terms.fields if field not in offered]
    if unknown:
        refuse("E_SCOPE", f"fields {unknown} are not in product {terms.product}, want {offered}")
    if terms.purpose not in offer.purposes:
        want = list(offer.purposes)
        refuse("E_PURPOSE", f"purpose is {terms.purpose}, want one of {want}")
    now_ms = ledger.now_ms
    if terms.expires_ms <= now_ms:
        refuse(
            "E_CLOCK",
            f"expires_ms is {terms.expires_ms}, want more than {now_ms}",
            remedy=NAME_A_TIME,
        )


def check_agreed(ledger: Ledger, terms: Terms, agreement: bytes) -> None:
    """Raise ``RefusedError`` for terms that outlast the agreement which they are under."""
    end_ms = read_state(ledger, agreement_object(agreement), AgreementState).expires_ms
    if terms.expires_ms > end_ms:
        refuse(
            "E_CLOCK",
            f"expires_ms is {terms.expires_ms}, want at most {end_ms} as agreed",
            remedy=NAME_A_TIME,
        )


def check_corrected(
    ledger: Ledger, consent: bytes, product: str, fields: Sequence[str], covered: Collection[str]
) -> None:
    """Raise ``RefusedError`` unless a correction names fields of the product of the consent.

    Nor is it of more than was covered: what could not be delivered is not delivered by it.
    """
    delivered = read_state(ledger, consent_object(consent), ConsentState).product
    if product != delivered:
        refuse("E_PRODUCT", f"product is {product}, want {delivered}, which was delivered from")
    check_asked(fields)
    offered = [
        code for code, _, _ in read_state(ledger, product_object(product), ProductState).fields
    ]
    unknown = [field for field in fields if field not in offered]
    if unknown:
        refuse("E_SCOPE", f"fields {unknown} are not in product {product}, want {offered}")
    beyond = [field for field in fields if field not in covered]
    if beyond:
        refuse("E_SCOPE", f"fields {beyond} were not delivered, want some of {list(covered)}")
