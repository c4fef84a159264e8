"""Keep a ledger's blocks, tiles, index and state."""

from ledgercore.store.contract import Store, StoredBlock
from ledgercore.store.sqlite import SqliteStore

__all__ = ["SqliteStore", "Store", "StoredBlock"]
