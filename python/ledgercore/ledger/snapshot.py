"""Hand over the newest moment of a ledger, so that a copy begins there and not at the genesis.

A snapshot is a list of items, each a byte string: a head, block 0, the newest blocks, tiles, and
states. Whoever takes it believes nothing: the newest block's checkpoint is signed and, where the
anchor wants it, cosigned; tiles and states lead to its roots. What a copy is spared, and so does
not verify, is that the rules accepted the records before. docs/spec/sync.md has the form.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

from ledgercore._core import Anchor, Checkpoint, Frontier, Map, state_keys, tree_root
from ledgercore.entropy import Entropy
from ledgercore.errors import LimitError, MalformedError, UnavailableError, UntrustedError
from ledgercore.ledger.head import TILE_WIDTH, Head
from ledgercore.ledger.ids import BUCKETS_AT_ONCE, unmerged_runs
from ledgercore.ledger.pages import in_pieces
from ledgercore.ledger.reader import Reader
from ledgercore.ledger.received import Received, check_genesis, receive
from ledgercore.ledger.tiles import HASH_BYTES, hash_at
from ledgercore.ledger.transfer import encode_transfer
from ledgercore.proofs import decode_part
from ledgercore.records.base import Count, Part
from ledgercore.store import Store

__all__ = ["SNAPSHOT_BYTES", "Snapshot", "decode_head", "snapshot_items"]

SNAPSHOT_BYTES = 512 * 1024 * 1024
"""Bytes of a snapshot's items at most, since both sides hold it in memory."""

STATES_AT_ONCE = 512
ITEM_BYTES = 64 * 1024 * 1024
TAIL_BLOCKS = TILE_WIDTH + 1

Tiles = dict[tuple[int, int], bytes]


class _Head(Part, frozen=True):
    """What follows: so many blocks, tiles and items of states."""

    version: Literal[1]
    height: Count
    blocks: Count
    tiles: Count
    states: Count


class _Tile(Part, frozen=True):
    level: Annotated[int, Meta(ge=0, lt=8)]
    index: Count
    hashes: Annotated[bytes, Meta(min_length=TILE_WIDTH * 32, max_length=TILE_WIDTH * 32)]


class _States(Part, frozen=True):
    values: Annotated[tuple[tuple[bytes, bytes], ...], Meta(max_length=STATES_AT_ONCE)]


_ENCODER = msgspec.msgpack.Encoder()


def decode_head(item: bytes) -> tuple[int, int]:
    """The height of the snapshot that begins with this item, and how many items it has."""
    head = decode_part(item, _Head, "snapshot", ITEM_BYTES)
    return head.height, 1 + head.blocks + head.tiles + head.states


def snapshot_items(reader: Reader, limit_bytes: int = SNAPSHOT_BYTES) -> list[bytes]:
    """The items of the newest moment, all drawn before the ledger goes on.

    Raises ``LimitError`` where they have more bytes than the limit, ``UnavailableError`` until
    the quorum has cosigned that moment's checkpoint.
    """
    items, total = list[bytes](), 0
    with reader.moment() as head:
        reader.check_published("snapshot")
        for item in _items(reader, head):
            total += len(item)
            if total > limit_bytes:
                raise LimitError(f"snapshot has more than {limit_bytes} bytes: ask for blocks")
            items.append(item)
    return items


