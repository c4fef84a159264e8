"""Order what was submitted: hold each record to the rules, and commit those that pass.

One block after the other; those who wait meanwhile share the next one. A full disk, a lock of
another process or an operator's signer that is away refuses a block and passes; anything else that
fails while a block is committed stops the writer for good, because a failed flush must not be tried
again, and damaged bytes must not be signed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

from ledgercore import rules
from ledgercore._core import (
    BUNDLE_RECORDS,
    Batch,
    Receipt,
    Record,
    SigningKey,
    VerifiedBatch,
    VerifiedRecord,
)
from ledgercore.clock import Clock
from ledgercore.disk import HeadFile
from ledgercore.entropy import Entropy
from ledgercore.errors import (
    PASSING,
    CorruptError,
    InvalidSignature,
    LedgerError,
    MalformedError,
    RefusedError,
    StoreError,
)
from ledgercore.keys import Signer, sign_batch, sign_checkpoint
from ledgercore.ledger.ahead import map_ahead
from ledgercore.ledger.commit import commit_block
from ledgercore.ledger.group import Group, Outcome, Waiting
from ledgercore.ledger.head import Head
from ledgercore.ledger.intake import (
    BLOCK_BYTES,
    BLOCK_RECORDS,
    check_list,
    check_payload,
    cut,
    decode_records,
    fits,
    verify_batches,
    verify_records,
    weight,
)
from ledgercore.ledger.journaled import Journaled
from ledgercore.ledger.reader import Reader
from ledgercore.ledger.verifying import UnverifiedError, Verifying
from ledgercore.proofs import Promise
from ledgercore.records import DATA, ConsentRevoke
from ledgercore.rules import Position, View

__all__ = ["REMEMBERED_STATES", "Outcome", "Writer"]

BATCHES_AHEAD = 2
"""Submitted batches that are verified while one is ordered, and held in memory, at most."""

STORED_MEANWHILE = BLOCK_RECORDS // 2
"""Records in one call from which on they are stored while they are verified. Fewer share a block
with other callers', whose block must not fail of them."""

Submitted = Batch | VerifiedBatch | Verifying

Result = TypeVar("Result")

REMEMBERED_STATES = 16_384
"""Objects whose states the writer keeps in memory at most, but for one block's."""


