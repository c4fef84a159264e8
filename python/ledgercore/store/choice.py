"""Open the store that an address names; the server's driver is loaded only where one is named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ledgercore.disk import check_one_name, exists, make_directory
from ledgercore.errors import CorruptError, StoreError, UnavailableError
from ledgercore.store.address import Address
from ledgercore.store.contract import Store
from ledgercore.store.sqlite import SqliteStore
from ledgercore.store.sqlite_tables import is_database

if TYPE_CHECKING:
    from ledgercore.store.postgres import PostgresStore

__all__ = ["check_there", "create_on_server", "files_beside", "is_there", "open_store"]


def files_beside(address: Address) -> Path:
    """What the small files beside a ledger are named for, in a directory that is there."""
    files = address.beside()
    if address.server:
        make_directory(files.parent)
    return files


def check_there(address: Address) -> None:
    """Refuse a file that is none of SQLite's, before anything is made beside it.

    What a server has shows when it is asked.
    """
    if address.server:
        return
    path = address.beside()
    if not exists(path):
        if exists(f"{path}.head"):
            raise StoreError(
                f"{path} does not exist, and {path}.head does: it was lost; restore a backup, or "
                "on a node ledgercore node repair makes it anew from peers"
            )
        raise StoreError(f"{path} does not exist: name a ledger, or make it with ledgercore init")
    check_one_name(path)
    if is_database(path):
        return
    if exists(f"{path}.head"):
        raise CorruptError(f"{path} is damaged: it begins as no ledger")
    raise StoreError(f"{path} is not a ledger: name a file that ledgercore init made")


def open_store(address: Address, *, read_only: bool = False, vfs: str | None = None) -> Store:
    """The store; raise BusyError where a server says that another writer has it."""
    if address.server:
        return _driver(address)(address, read_only=read_only)
    return SqliteStore(address.beside(), read_only=read_only, vfs=vfs)


def is_there(address: Address) -> bool:
    """Whether a ledger was made at an address; whether it is whole shows when it is opened."""
    return _driver(address).is_there(address) if address.server else exists(address.beside())


def create_on_server(address: Address) -> Store:
    """An empty store on a server that has none in this schema."""
    return _driver(address).create(address)


def _driver(address: Address) -> type[PostgresStore]:
    try:
        from ledgercore.store.postgres import PostgresStore
    except ImportError as error:
        raise UnavailableError(
            f"cannot use {address.name}: {error}; pip install '.[postgres]' in the source tree"
        ) from error
    return PostgresStore
