"""Open a ledger, append to it, and prove what is in it: the pipeline on one screen.

A record is *received* when it is handed over, *durable* when it is on disk, with its index, and
*published* when a signed checkpoint covers it which, where the network has a quorum, its witnesses
cosigned. Every method that appends returns when the record is durable and the checkpoint over it is
signed: with a quorum it is published later. Only ``append_durable`` does not wait for a checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from threading import Thread
from types import TracebackType
from weakref import WeakMethod

from ledgercore._core import (
    Batch,
    Checkpoint,
    Receipt,
    SigningKey,
)
from ledgercore.clock import Clock, SystemClock
from ledgercore.disk import (
    HeadFile,
    check_directory,
    check_writable,
    exists,
    in_the_way,
    remove,
    rename,
)
from ledgercore.entropy import Entropy, SystemEntropy
from ledgercore.errors import (
    PASSING,
    LedgerError,
    MalformedError,
    RefusedError,
    UnavailableError,
    UntrustedError,
)
from ledgercore.keyfile import load_key, store_key
from ledgercore.keys import Signer
from ledgercore.ledger.arguments import (
    check_bytes,
    check_created,
    check_key,
    check_path,
    check_text,
    index_of,
)
from ledgercore.ledger.audit import Progress, Report, audit
from ledgercore.ledger.genesis import create_store, make_first_block
from ledgercore.ledger.later import is_ending, publish_later
from ledgercore.ledger.readable import ReadableLedger
from ledgercore.ledger.reader import Reader
from ledgercore.ledger.receipts import Receipts
from ledgercore.ledger.recovery import (
    Unpublished,
    journal_beside,
    unpublished,
)
from ledgercore.ledger.starting import start_writer
from ledgercore.ledger.watermark import check_continues, check_watermark
from ledgercore.ledger.writer import Outcome, Writer
from ledgercore.locks import WriterLock
from ledgercore.proofs import Promise
from ledgercore.records import Genesis, Member, Witness
from ledgercore.store import (
    Address,
    Store,
    check_there,
    files_beside,
    open_store,
    parse_address,
)
from ledgercore.store.journal import Journal
from ledgercore.wording import number_in_words

__all__ = ["Ledger"]

_BESIDE = ("-wal", "-shm", ".head", ".journal")
"""What must not be there already beside a new ledger: another one's."""


