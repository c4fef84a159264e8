"""Keep the index of ids: sorted runs, sixteen of which are merged into one.

A run of level ``n`` covers ``256 * 16**n`` consecutive records and has ``16**n`` buckets. Runs of
the top level stay as they are. The ids of the newest records, which fill no run yet, are in the
head. The index says nothing that the records do not: what it finds is held to the record itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ledgercore._core import bucket_of, find_id, merge_buckets, sort_ids
from ledgercore.errors import CorruptError
from ledgercore.store import Store

__all__ = [
    "RUN_RECORDS",
    "TOP_LEVEL",
    "Run",
    "Runs",
    "candidates",
    "extend_runs",
    "read_bucket",
    "read_run",
    "recent_ids",
    "run_end",
    "unmerged_runs",
]

RUN_RECORDS = 256
"""Records of a run of level 0."""

TOP_LEVEL = 3
"""A run of it covers 2^20 records, so that a merge never takes long."""

_FAN_OUT = 16

Run = tuple[int, int]
"""A level, and the number of a run in it."""

Read = Callable[[Run, int], bytes]
"""Gives one bucket of a run."""


class Runs(NamedTuple):
    """How the index changes: runs to add, with their buckets, and runs that went into them."""

    added: dict[Run, list[bytes]]
    merged: list[Run]


_NONE = Runs({}, [])


def extend_runs(size: int, recent: Sequence[bytes], ids: Sequence[bytes], read: Read) -> Runs:
    """The runs that the next ids complete, after ``size`` records of which some are recent."""
    if len(recent) + len(ids) < RUN_RECORDS:
        return _NONE
    waiting = [*recent, *ids]
    begin = size // RUN_RECORDS
    end = begin + len(waiting) // RUN_RECORDS
    full = sort_ids(waiting[: (end - begin) * RUN_RECORDS])
    added = {(0, begin + number): [bucket] for number, bucket in enumerate(full)}
    merged: list[Run] = []
    for level in range(1, TOP_LEVEL + 1):
        begin, end = begin // _FAN_OUT, end // _FAN_OUT
        for number in range(begin, end):
            parts = []
            for part in range(number * _FAN_OUT, (number + 1) * _FAN_OUT):
                buckets = added.pop((level - 1, part), None)
                if buckets is None:
                    merged.append((level - 1, part))
                    count = _FAN_OUT ** (level - 1)
                    buckets = [read((level - 1, part), bucket) for bucket in range(count)]
                parts.append(buckets)
            same = zip(*parts, strict=True)
            added[level, number] = [each for some in same for each in merge_buckets(level, some)]
    return Runs(added, merged)


def run_end(run: Run) -> int:
    """The index after the last record that a run covers."""
    level, number = run
    return (number + 1) * RUN_RECORDS * int(_FAN_OUT**level)


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
        raise CorruptError(f"run {run} of ids: bucket {bucket} is missing; restore from a backup")
    return entries


def read_run(store: Store, run: Run) -> list[bytes]:
    """All buckets of a run that must be there."""
    buckets = store.run(*run)
    want = _FAN_OUT ** run[0]
    if len(buckets) != want:
        raise CorruptError(
            f"run {run} of ids has {len(buckets)} buckets, want {want}; restore from a backup"
        )
    return buckets


def recent_ids(recent: Sequence[bytes], ids: Sequence[bytes]) -> list[bytes]:
    """The ids that fill no run yet, after more have come."""
    waiting = [*recent, *ids]
    if len(waiting) < RUN_RECORDS:
        return waiting
    return waiting[len(waiting) // RUN_RECORDS * RUN_RECORDS :]


def candidates(size: int, recent: Sequence[bytes], record_id: bytes, read: Read) -> Iterator[int]:
    """The indices of the records that may have an id, the newest first."""
    newest = size // RUN_RECORDS * RUN_RECORDS
    for offset in range(len(recent) - 1, -1, -1):
        if recent[offset] == record_id:
            yield newest + offset
    end = size // RUN_RECORDS
    for level in range(TOP_LEVEL + 1):
        begin = 0 if level == TOP_LEVEL else end // _FAN_OUT * _FAN_OUT
        records = RUN_RECORDS * _FAN_OUT**level
        bucket = bucket_of(level, record_id)
        for number in range(end - 1, begin - 1, -1):
            for offset in reversed(find_id(read((level, number), bucket), record_id)):
                yield number * records + offset
        end //= _FAN_OUT
