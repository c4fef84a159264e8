"""The index of ids finds what was added, whatever the sizes of the blocks."""

from __future__ import annotations

import hashlib
import random
import tracemalloc
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from ledgercore import CorruptError, Ledger, MalformedError, _core
from ledgercore.ledger.ids import (
    RUN_RECORDS,
    TOP_LEVEL,
    Run,
    candidates,
    candidates_of,
    extend_runs,
    read_run,
    recent_ids,
    unmerged_runs,
)
from ledgercore.store import SqliteStore
from ledgercore.testing import signing_key

TOP_RECORDS = RUN_RECORDS * 16**TOP_LEVEL


def record_ids(begin: int, end: int) -> list[bytes]:
    return [hashlib.sha256(number.to_bytes(8, "big")).digest() for number in range(begin, end)]


class Index:
    """An index in memory, with every id beside it."""

    def __init__(self) -> None:
        self.ids: list[bytes] = []
        self.recent = b""
        self.runs: dict[Run, list[bytes]] = {}

    def read(self, run: Run, bucket: int) -> bytes:
        return self.runs[run][bucket]

    def add(self, ids: Sequence[bytes]) -> None:
        joined = b"".join(ids)
        changed = extend_runs(len(self.ids), self.recent, joined, self.runs.__getitem__)
        added = {run: list(buckets) for run, buckets in changed.added.items()}
        assert not self.runs.keys() & added.keys()
        self.runs |= added
        for run in changed.merged:
            del self.runs[run]
        self.recent = recent_ids(self.recent, joined)
        self.ids += ids

    def find(self, record_id: bytes) -> list[int]:
        found = list(candidates(len(self.ids), self.recent, record_id, self.read))
        assert [at for at, _ in self.find_all({record_id})] == found
        return found

    def find_all(self, record_ids: set[bytes]) -> list[tuple[int, bytes]]:
        """What is found together, the newest first."""
        pieces = candidates_of(len(self.ids), self.recent, record_ids, self.read)
        return [each for piece in pieces for each in sorted(piece, reverse=True)]


def expected_runs(size: int) -> set[Run]:
    """The digits of the size, base 16, say how many runs each level has."""
    runs, full = set(), size // RUN_RECORDS
    for level in range(TOP_LEVEL + 1):
        first = 0 if level == TOP_LEVEL else full // 16 * 16
        runs |= {(level, number) for number in range(first, full)}
        full //= 16
    return runs


