"""Append records: check, order, store, look again, sign, commit.

One transaction a block. What was written is read back and every root recomputed from it before
the checkpoint is signed; a mismatch stops the writer for good, with the evidence in its error. A
crash anywhere before the commit leaves the ledger as it was; after it, the block is whole.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledgercore import rules
from ledgercore._core import (
    Batch,
    Block,
    Checkpoint,
    SigningKey,
    VerifiedBatch,
    sign_checkpoint,
)
from ledgercore.clock import Clock
from ledgercore.disk import HeadFile
from ledgercore.entropy import Entropy
from ledgercore.errors import BusyError, CorruptError, DiskFullError, LedgerError, RefusedError
from ledgercore.ledger.head import Head
from ledgercore.ledger.reader import Reader
from ledgercore.records import DATA
from ledgercore.rules import Position, View
from ledgercore.store import StoredBlock

__all__ = ["BLOCK_BYTES", "BLOCK_RECORDS", "REMEMBERED_STATES", "Outcome", "Writer", "cut"]

BLOCK_RECORDS = 16_384
"""Records in one block at most: what is submitted at once beyond it goes into more blocks."""

BLOCK_BYTES = 8 * 1024 * 1024
"""Bytes of the records in one block at most."""

REMEMBERED_STATES = 100_000
"""Objects whose states the writer keeps in memory at most, but for one block's."""

Outcome = int | RefusedError
"""The index that a record has, or why it was refused."""


