"""The ledger: append, read, prove, audit."""

from ledgercore.ledger.audit import Report
from ledgercore.ledger.ledger import Ledger
from ledgercore.ledger.receipts import Receipts

__all__ = ["Ledger", "Receipts", "Report"]