def _items(reader: Reader, head: Head) -> Iterator[bytes]:
    size, height = head.checkpoint.size, head.block.height
    tail = size // TILE_WIDTH * TILE_WIDTH
    begin = height
    while begin > 1 and reader.block(begin).first_index > tail:
        begin -= 1
    if begin < 2:
        raise UnavailableError("ledger is too short for a snapshot: ask for its blocks")
    heights = [0, *range(begin, height + 1)]
    names = list(_tile_names(size, reader.block(begin).first_index))
    count = -(-len(head.states) // STATES_AT_ONCE)
    yield _ENCODER.encode(_Head(1, height, len(heights), len(names), count))
    for each in heights:
        yield encode_transfer(reader.stored_block(each))
    for level, index in names:
        yield _ENCODER.encode(_Tile(level, index, reader.tile(level, index)))
    states = reader.states(b"")
    while some := tuple(islice(states, STATES_AT_ONCE)):
        yield _ENCODER.encode(_States(some))


def _tile_names(size: int, first_index: int) -> Iterator[tuple[int, int]]:
    """The full tiles that the frontier and the records from an index on are proven with.

    The highest level comes first, so that each is held to one that is there.
    """
    levels = []
    count, begin = size // TILE_WIDTH, first_index // TILE_WIDTH
    while count:
        first = min(count // TILE_WIDTH * TILE_WIDTH, begin)
        levels.append([*({0} - {*range(first, count)}), *range(first, count)])
        count, begin = count // TILE_WIDTH, begin // TILE_WIDTH
    for level in range(len(levels) - 1, -1, -1):
        for index in levels[level]:
            yield level, index


@dataclass(frozen=True)
class Snapshot:
    """A snapshot whose every part was found to lead to the newest signed checkpoint."""

    suite: str
    blocks: list[Received]
    """Block 0, then consecutive ones up to the newest."""
    tiles: Tiles
    states: list[tuple[bytes, bytes]]

    @classmethod
    def verify(cls, items: Iterable[bytes], anchor: Anchor, entropy: Entropy) -> Snapshot:
        """The snapshot in these items, or raise with what is wrong with it."""
        rest = iter(items)
        head = decode_part(_next(rest), _Head, "snapshot", ITEM_BYTES)
        if not 2 <= head.blocks <= TAIL_BLOCKS + 1:
            raise MalformedError(f"snapshot has {head.blocks} blocks, want 2 to {TAIL_BLOCKS + 1}")
        blocks = [receive(_next(rest), anchor, entropy) for _ in range(head.blocks)]
        checkpoint = anchor.verify_checkpoint(blocks[-1].note)
        if checkpoint.height != head.height:
            raise MalformedError(f"newest block is {checkpoint.height}, want {head.height}")
        _check_blocks(blocks, anchor)
        tiles = _verify_tiles(rest, head.tiles, blocks, anchor.suite)
        states = _verify_states(rest, head.states, checkpoint, anchor.suite)
        if next(rest, None) is not None:
            raise MalformedError("snapshot goes on after its last item")
        return cls(anchor.suite, blocks, tiles, states)

    def fill(self, store: Store) -> None:
        """Write all of it to an empty store, in the store's transaction.

        The ids of records that are not here are in no run: the runs that later ones are merged
        with are empty. States begin as put by the newest block, with no history before it.
        """
        newest = self.blocks[-1].block
        for block, _, note, _, bundles in self.blocks:
            store.add_bundles(block.height, block.first_index, bundles)
            store.add_header(block.height, block.first_index, block.encode(), note)
        store.add_tiles([(*name, hashes) for name, hashes in self.tiles.items()])
        size = newest.first_index + newest.count
        empty = ((*run, at, b"") for run, count in unmerged_runs(size) for at in range(count))
        for buckets in in_pieces(empty, BUCKETS_AT_ONCE):
            store.add_buckets(buckets)
        keys = state_keys(self.suite, [name for name, _ in self.states])
        store.put_states(newest.height, keys, self.states, {})


PartT = TypeVar("PartT", bound=Part)


def _next(items: Iterator[bytes]) -> bytes:
    item = next(items, None)
    if item is None:
        raise MalformedError("snapshot ends early")
    return item


def _check_blocks(blocks: list[Received], anchor: Anchor) -> None:
    check_genesis(blocks[0], anchor)
    for before, after in pairwise(blocks[1:]):
        follows = after.block.parent == before.block.hash(anchor.suite)
        index = before.block.first_index + before.block.count
        place = (after.block.height, after.block.first_index)
        if not follows or place != (before.block.height + 1, index):
            raise UntrustedError(f"block {after.block.height} does not follow the one before it")
    first, newest = blocks[1].block, blocks[-1].block
    tail = (newest.first_index + newest.count) // TILE_WIDTH * TILE_WIDTH
    if first.height < 2 or first.first_index > tail:
        raise MalformedError("snapshot has not the blocks of the unfinished tile, or all blocks")


def _verify_tiles(items: Iterator[bytes], count: int, blocks: list[Received], suite: str) -> Tiles:
    newest = blocks[-1].checkpoint
    first = blocks[1].block.first_index
    want = list(_tile_names(newest.size, first))
    if count != len(want):
        raise MalformedError(f"snapshot has {count} tiles, want {len(want)}")
    tiles: Tiles = {}
    for name in want:
        tile = decode_part(_next(items), _Tile, "tile", ITEM_BYTES)
        if (tile.level, tile.index) != name:
            raise MalformedError(f"tile is ({tile.level}, {tile.index}), want {name}")
        tiles[name] = tile.hashes
    leaves = b"".join(each.batch.leaf_hashes() for each in blocks[1:])
    tails = list(_tails(newest.size, first, leaves, tiles, suite))
    if Frontier(suite, newest.size, tails).root() != newest.root:
        raise UntrustedError("snapshot's tiles and records lead to another root than was signed")
    for (level, index), hashes in tiles.items():
        above, position = divmod(index, TILE_WIDTH)
        parent = tiles.get((level + 1, above), tails[level + 1] if level + 1 < len(tails) else b"")
        if hash_at(parent, position) != tree_root(suite, hashes):
            raise UntrustedError(f"tile ({level}, {index}) is not one of the signed tree")
    _check_leaves(first, leaves, tiles)
    return tiles


def _tails(size: int, first: int, leaves: bytes, tiles: Tiles, suite: str) -> Iterator[bytes]:
    """The unfinished tiles, the lowest first, as records and full tiles make them."""
    yield leaves[(size // TILE_WIDTH * TILE_WIDTH - first) * HASH_BYTES :]
    level, count = 1, size // TILE_WIDTH
    while count:
        below = range(count // TILE_WIDTH * TILE_WIDTH, count)
        yield b"".join(tree_root(suite, tiles[level - 1, index]) for index in below)
        level, count = level + 1, count // TILE_WIDTH


def _check_leaves(first: int, leaves: bytes, tiles: Tiles) -> None:
    """Hold the records to the full tiles that they stand in."""
    for at in range(len(leaves) // HASH_BYTES):
        tile, position = divmod(first + at, TILE_WIDTH)
        signed = tiles.get((0, tile))
        if signed is not None and hash_at(signed, position) != hash_at(leaves, at):
            raise UntrustedError(f"record {first + at} is not the one that was signed")


def _verify_states(
    items: Iterator[bytes], count: int, checkpoint: Checkpoint, suite: str
) -> list[tuple[bytes, bytes]]:
    states: list[tuple[bytes, bytes]] = []
    total = 0
    for _ in range(count):
        item = _next(items)
        total += len(item)
        if total > SNAPSHOT_BYTES:
            raise LimitError(f"states have more than {SNAPSHOT_BYTES} bytes")
        states += decode_part(item, _States, "states", ITEM_BYTES).values
    if any(before[0] >= after[0] for before, after in pairwise(states)):
        raise MalformedError("states are not in the order of their names")
    if Map(suite).update(list(states)).root() != checkpoint.state_root:
        raise UntrustedError("snapshot's states lead to another root than was signed")
    return states
