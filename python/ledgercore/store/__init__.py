"""Keep a ledger's blocks, tiles, index and state."""

from ledgercore.store.contract import BUNDLE_RECORDS, Store, StoredBlock, StoredBundle
from ledgercore.store.sqlite import SqliteStore

__all__ = ["BUNDLE_RECORDS", "SqliteStore", "Store", "StoredBlock", "StoredBundle"]
