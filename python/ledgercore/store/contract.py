"""Say what a store promises, whoever keeps it.

A store keeps bytes and understands none of them: whoever reads checks them against the signed
root. One writer at a time: a file's lock is not the store's work, but a store on a server, which
many hosts reach, refuses a second writer itself. Every error is a ``StoreError``, ``BusyError`` or
``CorruptError``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from ledgercore._core import BUNDLE_RECORDS

__all__ = [
    "BUNDLE_RECORDS",
    "Store",
    "StoredBlock",
    "StoredBundle",
    "StoredState",
    "StoredTouch",
]


class StoredBlock(NamedTuple):
    """A block as it is kept: its header, its signed checkpoint, and its records in bundles."""

    height: int
    first_index: int
    header: bytes
    note: str
    bundles: list[bytes]


class StoredBundle(NamedTuple):
    """Up to 256 records of one block, stored as one value."""

    height: int
    first_index: int
    records: bytes


class StoredState(NamedTuple):
    """An object's newest state, the height of the block that put it, and its newest touch, or 0.

    It stands under its key in the state map, so that a part of the map is a range of rows.
    """

    key: bytes
    name: bytes
    value: bytes
    height: int
    touch: int


class StoredTouch(NamedTuple):
    """A record, by its index, in one object's history; the number of the touch before, or 0."""

    record: int
    previous: int


class Store(Protocol):
    """Blocks by height, tiles and buckets of ids by name, states by object, touches by number."""

    def transaction(self) -> AbstractContextManager[None]:
        """All that is written inside is durable together when the block ends, or not there.

        Reads inside see what was written. An error inside takes everything back. After
        ``DiskFullError`` or ``BusyError``, or an error of the caller's own that it knows to pass,
        the next transaction may be tried; after any other error what is durable is known only to
        whoever opens the store anew. One inside another raises
        ``StoreError``, and leaves the other as it was.
        """
        ...

    def begin_snapshot(self) -> None:
        """Reads see one state of the store from now on, whatever a writer does meanwhile.

        What an interrupt left of an earlier one is ended first. Inside a transaction this raises
        ``StoreError``, as ``end_snapshot`` does, and leaves the transaction as it was.
        """
        ...

    def end_snapshot(self) -> None:
        """Reads see what is newest again; does nothing where that is so already."""
        ...

    def take_room(self, records: int) -> None:
        """Take room on disk for next blocks of about so many records: a help to whoever goes on to
        write, no promise."""
        ...

    def version(self) -> int:
        """A number that changes whenever another connection has written, and maybe more often."""
        ...

    def add_bundles(
        self, height: int, first_index: int, bundles: Sequence[bytes | memoryview]
    ) -> None:
        """Add a block's records in bundles that are full but for the last one."""
        ...

    def add_header(
        self, height: int, first_index: int, header: bytes, note: str, keys: Sequence[bytes] = ()
    ) -> None:
        """Add a block's header and its signed checkpoint, with the keys of the states it put."""
        ...

    def put_note(self, height: int, note: str) -> None:
        """Set the signed checkpoint of a block that is there."""
        ...

    def add_tiles(self, tiles: Sequence[tuple[int, int, bytes]]) -> None: ...

    def add_buckets(self, buckets: Sequence[tuple[int, int, int, bytes]]) -> None:
        """Add buckets of the index of ids: a run's level and number, a position in it, entries."""
        ...

    def remove_run(self, level: int, run: int) -> None:
        """Remove all buckets of a run."""
        ...

    def put_states(
        self,
        height: int,
        keys: Sequence[bytes],
        states: Sequence[tuple[bytes, bytes]],
        touches: Mapping[bytes, int],
    ) -> None:
        """Put a block's states, by name, under their keys.

        ``touches`` has the newest touch of each object, by name, that has one.
        """
        ...

    def add_touches(self, first: int, touches: Sequence[StoredTouch]) -> None:
        """Add touches that are numbered from ``first`` on."""
        ...

    def height(self) -> int:
        """The newest block's height, or -1."""
        ...

    def height_after(self, height: int) -> int:
        """The height of the first block above one that is there, or -1."""
        ...

    def block(self, height: int) -> StoredBlock | None:
        """A block with its bundles; raise CorruptError where one is out of its place."""
        ...

    def header(self, height: int) -> StoredBlock | None:
        """A block without its bundles."""
        ...

    def notes(self, begin: int, end: int) -> list[tuple[int, str]]:
        """The heights and notes of blocks ``[begin, end)`` that are there, the highest first."""
        ...

    def bundles_from(self, first_index: int) -> list[bytes]:
        """The bundles of every record from an index on, where one begins."""
        ...

    def bundle_of(self, index: int) -> StoredBundle | None:
        """The bundle that has the record at an index, if it is that long."""
        ...

    def tile(self, level: int, index: int) -> bytes | None:
        """A full tile."""
        ...

    def tiles_of(self, places: Sequence[tuple[int, int]]) -> list[bytes | None]:
        """Full tiles by level and index, in one call."""
        ...

    def bucket(self, level: int, run: int, bucket: int) -> bytes | None:
        """The entries of one bucket of the index of ids."""
        ...

    def buckets(self, level: int, run: int, begin: int, end: int) -> list[bytes]:
        """Those of a run's buckets ``[begin, end)`` that are there, in order, in one call."""
        ...

    def state(self, key: bytes) -> bytes | None: ...

    def states_of(self, keys: Sequence[bytes]) -> list[tuple[bytes, bytes] | None]:
        """The name and state of each object, in one call."""
        ...

    def states_in(self, ranges: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """The names and states of all objects from a first key to a last one, in one call."""
        ...

    def changed_keys(self, begin: int, end: int) -> list[bytes]:
        """The keys of 32 bytes that came with the headers of blocks ``[begin, end)``, ascending."""
        ...

    def states(self) -> Iterator[StoredState]:
        """Every state, in the order of keys."""
        ...

    def newest_touches(self, keys: Sequence[bytes]) -> list[int]:
        """The number of each object's newest touch, or 0."""
        ...

    def touch(self, number: int) -> StoredTouch | None: ...

    def touches_from(self, first: int) -> list[StoredTouch]:
        """Every touch from a number on, to be compared with what is known."""
        ...

    def touch_count(self) -> int:
        """The number of the newest touch, or 0."""
        ...

    def counts(self) -> dict[str, int]:
        """How many rows each part has, for an audit."""
        ...

    def check(self) -> None:
        """Let the store look for damage of its own kind; raise CorruptError.

        Like ``backup`` it takes long, so it works beside other calls.
        """
        ...

    def backup(self, path: str) -> None:
        """Write a copy of one moment to a new file, while reads and writes go on."""
        ...

    def close(self) -> None: ...
