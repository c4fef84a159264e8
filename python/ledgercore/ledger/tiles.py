"""Keep tiles that were found to lead to the signed root, and prove from them.

A full tile is accepted when its root stands at its place in the tile above, and that one likewise,
up to the unfinished tiles, which the head keeps and whose root the operator signed. A tile never
changes, so an accepted one stays accepted while the tree grows; the nodes that were hashed to
accept it are what proofs are made of. Not for two threads at once, which
the reader sees to.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Generic, TypeVar

from ledgercore._core import Frontier, TileTree
from ledgercore.errors import CorruptError
from ledgercore.ledger.head import TILE_WIDTH, Head
from ledgercore.store import Store

__all__ = ["HASH_BYTES", "Recent", "VerifiedTiles", "hash_at"]

_TILES = 1024
HASH_BYTES = 32
_TILE_BITS = 8

KeyT = TypeVar("KeyT", bound=Hashable)
ValueT = TypeVar("ValueT")

Name = tuple[int, int]
"""The level and index of a tile."""


class Recent(Generic[KeyT, ValueT]):
    """What was used last, up to a count."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: OrderedDict[KeyT, ValueT] = OrderedDict()

    def get(self, key: KeyT) -> ValueT | None:
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: KeyT, value: ValueT) -> ValueT:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._limit:
            self._values.popitem(last=False)
        return value

    def clear(self) -> None:
        self._values.clear()


class VerifiedTiles:
    """The tiles of one ledger's tree, each with the nodes over its hashes."""

    def __init__(self, store: Store, suite: str) -> None:
        self._store = store
        self._suite = suite
        self._full: Recent[Name, TileTree] = Recent(_TILES)
        self._unfinished: tuple[Frontier | None, list[TileTree]] = (None, [])

    def tile(self, head: Head, level: int, index: int) -> bytes:
        """A full tile, or the unfinished one that the head keeps."""
        if index == (head.checkpoint.size >> _TILE_BITS * level) // TILE_WIDTH:
            return self._tails(head)[level].hashes
        return self.load(head, [(level, index)])[level, index].hashes

    def load(self, head: Head, names: Sequence[Name]) -> dict[Name, TileTree]:
        """Tiles by name, as proofs are made from; those that are not at hand are read together."""
        found: dict[Name, TileTree] = {}
        missing: list[Name] = []
        for name in names:
            level, index = name
            if index == (head.checkpoint.size >> _TILE_BITS * level) // TILE_WIDTH:
                found[name] = self._tails(head)[level]
            elif (tree := self._full.get(name)) is not None:
                found[name] = tree
            else:
                missing.append(name)
        # The highest first: those below are held to them.
        for _, group in groupby(sorted(missing, reverse=True), key=itemgetter(0)):
            found.update(self._read(head, list(group)))
        return found

    def _tails(self, head: Head) -> list[TileTree]:
        if self._unfinished[0] is not head.frontier:
            self._unfinished = (head.frontier, TileTree.build(self._suite, head.frontier.tails()))
        return self._unfinished[1]

    def _read(self, head: Head, names: list[Name]) -> dict[Name, TileTree]:
        """Full tiles of one level, each found to lead to its place in the tile above."""
        tiles: list[bytes] = []
        for (level, index), tile in zip(names, self._store.tiles_of(names), strict=True):
            if tile is None or len(tile) != TILE_WIDTH * HASH_BYTES:
                raise CorruptError(f"tile ({level}, {index}) is missing or short")
            tiles.append(tile)
        trees = dict(zip(names, TileTree.build(self._suite, tiles), strict=True))
        for (level, index), tree in trees.items():
            above, position = divmod(index, TILE_WIDTH)
            got, want = tree.root, hash_at(self.tile(head, level + 1, above), position)
            if got != want:
                got_hex, want_hex = (got or b"").hex()[:16], want.hex()[:16]
                raise CorruptError(f"tile ({level}, {index}) leads to {got_hex}, want {want_hex}")
            self._full.put((level, index), tree)
        return trees

    def leaves(self, head: Head, begin: int, end: int) -> bytes:
        """The leaf hashes ``[begin, end)`` that the signed root commits to."""
        first = begin // TILE_WIDTH
        last = -(-end // TILE_WIDTH)
        names = [(0, index) for index in range(first, last)]
        trees = self.load(head, names)
        hashes = b"".join(trees[name].hashes for name in names)
        skipped = first * TILE_WIDTH
        return hashes[(begin - skipped) * HASH_BYTES : (end - skipped) * HASH_BYTES]

    def root_at(self, head: Head, size: int) -> bytes:
        """The root of the tree as it was at ``size``."""
        tails, level, count = [], 0, size
        while count:
            index, width = divmod(count, TILE_WIDTH)
            tile = self.tile(head, level, index) if width else b""
            tails.append(tile[: width * HASH_BYTES])
            level, count = level + 1, index
        return Frontier(self._suite, size, tails).root()


def hash_at(hashes: bytes, position: int) -> bytes:
    """One of the hashes that stand one after the other; empty beyond the last."""
    return hashes[position * HASH_BYTES : (position + 1) * HASH_BYTES]
