"""What each party of an exchange runs: provider, consumer, its processor, subject, supervisor.

Parties talk to each other in messages and to the ledger in records. The payload goes from provider
to consumer directly; the ledger sees hashes, salted roots and states.

Names are resolved when they are first used, so that verifying a pack loads no ledger and no vault.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ledgercore.exchange.authority import Authority
    from ledgercore.exchange.catalogue import Offer, find_products
    from ledgercore.exchange.consumer import Consumer
    from ledgercore.exchange.pack import Claim, build_pack, verify_pack
    from ledgercore.exchange.processor import Processor
    from ledgercore.exchange.provider import Provider
    from ledgercore.exchange.subject import Subject
    from ledgercore.exchange.supervisor import Supervisor, Totals

__all__ = [
    "Authority",
    "Claim",
    "Consumer",
    "Offer",
    "Processor",
    "Provider",
    "Subject",
    "Supervisor",
    "Totals",
    "build_pack",
    "find_products",
    "verify_pack",
]

_HOMES = {
    "Authority": "authority",
    "Claim": "pack",
    "Consumer": "consumer",
    "Offer": "catalogue",
    "Processor": "processor",
    "Provider": "provider",
    "Subject": "subject",
    "Supervisor": "supervisor",
    "Totals": "supervisor",
    "build_pack": "pack",
    "find_products": "catalogue",
    "verify_pack": "pack",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ledgercore.exchange' has no attribute {name!r}")
    module = import_module(f"ledgercore.exchange.{_HOMES[name]}")
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
