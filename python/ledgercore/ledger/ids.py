"""Keep the index of ids: sorted runs, sixteen of which are merged into one.

A run of level ``n`` covers ``256 * 16**n`` consecutive records and has ``16**n`` buckets. Runs of
the top level stay as they are. The ids of the newest records, which fill no run yet, are in the
head. The index says nothing that the records do not: what it finds is held to the record itself.

A run that others are merged into is made bucket after bucket, as it is asked for, from some buckets
of each at a time: one of the top level has 12 MiB, and no more of it than that is in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from ledgercore._core import bucket_of, find_id, merge_buckets, sort_ids
from ledgercore.errors import CorruptError
from ledgercore.store import Store

__all__ = [
    "BUCKETS_AT_ONCE",
    "RUN_RECORDS",
    "TOP_LEVEL",
    "Bucket",
    "Run",
    "Runs",
    "candidates",
    "candidates_of",
    "extend_runs",
    "read_bucket",
    "read_run",
    "recent_ids",
    "run_buckets",
    "run_end",
    "unmerged_runs",
]

RUN_RECORDS = 256
"""Records of a run of level 0."""

TOP_LEVEL = 3
"""A run of it covers 2^20 records, so that a merge never takes long."""

BUCKETS_AT_ONCE = 16
"""Buckets of a run that are read or written together, of about 3 KiB each."""

_FAN_OUT = 16

_ID_BYTES = 32

_RUN_BYTES = RUN_RECORDS * _ID_BYTES

Run = tuple[int, int]
"""A level, and the number of a run in it."""

Read = Callable[[Run, int], bytes]
"""Gives one bucket of a run."""

ReadRun = Callable[[Run], Iterable[bytes]]
"""Gives the buckets of a run in order."""

Bucket = tuple[int, int, int, bytes]
"""A run's level and number, the bucket's position in it, and its entries."""


class Runs(NamedTuple):
    """How the index changes: runs to add, with their buckets, and runs that went into them."""

    added: dict[Run, Iterable[bytes]]
    merged: list[Run]

    def buckets(self) -> Iterator[Bucket]:
        """Every bucket to add. Made as it is taken: the runs that are merged must be there."""
        for (level, number), buckets in self.added.items():
            for position, entries in enumerate(buckets):
                yield level, number, position, entries


_NONE = Runs({}, [])


class _Merged:
    """The buckets of a run that sixteen others are merged into, made anew each time."""

    def __init__(self, level: int, parts: Sequence[Iterable[bytes]]) -> None:
        self._level = level
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        for same in zip(*self._parts, strict=True):
            yield from merge_buckets(self._level, same)


class _Stored:
    """The buckets of a run that is there, read when they are asked for."""

    def __init__(self, run: Run, read: ReadRun) -> None:
        self._run = run
        self._read = read

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._read(self._run))


def extend_runs(size: int, recent: bytes, ids: bytes, read: ReadRun) -> Runs:
    """The runs that the next ids complete, after ``size`` records of which some are recent.

    Ids are joined, 32 bytes each.
    """
    if len(recent) + len(ids) < _RUN_BYTES:
        return _NONE
    waiting = recent + ids
    begin = size // RUN_RECORDS
    end = begin + len(waiting) // _RUN_BYTES
    added: dict[Run, Iterable[bytes]] = {**_sorted_runs(begin, end, waiting)}
    merged: list[Run] = []
    for level in range(1, TOP_LEVEL + 1):
        begin, end = begin // _FAN_OUT, end // _FAN_OUT
        for number in range(begin, end):
            if (level, number) in added:
                continue
            parts = []
            for part in range(number * _FAN_OUT, (number + 1) * _FAN_OUT):
                buckets = added.pop((level - 1, part), None)
                if buckets is None:
                    merged.append((level - 1, part))
                    buckets = _Stored((level - 1, part), read)
                parts.append(buckets)
            added[level, number] = _Merged(level, parts)
    return Runs(added, merged)


def _sorted_runs(begin: int, end: int, ids: bytes) -> dict[Run, list[bytes]]:
    """The ids of the runs ``[begin, end)`` of level 0, as runs of level 1 where these are whole."""
    whole, rest = -(-begin // _FAN_OUT), end // _FAN_OUT
    if whole >= rest:
        pieces = [(0, begin, end)]
    else:
        pieces = [(0, begin, whole * _FAN_OUT), (1, whole, rest), (0, rest * _FAN_OUT, end)]
    runs: dict[Run, list[bytes]] = {}
    at = 0
    for level, first, last in pieces:
        count = _FAN_OUT**level
        until = at + (last - first) * count * _RUN_BYTES
        buckets = sort_ids(level, ids[at:until])
        for number in range(first, last):
            runs[level, number] = buckets[(number - first) * count :][:count]
        at = until
    return runs


def run_end(run: Run) -> int:
    """The index after the last record that a run covers."""
    level, number = run
    return _run_begin((level, number + 1))


def run_buckets(run: Run) -> int:
    """How many buckets a run has."""
    return int(_FAN_OUT ** run[0])


def unmerged_runs(size: int) -> Iterator[tuple[Run, int]]:
    """The runs below the top level that later records are merged with, and their buckets' count."""
    end = size // RUN_RECORDS
    for level in range(TOP_LEVEL):
        for number in range(end // _FAN_OUT * _FAN_OUT, end):
            yield (level, number), _FAN_OUT**level
        end //= _FAN_OUT


def read_bucket(store: Store, run: Run, bucket: int) -> bytes:
    """A bucket that must be there."""
    entries = store.bucket(*run, bucket)
    if entries is None:
        raise CorruptError(f"run {run} of ids: bucket {bucket} is missing")
    return entries


def read_run(store: Store, run: Run) -> Iterator[bytes]:
    """The buckets of a run that must be there, read some at a time."""
    level, number = run
    count = run_buckets(run)
    for begin in range(0, count, BUCKETS_AT_ONCE):
        end = min(begin + BUCKETS_AT_ONCE, count)
        buckets = store.buckets(level, number, begin, end)
        if len(buckets) != end - begin:
            raise CorruptError(
                f"run {run} of ids has {len(buckets)} buckets from {begin} on, want {end - begin}"
            )
        yield from buckets


def recent_ids(recent: bytes, ids: bytes) -> bytes:
    """The ids that fill no run yet, joined, after more have come."""
    waiting = recent + ids
    return waiting[len(waiting) // _RUN_BYTES * _RUN_BYTES :]


def candidates(size: int, recent: bytes, record_id: bytes, read: Read) -> Iterator[int]:
    """The indices of the records that may have an id, the newest first."""
    newest = size // RUN_RECORDS * RUN_RECORDS
    for begin in range(len(recent) - _ID_BYTES, -1, -_ID_BYTES):
        if recent.startswith(record_id, begin):
            yield newest + begin // _ID_BYTES
    for run in _runs(size):
        bucket = bucket_of(run[0], record_id)
        for offset in reversed(find_id(read(run, bucket), record_id)):
            yield _run_begin(run) + offset


def candidates_of(
    size: int, recent: bytes, wanted: Set[bytes], read: Read
) -> Iterator[list[tuple[int, bytes]]]:
    """The indices, each with its id, of the records that may have one of many ids: a list for each
    run, the newest run first. Each bucket is read once, and what is taken out of the set meanwhile
    is looked for no more.
    """
    newest = size // RUN_RECORDS * RUN_RECORDS
    ids = [recent[begin : begin + _ID_BYTES] for begin in range(0, len(recent), _ID_BYTES)]
    yield [(newest + at, each) for at, each in enumerate(ids) if each in wanted]
    for level, runs in groupby(_runs(size), key=itemgetter(0)):
        buckets: dict[int, set[bytes]] = {}
        for each in wanted:
            buckets.setdefault(bucket_of(level, each), set()).add(each)
        for run in runs:
            begin = _run_begin(run)
            yield [
                (begin + offset, each)
                for bucket, those in sorted(buckets.items())
                if (left := wanted & those) and (entries := read(run, bucket))
                for each in sorted(left)
                for offset in find_id(entries, each)
            ]


def _runs(size: int) -> Iterator[Run]:
    """The runs of so many records, the newest first."""
    end = size // RUN_RECORDS
    for level in range(TOP_LEVEL + 1):
        begin = 0 if level == TOP_LEVEL else end // _FAN_OUT * _FAN_OUT
        for number in range(end - 1, begin - 1, -1):
            yield level, number
        end //= _FAN_OUT


def _run_begin(run: Run) -> int:
    """The index of the first record that a run covers."""
    level, number = run
    return number * RUN_RECORDS * int(_FAN_OUT**level)
