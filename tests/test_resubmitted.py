"""A stored batch that is submitted again gets the indices that it has, in few reads, and every
other record the outcome that it has alone."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from ledgercore import CorruptError, Ledger, RefusedError, SigningKey, testing
from ledgercore.ledger.reader import Reader
from ledgercore.ledger.writer import Outcome
from ledgercore.store import SqliteStore

KEY = SigningKey(bytes([3]) * 32)
ORIGIN = "again.example/log"
SIGNERS = 4


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.ledger"
    members = testing.test_members(SIGNERS)
    Ledger.create(path, origin=ORIGIN, members=members, key=KEY).close()
    return path


def stored(path: Path, count: int, pieces: int = 1) -> list[bytes]:
    """Records that are on the ledger, in as many blocks."""
    found: list[bytes] = []
    with Ledger.open(path, key=KEY) as ledger:
        for _ in range(pieces):
            records = testing.signed_records(ledger, signers=SIGNERS, count=count // pieces)
            ledger.submit_many(records)
            found += records
    return found


def comparable(outcomes: Iterable[Outcome]) -> list[object]:
    return [str(each) if isinstance(each, RefusedError) else each for each in outcomes]


def one_by_one(reader: Reader, record_ids: Iterable[bytes]) -> dict[bytes, int]:
    found = {each: reader.find(each) for each in record_ids}
    return {each: index for each, index in found.items() if index is not None}


@pytest.mark.parametrize("seed", range(6))
def test_outcomes_are_those_of_looking_each_id_up_alone(
    path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records that are there, that come now, that are there twice in the batch, that have a gap
    before them, and others in the place of what is there, in any order but a signer's own."""
    choose = random.Random(seed)
    there = stored(path, 5200, pieces=4)
    with Ledger.open(path, key=KEY) as ledger:
        coming = testing.signed_records(ledger, signers=SIGNERS, count=60)
        network = ledger.network
    conflicting = [
        testing.signing_key(number)
        .sign_record("std", network, "data", b"another", sequence=sequence, previous=bytes(32))
        .encode()
        for number in range(SIGNERS)
        for sequence in (1, 700)
    ]
    batch = [*choose.sample(there, 400), *conflicting, *coming]
    for _ in range(80):
        batch.insert(choose.randrange(len(batch)), choose.choice(there + batch))
    copy = path.with_name("copy.ledger")
    for suffix in ("", ".head"):
        shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")

    with Ledger.open(path, key=KEY) as ledger:
        together = comparable(ledger.submit_many(batch))
    monkeypatch.setattr(Reader, "find_all", one_by_one)
    with Ledger.open(copy, key=KEY) as ledger:
        alone = comparable(ledger.submit_many([each])[0] for each in batch)

    assert together == alone
    assert {type(each) for each in together} == {int, str}
    with Ledger.open(path, read_only=True) as ledger:
        for record, outcome in zip(batch, together, strict=True):
            if isinstance(outcome, int):
                assert ledger.record(outcome).encode() == record


def test_what_stands_together_is_read_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records, read = stored(path, 8192), list[str]()

    def counted(name: str) -> None:
        call = getattr(SqliteStore, name)

        def count(self: SqliteStore, *given: int) -> object:
            read.append(name)
            return call(self, *given)

        monkeypatch.setattr(SqliteStore, name, count)

    with Ledger.open(path, key=KEY) as ledger:
        for name in ("bundle_of", "bucket"):
            counted(name)
        assert ledger.submit_many(records) == list(range(1, 8193))

    assert read.count("bundle_of") <= 8192 // 256 * 2
    assert read.count("bucket") <= 8192 // 256
    read.clear()
    with Ledger.open(path, key=KEY) as ledger:
        assert ledger.submit_many(records[::1024]) == list(range(1, 8193, 1024))
    assert read.count("bundle_of") == 8 + 1, "and the genesis"


def test_a_damaged_record_is_told_where_it_is_sent_again_and_nowhere_else(path: Path) -> None:
    records = stored(path, 1000)
    with Ledger.open(path, key=KEY) as ledger:
        more = testing.signed_records(ledger, signers=SIGNERS, count=4)
        store = ledger._reader.store
        assert isinstance(store, SqliteStore)
        bundle = store.bundle_of(300)
        assert bundle is not None
        flipped = bundle.records.replace(records[299][-20:], bytes(20))
        store._run("UPDATE bundle SET records = ? WHERE first_index = ?", (flipped, 257))

        others = [*range(298), *range(300, 1000)]
        assert ledger.submit_many([records[at] for at in others]) == [at + 1 for at in others]
        with pytest.raises(CorruptError, match="record 300: leaf is"):
            ledger.submit_many([*records, *more])
        assert ledger.size == 1001
