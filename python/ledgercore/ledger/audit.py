"""Verify a whole ledger from its records alone.

Nothing that is stored is taken on trust: headers, signatures, leaves, tiles, ids and states are
all made again from the records and compared. Memory is bounded by one block and the state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ledgercore import rules
from ledgercore._core import Batch, Block, Frontier, Map
from ledgercore.clock import Clock
from ledgercore.entropy import Entropy
from ledgercore.errors import CorruptError, LedgerError, RefusedError
from ledgercore.ledger.head import operator_anchor
from ledgercore.ledger.reader import Reader
from ledgercore.rules import Position, View
from ledgercore.store import StoredBlock

__all__ = ["Progress", "Report", "audit"]

Progress = Callable[[int, int], None]
"""Called with the records verified so far and how many there are."""


@dataclass(frozen=True)
class Report:
    """What was verified."""

    records: int
    blocks: int
    states: int
    seconds: float


def audit(
    reader: Reader, clock: Clock, entropy: Entropy, progress: Progress | None = None
) -> Report:
    """Verify everything, or raise ``CorruptError`` with what is wrong and where."""
    begin = clock.elapsed_s()
    with reader.lock:
        newest = reader.head.block.height
        size = reader.head.checkpoint.size
    reader.store.check()
    walk = _Walk(reader, entropy)
    for height in range(newest + 1):
        with reader.lock:
            stored = reader.store.block(height)
            if stored is None:
                raise CorruptError(f"block {height} is missing: restore it from a backup")
            try:
                walk.block(stored)
            except CorruptError:
                raise
            except LedgerError as error:
                raise CorruptError(f"block {height}: {error}") from error
        if progress is not None:
            progress(walk.frontier.size, size)
    with reader.lock:
        if reader.head.block.height == newest:
            walk.finish()
    seconds = clock.elapsed_s() - begin
    return Report(walk.frontier.size, newest + 1, len(walk.states), seconds)


class _Walk:
    """Everything a ledger must hold, made again block by block."""

    def __init__(self, reader: Reader, entropy: Entropy) -> None:
        self._reader = reader
        self._entropy = entropy
        self._anchor = reader.anchor
        self._parent = bytes(32)
        self._time_ms = 0
        self._tiles = self._bundles = 0
        self._values: dict[bytes, bytes] = {}
        self.frontier = Frontier(reader.anchor.suite)
        self.states = Map(reader.anchor.suite)

    def block(self, stored: StoredBlock) -> None:
        """Hold one block to the ones before it."""
        suite, height = self._anchor.suite, stored.height
        block = Block.decode(stored.header)
        batch = Batch.decode_bundles(stored.bundles)
        want = (height, self._parent, self.frontier.size, len(batch))
        got = (block.height, block.parent, block.first_index, block.count)
        if got != want or stored.first_index != block.first_index:
            raise CorruptError(f"block {height}: header does not follow from the block before")
        if block.time_ms < self._time_ms:
            raise CorruptError(f"block {height}: time goes back")
        self._bundles += len(stored.bundles)
        verified = batch.verify(self._entropy.bytes(32))
        self.frontier, tiles = self.frontier.append(verified.leaf_hashes())
        if self.frontier.root() != block.tree_root:
            raise CorruptError(f"block {height}: {self._damaged_record(stored, batch)}")
        self._check_tiles(height, tiles)
        self._check_ids(block, verified.ids())
        view = View(self._values.get)
        for at in range(len(verified)):
            index = block.first_index + at
            try:
                rules.apply(view, verified[at], Position(height, index, block.time_ms))
            except RefusedError as refusal:
                raise CorruptError(f"block {height}, record {index}: {refusal}") from refusal
        changes = view.changes()
        self._values.update(changes)
        self.states = self.states.update(changes)
        if self.states.root() != block.state_root:
            raise CorruptError(f"block {height}: rules lead to another state root")
        checkpoint = operator_anchor(self._anchor).verify_checkpoint(stored.note)
        signed = (checkpoint.size, checkpoint.root, checkpoint.state_root, checkpoint.block_hash)
        kept = (self.frontier.size, block.tree_root, block.state_root, block.hash(suite))
        if signed != kept or checkpoint.height != height:
            raise CorruptError(f"block {height}: checkpoint signs something else")
        self._parent, self._time_ms = block.hash(suite), block.time_ms

    def _damaged_record(self, stored: StoredBlock, batch: Batch) -> str:
        """Which record does not stand where its id says, as far as the index can tell."""
        ids = batch.ids()
        found = self._reader.store.find_ids(ids)
        for at, record_id in enumerate(ids):
            if found.get(record_id) != stored.first_index + at:
                return f"record {stored.first_index + at} is not the one that was signed"
        return "records are not those that were signed"

    def _check_tiles(self, height: int, tiles: list[tuple[int, int, bytes]]) -> None:
        for level, index, hashes in tiles:
            if self._reader.store.tile(level, index) != hashes:
                raise CorruptError(f"block {height}: tile ({level}, {index}) is damaged")
        self._tiles += len(tiles)

    def _check_ids(self, block: Block, ids: list[bytes]) -> None:
        found = self._reader.store.find_ids(ids)
        for index, record_id in enumerate(ids, block.first_index):
            if found.get(record_id) != index:
                got = found.get(record_id)
                raise CorruptError(
                    f"block {block.height}, record {index}: index of ids says {got}, want {index}"
                )

    def finish(self) -> None:
        """Hold the store as a whole to what the records make."""
        store, head = self._reader.store, self._reader.head
        counts = store.counts()
        want = {
            "block": head.block.height + 1,
            "bundle": self._bundles,
            "tile": self._tiles,
            "record": self.frontier.size,
            "state": len(self._values),
        }
        for part, count in want.items():
            if counts[part] != count:
                raise CorruptError(f"store has {counts[part]} rows of {part}, want {count}")
        for name, value in store.states():
            if self._values.get(name) != value:
                raise CorruptError(f"state of {name!r} is not the one that the rules make")
        if self.frontier.root() != head.checkpoint.root:
            raise CorruptError("newest checkpoint is not the one that the records lead to")
