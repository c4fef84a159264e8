"""What each party of an exchange runs: provider, consumer, its processor, subject, supervisor.

Parties talk to each other in messages and to the ledger in records. The payload goes from provider
to consumer directly; the ledger sees hashes, salted roots and states. ``docs/exchange.md`` leads
through one exchange. What a party says is a draft: ``submit`` or ``submit_one`` orders it.

Names are resolved when they are first used, so that verifying a pack loads no ledger and no vault.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ledgercore.exchange.agreement import Contract
    from ledgercore.exchange.aio import Desk
    from ledgercore.exchange.authority import Authority
    from ledgercore.exchange.catalogue import Offer, find_products
    from ledgercore.exchange.consumer import Consumer
    from ledgercore.exchange.enrolment import make_member
    from ledgercore.exchange.holder import Holder
    from ledgercore.exchange.messages import (
        Correction,
        Delivery,
        Handover,
        Proposal,
        Release,
        Request,
        Terms,
        decode_message,
        encode_message,
    )
    from ledgercore.exchange.pack import Claim, build_pack, verify_pack
    from ledgercore.exchange.processor import Processor
    from ledgercore.exchange.provider import Provider
    from ledgercore.exchange.statement import read_statement, show_statement
    from ledgercore.exchange.subject import Subject
    from ledgercore.exchange.submission import (
        Accepted,
        Draft,
        Submitted,
        resume,
        sign,
        submit,
        submit_one,
    )
    from ledgercore.exchange.supervisor import Supervisor, Totals
    from ledgercore.exchange.totals import TotalsProof, TotalsReport, verify_totals_proof
    from ledgercore.records import Field, ProductPublish, SchemaRegister

_HOMES = {
    "Accepted": "exchange.submission",
    "Authority": "exchange.authority",
    "Claim": "exchange.pack",
    "Consumer": "exchange.consumer",
    "Contract": "exchange.agreement",
    "Correction": "exchange.messages",
    "Delivery": "exchange.messages",
    "Desk": "exchange.aio",
    "Draft": "exchange.submission",
    "Field": "records",
    "Handover": "exchange.messages",
    "Holder": "exchange.holder",
    "Offer": "exchange.catalogue",
    "Processor": "exchange.processor",
    "ProductPublish": "records",
    "Proposal": "exchange.messages",
    "Provider": "exchange.provider",
    "Release": "exchange.messages",
    "Request": "exchange.messages",
    "SchemaRegister": "records",
    "Subject": "exchange.subject",
    "Submitted": "exchange.submission",
    "Supervisor": "exchange.supervisor",
    "Terms": "exchange.messages",
    "Totals": "exchange.supervisor",
    "TotalsProof": "exchange.totals",
    "TotalsReport": "exchange.totals",
    "build_pack": "exchange.pack",
    "decode_message": "exchange.messages",
    "encode_message": "exchange.messages",
    "find_products": "exchange.catalogue",
    "make_member": "exchange.enrolment",
    "read_statement": "exchange.statement",
    "resume": "exchange.submission",
    "show_statement": "exchange.statement",
    "sign": "exchange.submission",
    "submit": "exchange.submission",
    "submit_one": "exchange.submission",
    "verify_pack": "exchange.pack",
    "verify_totals_proof": "exchange.totals",
}

__all__ = [
    "Accepted",
    "Authority",
    "Claim",
    "Consumer",
    "Contract",
    "Correction",
    "Delivery",
    "Desk",
    "Draft",
    "Field",
    "Handover",
    "Holder",
    "Offer",
    "Processor",
    "ProductPublish",
    "Proposal",
    "Provider",
    "Release",
    "Request",
    "SchemaRegister",
    "Subject",
    "Submitted",
    "Supervisor",
    "Terms",
    "Totals",
    "TotalsProof",
    "TotalsReport",
    "build_pack",
    "decode_message",
    "encode_message",
    "find_products",
    "make_member",
    "read_statement",
    "resume",
    "show_statement",
    "sign",
    "submit",
    "submit_one",
    "verify_pack",
    "verify_totals_proof",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ledgercore.exchange' has no attribute {name!r}")
    module = import_module(f"ledgercore.{_HOMES[name]}")
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
