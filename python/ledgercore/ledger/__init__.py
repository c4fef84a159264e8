"""The ledger: append, read, prove, audit, copy."""

from ledgercore.ledger.audit import Report
from ledgercore.ledger.ledger import Ledger
from ledgercore.ledger.receipts import Receipts
from ledgercore.ledger.recovery import Unpublished
from ledgercore.ledger.replica import Replica

__all__ = ["Ledger", "Receipts", "Replica", "Report", "Unpublished"]
