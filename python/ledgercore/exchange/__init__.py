"""What each party of an exchange runs: provider, consumer, subject, supervisor.

Parties talk to each other in messages and to the ledger in records. The payload goes from provider
to consumer directly; the ledger sees hashes, salted roots and states.
"""

from ledgercore.exchange.consumer import Consumer
from ledgercore.exchange.pack import Claim, build_pack, verify_pack
from ledgercore.exchange.provider import Provider
from ledgercore.exchange.subject import Subject
from ledgercore.exchange.supervisor import Supervisor, Totals

__all__ = [
    "Claim",
    "Consumer",
    "Provider",
    "Subject",
    "Supervisor",
    "Totals",
    "build_pack",
    "verify_pack",
]
