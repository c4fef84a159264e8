"""Read a ledger, every read checked against the signed roots.

What is stored is not trusted: a record is returned only if its leaf stands in the tree that the
operator signed, a state only if the state map holds its hash. What does not is a ``CorruptError``
that names the block and the record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise, takewhile
from operator import index as as_integer

from ledgercore._core import (
    Batch,
    Block,
    Bracket,
    Checkpoint,
    Guard,
    OwnLock,
    Receipt,
    Record,
    StateProof,
    bundle_record,
    consistency_tiles,
    hash_domain,
    inclusion_tiles,
    leaf_hash,
    make_receipts,
    multiproof_tiles,
    prove_consistency,
    prove_multi,
    state_keys,
    verify_consistency,
)
from ledgercore.errors import (
    CorruptError,
    InvalidProof,
    MalformedError,
    OutOfRangeError,
    UnavailableError,
)
from ledgercore.ledger.head import (
    Head,
    advance_head,
    load_anchor,
    load_head,
    stored_block,
    stored_header,
    verify_block,
)
from ledgercore.ledger.ids import Run, candidates, candidates_of, read_bucket, run_end
from ledgercore.ledger.pages import STATES_AT_ONCE, fill_pages, forget_pages, in_pieces
from ledgercore.ledger.published import Published
from ledgercore.ledger.tiles import Recent, VerifiedTiles
from ledgercore.proofs.wire import split_hashes
from ledgercore.rules import format_object
from ledgercore.store import BUNDLE_RECORDS, Store, StoredBlock, StoredBundle
from ledgercore.wording import number_in_words

__all__ = ["Reader"]

_SEALS = 1024
_BUCKETS = 2048
_STATES = 4096
"""States that were read or written last: each is held to the signed root again at every read."""

Seal = tuple[Block, Checkpoint, str]
"""A block's header, its checkpoint, and the note that signs it."""


