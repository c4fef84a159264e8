"""Keep a copy of a ledger that takes blocks from anyone and keeps only what holds.

A block is taken when it follows from the one before: the operator signed it, every record is
signed, the rules accept each, and tree and states lead to the signed roots. All of that is made
again here and nothing is believed, so it does not matter who hands the blocks over. What is kept is
a ledger like any other, which ``Ledger.open(path, read_only=True)`` reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import TracebackType

from ledgercore import rules
from ledgercore._core import (
    Anchor,
    Bracket,
    Checkpoint,
    Frontier,
    Map,
)
from ledgercore.disk import HeadFile, exists
from ledgercore.entropy import Entropy, SystemEntropy
from ledgercore.errors import (
    PASSING,
    ForkError,
    MalformedError,
    RefusedError,
    StoreError,
    UnavailableError,
    UntrustedError,
)
from ledgercore.ledger.ahead import begin_ahead, map_ahead
from ledgercore.ledger.commit import commit_block, draft_block
from ledgercore.ledger.genesis import FirstBlock, create_filled, create_store
from ledgercore.ledger.reader import Reader
from ledgercore.ledger.received import Received, check_genesis, receive
from ledgercore.ledger.snapshot import SNAPSHOT_BYTES, Snapshot, snapshot_items
from ledgercore.ledger.transfer import encode_transfer
from ledgercore.ledger.watermark import check_continues, check_watermark
from ledgercore.locks import WriterLock
from ledgercore.rules import Position, View
from ledgercore.store import (
    Address,
    Store,
    check_there,
    files_beside,
    open_store,
    parse_address,
)

__all__ = ["Replica"]

BLOCKS_AHEAD = 2
"""Blocks whose signatures are checked while one is made durable, and held in memory, at most."""

THREADS_AHEAD = 2
"""Threads that verify what is expected: one decodes a block while the other checks signatures."""

REMEMBERED_STATES = 16_384
"""Objects whose states the copy keeps decoded at most, but for one block's: those that it made or
has held to the signed map."""


class Replica:
    """One copy in one file or on a server; for one thread, and the only writer there."""

    def __init__(
        self,
        anchor: Anchor,
        reader: Reader,
        lock: WriterLock,
        head_file: HeadFile,
        entropy: Entropy,
    ) -> None:
        """Made by ``create`` and ``open``."""
        reader.store.take_room(reader.head.block.count)
        self._anchor = anchor
        self._reader = reader
        self._lock = lock
        self._head_file = head_file
        self._entropy = entropy
        self._stopped: BaseException | None = None
        self._writing = Bracket(self._check_running, self._stop_after)
        self._committed = View(reader.state)
        self._ahead = ThreadPoolExecutor(THREADS_AHEAD, "ahead")  # begun when they are needed

    @classmethod
    def create(
        cls,
        path: str | Path,
        anchor: Anchor,
        first: bytes,
        *,
        entropy: Entropy | None = None,
        vfs: str | None = None,
    ) -> Replica:
        """Make a copy that holds block 0, if that is the genesis of the anchor's network."""
        entropy = entropy or SystemEntropy()
        received = receive(first, anchor, entropy)
        check_genesis(received, anchor)
        view = View(lambda name: None)
        _apply_each(view, received)
        suite, states = anchor.suite, view.changes()
        frontier, _ = Frontier(suite).append(received.batch.leaf_hashes())
        _check_roots(received, frontier.root(), Map(suite).update(states).root())
        made = FirstBlock(
            suite, received.block, received.batch, states, view.touches(), received.note
        )
        cls._make(path, lambda address: create_store(address, made, vfs))
        return cls.open(path, anchor, entropy=entropy, vfs=vfs)

    @classmethod
    def join(
        cls,
        path: str | Path,
        anchor: Anchor,
        items: Iterable[bytes],
        *,
        entropy: Entropy | None = None,
        vfs: str | None = None,
    ) -> Replica:
        """Make a copy that begins at a snapshot, if that leads to a checkpoint that is trusted.

        It answers for its newest records and all states at once. What it lacks, older blocks and
        histories, it says with ``UnavailableError``.
        """
        entropy = entropy or SystemEntropy()
        snapshot = Snapshot.verify(items, anchor, entropy)
        cls._make(path, lambda address: create_filled(address, snapshot.fill, vfs))
        return cls.open(path, anchor, entropy=entropy, vfs=vfs)

    @staticmethod
    def check_free(path: str | Path) -> None:
        """Refuse a place for a new copy where a file of another one is, or of one that was lost."""
        address = parse_address(path)
        files = files_beside(address)
        for suffix in ("", "-wal", "-shm", ".head"):
            if exists(f"{files}{suffix}"):
                if address.server or exists(files):
                    what = "schema" if address.server else "name"
                    raise StoreError(f"{files}{suffix} exists already: choose another {what}")
                raise StoreError(
                    f"{files}{suffix} exists already, and {files} does not: it was lost; "
                    "ledgercore node repair makes it anew from peers"
                )

    @classmethod
    def _make(cls, path: str | Path, create: Callable[[Address], None]) -> None:
        cls.check_free(path)
        address = parse_address(path)
        files = files_beside(address)
        lock = WriterLock(f"{files}.lock")
        try:
            create(address)
        except BaseException:
            lock.remove()
            raise
        lock.close()

    @classmethod
    def open(
        cls,
        path: str | Path,
        anchor: Anchor,
        *,
        entropy: Entropy | None = None,
        vfs: str | None = None,
    ) -> Replica:
        """Open a copy, its newest block verified; UntrustedError if it is not the anchor's."""
        address = parse_address(path)
        files = files_beside(address)
        if not address.server and not exists(files):
            raise StoreError(f"{files} does not exist: make a copy with Replica.create")
        check_there(address)
        held: list[WriterLock | HeadFile | Store] = []
        try:
            lock = WriterLock(f"{files}.lock")
            held.append(lock)
            slots = HeadFile.load(f"{files}.head")
            store = open_store(address, vfs=vfs)
            held.append(store)
            reader = Reader(store, follow=False)
            _check_anchor(reader.anchor, anchor)
            newest_slot = check_watermark(reader, slots)
            head_file = HeadFile(f"{files}.head", reader.head.note, newest_slot)
            held.append(head_file)
            head_file.remember(reader.head.note)
            return cls(anchor, reader, lock, head_file, entropy or SystemEntropy())
        except BaseException:
            for holding in reversed(held):
                holding.close()
            raise

    @property
    def height(self) -> int:
        """The newest block's height: the next one that is wanted is one above."""
        return self._reader.head.block.height

    @property
    def checkpoint(self) -> str:
        """The newest block's signed checkpoint."""
        return self._reader.head.note

    @property
    def published(self) -> str | None:
        """The newest checkpoint that the quorum has cosigned, as ``Ledger.published``."""
        return self._reader.published()

    @property
    def trust_anchor(self) -> Anchor:
        """Whom the copy trusts: what it was made with."""
        return self._anchor

    def note(self, height: int) -> str:
        """The signed checkpoint of a height that the copy has."""
        return self._reader.note(height)

    def prove_consistency(self, first_size: int, second_size: int) -> list[bytes]:
        """Prove that what stood at the first size still stands at the second."""
        return self._reader.prove_consistency(first_size, second_size)

    def blocks(self, begin: int, end: int) -> Iterator[bytes]:
        """Blocks of heights ``[begin, end)``, for the next copy."""
        for height in range(begin, min(end, self.height + 1)):
            yield encode_transfer(self._reader.stored_block(height))

    def snapshot(self, limit_bytes: int = SNAPSHOT_BYTES) -> list[bytes]:
        """The newest moment as items, from which another copy begins: ``Replica.join``."""
        return snapshot_items(self._reader, limit_bytes)

    def verify_since(self, note: str) -> Checkpoint:
        """The signed checkpoint, which this copy goes on from, as ``Ledger.verify_since`` does."""
        kept = self._anchor.verify_operator(note)
        check_continues(self._reader, kept, "an older copy is here")
        return kept

    @property
    def held_from(self) -> int:
        """The first height after the genesis that is here: 1 but where it began at a snapshot."""
        return self._reader.held_from

    def add_cosignatures(self, note: str) -> str:
        """Keep the cosignatures of witnesses that a checkpoint of this copy came with; the whole.

        Raises ``UntrustedError`` where the checkpoint is not one of this copy, which may have
        begun later.
        """
        height = Checkpoint.parse(note).height
        if height > self.height:
            raise UntrustedError(f"checkpoint is of height {height}, want at most {self.height}")
        if 0 < height < self.held_from:
            raise UntrustedError(
                f"checkpoint is of height {height}, want 0 or at least {self.held_from}, where "
                "this copy began"
            )
        kept = self._reader.note(height)
        merged = self._anchor.merge_cosignatures(kept, note)
        if merged != kept:
            with self._writing:
                self._reader.put_note(height, merged)
        return merged

    def append(self, blocks: Iterable[bytes | memoryview]) -> int:
        """Take blocks, each durable before the next; the height that was reached. A view of bytes
        is not kept beyond its block's turn.

        Where one is refused, those before it are kept. Raises ``MalformedError``,
        ``InvalidSignature`` or ``UntrustedError`` for a block that is not the operator's or does
        not hold, ``ForkError`` for one that the operator signed beside the history that is kept.
        """
        received = map_ahead(self._receive, blocks, BLOCKS_AHEAD)
        with closing(received):
            for each in received:
                self._take(each)
        return self.height

    def expect(self, block: bytes | memoryview) -> Future[Received]:
        """Begin to verify a block that is to be taken later, beside whatever is done meanwhile.

        It is verified on threads of the copy's own, and held in memory until nobody has what is
        given here any more. Nothing is believed or stored because of it.
        """
        self._reader.check_open()  # a forked process has none of the threads
        return begin_ahead(self._ahead, self._receive, block)

    def take(self, expected: Future[Received]) -> int:
        """Take a block that was expected, durable then; the height that was reached.

        Raises what ``append`` raises.
        """
        self._reader.check_open()
        try:
            received = expected.result()
        except CancelledError:
            reason = "block was not verified, as its copy was closed: open the copy again"
            raise UnavailableError(reason) from None
        self._take(received)
        return self.height

    def _receive(self, block: bytes | memoryview) -> Received:
        return receive(block, self._anchor, self._entropy, ahead=True)

    def _check_running(self, depth: int) -> None:
        """As with the operator's writer, after a failed flush nothing more is written."""
        if self._stopped is not None:
            reason = str(self._stopped) or type(self._stopped).__name__
            raise UnavailableError(
                f"copy has stopped: {reason}; close it and open it again"
            ) from self._stopped

    def _stop_after(self, depth: int, error: BaseException | None) -> None:
        # A full disk or a lock passes, and has left the copy as it was.
        if error is not None and not isinstance(error, PASSING):
            self._stopped = self._stopped or error

    def _take(self, received: Received) -> None:
        reader, block = self._reader, received.block
        head, suite = reader.head, self._anchor.suite
        if block.height != head.block.height + 1:
            raise MalformedError(f"block is {block.height}, want {head.block.height + 1}")
        if block.parent != head.block.hash(suite):
            raise ForkError(
                f"block {block.height} follows another block {head.block.height} than is kept, "
                "and the operator signed both: keep both notes as evidence"
            )
        if block.time_ms < head.block.time_ms:
            raise UntrustedError(f"block {block.height}: time is before that of its parent")
        if len(self._committed) > REMEMBERED_STATES:
            self._committed = View(reader.state)
        view = self._committed.fork()
        if not rules.apply_plain(view, received.batch):
            _apply_each(view, received)
        states = view.changes()
        draft = draft_block(reader.store, head, received.batch, states, block.time_ms)
        _check_roots(received, draft.block.tree_root, draft.block.state_root)
        with self._writing:
            after = commit_block(
                reader.store,
                reader.anchor,
                lambda checkpoint: received.note,
                head,
                received.batch,
                states,
                view.touches(),
                block.time_ms,
                held=draft,
                bundles=received.bundles,
            )
            reader.set_head(after, states)
            view.settle()
            self._head_file.store(after.note)

    def close(self) -> None:
        """Close the file; closing again does nothing. What is being verified ahead ends by itself,
        and what waits for that is cancelled."""
        try:
            self._reader.close()
        finally:
            self._head_file.close()
            self._lock.close()
            # Its threads use nothing that is closed here, and an interrupt of a wait for them would
            # leave that half closed.
            self._ahead.shutdown(wait=False, cancel_futures=True)

    def __enter__(self) -> Replica:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _apply_each(view: View, received: Received) -> None:
    block = received.block
    for at in range(block.count):
        index = block.first_index + at
        try:
            rules.apply(view, received.batch[at], Position(block.height, index, block.time_ms))
        except RefusedError as refusal:
            raise UntrustedError(
                f"block {block.height}, record {index}: the operator signed what the rules refuse: "
                f"{refusal}"
            ) from refusal


def _check_roots(received: Received, tree_root: bytes, state_root: bytes) -> None:
    signed = received.checkpoint
    if (tree_root, state_root) != (signed.root, signed.state_root):
        raise UntrustedError(
            f"block {signed.height}: its records lead to other roots than the operator signed"
        )


def _check_anchor(kept: Anchor, want: Anchor) -> None:
    if (kept.network, kept.operator_key) != (want.network, want.operator_key):
        raise UntrustedError(f"copy is of {kept.origin}, and not of the anchor's network")
