"""Give records their places: hold each to the rules, and commit those that pass as a block.

A full disk, a lock of another process or an operator's signer that is away refuses a block and
passes; anything else that fails while a block is committed stops the writer for good, because a
failed flush must not be tried again, and damaged bytes must not be signed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from ledgercore import rules
from ledgercore._core import (
    BUNDLE_RECORDS,
    Batch,
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
    MalformedError,
    RefusedError,
    StoreError,
)
from ledgercore.keys import Signer, sign_batch, sign_checkpoint
from ledgercore.ledger.commit import commit_block
from ledgercore.ledger.group import Outcome
from ledgercore.ledger.head import Head
from ledgercore.ledger.reader import Reader
from ledgercore.ledger.verifying import UnverifiedError, Verifying
from ledgercore.proofs import Promise
from ledgercore.records import DATA, ConsentRevoke
from ledgercore.rules import Position, View

__all__ = ["REMEMBERED_STATES", "Sequencer", "Submitted"]

Submitted = Batch | VerifiedBatch | Verifying

Result = TypeVar("Result")

REMEMBERED_STATES = 16_384
"""Objects whose states are kept in memory at most, but for one block's."""


class Sequencer:
    """One block after the other, for whoever holds the reader's lock."""

    def __init__(
        self, reader: Reader, key: Signer, head_file: HeadFile, clock: Clock, entropy: Entropy
    ) -> None:
        self._reader = reader
        self._key = key
        self._head_file = head_file
        self._clock = clock
        self._entropy = entropy
        self._committed = View(reader.state)
        self.stopped: BaseException | None = None
        """What stopped it for good, if anything did."""

    def write(self, work: Callable[[], Result]) -> Result:
        """What may write, for whoever holds the lock."""
        self.check()
        try:
            return work()
        except (*PASSING, UnverifiedError):
            raise  # the ledger is as it was
        except BaseException as error:
            # Whatever happened, only a new start, which verifies everything, may write again.
            self.stopped = error
            raise

    def check(self) -> None:
        """Refuse what a ledger that is closed, or whose writer has stopped, cannot do."""
        self._reader.check_open()
        self._check_running()

    def order(self, batch: Submitted) -> list[Outcome]:
        """Commit those that pass as one block, and say of each what became of it."""
        if len(self._committed) > REMEMBERED_STATES:
            self._committed = View(self._reader.state)
        head = self._reader.newest
        height, size, time_ms = head.block.height + 1, head.checkpoint.size, self._time_ms(head)
        view = self._committed.fork()
        if rules.apply_plain(view, batch.batch if isinstance(batch, Verifying) else batch):
            self._commit(head, batch, view, time_ms)
            return list(range(size, size + len(batch)))
        batch = self.verified(batch)
        accepted: dict[bytes, int] = {}
        known: dict[bytes, int | None] = {}
        positions: list[int] = []
        outcomes: list[Outcome] = []
        for at, record_id in enumerate(batch.ids()):
            index = size + len(positions)
            if (there := known.get(record_id)) is not None:
                outcomes.append(there)  # the rules would refuse it
                continue
            record = batch[at]
            try:
                rules.apply(view, record, Position(height, index, time_ms))
            except RefusedError as refusal:
                if not known and self._is_behind(view, record):
                    known = self._look_up(view, batch, at)
                there = accepted.get(record_id, known.get(record_id))
                outcomes.append(refusal if there is None else there)
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

    def _is_behind(self, view: View, record: VerifiedRecord) -> bool:
        """Whether a record's sequence is behind its signer's next one: so is that of each that is
        there already. None of them passes the rules again, and no other id needs looking up."""
        return record.sequence < rules.next_position(view, record.key)[0]

    def _look_up(self, view: View, batch: VerifiedBatch, begin: int) -> dict[bytes, int | None]:
        """The index of each record from a place on that is behind, or None where it is not there.

        One that comes to be behind while this batch is ordered is accepted with it, or nowhere.
        """
        ids, next_of, behind = batch.ids(), dict[bytes, int](), list[bytes]()
        for at in range(begin, len(batch)):
            record = batch[at]
            key = record.key
            if key not in next_of:
                next_of[key] = rules.next_position(view, key)[0]
            if record.sequence < next_of[key]:
                behind.append(ids[at])
        return dict.fromkeys(behind) | self._reader.find_all(behind)

    def _commit(self, head: Head, batch: Submitted, view: View, time_ms: int) -> None:
        reader, states, touches = self._reader, view.changes(), view.touches()
        sign = partial(sign_checkpoint, signer=self._key)
        verifying: Callable[[], None] | None = None
        if isinstance(batch, Verifying):
            verifying, batch = batch.verify, batch.batch
        after = commit_block(
            reader.store, reader.anchor, sign, head, batch, states, touches, time_ms, verifying
        )
        reader.set_head(after, states)
        view.settle()
        self._head_file.store(after.note)

    def _check_running(self) -> None:
        if self.stopped is None:
            return
        if not isinstance(self.stopped, Exception):
            raise StoreError(
                f"writer has stopped: an interrupt ({type(self.stopped).__name__}) came while it "
                "wrote, and what it wrote then is there or not; all that was acknowledged is kept: "
                "close the ledger and open it again"
            ) from self.stopped
        kind = CorruptError if isinstance(self.stopped, CorruptError) else StoreError
        reason = str(self.stopped) or type(self.stopped).__name__
        raise kind(
            f"writer has stopped: {reason}; close the ledger, audit it, open it again"
        ) from self.stopped

    def position(self) -> tuple[int, bytes]:
        """The sequence of the operator's next record, and the id that it names."""
        return rules.next_position(self._committed, self._key.public_key)

    def sign_at(
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
        return self.verified_if_many(batch)

    def verified_if_many(self, batch: Batch | VerifiedBatch) -> Batch | VerifiedBatch:
        few = isinstance(self._key, SigningKey) and len(batch) <= BUNDLE_RECORDS
        return batch if few else self.verified(batch)

    def verified(self, batch: Submitted) -> VerifiedBatch:
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
            self.stopped = CorruptError(f"what was signed here does not verify: {error}")
            raise self.stopped from error

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
            self.check()
            position = self._next()
            rules.apply(self._committed.fork(), record, position)
            return Promise.sign(self._key, record, position.time_ms + within_ms)

    def plain(self, batch: Batch | VerifiedBatch) -> bool:
        """Whether the rules would take all of a batch of plain data records now."""
        return rules.apply_plain(self._committed.fork(), batch)
