"""Verify a whole ledger from its records alone.

Nothing that is stored is taken on trust: headers, signatures, leaves, tiles, ids and states are
all made again from the records and compared. What the rules make stands in a temporary file (where
SQLite makes them: ``SQLITE_TMPDIR``, ``/var/tmp``), which is gone afterwards: in memory are one
block, what is bounded of the state map, the hashes of its pages, and runs of the newest ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass

from ledgercore import rules
from ledgercore._core import Batch, Block, Frontier, Map, VerifiedBatch, state_keys
from ledgercore.clock import Clock
from ledgercore.entropy import Entropy
from ledgercore.errors import CorruptError, LedgerError, RefusedError, UnavailableError
from ledgercore.ledger.head import TILE_WIDTH, Head, stored_block, verify_block
from ledgercore.ledger.ids import TOP_LEVEL, Run, extend_runs, recent_ids
from ledgercore.ledger.pages import fill_pages, forget_pages
from ledgercore.ledger.reader import Reader
from ledgercore.ledger.recovery import NOTHING, Unpublished
from ledgercore.ledger.tiles import HASH_BYTES, hash_at
from ledgercore.ledger.touches import link_touches
from ledgercore.rules import Position, Touch, View, format_object
from ledgercore.store import SqliteStore, Store

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
    unpublished: Unpublished = NOTHING
    """What is durable beside these records and in no block; of a backup, what is in its journal."""


def audit(
    reader: Reader, clock: Clock, entropy: Entropy, progress: Progress | None = None
) -> Report:
    """Verify everything, or raise ``CorruptError`` with what is wrong and where."""
    reader.check_whole("an audit")
    begin = clock.elapsed_s()
    reader.store.check()
    with closing(SqliteStore.temporary()) as made:
        walk = _Walk(reader, made, entropy)
        newest = reader.head
        while walk.height < newest.block.height:
            with reader.moment():
                walk.next_block()
            if progress is not None:
                progress(walk.frontier.size, newest.checkpoint.size)
        # Blocks that came meanwhile, and then the whole: no other may come now.
        with reader.moment() as head:
            while walk.height < head.block.height:
                walk.next_block()
            walk.finish(head)
    if progress is not None:
        progress(walk.frontier.size, walk.frontier.size)
    seconds = clock.elapsed_s() - begin
    return Report(walk.frontier.size, walk.height + 1, len(walk.states), seconds)


class _Walk:
    """Everything a ledger must hold, made again block by block."""

    def __init__(self, reader: Reader, made: Store, entropy: Entropy) -> None:
        self._store = reader.store
        self._made = made
        self._anchor = reader.anchor
        self._entropy = entropy
        self._parent = bytes(32)
        self._time_ms = 0
        self._tiles = self._bundles = 0
        self._touches = 0
        self._recent = b""
        self._runs: dict[Run, list[bytes]] = {}
        self._top_buckets = 0
        self.height = -1
        self.frontier = Frontier(reader.anchor.suite)
        self.states = Map(reader.anchor.suite)

    def next_block(self) -> None:
        """Hold the next block to the ones before it."""
        height = self.height + 1
        stored = stored_block(self._store, height)
        try:
            batch = Batch.decode_bundles(stored.bundles)
            block, _ = verify_block(stored, self._anchor)
            self._check_header(block, len(batch))
            self._check_tree(block, batch)
            verified = batch.verify(self._entropy.bytes(32))
            self._check_ids(block, verified.joined_ids())
            self._check_states(block, verified)
        except (CorruptError, UnavailableError):
            raise  # a store that fails says nothing of what is in it
        except LedgerError as error:
            raise CorruptError(f"block {height}: {error}") from error
        self._bundles += len(stored.bundles)
        self._parent, self._time_ms = block.hash(self._anchor.suite), block.time_ms
        self.height = height

    def _check_header(self, block: Block, count: int) -> None:
        height = self.height + 1
        if block.parent != self._parent:
            got, want = block.parent.hex()[:16], self._parent.hex()[:16]
            raise CorruptError(f"block {height}: parent is {got}, want {want}")
        if (block.height, block.first_index) != (height, self.frontier.size):
            got = f"block {block.height} from record {block.first_index} on"
            want = f"block {height} from record {self.frontier.size} on"
            raise CorruptError(f"block {height}: header is of {got}, want {want}")
        if block.count != count:
            raise CorruptError(f"block {height}: {count} records are stored, want {block.count}")
        if block.time_ms < self._time_ms:
            raise CorruptError(f"block {height}: time is {block.time_ms}, was {self._time_ms}")

    def _check_tree(self, block: Block, batch: Batch) -> None:
        self.frontier, tiles = self.frontier.append(batch.leaf_hashes())
        if self.frontier.root() != block.tree_root:
            reason = self._damaged_record(block.first_index, batch.leaf_hashes())
            raise CorruptError(f"block {block.height}: {reason}")
        for level, index, hashes in tiles:
            if self._store.tile(level, index) != hashes:
                raise CorruptError(f"block {block.height}: tile ({level}, {index}) is damaged")
        self._tiles += len(tiles)

    def _damaged_record(self, first_index: int, leaves: bytes) -> str:
        """Which record is another than was signed, as far as the stored tiles can tell."""
        for at in range(len(leaves) // HASH_BYTES):
            tile, position = divmod(first_index + at, TILE_WIDTH)
            signed = self._store.tile(0, tile) or b""
            if hash_at(signed, position) not in (b"", hash_at(leaves, at)):
                return f"record {first_index + at} is not the one that was signed"
        return "records are not those that were signed"

    def _check_ids(self, block: Block, ids: bytes) -> None:
        """Make the index again; runs of the top level are final, and compared as they come."""
        runs = extend_runs(block.first_index, self._recent, ids, self._runs.__getitem__)
        self._recent = recent_ids(self._recent, ids)
        for run, buckets in runs.added.items():
            if run[0] == TOP_LEVEL:
                self._top_buckets += self._check_run(run, buckets)
            else:
                self._runs[run] = list(buckets)
        for run in runs.merged:
            del self._runs[run]

    def _check_run(self, run: Run, buckets: Iterable[bytes]) -> int:
        """Hold a run's buckets to those that are stored; how many there are."""
        count = 0
        for position, entries in enumerate(buckets):
            if self._store.bucket(*run, position) != entries:
                raise CorruptError(f"run {run} of ids: bucket {position} is damaged or missing")
            count = position + 1
        return count

    def _check_states(self, block: Block, batch: VerifiedBatch) -> None:
        view = View(self._state)
        if not rules.apply_plain(view, batch):
            self._apply_each(view, block, batch)
        newest = self._check_touches(block, view.touches())
        changes = view.changes()
        names = [name for name, _ in changes]
        fill_pages(self._made, self.states, names)
        self._made.put_states(block.height, self._keys(names), changes, newest)
        self.states = self.states.update(list(changes))
        forget_pages(self.states)
        if self.states.root() != block.state_root:
            raise CorruptError(f"block {block.height}: rules lead to another state root")
        if self._store.changed_keys(block.height, block.height + 1) != sorted(self._keys(names)):
            raise CorruptError(f"block {block.height}: it names other states than it put")

    def _state(self, name: bytes) -> bytes | None:
        return self._made.state(*self._keys([name]))

    def _keys(self, names: list[bytes]) -> list[bytes]:
        return state_keys(self._anchor.suite, names)

    def _check_touches(self, block: Block, touches: list[Touch]) -> dict[bytes, int]:
        names = list({touch.name for touch in touches})
        newest = dict(zip(names, self._made.newest_touches(self._keys(names)), strict=True))
        links = link_touches(self._touches + 1, touches, newest)
        for number, touch in enumerate(links.rows, links.first):
            if self._store.touch(number) != touch:
                raise CorruptError(f"block {block.height}: touch {number} is damaged or missing")
        self._touches += len(links.rows)
        return links.newest

    def _apply_each(self, view: View, block: Block, batch: VerifiedBatch) -> None:
        for at in range(block.count):
            index = block.first_index + at
            try:
                rules.apply(view, batch[at], Position(block.height, index, block.time_ms))
            except RefusedError as refusal:
                raise CorruptError(f"block {block.height}, record {index}: {refusal}") from refusal

    def finish(self, head: Head) -> None:
        """Hold the store as a whole to what the records make."""
        counts = self._store.counts()
        want = {
            "block": self.height + 1,
            "bundle": self._bundles,
            "tile": self._tiles,
            "bucket": sum(map(len, self._runs.values())) + self._top_buckets,
            "state": len(self.states),
            "touch": self._touches,
        }
        for part, count in want.items():
            if counts[part] != count:
                raise CorruptError(f"store has {counts[part]} rows of {part}, want {count}")
        for run, buckets in self._runs.items():
            self._check_run(run, buckets)
        for got, made in zip(self._store.states(), self._made.states(), strict=False):
            if got == made:
                continue
            what = "state" if got._replace(touch=made.touch) != made else "newest touch"
            raise CorruptError(
                f"{what} of {format_object(got.name)} is not the one that the rules make"
            )
        if self.frontier.root() != head.checkpoint.root:
            raise CorruptError("newest checkpoint is not the one that the records lead to")
