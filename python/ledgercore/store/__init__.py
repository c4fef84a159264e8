"""Keep a ledger's blocks, tiles, indexes and states."""

from ledgercore.store.address import KEYWORDS, SERVERS, Address, parse_address, shown
from ledgercore.store.choice import (
    check_there,
    create_on_server,
    files_beside,
    is_there,
    open_store,
)
from ledgercore.store.contract import (
    BUNDLE_RECORDS,
    Store,
    StoredBlock,
    StoredBundle,
    StoredState,
    StoredTouch,
)
from ledgercore.store.sqlite import SqliteStore
from ledgercore.store.witnessed import WitnessStore

__all__ = [
    "BUNDLE_RECORDS",
    "KEYWORDS",
    "SERVERS",
    "Address",
    "SqliteStore",
    "Store",
    "StoredBlock",
    "StoredBundle",
    "StoredState",
    "StoredTouch",
    "WitnessStore",
    "check_there",
    "create_on_server",
    "files_beside",
    "is_there",
    "open_store",
    "parse_address",
    "shown",
]