@pytest.mark.parametrize("seed", range(4))
def test_every_id_is_found_whatever_the_blocks(seed: int) -> None:
    choose, index = random.Random(seed), Index()
    while len(index.ids) < 9000:
        count = choose.choice([1, 1, 2, 255, 256, 257, 700, 4096])
        index.add(record_ids(len(index.ids), len(index.ids) + count))
        assert set(index.runs) == expected_runs(len(index.ids))
        assert index.recent == b"".join(index.ids[len(index.ids) // 256 * 256 :])

    assert [index.find(record_id) for record_id in index.ids] == [
        [at] for at in range(len(index.ids))
    ]
    assert index.find(bytes(32)) == []
    wanted = set(choose.sample(index.ids, 3000))
    found = index.find_all({*wanted, bytes(32)})
    assert sorted(found) == [(at, each) for at, each in enumerate(index.ids) if each in wanted]


def test_no_bucket_is_read_for_what_was_found_in_a_newer_run() -> None:
    index, read = Index(), list[Run]()
    index.add(record_ids(0, 2 * 4096))
    newer, older = (1, 1), (1, 0)
    assert set(index.runs) == {newer, older}

    def reading(run: Run, bucket: int) -> bytes:
        read.append(run)
        return index.read(run, bucket)

    wanted = {*index.ids[4096:], bytes(32)}
    for piece in candidates_of(len(index.ids), index.recent, wanted, reading):
        wanted -= {each for _, each in piece}

    assert wanted == {bytes(32)}
    assert read.count(newer) == len(index.runs[newer])
    assert read.count(older) == 1


def test_one_block_and_many_make_the_same_runs() -> None:
    whole, stepwise = Index(), Index()
    whole.add(record_ids(0, 70_000))
    for begin in range(0, 70_000, 3_001):
        stepwise.add(record_ids(begin, min(begin + 3_001, 70_000)))

    assert whole.runs == stepwise.runs


def test_runs_of_the_top_level_stay() -> None:
    index = Index()
    index.add(record_ids(0, TOP_RECORDS - 5))
    assert {level for level, _ in index.runs} == {0, 1, 2}
    index.add(record_ids(TOP_RECORDS - 5, TOP_RECORDS + 300))

    assert set(index.runs) == {(TOP_LEVEL, 0), (0, TOP_RECORDS // RUN_RECORDS)}
    sizes = [len(bucket) // 12 for bucket in index.runs[TOP_LEVEL, 0]]
    assert (len(sizes), sum(sizes)) == (4096, TOP_RECORDS)
    assert max(sizes) < 400
    for at in range(0, len(index.ids), 9_973):
        assert index.find(index.ids[at]) == [at]


def test_ids_that_begin_alike_are_all_named_newest_first() -> None:
    index, twin = Index(), bytes(8)
    ids = record_ids(0, 5000)
    for at in (3, 300, 4200, 4999):
        ids[at] = twin + ids[at][8:]
    index.add(ids)

    assert index.find(ids[4999]) == [4999, 4200, 300, 3]
    assert index.find(twin + bytes(24)) == [4200, 300, 3], "recent ids are compared whole"
    found = index.find_all({ids[3], ids[300]})
    assert [at for at, each in found if each == ids[3]] == [4200, 300, 3]
    assert {each for _, each in found} == {ids[3], ids[300]}


@pytest.mark.parametrize(
    ("level", "buckets", "message"),
    [
        (1, [], "0 buckets to level 1"),
        (1, [b""] * 15, "15 buckets to level 1"),
        (2, [b""] * 33, "33 buckets to level 2"),
        (0, [b""] * 16, "16 buckets to level 0"),
        (1, [b"x" * 13] + [b""] * 15, "13 bytes, want a multiple of 12"),
        (1, [b""] * 15 + [b"\xff" * 12], "offset"),
    ],
)
def test_damaged_buckets_are_not_merged(level: int, buckets: list[bytes], message: str) -> None:
    with pytest.raises(MalformedError, match=message):
        _core.merge_buckets(level, buckets)


@pytest.mark.parametrize(("level", "count"), [(0, 255), (1, 4095), (1, 256), (4, 0)])
def test_ids_that_make_no_whole_runs_are_not_sorted(level: int, count: int) -> None:
    with pytest.raises(MalformedError, match=f"{count} ids make no whole runs of level {level}"):
        _core.sort_ids(level, bytes(32 * count))


def test_a_ledger_finds_its_records_and_tells_a_missing_bucket(tmp_path: Path) -> None:
    with Ledger.create(tmp_path / "a.ledger", origin="a.example", key=signing_key(1)) as ledger:
        for begin in range(0, 5000, 1250):
            ledger.append_many([b"%d" % number for number in range(begin, begin + 1250)])
        ids = [record.id for record in ledger]
        assert [ledger.find(record_id) for record_id in ids] == list(range(5001))
        assert ledger.find(bytes(32)) is None
    with Ledger.open(tmp_path / "a.ledger", key=signing_key(1)) as ledger:
        ledger.verify()
        ledger._reader.store._connection.execute("DELETE FROM bucket WHERE level = 1")
        with pytest.raises(CorruptError, match=r"run \(1, 0\) of ids: bucket \d+ is missing"):
            ledger.find(ids[17])


def test_a_run_is_merged_some_buckets_at_a_time(tmp_path: Path) -> None:
    """One of the top level has 12 MiB, which the control holds."""
    choose, store = random.Random(1), SqliteStore.create(tmp_path / "a.store")
    bucket = b"".join(sorted(choose.randbytes(8) + bytes(4) for _ in range(RUN_RECORDS)))
    waiting = TOP_RECORDS - RUN_RECORDS
    with store.transaction():
        for (level, number), count in unmerged_runs(waiting):
            store.add_buckets([(level, number, at, bucket) for at in range(count)])
    runs = extend_runs(waiting, b"", b"".join(record_ids(0, RUN_RECORDS)), partial(read_run, store))

    tracemalloc.start()
    sizes = [len(entries) // 12 for *_, entries in runs.buckets()]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    whole = list(runs.buckets())
    control = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert (len(sizes), sum(sizes), len(whole)) == (4096, TOP_RECORDS, 4096)
    # What other threads of the process hold counts as well.
    assert peak < 3 * 2**20 < 12 * 2**20 < control
    store.close()
