"""Read a ledger and prove what is in it; every read is checked against the signed roots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from operator import index as as_integer

from ledgercore import rules
from ledgercore._core import Anchor, Block, Receipt, Record, StateProof
from ledgercore.arguments import check_argument
from ledgercore.errors import MalformedError
from ledgercore.ledger.arguments import check_bytes, index_of, indices_of
from ledgercore.ledger.history import prove_history, read_history, state_receipt
from ledgercore.ledger.reader import Reader
from ledgercore.ledger.snapshot import SNAPSHOT_BYTES, snapshot_items
from ledgercore.ledger.transfer import encode_transfer
from ledgercore.proofs import HistoryProof, StateReceipt
from ledgercore.records import Genesis
from ledgercore.rules import View, state_type

__all__ = ["ReadableLedger"]

KEY_BYTES = 32
"""Of a public key (RFC 8032)."""


class ReadableLedger:
    """What is published of a ledger; safe to share between threads."""

    _reader: Reader

    def _publish_journaled(self) -> None:
        """Publish what is only durable, where there is a writer that can."""
        raise NotImplementedError

    def _publish_up_to(self, index: int) -> None:
        if index >= self._reader.newest.checkpoint.size:
            self._publish_journaled()

    def moment(self) -> AbstractContextManager[object]:
        """Reads inside are of one head, whatever is appended meanwhile; other threads wait.

        The thread that enters it leaves it: in another one leaving raises ``RuntimeError``, and
        other threads wait for ever. So hold it over no ``yield`` of a generator that another
        thread may drop. Append nothing inside: where another thread appends at that time, it waits
        for this one, and this one for it.
        """
        return self._reader.moment()

    def receipt(self, index: int, *, state_of: bytes | None = None) -> Receipt:
        """The receipt of a record, under the checkpoint of its block: the same at any time.

        Where witnesses never cosigned that one, it is under the newest published one, which covers
        the record as well. It verifies as soon as there is one at or after its block.

        With ``state_of`` under the newest checkpoint, and with a proof of that object's state:
        ``UnavailableError`` until the quorum has cosigned that.
        """
        if state_of is not None:
            check_bytes("object's name", state_of)
        states_of = () if state_of is None else (state_of,)
        return self.receipts([index_of("index", index)], states_of=states_of)[0]

    def receipts(self, indices: Sequence[int], *, states_of: Sequence[bytes] = ()) -> list[Receipt]:
        """The receipts of many records, as ``receipt`` makes each, and many times faster.

        ``states_of`` has an object for each record, or none at all.
        """
        indices = indices_of("indices", indices)
        check_argument("states_of", Sequence[bytes], states_of)
        for name in states_of:
            state_type(name)  # what can have none is a mistake: that it has none shows nothing
        self._publish_up_to(max(map(as_integer, indices), default=0))
        return self._reader.receipts(indices, states_of)

    def record(self, index: int) -> Record:
        """The record at an index."""
        index = index_of("index", index)
        self._publish_up_to(index)
        return self._reader.record(index)

    def find(self, record_id: bytes) -> int | None:
        """The index of the record with an id."""
        check_bytes("id", record_id)
        return self._reader.find(record_id)

    def records(self, begin: int = 0, end: int | None = None) -> Iterator[Record]:
        """Records ``[begin, end)`` in order; up to the newest published one without ``end``."""
        if end is not None:
            self._publish_up_to(index_of("end", end) - 1)
        size = self.size
        begin, end = index_of("begin", begin), size if end is None else index_of("end", end)
        return self._reader.records(begin, min(end, size))

    def next_position(self, key: bytes) -> tuple[int, bytes]:
        """The sequence and previous id that a key's next record must have."""
        check_bytes("key", key)
        if len(key) != KEY_BYTES:
            raise MalformedError(f"key has {len(key)} bytes, want {KEY_BYTES}")
        with self._reader.lock:
            return rules.next_position(View(self._reader.state), key)

    def state(self, name: bytes) -> bytes | None:
        """The encoded state of an object such as ``consent/<id>``."""
        check_bytes("object's name", name)
        return self._reader.state(name)

    def states(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Every object's name and encoded state, of those whose name begins so."""
        check_bytes("prefix", prefix)
        return self._reader.states(prefix)

    def prove_state(self, name: bytes) -> StateProof:
        """Prove an object's state, or its absence, under the newest checkpoint."""
        check_bytes("object's name", name)
        return self._reader.prove_state(name)

    def state_receipt(self, name: bytes) -> StateReceipt:
        """An object's state, or that it has none, as a receipt that verifies offline.

        It is of the newest checkpoint: older states are not kept, so keep the receipt. Raises
        ``UnavailableError`` until the quorum has cosigned that.
        """
        check_bytes("object's name", name)
        return state_receipt(self._reader, name)

    def history(self, name: bytes) -> list[tuple[int, Record]]:
        """Every record that touched an object such as ``consent/<id>``, with its index, in order.

        The list is complete: it is held to the count and the running hash in the signed state.
        """
        check_bytes("object's name", name)
        return read_history(self._reader, name)

    def prove_history(self, name: bytes, *, height: int | None = None) -> HistoryProof:
        """Prove that an object's history is complete, as of the newest checkpoint or a height's.

        With ``height`` the proof also holds the records that came later: what makes the earlier
        part complete is that the whole is. Raises ``UnavailableError`` until the quorum has
        cosigned the newest checkpoint, and where it has not cosigned that of the height.
        """
        check_bytes("object's name", name)
        height = None if height is None else index_of("height", height)
        return prove_history(self._reader, name, height)

    def prove_records(self, indices: Sequence[int]) -> list[bytes]:
        """One proof for many records under the newest checkpoint; indices ascend.

        ``ledgercore.proofs.verify_records`` holds the records to it.
        """
        indices = indices_of("indices", indices)
        self._publish_up_to(max(map(as_integer, indices), default=0))
        return self._reader.prove_records(indices)

    def prove_consistency(self, first_size: int, second_size: int | None = None) -> list[bytes]:
        """Prove that what stood at the first size still stands at the second, or the newest."""
        first_size = index_of("size", first_size)
        second_size = None if second_size is None else index_of("size", second_size)
        return self._reader.prove_consistency(first_size, second_size)

    def blocks(self, begin: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Blocks of heights ``[begin, end)`` as ``Replica.append`` takes them; up to the newest
        without ``end``.
        """
        newest = self.height + 1
        begin, end = index_of("begin", begin), newest if end is None else index_of("end", end)
        for height in range(begin, min(end, newest)):
            yield encode_transfer(self._reader.stored_block(height))

    def snapshot(self, limit_bytes: int = SNAPSHOT_BYTES) -> list[bytes]:
        """The newest moment as items, from which a copy begins: ``Replica.join``.

        Raises ``LimitError`` where they have more bytes than the limit, for they are held in
        memory; a copy of such a ledger begins at its blocks.
        """
        return snapshot_items(self._reader, limit_bytes)

    def block(self, height: int) -> Block:
        """The header of a block."""
        return self._reader.block(index_of("height", height))

    def note(self, height: int) -> str:
        """The signed checkpoint of a height."""
        return self._reader.note(index_of("height", height))

    @property
    def checkpoint(self) -> str:
        """The newest signed checkpoint."""
        return self._reader.head.note

    @property
    def published(self) -> str | None:
        """The newest checkpoint that the quorum of witnesses has cosigned; None if there is none.

        Without a quorum that is the newest one.
        """
        return self._reader.published()

    @property
    def trust_anchor(self) -> Anchor:
        """What a verifier must be given to check this ledger's receipts."""
        return self._reader.anchor

    @property
    def genesis(self) -> Genesis:
        """How the network was set up."""
        return self._reader.genesis

    @property
    def origin(self) -> str:
        return self._reader.anchor.origin

    @property
    def suite(self) -> str:
        return self._reader.anchor.suite

    @property
    def network(self) -> bytes:
        return self._reader.anchor.network

    @property
    def size(self) -> int:
        """How many records are published."""
        return self._reader.head.checkpoint.size

    @property
    def height(self) -> int:
        """The newest block's height."""
        return self._reader.head.block.height

    @property
    def time_ms(self) -> int:
        """The newest block's time, which is the ledger's."""
        return self._reader.head.block.time_ms

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[Record]:
        return self.records()
