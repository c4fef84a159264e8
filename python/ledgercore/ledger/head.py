"""Hold one verified moment of a ledger: everything that a read is checked against.

A ``Head`` is what the operator signed, with the tree's frontier and the state map that lead to
the signed roots. It is immutable: a commit makes the next one, and a commit that fails leaves the
old one whole.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from ledgercore._core import (
    Anchor,
    Batch,
    Block,
    Checkpoint,
    Frontier,
    Map,
    hash_domain,
    tree_root,
)
from ledgercore.errors import CorruptError, ForkError, LedgerError, RollbackError
from ledgercore.ledger.ids import recent_ids
from ledgercore.ledger.pages import read_states
from ledgercore.records import Genesis
from ledgercore.records import decode as decode_body
from ledgercore.store import Store, StoredBlock

__all__ = [
    "TILE_WIDTH",
    "Head",
    "advance_head",
    "genesis_anchor",
    "load_anchor",
    "load_head",
    "stored_block",
    "stored_header",
    "verify_block",
]

TILE_WIDTH = 256

BLOCKS_AT_ONCE = 64
"""Blocks whose states a reader takes at once: each names up to some 100,000, of 32 bytes."""


class Head(NamedTuple):
    """The newest block, its checkpoint, and what they were found to commit to."""

    block: Block
    checkpoint: Checkpoint
    note: str
    frontier: Frontier
    states: Map
    recent: bytes
    """The ids of the newest records, which are in no run of the index yet, joined."""


def load_anchor(store: Store) -> tuple[Anchor, Genesis]:
    """The trust anchor that the genesis states, and the genesis."""
    stored = stored_block(store, 0)
    try:
        record = Batch.decode_bundles(stored.bundles)[0].verify()
        genesis = decode_body(record.kind, record.body)
    except (LedgerError, IndexError) as error:
        raise CorruptError(f"block 0: {error}") from error
    if not isinstance(genesis, Genesis):
        raise CorruptError(f"block 0: first record is {record.kind}, want genesis")
    network = hash_domain(genesis.suite, "network", record.body)[:16]
    if record.network != network:
        raise CorruptError("block 0: genesis is not the one that its network is named for")
    return genesis_anchor(genesis, network), genesis


def genesis_anchor(genesis: Genesis, network: bytes) -> Anchor:
    """The trust anchor of a network; raise MalformedError where a genesis makes none."""
    return Anchor(
        origin=genesis.origin,
        network=network,
        suite=genesis.suite,
        operator_key=genesis.operator_key,
        witnesses=[(witness.name, witness.key) for witness in genesis.witnesses],
        quorum=genesis.quorum,
    )


def load_head(store: Store, anchor: Anchor) -> Head:
    """Rebuild the head from a store and check it against the newest signed checkpoint."""
    stored = stored_header(store, store.height())
    block, checkpoint = verify_block(stored, anchor)
    leaves, recent = _load_recent(store, checkpoint.size)
    frontier = _load_frontier(store, anchor.suite, checkpoint.size, leaves)
    states = read_states(store, Map(anchor.suite))
    head = Head(block, checkpoint, stored.note, frontier, states, recent)
    return _checked(head, partial(_damaged_block, store, anchor, head))


def advance_head(store: Store, anchor: Anchor, head: Head) -> Head:
    """The head after the blocks that another process has appended.

    The new blocks' headers must follow from the one that is known, and the new roots from the old
    ones and the new records: a ledger that changed what was already there is found out.
    """
    height, suite = store.height(), anchor.suite
    if height < head.block.height:
        raise RollbackError(
            f"ledger is at height {height}, was at {head.block.height}: an older file stands in "
            "its place; keep it as evidence"
        )
    stored = stored_header(store, head.block.height)
    if stored.header != head.block.encode():
        raise ForkError(
            f"block {head.block.height} is another than the one that was read before: keep both "
            "files as evidence"
        )
    block, frontier, recent = head.block, head.frontier, head.recent
    for number in range(head.block.height + 1, height + 1):
        stored = stored_block(store, number)
        after = _decoded(stored)
        if after.parent != block.hash(suite) or after.first_index != frontier.size:
            raise ForkError(f"block {number} does not follow from block {number - 1}")
        batch = _batch(number, stored.bundles)
        frontier, _ = frontier.append(batch.leaf_hashes())
        recent = recent_ids(recent, batch.joined_ids())
        block = after
    if block is head.block:
        # No new block: what was written may be cosignatures of the newest one.
        verify_block(stored, anchor)
        return head._replace(note=stored.note)
    block, checkpoint = verify_block(stored, anchor)
    states = head.states
    for begin in range(head.block.height + 1, height + 1, BLOCKS_AT_ONCE):
        keys = store.changed_keys(begin, min(begin + BLOCKS_AT_ONCE, height + 1))
        states = read_states(store, states, keys)
    if states.root() != checkpoint.state_root:
        # What blocks say that they put may be damaged where the states are not.
        states = read_states(store, Map(suite))
    return _checked(Head(block, checkpoint, stored.note, frontier, states, recent))


def stored_block(store: Store, height: int) -> StoredBlock:
    """A block that must be there, with its bundles."""
    return _there(store.block(height), height)


def stored_header(store: Store, height: int) -> StoredBlock:
    """A block that must be there, without its bundles."""
    return _there(store.header(height), height)


def _there(stored: StoredBlock | None, height: int) -> StoredBlock:
    if stored is None:
        raise CorruptError(f"block {height} is missing")
    return stored


def _decoded(stored: StoredBlock) -> Block:
    try:
        return Block.decode(stored.header)
    except LedgerError as error:
        raise CorruptError(f"block {stored.height}: {error}") from error


def verify_block(
    stored: StoredBlock, anchor: Anchor, records: Batch | None = None
) -> tuple[Block, Checkpoint]:
    """A stored block's header and checkpoint: the operator signed the one with the other.

    ``records`` are those of its records whose signatures are to be verified too.
    """
    try:
        block, checkpoint = anchor.verify_block(stored.header, stored.note, records)
    except LedgerError as error:
        raise CorruptError(f"block {stored.height}: {error}") from error
    if (block.height, block.first_index) != (stored.height, stored.first_index):
        raise CorruptError(f"block {stored.height}: header is not the one that was signed")
    return block, checkpoint


def _batch(height: int, bundles: list[bytes]) -> Batch:
    try:
        return Batch.decode_bundles(bundles)
    except LedgerError as error:
        raise CorruptError(f"block {height}: {error}") from error


def _load_frontier(store: Store, suite: str, size: int, leaves: bytes) -> Frontier:
    tails = [leaves] if size else []
    level, count = 1, size // TILE_WIDTH
    while count:
        below = range(count // TILE_WIDTH * TILE_WIDTH, count)
        tails.append(b"".join(_tile_root(store, suite, level - 1, index) for index in below))
        level, count = level + 1, count // TILE_WIDTH
    try:
        return Frontier(suite, size, tails)
    except LedgerError as error:
        raise CorruptError(f"tree: {error}") from error


def _tile_root(store: Store, suite: str, level: int, index: int) -> bytes:
    tile = store.tile(level, index)
    if tile is None or len(tile) != TILE_WIDTH * 32:
        raise CorruptError(f"tile ({level}, {index}) is missing or short")
    return tree_root(suite, tile)


def _load_recent(store: Store, size: int) -> tuple[bytes, bytes]:
    """The leaves and ids of the unfinished tile and run, which are not stored."""
    begin, leaves, ids = size // TILE_WIDTH * TILE_WIDTH, b"", b""
    index = size
    while index > begin:
        bundle = store.bundle_of(index - 1)
        if bundle is None or bundle.first_index >= index:
            raise CorruptError(f"record {index - 1} is missing")
        batch = _batch(bundle.height, [bundle.records])
        leaves, ids = batch.leaf_hashes() + leaves, batch.joined_ids() + ids
        index = bundle.first_index
    return leaves[(begin - index) * 32 :], ids[(begin - index) * 32 :]


def _damaged_block(store: Store, anchor: Anchor, head: Head) -> str:
    """Whose records are not those that were signed: exactly where a tree before them is right."""
    unknown = f"block {head.block.height} or an earlier one"
    begin = head.checkpoint.size // TILE_WIDTH * TILE_WIDTH
    try:
        blocks = [head.block]
        while blocks[-1].first_index > begin:
            before = stored_header(store, blocks[-1].height - 1)
            blocks.append(verify_block(before, anchor)[0])
        frontier = _load_frontier(store, anchor.suite, begin, b"")
        right = begin == 0
        for block in reversed(blocks):
            batch = _batch(block.height, stored_block(store, block.height).bundles)
            here = max(begin - block.first_index, 0)
            frontier, _ = frontier.append(batch.leaf_hashes()[here * 32 :])
            if frontier.root() != block.tree_root:
                # The first that comes is cut by the tile: what is wrong may stand before the cut.
                return (
                    f"block {block.height}" if right else f"block {block.height} or an earlier one"
                )
            right = True
    except LedgerError:
        return unknown
    return unknown


def _checked(head: Head, damaged: Callable[[], str] | None = None) -> Head:
    until = f"of block {head.block.height} or an earlier one,"
    if head.frontier.size != head.checkpoint.size or head.frontier.root() != head.checkpoint.root:
        until = until if damaged is None else f"of {damaged()},"
        raise CorruptError(f"stored records, {until} do not lead to the signed tree root")
    if head.states.root() != head.checkpoint.state_root:
        raise CorruptError(f"stored states, {until} do not lead to the signed state root")
    return head
