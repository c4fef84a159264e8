"""Read a ledger, every read checked against the signed roots.

What is stored is not trusted: a record is returned only if its leaf leads to the root of the
verified checkpoint, a state only if the state map holds its hash. What does not is a
``CorruptError`` that names the block and the record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import RLock

from ledgercore._core import (
    Batch,
    Block,
    Receipt,
    Record,
    StateProof,
    bundle_record,
    consistency_tiles,
    hash_domain,
    inclusion_tiles,
    leaf_hash,
    multiproof_tiles,
    prove_consistency,
    prove_inclusion,
    prove_multi,
    verify_consistency,
    verify_inclusion,
    verify_multi,
)
from ledgercore.errors import CorruptError, InvalidProof, LedgerError, MalformedError
from ledgercore.ledger.head import (
    TILE_WIDTH,
    Head,
    advance_head,
    load_anchor,
    load_head,
    operator_anchor,
)
from ledgercore.store import Store, StoredBlock, StoredBundle

__all__ = ["Reader"]

_CACHED_TILES = 1024

Tiles = dict[tuple[int, int], bytes]


class Reader:
    """Records, states and proofs of one ledger; safe to share between threads."""

    def __init__(self, store: Store, *, follow: bool) -> None:
        """Load and verify the head. ``follow`` looks for other processes' blocks at each read."""
        self.store = store
        self.lock = RLock()
        self._follow = follow
        self._tiles: Tiles = {}
        with store.snapshot():
            self.version = store.version()
            self.anchor, self.genesis = load_anchor(store)
            self._head = load_head(store, self.anchor)

    @property
    def head(self) -> Head:
        """The newest verified moment."""
        with self.lock:
            if self._follow and self.version != self.store.version():
                with self.store.snapshot():
                    self._head = advance_head(self.store, self.anchor, self._head)
                self.version = self.store.version()
            return self._head

    def set_head(self, head: Head) -> None:
        """Go on from a block that this process has committed."""
        self._head = head

    def record(self, index: int) -> Record:
        """The record at an index."""
        with self.lock:
            record, _ = self._record_and_path(self.head, index)
            return record

    def receipt(self, index: int, state_of: bytes | None = None) -> Receipt:
        """The receipt of a record under the newest checkpoint."""
        with self.lock:
            head = self.head
            record, path = self._record_and_path(head, index)
            state = None if state_of is None else self._prove_state(head, state_of)
            envelope = record.envelope()
            return Receipt(
                index=index, path=path, checkpoint=head.note, envelope=envelope, state=state
            )

    def _record_and_path(self, head: Head, index: int) -> tuple[Record, list[bytes]]:
        size = head.checkpoint.size
        if not 0 <= index < size:
            raise IndexError(f"index is {index}, want 0 or more and below the size {size}")
        stored = self._bundle_of(index)
        try:
            data = bundle_record(stored.records, index - stored.first_index)
            record = Record.decode(data)
            suite, leaf = self.anchor.suite, leaf_hash(self.anchor.suite, data)
            tiles = self._load_tiles(head, inclusion_tiles(index, size))
            path = prove_inclusion(suite, index, size, tiles)
            verify_inclusion(suite, leaf, index, size, path, head.checkpoint.root)
        except LedgerError as error:
            self._tiles.clear()
            raise CorruptError(f"block {stored.height}, record {index}: {error}") from error
        return record, path

    def _bundle_of(self, index: int) -> StoredBundle:
        stored = self.store.bundle_of(index)
        if stored is None:
            raise CorruptError(f"record {index} is missing: restore the ledger from a backup")
        return stored

    def records(self, begin: int, end: int) -> Iterator[Record]:
        """Records ``[begin, end)``, each bundle checked as a whole before its first is given."""
        index = begin
        while index < end:
            with self.lock:
                stored = self._bundle_of(index)
                batch = self._checked_batch(self.head, stored)
            for position in range(index - stored.first_index, len(batch)):
                if index < end:
                    yield batch[position]
                    index += 1

    def _checked_batch(self, head: Head, stored: StoredBundle) -> Batch:
        suite, size = self.anchor.suite, head.checkpoint.size
        try:
            batch = Batch.decode_bundles([stored.records])
            indices = list(range(stored.first_index, stored.first_index + len(batch)))
            tiles = self._load_tiles(head, multiproof_tiles(indices, size))
            proof = prove_multi(suite, indices, size, tiles)
            verify_multi(suite, batch.leaf_hashes(), indices, size, proof, head.checkpoint.root)
        except LedgerError as error:
            self._tiles.clear()
            raise CorruptError(f"block {stored.height}: {error}") from error
        return batch

    def find(self, record_id: bytes) -> int | None:
        """The index of a record, if it is there."""
        with self.lock:
            index = self.store.find_ids([record_id]).get(record_id)
            if index is None or index >= self.head.checkpoint.size:
                return None
            if self.record(index).id != record_id:
                raise CorruptError(f"index of ids names record {index} for another's id")
            return index

    def state(self, name: bytes) -> bytes | None:
        """An object's state, or nothing where the signed map has none."""
        with self.lock:
            return self._state(self.head, name)

    def states(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The name and state of every object whose name begins so, in the order of names."""
        with self.lock:
            head = self.head
            found = [
                (name, value) for name, value in self.store.states() if name.startswith(prefix)
            ]
            for name, value in found:
                want = hash_domain(self.anchor.suite, "state-value", value)
                if head.states.value_hash(name) != want:
                    raise CorruptError(f"state of {name!r} is not the one that was signed")
        return iter(found)

    def _state(self, head: Head, name: bytes) -> bytes | None:
        want = head.states.value_hash(name)
        if want is None:
            return None
        value = self.store.state(name)
        if value is None or hash_domain(self.anchor.suite, "state-value", value) != want:
            raise CorruptError(f"state of {name!r} is not the one that was signed")
        return value

    def prove_state(self, name: bytes) -> StateProof:
        """Prove an object's state, or that it has none, under the newest checkpoint."""
        with self.lock:
            return self._prove_state(self.head, name)

    def _prove_state(self, head: Head, name: bytes) -> StateProof:
        return head.states.prove(name, self._state(head, name))

    def prove_records(self, indices: Sequence[int]) -> list[bytes]:
        """One proof for many records, whose indices ascend, under the newest checkpoint."""
        with self.lock:
            head = self.head
            size = head.checkpoint.size
            tiles = self._load_tiles(head, multiproof_tiles(indices, size))
            return prove_multi(self.anchor.suite, indices, size, tiles)

    def prove_consistency(self, first: int, second: int | None) -> list[bytes]:
        """Prove that the tree at one size begins with the tree at another."""
        with self.lock:
            head = self.head
            second = head.checkpoint.size if second is None else second
            if second > head.checkpoint.size:
                raise InvalidProof(f"size is {second}, want at most {head.checkpoint.size}")
            suite = self.anchor.suite
            tiles = self._load_tiles(head, consistency_tiles(first, second))
            proof = prove_consistency(suite, first, second, tiles)
            if second == head.checkpoint.size:
                older = self._root_at(head, first)
                root = head.checkpoint.root
                verify_consistency(suite, first, second, proof, older, root)
            return proof

    def _root_at(self, head: Head, size: int) -> bytes:
        stored = self.store.block_of(size - 1) if size else None
        if stored is not None:
            block = Block.decode(stored.header)
            if block.first_index + block.count == size:
                return block.tree_root
        return self._frontier_root(head, size)

    def _frontier_root(self, head: Head, size: int) -> bytes:
        from ledgercore._core import Frontier, tree_root

        tails, level, count = [], 0, size
        while count:
            index, width = divmod(count, TILE_WIDTH)
            tile = self._tile(head, level, index) if width else b""
            tails.append(tile[: 32 * width])
            level, count = level + 1, index
        if not tails:
            return tree_root(self.anchor.suite, b"")
        return Frontier(self.anchor.suite, size, tails).root()

    def block(self, height: int) -> Block:
        """A block's header, checked against the checkpoint of its height."""
        stored = self._stored(height)
        block = Block.decode(stored.header)
        checkpoint = operator_anchor(self.anchor).verify_checkpoint(stored.note)
        if checkpoint.block_hash != block.hash(self.anchor.suite) or block.height != height:
            raise CorruptError(f"block {height}: header is not the one that was signed")
        return block

    def note(self, height: int) -> str:
        """The signed checkpoint of a height."""
        stored = self._stored(height)
        operator_anchor(self.anchor).verify_checkpoint(stored.note)
        return stored.note

    def _stored(self, height: int) -> StoredBlock:
        with self.lock:
            newest = self.head.block.height
            if not 0 <= height <= newest:
                raise IndexError(f"height is {height}, want 0 or more and at most {newest}")
            stored = self.store.block(height)
        if stored is None:
            raise CorruptError(f"block {height} is missing: restore the ledger from a backup")
        return stored

    def _load_tiles(self, head: Head, names: Sequence[tuple[int, int]]) -> Tiles:
        return {name: self._tile(head, *name) for name in names}

    def _tile(self, head: Head, level: int, index: int) -> bytes:
        """A tile as stored, or the unfinished one that the head keeps."""
        count = head.checkpoint.size >> (8 * level)
        if index == count // TILE_WIDTH:
            return head.frontier.tails()[level]
        tile = self._tiles.get((level, index))
        if tile is None:
            tile = self.store.tile(level, index)
            if tile is None:
                raise MalformedError(f"tile ({level}, {index}) is missing")
            if len(self._tiles) >= _CACHED_TILES:
                self._tiles.clear()
            self._tiles[(level, index)] = tile
        return tile
