"""Keep a ledger's blocks, tiles, indexes and states."""

from ledgercore.store.contract import (
    BUNDLE_RECORDS,
    Store,
    StoredBlock,
    StoredBundle,
    StoredState,
    StoredTouch,
)
from ledgercore.store.sqlite import SqliteStore

__all__ = [
    "BUNDLE_RECORDS",
    "SqliteStore",
    "Store",
    "StoredBlock",
    "StoredBundle",
    "StoredState",
    "StoredTouch",
]