class Writer:
    """The one writer of a ledger; safe to share between threads, which take turns."""

    def __init__(
        self,
        reader: Reader,
        key: Signer,
        head_file: HeadFile,
        journaled: Journaled | None,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        """``journaled`` is None where a record is durable with its block only."""
        reader.store.take_room(reader.head.block.count)
        self._reader = reader
        self._key = key
        self._head_file = head_file
        self._clock = clock
        self._entropy = entropy
        self._group = Group(BLOCK_RECORDS, BLOCK_BYTES, self._serve)
        self._journaled = journaled
        self._stopped: BaseException | None = None
        self._committed = View(reader.state)

    @property
    def stopped(self) -> BaseException | None:
        """What stopped it for good, if anything did."""
        return self._stopped

    @property
    def unpublished(self) -> bool:
        """Whether anything is in the journal that no block has."""
        return self._journaled is not None and bool(self._journaled.bundles)

    @property
    def next_position(self) -> tuple[int, bytes] | None:
        """The sequence of the operator's next record, and the id that it names, behind what is in
        the journal; None where nothing is."""
        journaled = self._journaled
        return journaled.position if journaled is not None and journaled.bundles else None

    def append(self, payloads: Sequence[bytes]) -> range:
        """Append payloads as records of the operator; their indices, durable and signed."""
        check_list("payloads", payloads, "append")
        for payload in payloads:
            check_payload(payload)
        total = weight(payloads)
        if not fits(len(payloads), total):
            return self._append_pieces(cut(payloads, total))
        first = self._group.write(Waiting(len(payloads), total, payloads))[0]
        if isinstance(first, RefusedError):
            raise first
        return range(first, first + len(payloads))

    def append_one(self, payload: bytes) -> Receipt:
        """Append one payload as a record of the operator; its receipt, durable and signed."""
        check_payload(payload)
        waiting = Waiting(1, weight([payload]), [payload], wants_receipt=True)
        (outcome,) = self._group.write(waiting)
        if isinstance(outcome, RefusedError):
            raise outcome
        return waiting.receipt or self._reader.receipts([outcome])[0]

    def append_durable(self, payload: bytes) -> int:
        """Append one payload as a record of the operator; its index, durable."""
        check_payload(payload)
        (outcome,) = self._group.write(Waiting(1, weight([payload]), [payload], durable=True))
        if isinstance(outcome, RefusedError):
            raise outcome
        return outcome

    def publish(self) -> None:
        """Make a block of what is in the journal."""
        with self._reader.lock:
            if self.unpublished:
                self._write(self._publish_journaled)

    def close(self) -> None:
        """Publish what is in the journal, and give its file back, with what could not be."""
        try:
            with suppress(LedgerError):  # it is durable: the next start publishes it
                self.publish()
        finally:
            if self._journaled is not None:
                self._journaled.close(keep=self._stopped is not None)

    def _append_pieces(self, pieces: Sequence[Sequence[bytes]]) -> range:
        """Append more than a block holds, with nothing of others between."""
        return self._group.alone(partial(self._order_pieces, pieces))

    def _order_pieces(self, pieces: Sequence[Sequence[bytes]]) -> range:
        self.publish()  # what is durable has its indices already
        begin = end = self._reader.head.checkpoint.size
        try:
            for piece in pieces:
                for outcome in self._order(self._sign(piece)):
                    if isinstance(outcome, RefusedError):
                        raise outcome
                end += len(piece)
        except BaseException as error:
            durable = self._reader.head.checkpoint.size - begin
            if durable:
                total = sum(map(len, pieces))
                error.add_note(f"the first {durable} of {total} payloads are durable")
            raise
        return range(begin, end)

    def _sign(self, payloads: Sequence[bytes]) -> Batch | VerifiedBatch:
        """Payloads as signed records, after all that were accepted."""
        self.publish()
        # Whoever leads needs no lock for it: nobody else changes what is committed.
        return self._sign_at(self._position(), payloads)

    def _position(self) -> tuple[int, bytes]:
        """The sequence of the operator's next record, and the id that it names."""
        return rules.next_position(self._committed, self._key.public_key)

    def _sign_at(
        self, position: tuple[int, bytes], payloads: Sequence[bytes]
    ) -> Batch | VerifiedBatch:
        """A few that were signed in this process are not verified here: the second look does it
        before a block holds them. More are while they are hashed."""
        anchor = self._reader.anchor
        sequence, previous = position
        batch = sign_batch(
            self._key,
            anchor.suite,
            anchor.network,
            DATA,
            payloads,
            sequence=sequence,
            previous=previous,
        )
        return self._verified_if_many(batch)

    def _verified_if_many(self, batch: Batch | VerifiedBatch) -> Batch | VerifiedBatch:
        few = isinstance(self._key, SigningKey) and len(batch) <= BUNDLE_RECORDS
        return batch if few else self._verified(batch)

    def _verified(self, batch: Submitted) -> VerifiedBatch:
        if isinstance(batch, VerifiedBatch):
            return batch
        if isinstance(batch, Verifying):
            return batch.result()
        try:
            return batch.verify(self._entropy.bytes(32))
        except InvalidSignature as error:
            if not isinstance(self._key, SigningKey):
                raise  # a token's or a service's, which may sign well the next time
            # Memory or processor are not to be trusted any more, as where the second look fails.
            self._stopped = CorruptError(f"what was signed here does not verify: {error}")
            raise self._stopped from error

    def submit(self, records: Sequence[bytes]) -> list[Outcome]:
        """Order signed records of any signers; durable and signed when it returns.

        A malformed record or a bad signature refuses all of them, and nothing is appended.
        """
        check_list("records", records, "submit")
        total, batches = decode_records(records)
        if len(batches) == 1 and len(records) >= STORED_MEANWHILE:
            return self._submit_verifying(batches[0])
        return self._submit_verified((total, verify_batches(batches, self._entropy)))

    def _submit_verifying(self, batch: Batch) -> list[Outcome]:
        """Order a large batch as a block of its own, stored while its signatures are verified."""
        verifying = Verifying(batch, self._entropy)
        try:
            return self._group.alone(lambda: self._order(verifying))
        except UnverifiedError as error:
            raise error.reason from None

    def submit_batches(self, batches: Iterable[Sequence[bytes]]) -> Iterator[list[Outcome]]:
        """Order batch after batch, each as ``submit`` does; the next are verified meanwhile."""
        for verified in map_ahead(self._verify_ahead, batches, BATCHES_AHEAD):
            yield self._submit_verified(verified)

    def _verify_ahead(self, records: Sequence[bytes]) -> tuple[int, list[VerifiedBatch]]:
        """What records weigh, and the records verified, in one batch a block."""
        check_list("records", records, "submit")
        return verify_records(records, self._entropy, ahead=True)

    def _submit_verified(self, verified: tuple[int, list[VerifiedBatch]]) -> list[Outcome]:
        total, batches = verified
        if len(batches) == 1:
            (batch,) = batches
            return self._group.write(Waiting(len(batch), total, batch=batch))
        return self._group.alone(
            lambda: [outcome for batch in batches for outcome in self._order(batch)]
        )

    def promise(self, data: bytes, within_ms: int) -> Promise:
        """Sign that a revocation will be on the ledger, if the rules would take it now.

        They would take it later too: no rule refuses a revocation that they take now, but where its
        key goes on with another record. So nothing else is promised.
        """
        record = Record.decode(data).verify()
        if record.kind != ConsentRevoke.KIND:
            raise MalformedError(
                f"record is {record.kind}, want {ConsentRevoke.KIND}: nothing else is promised, "
                "submit it"
            )
        with self._reader.lock:
            self._reader.check_open()
            self._check_running()
            position = self._next()
            rules.apply(self._committed.fork(), record, position)
            return Promise.sign(self._key, record, position.time_ms + within_ms)

    def put_note(self, height: int, note: str) -> None:
        """Keep a block's note with more cosignatures; durable when it returns."""
        with self._reader.lock:
            self._check_running()
            try:
                self._reader.put_note(height, note)
            except PASSING:
                raise  # the ledger is as it was
            except BaseException as error:
                self._stopped = error
                raise

    def _serve(self, some: Sequence[Waiting]) -> list[Outcome]:
        """Order what these callers want as one block; the outcomes in their order."""
        if all(waiting.durable for waiting in some) and (kept := self._keep(some)):
            return kept
        outcomes = self._order(self._joined(some))
        wanted: dict[int, Waiting] = {}
        at = 0
        for waiting in some:
            first = outcomes[at] if waiting.wants_receipt else None
            if isinstance(first, int):
                wanted[first] = waiting
            at += waiting.count
        if wanted:
            # The block is durable: what fails from here on is for each caller to find out.
            with suppress(LedgerError):
                for receipt in self._reader.receipts(list(wanted)):
                    wanted[receipt.index].receipt = receipt
        return outcomes

    def _joined(self, some: Sequence[Waiting]) -> Batch | VerifiedBatch:
        """One batch of what all want: payloads are signed as one chain."""
        if len(some) == 1:
            (alone,) = some
            return self._sign(alone.payloads) if alone.batch is None else alone.batch
        payloads = [payload for waiting in some for payload in waiting.payloads]
        signed = self._sign(payloads) if payloads else None
        if signed is not None and len(signed) == sum(waiting.count for waiting in some):
            return signed
        verified = None if signed is None else self._verified(signed)
        batches, at = [], 0
        for waiting in some:
            if waiting.batch is not None:
                batches.append(waiting.batch)
            elif verified is not None:
                end = at + waiting.count
                batches.append(verified.select(range(at, end)))
                at = end
        return VerifiedBatch.join(batches)

    def _keep(self, some: Sequence[Waiting]) -> list[Outcome]:
        """Have these callers' payloads durable in the journal; none where a block must have them.

        What was signed here is verified with the block that holds it, and not before: it takes as
        long as to sign it. A bad signature stops the writer then, and is told at the next start.
        """
        if self._journaled is None or sum(waiting.count for waiting in some) > BUNDLE_RECORDS:
            return []
        with self._reader.lock:
            return self._keep_in(self._journaled, [p for w in some for p in w.payloads])

    def _keep_in(self, journaled: Journaled, payloads: Sequence[bytes]) -> list[Outcome]:
        """Their indices; none where there can be no journal, or a rule is against.

        The rules are asked for the first ones: nothing but what is here is ordered before a block
        has it, and so they would say the same of those that follow.
        """
        follows = bool(journaled.bundles)
        if not follows:
            journaled.begin(self._reader.newest.checkpoint.size, self._position())
        batch = self._sign_at(journaled.position, payloads)
        if not follows and not rules.apply_plain(self._committed.fork(), batch):
            return []
        first = self._write(partial(journaled.add, batch))
        if first is None and follows:
            self._write(self._publish_journaled)
            return self._keep_in(journaled, payloads)  # in all the room there is
        if first is None:
            return []
        return [*range(first, first + len(payloads))]

    def _publish_journaled(self) -> None:
        """Commit what is in the journal, each record at the index that its caller was told.

        A crash before the commit leaves it in the journal; one after it leaves entries there that
        a block has.
        """
        journaled = self._journaled
        if journaled is None or not journaled.bundles:
            return
        size = self._reader.newest.checkpoint.size
        batch = self._verified_if_many(Batch.decode_bundles(journaled.bundles))
        outcomes = self._order_block(batch)
        if outcomes != [*range(size, size + len(batch))]:
            raise CorruptError(f"journal's records are {outcomes} in a block, want from {size} on")
        journaled.clear()

    def _order(self, batch: Submitted) -> list[Outcome]:
        """Commit those that pass as one block, and say of each what became of it."""
        with self._reader.lock:
            return self._write(partial(self._order_after_journaled, batch))

    def _order_after_journaled(self, batch: Submitted) -> list[Outcome]:
        self._publish_journaled()
        if len(self._committed) > REMEMBERED_STATES:
            self._committed = View(self._reader.state)
        return self._order_block(batch)

    def _write(self, work: Callable[[], Result]) -> Result:
        """What may write, for whoever holds the lock."""
        self._reader.check_open()
        self._check_running()
        try:
            return work()
        except (*PASSING, UnverifiedError):
            raise  # the ledger is as it was
        except BaseException as error:
            # Whatever happened, only a new start, which verifies everything, may write again.
            self._stopped = error
            raise

    def _order_block(self, batch: Submitted) -> list[Outcome]:
        head = self._reader.newest
        height, size, time_ms = head.block.height + 1, head.checkpoint.size, self._time_ms(head)
        view = self._committed.fork()
        if rules.apply_plain(view, batch.batch if isinstance(batch, Verifying) else batch):
            self._commit(head, batch, view, time_ms)
            return list(range(size, size + len(batch)))
        batch = self._verified(batch)
        accepted: dict[bytes, int] = {}
        positions: list[int] = []
        outcomes: list[Outcome] = []
        for at, record_id in enumerate(batch.ids()):
            index = size + len(positions)
            record = batch[at]
            try:
                rules.apply(view, record, Position(height, index, time_ms))
            except RefusedError as refusal:
                outcomes.append(self._known(view, record, accepted, refusal))
            else:
                accepted[record_id] = index
                positions.append(at)
                outcomes.append(index)
        if positions:
            chosen = batch if len(positions) == len(batch) else batch.select(positions)
            self._commit(head, chosen, view, time_ms)
        return outcomes

    def _next(self) -> Position:
        """Where a record is ordered that comes now."""
        head = self._reader.newest
        return Position(head.block.height + 1, head.checkpoint.size, self._time_ms(head))

    def _time_ms(self, head: Head) -> int:
        """The time of a block that is made now, after this head: it never goes back."""
        return max(self._clock.now_ms(), head.block.time_ms)

    def _known(
        self,
        view: View,
        record: VerifiedRecord,
        accepted: dict[bytes, int],
        refusal: RefusedError,
    ) -> Outcome:
        """The index of a record that is there already, or else the refusal.

        A record that is there has a sequence behind its signer's next one: it never passes the
        rules again, and only ids of such records need looking up.
        """
        if record.sequence >= rules.next_position(view, record.key)[0]:
            return refusal
        index = accepted.get(record.id)
        if index is None:
            index = self._reader.find(record.id)
        return refusal if index is None else index

    def _commit(self, head: Head, batch: Submitted, view: View, time_ms: int) -> None:
        reader, states, touches = self._reader, view.changes(), view.touches()
        sign = partial(sign_checkpoint, signer=self._key)
        verifying: Callable[[], VerifiedBatch] | None = None
        if isinstance(batch, Verifying):
            verifying, batch = batch.result, batch.batch
        after = commit_block(
            reader.store, reader.anchor, sign, head, batch, states, touches, time_ms, verifying
        )
        reader.set_head(after, states)
        view.settle()
        self._head_file.store(after.note)

    def _check_running(self) -> None:
        if self._stopped is None:
            return
        kind = CorruptError if isinstance(self._stopped, CorruptError) else StoreError
        reason = str(self._stopped) or type(self._stopped).__name__
        raise kind(
            f"writer has stopped: {reason}; close the ledger, audit it, open it again"
        ) from self._stopped
