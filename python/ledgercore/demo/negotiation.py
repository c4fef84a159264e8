"""Have the bank and the tax authority agree once, before any enterprise is asked for anything."""

from __future__ import annotations

from ledgercore.demo.parties import BANK, TAX, Parties
from ledgercore.errors import RefusedError
from ledgercore.exchange.submission import Draft
from ledgercore.profiles import Mapping

__all__ = ["negotiate"]

ASKED = "The bank asks for the product to assess loans, and keeps what it gets for ten years."
OFFERED = "The bank uses the product to assess loans only, and erases what it gets when it may."


def negotiate(parties: Parties, mapping: Mapping, expires_ms: int) -> bytes:
    """The id of an agreement that is in force: asked for, offered otherwise, and accepted."""
    bank, authority = parties.consumer.agreements, parties.provider.agreements
    product, purposes = mapping.offer.product, (mapping.offer.purpose,)
    asked = bank.draw_up(BANK, product, purposes, ASKED, expires_ms)
    agreement = asked.agreement
    _order(parties, BANK, bank.request(asked))
    offered = authority.draw_up(BANK, product, purposes, OFFERED, expires_ms, agreement)
    _order(parties, TAX, authority.offer(offered))
    _order(parties, BANK, bank.accept(offered))
    _order(parties, TAX, authority.agree(offered))
    _order(parties, BANK, bank.verify(agreement))
    _order(parties, TAX, authority.finalize(agreement))
    return agreement


def _order(parties: Parties, party: str, draft: Draft) -> None:
    (outcome,) = parties.submit(party, [draft])
    if isinstance(outcome, RefusedError):
        raise outcome
