"""Have the bank and the tax authority agree once, before any enterprise is asked for anything."""

from __future__ import annotations

from ledgercore.demo.desks import BANK, Answer, Bank, Tax
from ledgercore.errors import UnavailableError
from ledgercore.profiles import Mapping

__all__ = ["ASKED", "OFFERED", "negotiate"]

ASKED = "The bank asks for the product to assess loans, and keeps what it gets for ten years."
OFFERED = "The bank uses the product to assess loans only, and erases what it gets when it may."


def negotiate(bank: Bank, tax: Tax, mapping: Mapping, expires_ms: int) -> bytes:
    """The id of an agreement that is in force: asked for, offered otherwise, and accepted."""
    product, purposes = mapping.offer.product, (mapping.offer.purpose,)
    asked, answer = bank.ask_agreement(product, purposes, ASKED, expires_ms)
    _check(answer)
    agreement = asked.agreement
    offered, answer = tax.offer_agreement(BANK, product, purposes, OFFERED, expires_ms, agreement)
    _check(answer)
    _check(bank.accept_agreement(offered))
    _check(tax.agree(offered))
    _check(bank.verify_agreement(agreement))
    _check(tax.finalize_agreement(agreement))
    return agreement


def _check(answer: Answer) -> None:
    if isinstance(answer, str):
        raise UnavailableError(f"agreement was refused: {answer}")