class Reader:
    """Records, states and proofs of one ledger; safe to share between threads."""

    def __init__(self, store: Store, *, follow: bool) -> None:
        """Load and verify the head. ``follow`` looks for other processes' blocks at each read."""
        self.store = store
        self.lock = OwnLock("ledger")
        self._moment = Bracket(self._begin, self._end, self.lock)
        self._follow = follow
        self._closed = False
        store.begin_snapshot()
        try:
            self._version = store.version()
            self.anchor, self.genesis = load_anchor(store)
            self._head = load_head(store, self.anchor)
            # A copy that began from a snapshot has block 0, and then those from some height on.
            self.held_from = max(store.height_after(0), 1)
            held = store.header(self.held_from) if self.held_from > 1 else None
            self._held_index = 0 if held is None else held.first_index
        finally:
            store.end_snapshot()
        self._tiles = VerifiedTiles(store, self.anchor.suite)
        self._seals: Recent[int, Seal] = Recent(_SEALS)
        self._published = Published(store, self.anchor)
        self._buckets: Recent[tuple[Run, int], bytes] = Recent(_BUCKETS)
        self._states: Recent[bytes, bytes] = Recent(_STATES)
        self._height = self._first_index = -1
        self._batch: Batch | None = None

    @property
    def head(self) -> Head:
        """The newest verified head."""
        with self.moment() as head:
            return head

    @property
    def newest(self) -> Head:
        """The head as it stands, for a writer that holds the lock."""
        return self._head

    @property
    def is_closed(self) -> bool:
        return self._closed

    def check_open(self) -> None:
        """Refuse what a closed ledger, or one of the parent process, cannot do."""
        if self._closed:
            raise UnavailableError("ledger is closed: open it again")
        self.lock.check()

    def check_whole(self, what: str) -> None:
        """Refuse what takes every block, where older ones are not here."""
        if self._held_index:
            raise UnavailableError(
                f"{what} takes every block, and this copy began at block {self.held_from}: "
                "fill it up from a peer"
            )

    def _check_held(self, what: str, held: bool) -> None:
        if not held and self._held_index:
            raise UnavailableError(
                f"{what} is not here: this copy began at block {self.held_from}, record "
                f"{self._held_index}; fill it up from a peer, or ask one that is whole"
            )

    def close(self) -> None:
        """Close the store; closing again, or what a parent process opened, does nothing."""
        if self.lock.is_foreign:
            return
        with self.lock:
            # It is closed also where that fails: whoever closes gives the writer's lock away next.
            closed, self._closed = self._closed, True
            if not closed:
                self.store.close()

    def set_head(self, head: Head, states: Sequence[tuple[bytes, bytes]] = ()) -> None:
        """Go on from a block that this process has committed, which set these states."""
        self._head = head
        forget_pages(head.states)
        for name, value in states[-_STATES:]:
            self._states.put(name, value)

    def moment(self) -> Guard[Head]:
        """The newest head, and a store that stays at it: other threads wait meanwhile."""
        return self._moment.guard()

    @property
    def in_moment(self) -> bool:
        """Whether whoever holds the lock has a moment begun."""
        return self._moment.depth > 0

    def _begin(self, depth: int) -> Head:
        """Begin a moment, or one inside another."""
        if self._closed:
            self.check_open()
        if depth == 0 and self._follow:
            self._settle()
        return self._head

    def _end(self, depth: int, error: BaseException | None) -> None:
        """End the moment that began last; done twice, it does no more."""
        if depth == 0:
            forget_pages(self._head.states)
            if self._follow and not self._closed:
                self.store.end_snapshot()

    def _settle(self) -> None:
        """Follow what other processes have appended, and stay there until the moment ends."""
        # States are kept as of the newest block only, so that a head and the states that
        # belong to it must be read in one snapshot.
        self.store.begin_snapshot()
        version = self.store.version()
        if version != self._version:
            head = advance_head(self.store, self.anchor, self._head)
            self._seals.clear()  # their notes may have been cosigned
            self._published.forget()
            self._head, self._version = head, version

    def put_note(self, height: int, note: str) -> None:
        """Keep a note that has more cosignatures; durable when it returns."""
        with self.lock:
            with self.store.transaction():
                self.store.put_note(height, note)
                stored = stored_header(self.store, height)
                verify_block(stored, self.anchor)
                if stored.note != note:
                    raise CorruptError(f"block {height}: note was not stored as it was given")
            self._seals.clear()
            self._published.tell(height, note)
            if height == self._head.block.height:
                self._head = self._head._replace(note=note)

    def published(self) -> str | None:
        """The newest note that the quorum has cosigned; None where it has cosigned none."""
        with self.moment() as head:
            height = self._published.newest(head.block.height)
            return None if height < 0 else self._seal(head, height)[2]

    def check_published(self, what: str, height: int | None = None) -> None:
        """Refuse what stands under a checkpoint, or the newest, while nobody would trust that."""
        with self.moment() as head:
            if height is None:
                height, note, remedy = head.block.height, head.note, "ask again"
            else:
                note, remedy = self._seal(head, height)[2], "ask as of another height"
            if not self._published.holds(note):
                raise UnavailableError(
                    f"{what} is not published yet: too few witnesses have cosigned block {height} "
                    f"so far; {remedy}"
                )

    def record(self, index: int) -> Record:
        """The record at an index."""
        with self.moment() as head:
            return self._record(head, index)

    def receipts(self, indices: Sequence[int], states_of: Sequence[bytes] = ()) -> list[Receipt]:
        """The receipts of records, each under the checkpoint of its own block, and so always the
        same; but under the newest published one where its own never was cosigned.

        With ``states_of``, an object for each record, they are under the newest checkpoint, whose
        states can be proven: ``UnavailableError`` until the quorum has cosigned that.
        """
        if states_of and len(states_of) != len(indices):
            got, want = len(states_of), len(indices)
            raise MalformedError(f"there are {got} objects, want {want} or none")
        made: list[Receipt] = []
        indices = [as_integer(index) for index in indices]
        with self.moment() as head:
            if states_of:
                self.check_published("state")
            while len(made) < len(indices):
                some = slice(len(made), len(made) + BUNDLE_RECORDS)
                made += self._receipts_of_bundle(head, indices[some], states_of[some])
        return made

    def _receipts_of_bundle(
        self, head: Head, indices: Sequence[int], states_of: Sequence[bytes]
    ) -> list[Receipt]:
        """The receipts of those first records that are stored together with the very first."""
        self._check_index(head, indices[0])
        stored = self._bundle_of(indices[0])
        block, checkpoint, note = self._seal(head, stored.height)
        begin, end = stored.first_index, block.first_index + block.count
        end = min(begin + BUNDLE_RECORDS, end)
        if not block.first_index <= begin <= indices[0] < end:
            raise CorruptError(f"block {stored.height}, record {indices[0]}: not of this block")
        here = list(takewhile(range(begin, end).__contains__, indices))
        states: list[StateProof] = []
        if states_of:
            checkpoint, note = head.checkpoint, head.note
            names = states_of[: len(here)]
            fill_pages(self.store, head.states, names)
            states = head.states.prove_all([(name, self._state(head, name)) for name in names])
        elif not self._published.holds(note):
            later = self._published.newest(head.block.height)
            if later > stored.height:
                _, checkpoint, note = self._seal(head, later)
        suite = self.anchor.suite
        tiles = self._tiles.load(head, inclusion_tiles(here, checkpoint.size))
        try:
            return make_receipts(
                stored.records, begin, here, checkpoint, note, tiles, suite, states
            )
        except (MalformedError, InvalidProof) as error:
            raise CorruptError(f"block {stored.height}, {error}") from error

    def _record(self, head: Head, index: int) -> Record:
        height, record = self._fetch(head, index)
        self._check_leaves(head, height, index, leaf_hash(self.anchor.suite, record.encode()))
        return record

    def _fetch(self, head: Head, index: int) -> tuple[int, Record]:
        """The height of a record's block, and the record as stored: not checked."""
        self._check_index(head, index)
        batch = self._batch
        if batch is not None and 0 <= index - self._first_index < len(batch):
            return self._height, batch[index - self._first_index]
        stored = self._bundle_of(index)
        try:
            if stored.first_index == self._first_index:
                # The second record in a row from one bundle: more of it will be asked for.
                self._batch = Batch.decode_bundles([stored.records])
            else:
                self._batch = None
            self._first_index, self._height = stored.first_index, stored.height
            data = bundle_record(stored.records, index - stored.first_index)
            return stored.height, Record.decode(data)
        except MalformedError as error:
            raise CorruptError(f"block {stored.height}, record {index}: {error}") from error

    def _check_index(self, head: Head, index: int) -> None:
        size = head.checkpoint.size
        if not 0 <= index < size:
            raise OutOfRangeError(
                f"index is {number_in_words(index)}, want 0 or more and below the size {size}"
            )
        self._check_held(f"record {index}", index == 0 or index >= self._held_index)

    def _check_leaves(self, head: Head, height: int, begin: int, leaves: bytes) -> None:
        """Hold consecutive leaves to those that the signed root commits to."""
        count = len(leaves) // 32
        if begin + count > head.checkpoint.size:
            raise CorruptError(f"block {height}: has more records than the checkpoint")
        want = self._tiles.leaves(head, begin, begin + count)
        if leaves == want:
            return
        for at in range(count):
            got_one, want_one = leaves[32 * at :][:32], want[32 * at :][:32]
            if got_one != want_one:
                raise CorruptError(
                    f"block {height}, record {begin + at}: leaf is {got_one.hex()[:16]}, "
                    f"want {want_one.hex()[:16]}"
                )

    def _bundle_of(self, index: int) -> StoredBundle:
        stored = self.store.bundle_of(index)
        if stored is None:
            raise CorruptError(f"record {index} is missing")
        return stored

    def records(self, begin: int, end: int) -> Iterator[Record]:
        """Records ``[begin, end)``, each bundle checked as a whole before its first is given."""
        if begin < 0:
            raise OutOfRangeError(f"index is {number_in_words(begin)}, want 0 or more")
        index = begin
        while index < end:
            with self.moment() as head:
                self._check_index(head, index)
                stored = self._bundle_of(index)
                batch = self._checked_batch(head, stored)
            if index - stored.first_index >= len(batch):
                raise CorruptError(f"record {index} is missing")
            for position in range(index - stored.first_index, len(batch)):
                if index < end:
                    yield batch[position]
                    index += 1

    def _checked_batch(self, head: Head, stored: StoredBundle) -> Batch:
        try:
            batch = Batch.decode_bundles([stored.records])
        except MalformedError as error:
            raise CorruptError(f"block {stored.height}: {error}") from error
        self._check_leaves(head, stored.height, stored.first_index, batch.leaf_hashes())
        return batch

    def find(self, record_id: bytes) -> int | None:
        """The index of a record, if it is there."""
        with self.moment() as head:
            for index in candidates(head.checkpoint.size, head.recent, record_id, self._bucket):
                self._check_named(head, index)
                if self._record(head, index).id == record_id:
                    return index
            self._check_held(f"record {record_id.hex()[:16]}", False)
            return None

    def find_all(self, record_ids: Iterable[bytes]) -> dict[bytes, int]:
        """The indices of those records that are there, as ``find`` gives them one by one: what
        several of them stand in is read and checked once."""
        wanted, found = set(record_ids), dict[bytes, int]()
        with self.moment() as head:
            size = head.checkpoint.size
            for places in candidates_of(size, head.recent, wanted, self._bucket):
                for index, record_id in self._ids_at(head, sorted({index for index, _ in places})):
                    if record_id in wanted:
                        found[record_id] = index
                        wanted.remove(record_id)
                if not wanted:
                    return found
            for record_id in wanted:
                self._check_held(f"record {record_id.hex()[:16]}", False)
        return found

    def _ids_at(self, head: Head, indices: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        """Each index with the id of its record, ascending: where they are close together their
        bundle is checked as a whole, which takes as long as some records by themselves."""
        begin = end = 0
        for index, following in pairwise([*indices, head.checkpoint.size + BUNDLE_RECORDS]):
            self._check_named(head, index)
            if index >= end and following - index < BUNDLE_RECORDS // 4:
                self._check_index(head, index)
                stored = self._bundle_of(index)
                with suppress(CorruptError):  # it may be of another record that nobody asks for
                    batch = self._checked_batch(head, stored)
                    begin, end = stored.first_index, stored.first_index + len(batch)
            record = batch[index - begin] if index < end else self._record(head, index)
            yield index, record.id

    def _check_named(self, head: Head, index: int) -> None:
        if not 0 <= index < head.checkpoint.size:
            raise CorruptError(f"index of ids names record {index}, which is not there")

    def _bucket(self, run: Run, bucket: int) -> bytes:
        """A bucket of a run, which is never written again once it is there."""
        entries = self._buckets.get((run, bucket))
        if entries is None:
            entries = self._read_bucket(run, bucket)
            self._buckets.put((run, bucket), entries)
        return entries

    def _read_bucket(self, run: Run, bucket: int) -> bytes:
        if run_end(run) <= self._held_index:
            return b""  # of records that are not here
        return read_bucket(self.store, run, bucket)

    def state(self, name: bytes) -> bytes | None:
        """An object's state, or nothing where the signed map has none."""
        with self.moment() as head:
            return self._state(head, name)

    def _state(self, head: Head, name: bytes) -> bytes | None:
        fill_pages(self.store, head.states, [name])
        want = head.states.value_hash(name)
        if want is None:
            return None
        value = self._states.get(name)
        if value is None or hash_domain(self.anchor.suite, "state-value", value) != want:
            value = self.store.state(*state_keys(self.anchor.suite, [name]))
            if value is None:
                raise CorruptError(f"state of {format_object(name)} is missing")
            self._check_state(head, name, value)
            self._states.put(name, value)
        return value

    def _check_state(self, head: Head, name: bytes, value: bytes) -> None:
        if hash_domain(self.anchor.suite, "state-value", value) != head.states.value_hash(name):
            raise CorruptError(f"state of {format_object(name)} is not the one that was signed")

    def states(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The name and state of every object whose name begins so, in the order of names."""
        with self.moment() as head:
            found, count = [], 0
            for states in in_pieces(self.store.states(), STATES_AT_ONCE):
                count += len(states)
                fill_pages(self.store, head.states, [state.name for state in states])
                for _, name, value, *_ in states:
                    self._check_state(head, name, value)
                    if name.startswith(prefix):
                        found.append((name, value))
                forget_pages(head.states)
            if count != len(head.states):
                raise CorruptError(f"store has {count} states, want {len(head.states)}")
        return iter(sorted(found))

    def prove_state(self, name: bytes) -> StateProof:
        """Prove an object's state, or that it has none, under the newest checkpoint."""
        with self.moment() as head:
            return self._prove_state(head, name)

    def _prove_state(self, head: Head, name: bytes) -> StateProof:
        return head.states.prove(name, self._state(head, name))

    def prove_records(self, indices: Sequence[int]) -> list[bytes]:
        """One proof for many records, whose indices ascend, under the newest checkpoint."""
        with self.moment() as head:
            indices = [as_integer(index) for index in indices]
            for index in indices:
                self._check_index(head, index)
            size = head.checkpoint.size
            tiles = self._tiles.load(head, multiproof_tiles(indices, size))
            return split_hashes(prove_multi(self.anchor.suite, indices, size, tiles))

    def prove_consistency(self, first: int, second: int | None) -> list[bytes]:
        """Prove that the tree at one size begins with the tree at another."""
        with self.moment() as head:
            newest = head.checkpoint.size
            second = newest if second is None else second
            if not 0 <= second <= newest:
                want = f"0 or more and at most {newest}"
                raise InvalidProof(f"second size is {number_in_words(second)}, want {want}")
            if not 0 <= first <= second:
                want = f"0 or more and at most {second}"
                raise InvalidProof(f"first size is {number_in_words(first)}, want {want}")
            for size in (first, second):
                self._check_held(f"tree of size {size}", size < 2 or size >= self._held_index)
            suite = self.anchor.suite
            tiles = self._tiles.load(head, consistency_tiles(first, second))
            proof = prove_consistency(suite, first, second, tiles)
            roots = (self._tiles.root_at(head, first), self._tiles.root_at(head, second))
            verify_consistency(suite, first, second, proof, *roots)
            return proof

    def tile(self, level: int, index: int) -> bytes:
        """A full tile of the signed tree."""
        with self.moment() as head:
            return self._tiles.tile(head, level, index)

    def root_at(self, size: int) -> bytes:
        """The root of the tree as it was at a size."""
        with self.moment() as head:
            self._check_held(f"tree of size {size}", size < 2 or size >= self._held_index)
            return self._tiles.root_at(head, size)

    def stored_block(self, height: int) -> StoredBlock:
        """A block with its records as they are stored, found to be what was signed."""
        with self.moment() as head:
            block, _, note = self._seal(head, height)
            stored = stored_block(self.store, height)
            try:
                leaves = Batch.decode_bundles(stored.bundles).leaf_hashes()
            except MalformedError as error:
                raise CorruptError(f"block {height}: {error}") from error
            self._check_leaves(head, height, block.first_index, leaves)
            if len(leaves) != 32 * block.count:
                got = len(leaves) // 32
                raise CorruptError(f"block {height}: {got} records are stored, want {block.count}")
            return stored._replace(header=block.encode(), note=note)

    def block(self, height: int) -> Block:
        """A block's header, as the operator signed it."""
        with self.moment() as head:
            return self._seal(head, height)[0]

    def note(self, height: int) -> str:
        """The signed checkpoint of a height."""
        with self.moment() as head:
            return self._seal(head, height)[2]

    def _seal(self, head: Head, height: int) -> Seal:
        height, newest = as_integer(height), head.block.height
        if not 0 <= height <= newest:
            raise OutOfRangeError(
                f"height is {number_in_words(height)}, want 0 or more and at most {newest}"
            )
        self._check_held(f"block {height}", height == 0 or height >= self.held_from)
        if height == newest:
            return head.block, head.checkpoint, head.note
        seal = self._seals.get(height)
        if seal is None:
            stored = stored_header(self.store, height)
            block, checkpoint = verify_block(stored, self.anchor)
            if self._tiles.root_at(head, checkpoint.size) != checkpoint.root:
                raise CorruptError(f"block {height}: its tree is not a beginning of the newest")
            seal = self._seals.put(height, (block, checkpoint, stored.note))
        return seal