class Ledger(ReadableLedger):
    """One ledger in one file, or on a server; safe to share between threads.

    ``create`` and ``open`` take a path or a PostgreSQL URL (docs/spec/storage.md), and the writer's
    lock unless ``read_only``: one writer, and any number of readers in this process and others.
    """

    def __init__(
        self,
        address: Address,
        reader: Reader,
        writer: Writer | None,
        held: Sequence[WriterLock | HeadFile],
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        """Made by ``create`` and ``open``."""
        self._address = address
        self._reader = reader
        self._writer = writer
        self._held = held
        self._clock = clock
        self._entropy = entropy
        self._publishing = False

    @classmethod
    def create(
        cls,
        path: str | Path,
        *,
        origin: str,
        suite: str = "std",
        members: Sequence[Member] = (),
        witnesses: Sequence[Witness] = (),
        quorum: int = 0,
        key: Signer | None = None,
        passphrase: bytes | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        vfs: str | None = None,
    ) -> Ledger:
        """Make a ledger in a new file, or in a schema that has none, and open it.

        ``key`` is a ``SigningKey`` or any other ``ledgercore.keys.Signer``, which its owner keeps.
        Without it an operator's key is made in ``<path>.key``, readable by its owner only,
        and sealed under the passphrase if there is one.
        """
        check_created(path, origin, suite, members, witnesses, quorum)
        check_key(key, passphrase)
        clock, entropy = clock or SystemClock(), entropy or SystemEntropy()
        address = parse_address(path)
        files = files_beside(address)
        check_directory(files)
        _refuse_existing([f"{files}{suffix}" for suffix in ("", *_BESIDE, ".key")])
        seed = entropy.bytes(32)
        operator = key or SigningKey(seed)
        genesis = Genesis(
            origin=origin,
            suite=suite,  # type: ignore[arg-type]  # checked when the genesis is encoded
            created_ms=clock.now_ms(),
            operator_key=operator.public_key,
            witnesses=tuple(witnesses),
            quorum=quorum,
            members=tuple(members),
        )
        first = make_first_block(genesis, operator, entropy)
        lock = WriterLock(f"{files}.lock")
        try:
            if key is None:
                store_key(f"{files}.key", seed, passphrase, entropy=entropy)
            try:
                create_store(address, first, vfs)
            except LedgerError:
                # A ledger that has its name already, and failed of a flush after that, needs its
                # key. An interrupt may come anywhere: it leaves the key, which nothing uses yet.
                if key is None and not exists(files):
                    remove(f"{files}.key")
                raise
        except BaseException:
            lock.remove()
            raise
        lock.close()
        return cls.open(path, key=operator, clock=clock, entropy=entropy, vfs=vfs)

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        read_only: bool = False,
        key: Signer | None = None,
        passphrase: bytes | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        vfs: str | None = None,
    ) -> Ledger:
        """Open a ledger: its newest checkpoint is verified, and everything that leads to it.

        Raises ``BusyError`` where another writer holds it, ``RollbackError`` where it is behind
        what it once acknowledged, ``CorruptError`` where it is not what was signed.
        """
        check_path(path)
        check_key(key, passphrase)
        clock, entropy = clock or SystemClock(), entropy or SystemEntropy()
        address = parse_address(path)
        check_there(address)
        held: list[WriterLock | HeadFile] = []
        store: Store | None = None
        try:
            if not read_only:
                held.append(WriterLock(f"{files_beside(address)}.lock"))
            slots = _load_slots(address)
            store = open_store(address, read_only=read_only, vfs=vfs)
            reader = Reader(store, follow=read_only)
            newest_slot = check_watermark(reader, slots)
            writer = None
            if not read_only:
                operator = key or load_key(f"{address.files}.key", passphrase)
                if operator.public_key != reader.anchor.operator_key:
                    raise UntrustedError(
                        f"key for {address.name} is not the one of this ledger's operator: it was "
                        f"made with another, which {address.files}.key holds unless it was moved"
                    )
                writer, head_file = start_writer(
                    address,
                    reader,
                    operator,
                    newest_slot,
                    vfs=vfs,
                    clock=clock,
                    entropy=entropy,
                )
                held.append(head_file)
            return cls(address, reader, writer, held, clock, entropy)
        except BaseException:
            for holding in held:
                holding.close()
            if store is not None:
                store.close()
            raise

    # Append.

    def append(self, payload: bytes) -> Receipt:
        """Append one payload as a record of the operator: durable and signed on return."""
        return self._writing().append_one(payload)

    def append_durable(self, payload: bytes) -> int:
        """Append one payload as a record of the operator: its index, durable on return.

        It waits for one flush and for no block: one follows within a tenth of a second, or
        before anything else is ordered, and then the record can be read and has its receipt.
        ``receipt`` of its index publishes it at once. A crash meanwhile leaves it in the file
        ``<path>.journal``, of which the next start makes a block first: the file belongs to the
        ledger as SQLite's log does. On a server this is as ``append``.
        """
        writer = self._writing()
        index = writer.append_durable(payload)
        if writer.unpublished and not self._publishing:
            self._publish_soon()
        return index

    def publish(self) -> None:
        """Make a block of what is durable and in none yet: it is signed on return."""
        self._writing().publish()

    def append_many(self, payloads: Sequence[bytes]) -> Receipts:
        """Append payloads, one record each: all durable and signed on return.

        Many payloads take more than one block; a crash between two leaves the whole first ones,
        and an error says how many payloads those hold.
        """
        return Receipts(self.receipts, self._writing().append(payloads))

    def submit(self, record: bytes) -> Receipt:
        """Append one signed record of any signer, or raise ``RefusedError`` with the code.

        The same record again gives the receipt of the first time.
        """
        check_bytes("record", record)
        (outcome,) = self.submit_many([record])
        if isinstance(outcome, RefusedError):
            raise outcome
        return self.receipt(outcome)

    def submit_many(self, records: Sequence[bytes]) -> list[Outcome]:
        """Append signed records in order; each one's index, or the rule it was refused by.

        A record that is there already has the index that it had.

        Raises ``MalformedError`` or ``InvalidSignature`` naming what is bad, with nothing appended.
        """
        return self._writing().submit(records)

    def submit_batches(self, batches: Iterable[Sequence[bytes]]) -> Iterator[list[Outcome]]:
        """Append batch after batch, each as ``submit_many`` does, for volumes without end.

        An iterator: nothing is taken or appended before its first outcomes are asked for, nor
        after it is left.

            for outcomes in ledger.submit_batches(batches): ...

        While one batch is made durable the next are verified, so that up to two batches more than
        were yielded have been taken; they are appended when their outcomes are asked for. Where
        a batch raises, those before it are durable.
        """
        return self._kept(self._writing().submit_batches(batches))

    def _kept(self, outcomes: Iterator[list[Outcome]]) -> Iterator[list[Outcome]]:
        """The same, with the ledger for as long: the writer's lock is given back with it."""
        yield from outcomes

    def promise(self, record: bytes, within_ms: int) -> Promise:
        """Sign that a revocation will be on the ledger; whoever has it signed orders it then.

        It is to be in a block at most ``within_ms`` milliseconds of the ledger's time after now.
        Raises ``RefusedError`` where the rules would not take it now, and ``MalformedError`` where
        it is no ``consent.revoke``: other records may be refused later with good reason.
        """
        check_bytes("record", record)
        if index_of("within_ms", within_ms) < 0:
            raise MalformedError(f"within_ms is {number_in_words(within_ms)}, want 0 or more")
        return self._writing().promise(record, index_of("within_ms", within_ms))

    def unpublished(self) -> Unpublished:
        """What is durable in the journal and in no block yet; nothing is published for it.

        Where the ledger is open for reading it is what the file ``<path>.journal`` holds: a live
        writer's for a tenth of a second, and a crash's until the ledger is opened for writing.
        Within a ``moment`` of such a ledger damage of the file is not told.
        """
        with self._reader.lock:
            self._reader.check_open()
            if self._writer is not None:
                return self._lacking(Unpublished(self._writer.journaled_records))
            if self._address.server:
                return Unpublished()
            return unpublished(self._address.beside(), self._reader)

    def add_cosignatures(self, note: str) -> str:
        """Keep the cosignatures that a checkpoint of this ledger came back with; the whole note.

        Receipts of its block have them from now on. What no witness of the genesis signed is
        passed over; raises ``UntrustedError`` where the checkpoint is not one of this ledger,
        ``InvalidSignature`` where a witness's cosignature is wrong.
        """
        check_text("checkpoint", note)
        writer = self._writing()
        with self._reader.lock:
            height = Checkpoint.parse(note).height
            if height > self.height:
                raise UntrustedError(
                    f"checkpoint is of height {height}, want at most {self.height}"
                )
            merged = self.trust_anchor.merge_cosignatures(self._reader.note(height), note)
            writer.put_note(height, merged)
        return merged

    def _publish_journaled(self) -> None:
        """Where a read asks for what may be in the journal only. A stopped writer leaves it, and so
        does a moment, whose reads are of one head."""
        if (writer := self._writer) is not None and writer.stopped is None:
            with self._reader.lock:
                if not self._reader.in_moment:
                    writer.publish()

    def next_position(self, key: bytes) -> tuple[int, bytes]:
        """The sequence and previous id that a key's next record must have."""
        with self._reader.lock:
            self._reader.check_open()
            ahead = None if (writer := self._writer) is None else writer.next_position
            if ahead is not None and key == self._reader.anchor.operator_key:
                return ahead
            return super().next_position(key)

    def _publish_soon(self) -> None:
        """Let a thread publish what is only durable, where none is about to. It has the ledger, and
        so the writer's lock, while it publishes and no longer."""
        arguments = (WeakMethod(self._publish_now),)
        # Of a daemon's call too: a program must wait for it when it ends.
        later = Thread(target=publish_later, args=arguments, name="publish", daemon=False)
        with self._reader.lock, suppress(RuntimeError):
            # Where no thread can be had, the next call that writes does it.
            if not self._publishing:
                later.start()
                self._publishing = True

    def _publish_now(self) -> bool:
        """On that thread: publish, and say whether it is to come again: not where it would keep a
        program from ending."""
        with self._reader.lock:
            if (writer := self._writer) is None or self._reader.is_closed:
                return False
            with suppress(LedgerError):  # whoever writes next is told
                writer.publish()
            left = writer.unpublished and writer.stopped is None
            self._publishing = left and not is_ending()
            return self._publishing

    def _writing(self) -> Writer:
        self._reader.check_open()
        if self._writer is None:
            raise UnavailableError("ledger is open for reading: open it for writing")
        return self._writer

    @property
    def path(self) -> Path:
        """The ledger's file; on a server, what this host's files of it are named for."""
        return self._address.beside()

    @property
    def stopped(self) -> BaseException | None:
        """What stopped the writer here for good, if anything did: reads go on, and the ledger is
        written again when it was closed and opened anew."""
        return None if (writer := self._writer) is None else writer.stopped

    @property
    def now_ms(self) -> int:
        """The time that a block would have that is made now, as far as this machine's clock knows:
        never before the newest block's."""
        return max(self._clock.now_ms(), self.time_ms)

    def __repr__(self) -> str:
        """Where it is, and its size as it was looked at last: nothing is read, nothing raised."""
        how = "read only" if self._writer is None else "to write"
        size = self._reader.newest.checkpoint.size
        how = "closed" if self._reader.is_closed else how
        records = "1 record" if size == 1 else f"{size} records"
        return f"<ledger {self.origin} in {self._address.name}: {records}, {how}>"

    # Keep.

    def verify(self, progress: Progress | None = None) -> Report:
        """Verify everything from the records alone, or raise with what is wrong and where.

        Records that are appended meanwhile are verified too. On a shared ledger others wait for
        one block at a time, and at the end for the blocks that came last.
        """
        self._reader.check_open()
        slots = _load_slots(self._address)
        report = audit(self._reader, self._clock, self._entropy, progress)
        check_watermark(self._reader, slots)
        return replace(report, unpublished=self.unpublished())

    def verify_since(self, note: str) -> Checkpoint:
        """The checkpoint that was kept elsewhere, once this ledger is shown to go on from it.

        Raises ``RollbackError`` where it is shorter, ``ForkError`` where its history is another.
        """
        check_text("checkpoint", note)
        kept = self.trust_anchor.verify_operator(note)
        check_continues(self._reader, kept, "an older ledger stands in its place")
        return kept

    def backup(self, path: str | Path) -> Report:
        """Copy the ledger to a new file while it is in use, and verify all of the copy.

        The copy of a ledger on a server is a file as well. What is only durable is published first
        where the ledger is open for writing; what still is in no block, as on a full disk or for
        a reader, is copied to ``<path>.journal``, which belongs to the copy: a writer that opens
        that publishes it. Let one do so in the ledger's place only, where that is lost: two blocks
        of the same records are two histories that the operator signed.

        The report is of the copy. The key and the head file are not copied. A crash leaves
        ``<path>.new``, and ``<path>.journal`` without its ledger, at most; an error too late to
        take the copy's name back leaves both files of it.
        """
        check_path(path)
        self._reader.check_open()
        if (target := parse_address(path)).server:
            raise MalformedError(f"backup is to be at {target.name}, want a file: name one")
        path = Path(path)
        _refuse_existing([f"{path}{suffix}" for suffix in ("", *_BESIDE)])
        with suppress(*PASSING):  # a full disk is what a backup to another one is for
            self._publish_journaled()
        check_writable(path)  # by its own name, and before all is copied
        new, journal = path.with_name(path.name + ".new"), journal_beside(path)
        leftovers: list[str | Path] = [new, f"{new}-wal", f"{new}-shm"]
        for leftover in leftovers:
            remove(leftover)
        try:
            waiting = self.unpublished()  # before blocks are copied: they may have it by then
            self._reader.store.backup(str(new))
            with Ledger.open(new, read_only=True, clock=self._clock, entropy=self._entropy) as copy:
                report = copy.verify()
                report = replace(report, unpublished=copy._lacking(waiting))
            if lacking := report.unpublished.records:
                batch = Batch.decode([record.encode() for record in lacking])
                leftovers.append(journal)
                Journal.store(journal, batch.bundles())
            rename(new, path)
        finally:
            # A copy that has its name, and failed of a flush after that, needs its journal.
            for leftover in leftovers if exists(new) else leftovers[:3]:
                remove(leftover)
        return report

    def _lacking(self, waiting: Unpublished) -> Unpublished:
        """The same, without the records that blocks here have."""
        with self._reader.moment() as head:
            sequence, _ = super().next_position(self.trust_anchor.operator_key)
        records = [record for record in waiting.records if record.sequence >= sequence]
        return waiting._replace(records=tuple(records), first_index=head.checkpoint.size)

    def close(self) -> None:
        """Close the file and let the next writer in; closing again does nothing."""
        foreign = self._reader.lock.is_foreign
        with nullcontext() if foreign else self._reader.lock:
            try:
                if self._writer is not None and not foreign and not self._reader.is_closed:
                    self._writer.close()
            finally:
                self._close_files()

    def _close_files(self) -> None:
        try:
            self._reader.close()
        finally:
            for holding in self._held:
                holding.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _load_slots(address: Address) -> list[str]:
    """What the head file holds; a reader of a server's ledger may have none on its host."""
    return [] if address.files is None else HeadFile.load(f"{address.files}.head")


def _refuse_existing(paths: Sequence[str | Path]) -> None:
    for path in paths:
        if exists(path):
            raise in_the_way(path)
