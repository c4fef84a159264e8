"""Make a new ledger: its operator's key, its genesis, its first block.

A file is made under another name and renamed when it is whole, so that a crash leaves no half
ledger: at most ``<ledger>.new``, and a key that nothing uses yet. On a server it leaves at most
empty tables, which the next try makes anew. Whoever calls holds the writer's lock.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ledgercore import records, rules
from ledgercore._core import (
    Batch,
    Block,
    Checkpoint,
    Frontier,
    Map,
    VerifiedBatch,
    hash_domain,
    state_keys,
)
from ledgercore.disk import remove, rename
from ledgercore.entropy import Entropy
from ledgercore.errors import LedgerError
from ledgercore.keys import Signer, sign_checkpoint, sign_record
from ledgercore.ledger.head import genesis_anchor
from ledgercore.ledger.touches import add_touches
from ledgercore.records import Genesis
from ledgercore.rules import Position, Touch, View
from ledgercore.store import Address, SqliteStore, Store, create_on_server

__all__ = ["FirstBlock", "create_filled", "create_store", "make_first_block"]


class FirstBlock(NamedTuple):
    """All that a new ledger's store holds, and its suite."""

    suite: str
    block: Block
    batch: VerifiedBatch
    states: list[tuple[bytes, bytes]]
    touches: list[Touch]
    note: str


def make_first_block(genesis: Genesis, key: Signer, entropy: Entropy) -> FirstBlock:
    """Sign the genesis and its checkpoint; raise if the rules refuse it. Nothing is written."""
    suite = genesis.suite
    hash_domain(suite, "network", b"")  # names a suite that is reserved or unknown
    body = records.encode(genesis)
    network = hash_domain(suite, "network", body)[:16]
    genesis_anchor(genesis, network)  # what nobody could verify must not be written
    record = sign_record(key, suite, network, Genesis.KIND, body, sequence=0, previous=bytes(32))
    batch = Batch.decode([record.encode()]).verify(entropy.bytes(32))
    view = View(lambda name: None)
    rules.apply(view, batch[0], Position(0, 0, genesis.created_ms))
    states = view.changes()
    frontier, _ = Frontier(suite).append(batch.leaf_hashes())
    block = Block(
        height=0,
        parent=bytes(32),
        time_ms=genesis.created_ms,
        first_index=0,
        count=1,
        tree_root=frontier.root(),
        state_root=Map(suite).update(list(states)).root(),
    )
    checkpoint = Checkpoint(
        origin=genesis.origin,
        size=1,
        root=block.tree_root,
        height=0,
        block_hash=block.hash(suite),
        state_root=block.state_root,
    )
    return FirstBlock(suite, block, batch, states, view.touches(), sign_checkpoint(checkpoint, key))


def create_store(address: Address, first: FirstBlock, vfs: str | None) -> None:
    """Write a ledger that holds its genesis, and nothing if anything is in the way."""

    def fill(store: Store) -> None:
        store.add_bundles(0, 0, first.batch.bundles())
        keys = state_keys(first.suite, [name for name, _ in first.states])
        store.add_header(0, 0, first.block.encode(), first.note, keys)
        links = add_touches(store, first.suite, first.touches)
        store.put_states(0, keys, first.states, links.newest)

    create_filled(address, fill, vfs)


def create_filled(address: Address, fill: Callable[[Store], None], vfs: str | None) -> None:
    """Write a new store in one transaction, and nothing if anything is in the way."""
    if address.server:
        _fill(create_on_server(address), fill)
        return
    path = address.beside()
    new = path.with_name(path.name + ".new")
    _remove_new(new)  # a crash may have left it
    try:
        _fill(SqliteStore.create(new, vfs=vfs), fill)
        rename(new, path)
    except BaseException:
        with suppress(LedgerError):  # what went wrong first is what is told
            _remove_new(new)
        raise


def _remove_new(new: Path) -> None:
    for leftover in (new, f"{new}-wal", f"{new}-shm"):
        remove(leftover)


def _fill(store: Store, fill: Callable[[Store], None]) -> None:
    try:
        with store.transaction():
            fill(store)
    finally:
        store.close()
