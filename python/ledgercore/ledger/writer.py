"""Take what is appended and submitted, for many callers: in blocks, or in the journal first.

One block after the other; those who wait meanwhile share the next one. What the journal has comes
before anything that is ordered later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial

from ledgercore._core import (
    BUNDLE_RECORDS,
    Batch,
    Receipt,
    Record,
    VerifiedBatch,
)
from ledgercore.clock import Clock
from ledgercore.disk import HeadFile
from ledgercore.entropy import Entropy
from ledgercore.errors import (
    CorruptError,
    LedgerError,
    RefusedError,
)
from ledgercore.keys import Signer
from ledgercore.ledger.ahead import map_ahead
from ledgercore.ledger.group import Group, Outcome, Waiting
from ledgercore.ledger.intake import (
    BLOCK_BYTES,
    BLOCK_RECORDS,
    check_list,
    check_payload,
    cut,
    decode_records,
    fits,
    verify_batches,
    weight,
)
from ledgercore.ledger.journaled import Journaled
from ledgercore.ledger.reader import Reader
from ledgercore.ledger.sequencer import Sequencer, Submitted
from ledgercore.ledger.verifying import UnverifiedError, Verifying
from ledgercore.proofs import Promise

__all__ = ["Outcome", "Writer"]

BATCHES_AHEAD = 2
"""Submitted batches that are verified while one is ordered, and held in memory, at most."""

STORED_MEANWHILE = BLOCK_RECORDS // 2
"""Records in one call from which on they are stored while they are verified. Fewer share a block
with other callers', whose block must not fail of them."""


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
        self._entropy = entropy
        self._sequencer = Sequencer(reader, key, head_file, clock, entropy)
        self._group = Group(BLOCK_RECORDS, BLOCK_BYTES, self._serve)
        self._journaled = journaled

    @property
    def stopped(self) -> BaseException | None:
        """What stopped it for good, if anything did."""
        return self._sequencer.stopped

    @property
    def unpublished(self) -> bool:
        """Whether anything is in the journal that no block has."""
        return self._journaled is not None and bool(self._journaled.bundles)

    @property
    def journaled_records(self) -> tuple[Record, ...]:
        """The records in the journal that no block has, for whoever holds the lock."""
        bundles = [] if self._journaled is None else self._journaled.bundles
        batch = Batch.decode_bundles(bundles)
        return tuple(batch[at] for at in range(len(batch)))

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
                self._sequencer.write(self._commit_journaled)

    def close(self) -> None:
        """Publish what is in the journal, and give its file back, with what could not be."""
        try:
            with suppress(LedgerError):  # it is durable: the next start publishes it
                self.publish()
        finally:
            if self._journaled is not None:
                self._journaled.close(keep=self._sequencer.stopped is not None)

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
        return self._sequencer.sign_at(self._sequencer.position(), payloads)

    def submit(self, records: Sequence[bytes]) -> list[Outcome]:
        """Order signed records of any signers; durable and signed when it returns.

        A malformed record or a bad signature refuses all of them, and nothing is appended.
        """
        total, batches = decode_records(records)
        return self._submit_decoded(self._verify(total, batches, ahead=False))

    def _verify(
        self, total: int, batches: list[Batch], *, ahead: bool
    ) -> Verifying | tuple[int, list[VerifiedBatch]]:
        """A large batch that is being verified; or what records weigh, and the records verified."""
        if len(batches) == 1 and len(batches[0]) >= STORED_MEANWHILE:
            return Verifying(batches[0], self._entropy, ahead=ahead)
        return total, verify_batches(batches, self._entropy, ahead=ahead)

    def _submit_decoded(
        self, decoded: Verifying | tuple[int, list[VerifiedBatch]]
    ) -> list[Outcome]:
        """Order them: what is being verified as a block of its own, which is stored meanwhile."""
        if isinstance(decoded, Verifying):
            return self._group.alone(partial(self._order_verifying, decoded))
        return self._submit_verified(decoded)

    def _order_verifying(self, verifying: Verifying) -> list[Outcome]:
        """Whoever leads does it, and an interrupt of its wait is its own."""
        try:
            return self._order(verifying)
        except UnverifiedError as error:
            raise error.reason from None

    def submit_batches(self, batches: Iterable[Sequence[bytes]]) -> Iterator[list[Outcome]]:
        """Order batch after batch, each as ``submit`` does; the next are verified meanwhile."""
        for decoded in map_ahead(self._verify_ahead, batches, BATCHES_AHEAD):
            yield self._submit_decoded(decoded)

    def _verify_ahead(
        self, records: Sequence[bytes]
    ) -> Verifying | tuple[int, list[VerifiedBatch]]:
        total, batches = decode_records(records, ahead=True)
        return self._verify(total, batches, ahead=True)

    def _submit_verified(self, verified: tuple[int, list[VerifiedBatch]]) -> list[Outcome]:
        total, batches = verified
        if len(batches) == 1:
            (batch,) = batches
            return self._group.write(Waiting(len(batch), total, batch=batch))
        return self._group.alone(
            lambda: [outcome for batch in batches for outcome in self._order(batch)]
        )

    def promise(self, data: bytes, within_ms: int) -> Promise:
        """Sign that a revocation will be on the ledger, as ``Sequencer.promise`` does."""
        return self._sequencer.promise(data, within_ms)

    def put_note(self, height: int, note: str) -> None:
        """Keep a block's note with more cosignatures; durable when it returns."""
        with self._reader.lock:
            self._sequencer.write(partial(self._reader.put_note, height, note))

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
        verified = None if signed is None else self._sequencer.verified(signed)
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
            journaled.begin(self._reader.newest.checkpoint.size, self._sequencer.position())
        batch = self._sequencer.sign_at(journaled.position, payloads)
        if not follows and not self._sequencer.plain(batch):
            return []
        self._sequencer.check()
        first = None
        if journaled.is_ready(len(batch)):
            first = self._sequencer.write(partial(journaled.add, batch))
        if first is None and follows:
            self._sequencer.write(self._commit_journaled)
            return self._keep_in(journaled, payloads)  # in all the room there is
        if first is None:
            return []
        return [*range(first, first + len(payloads))]

    def _commit_journaled(self) -> None:
        """Commit what is in the journal, each record at the index that its caller was told.

        A crash before the commit leaves it in the journal; one after it leaves entries there that
        a block has.
        """
        journaled = self._journaled
        if journaled is None or not journaled.bundles:
            return
        size = self._reader.newest.checkpoint.size
        batch = self._sequencer.verified_if_many(Batch.decode_bundles(journaled.bundles))
        outcomes = self._sequencer.order(batch)
        if outcomes != [*range(size, size + len(batch))]:
            raise CorruptError(f"journal's records are {outcomes} in a block, want from {size} on")
        journaled.clear()

    def _order(self, batch: Submitted) -> list[Outcome]:
        """Commit those that pass as one block, and say of each what became of it."""
        with self._reader.lock:
            return self._sequencer.write(partial(self._order_after_journaled, batch))

    def _order_after_journaled(self, batch: Submitted) -> list[Outcome]:
        self._commit_journaled()
        return self._sequencer.order(batch)