class Writer:
    """The one writer of a ledger."""

    def __init__(
        self, reader: Reader, key: SigningKey, head_file: HeadFile, clock: Clock, entropy: Entropy
    ) -> None:
        self._reader = reader
        self._key = key
        self._head_file = head_file
        self._clock = clock
        self._entropy = entropy
        self._stopped: LedgerError | None = None
        self._states: dict[bytes, bytes | None] = {}

    def append(self, payloads: Sequence[bytes]) -> range:
        """Append payloads as records of the operator; their indices, durable and published."""
        begin = self._reader.head.checkpoint.size
        for piece in cut(payloads):
            with self._reader.lock:
                view = View(self._load)
                sequence, previous = rules.next_position(view, self._key.public_key)
                anchor = self._reader.anchor
                batch = self._key.sign_batch(
                    anchor.suite,
                    anchor.network,
                    DATA,
                    piece,
                    sequence=sequence,
                    previous=previous,
                )
                outcomes = self._order(batch.verify(self._entropy.bytes(32)))
            for outcome in outcomes:
                if isinstance(outcome, RefusedError):
                    raise outcome
        return range(begin, begin + len(payloads))

    def submit(self, records: Sequence[bytes]) -> list[Outcome]:
        """Order signed records of any signers; durable and published when it returns.

        A malformed record or a bad signature refuses all of them, and nothing is appended.
        """
        batches = [Batch.decode(piece) for piece in cut(records)]
        verified = [batch.verify(self._entropy.bytes(32)) for batch in batches]
        outcomes: list[Outcome] = []
        for batch in verified:
            with self._reader.lock:
                outcomes += self._order(batch)
        return outcomes

    def _order(self, batch: VerifiedBatch) -> list[Outcome]:
        """Hold each record to the rules, in order, and commit those that pass as one block."""
        self._check_running()
        head = self._reader.head
        time_ms = max(self._clock.now_ms(), head.block.time_ms)
        height, size = head.block.height + 1, head.checkpoint.size
        view = View(self._load)
        ids = batch.ids()
        accepted: dict[bytes, int] = {}
        outcomes: list[Outcome] = []
        for at, record_id in enumerate(ids):
            index = size + len(accepted)
            try:
                rules.apply(view, batch[at], Position(height, index, time_ms))
            except RefusedError as refusal:
                outcomes.append(self._known(record_id, accepted, size, refusal))
            else:
                accepted[record_id] = at
                outcomes.append(index)
        if accepted:
            chosen = batch if len(accepted) == len(batch) else batch.select(list(accepted.values()))
            self._commit(head, chosen, view.changes(), time_ms)
        return outcomes

    def _known(
        self, record_id: bytes, accepted: dict[bytes, int], size: int, refusal: RefusedError
    ) -> Outcome:
        """The index of a record that is there already, or else the refusal.

        A record that is there has a sequence behind its signer's next one, so that it never
        passes the rules again, and ids need looking up only where the rules refuse.
        """
        if record_id in accepted:
            return size + list(accepted).index(record_id)
        index = self._reader.store.find_ids([record_id]).get(record_id)
        return refusal if index is None else index

    def _load(self, name: bytes) -> bytes | None:
        """An object's checked state, from memory where the same objects are asked for often."""
        try:
            return self._states[name]
        except KeyError:
            value = self._states[name] = self._reader.state(name)
            return value

    def _commit(
        self, head: Head, batch: VerifiedBatch, states: list[tuple[bytes, bytes]], time_ms: int
    ) -> None:
        reader, store = self._reader, self._reader.store
        suite = reader.anchor.suite
        frontier, tiles = head.frontier.append(batch.leaf_hashes())
        map_after = head.states.update(states)
        block = Block(
            height=head.block.height + 1,
            parent=head.block.hash(suite),
            time_ms=time_ms,
            first_index=head.checkpoint.size,
            count=len(batch),
            tree_root=frontier.root(),
            state_root=map_after.root(),
        )
        try:
            with store.transaction():
                store.add_block(
                    StoredBlock(
                        block.height, block.first_index, block.encode(), "", batch.bundles()
                    )
                )
                store.add_tiles(tiles)
                store.add_ids(block.first_index, batch.ids())
                store.put_states(block.height, states)
                roots = self._look_again(head, block, states)
                checkpoint, note = self._sign(block, roots)
                store.put_note(block.height, note)
        except (DiskFullError, BusyError):
            raise  # passes, and has left the ledger as it was
        except LedgerError as error:
            # What failed may have failed half: a failed flush must not be tried again, and only
            # a new start, which verifies everything, may write again.
            self._stopped = error
            raise
        reader.set_head(Head(block, checkpoint, note, frontier, map_after))
        self._remember(states)
        self._head_file.store(note)

    def _remember(self, states: list[tuple[bytes, bytes]]) -> None:
        if len(self._states) > REMEMBERED_STATES:
            self._states.clear()
        self._states.update(states)

    def _look_again(
        self, head: Head, block: Block, states: list[tuple[bytes, bytes]]
    ) -> tuple[bytes, bytes]:
        """Both roots from the bytes as stored: what was hashed may not be what is kept."""
        store = self._reader.store
        stored = store.block(block.height)
        if stored is None or stored.header != block.encode():
            raise CorruptError(f"block {block.height}: header was not stored as it was made")
        batch = Batch.decode_bundles(stored.bundles)
        root = head.frontier.append(batch.leaf_hashes())[0].root()
        if root != block.tree_root:
            got, want = root.hex()[:16], block.tree_root.hex()[:16]
            raise CorruptError(f"block {block.height}: stored records lead to {got}, want {want}")
        kept = [(name, store.state(name)) for name, _ in states]
        state_root = head.states.update(kept).root()
        if state_root != block.state_root:
            got, want = state_root.hex()[:16], block.state_root.hex()[:16]
            raise CorruptError(f"block {block.height}: stored states lead to {got}, want {want}")
        return root, state_root

    def _sign(self, block: Block, roots: tuple[bytes, bytes]) -> tuple[Checkpoint, str]:
        """The checkpoint of a block, signed; what was signed must state the roots as recomputed."""
        anchor = self._reader.anchor
        checkpoint = Checkpoint(
            origin=anchor.origin,
            size=block.first_index + block.count,
            root=block.tree_root,
            height=block.height,
            block_hash=block.hash(anchor.suite),
            state_root=block.state_root,
        )
        note = sign_checkpoint(checkpoint, self._key)
        signed = Checkpoint.parse(note)
        if (signed.root, signed.state_root) != roots or signed.block_hash != checkpoint.block_hash:
            raise CorruptError(f"block {block.height}: checkpoint states other roots than stored")
        return checkpoint, note

    def _check_running(self) -> None:
        if self._stopped is not None:
            raise CorruptError(
                f"writer has stopped: {self._stopped}; close the ledger, audit it, open it again"
            ) from self._stopped


def cut(items: Sequence[bytes]) -> list[Sequence[bytes]]:
    """Pieces of consecutive items, each small enough for a block."""
    pieces: list[Sequence[bytes]] = []
    begin = total = 0
    for at, item in enumerate(items):
        total += len(item) + 256
        if at - begin == BLOCK_RECORDS or (total > BLOCK_BYTES and at > begin):
            pieces.append(items[begin:at])
            begin, total = at, len(item) + 256
    if begin < len(items):
        pieces.append(items[begin:])
    return pieces
