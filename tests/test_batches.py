"""Batches submitted one after another: ordered as each alone, the next verified meanwhile."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from ledgercore import (
    AsyncLedger,
    InvalidSignature,
    Ledger,
    LimitError,
    UnavailableError,
    testing,
)
from ledgercore.ledger import sequencer as sequencer_module
from ledgercore.ledger import writer as writer_module
from ledgercore.ledger.ahead import map_ahead
from ledgercore.ledger.writer import BATCHES_AHEAD

SIGNERS = 3
ORIGIN = "batches.example"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    members = testing.test_members(SIGNERS)
    with Ledger.create(tmp_path / "a.ledger", origin=ORIGIN, members=members) as ledger:
        yield ledger


def batches_of(ledger: Ledger, count: int, each: int = 6) -> list[list[bytes]]:
    records = testing.signed_records(ledger, signers=SIGNERS, count=count * each, body_bytes=30)
    return [records[begin : begin + each] for begin in range(0, len(records), each)]


def spoiled(record: bytes) -> bytes:
    return record[:-1] + bytes([record[-1] ^ 1])


def test_batches_get_the_outcomes_that_each_would_get(ledger: Ledger) -> None:
    batches = batches_of(ledger, 7)
    batches.insert(3, [])
    batches.insert(5, batches[1])  # once more
    outcomes = list(ledger.submit_batches(batches))
    assert [index for each in outcomes[:5] for index in each] == list(range(1, 25))
    assert outcomes[5] == outcomes[1] and outcomes[3] == []
    assert ledger.size == 43 and list(ledger.submit_batches([])) == []
    ledger.verify()


def test_a_bad_signature_refuses_its_batch_alone(ledger: Ledger) -> None:
    batches = batches_of(ledger, 5)
    good, batches[2] = batches[2], [*batches[2][:4], *map(spoiled, batches[2][4:])]
    submitted = ledger.submit_batches(batches)
    assert [next(submitted), next(submitted)] == [[*range(1, 7)], [*range(7, 13)]]
    with pytest.raises(InvalidSignature) as caught:
        next(submitted)
    assert caught.value.indices == (4, 5)
    assert next(submitted, None) is None and ledger.size == 13
    batches[2] = good
    assert [*ledger.submit_batches(batches)][-1] == [*range(25, 31)]


def test_what_was_not_asked_for_is_not_appended(ledger: Ledger) -> None:
    submitted = ledger.submit_batches(batches_of(ledger, 6))
    assert ledger.size == 1
    next(submitted)
    submitted.close()
    assert ledger.size == 7


def test_what_a_source_gave_before_it_failed_is_durable(ledger: Ledger) -> None:
    batches = batches_of(ledger, 5)

    def source() -> Iterator[list[bytes]]:
        yield from batches
        raise OSError("the file ended early")

    sizes = []
    with pytest.raises(OSError, match="ended early"):
        for _ in ledger.submit_batches(source()):
            sizes.append(ledger.size)
    assert sizes == [7, 13, 19, 25, 31] and ledger.size == 31


def test_no_more_is_taken_ahead_than_the_bound(ledger: Ledger) -> None:
    batches, taken = batches_of(ledger, 8), 0

    def source() -> Iterator[list[bytes]]:
        nonlocal taken
        for batch in batches:
            taken += 1
            yield batch

    for number, _ in enumerate(ledger.submit_batches(source()), 1):
        assert taken == min(number + BATCHES_AHEAD, len(batches))


def test_the_next_batch_is_verified_while_one_is_ordered(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ordering waits here for the verification of the next batch: in turn it would wait forever."""
    verified, passed = 0, Event()
    verify, commit = writer_module.verify_batches, sequencer_module.commit_block

    def counting(*arguments: object, **named: bool) -> object:
        nonlocal verified
        done = verify(*arguments, **named)  # type: ignore[arg-type]
        verified += 1
        if verified == 2:
            passed.set()
        return done

    def waiting(*arguments: object) -> object:
        assert passed.wait(60)
        return commit(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(writer_module, "verify_batches", counting)
    monkeypatch.setattr(sequencer_module, "commit_block", waiting)
    assert len(list(ledger.submit_batches(batches_of(ledger, 3)))) == 3


def test_without_room_ahead_all_goes_in_turn() -> None:
    seen: list[str] = []

    def work(item: int) -> int:
        seen.append(f"made {item}")
        return item * item

    for result in map_ahead(work, range(3), 0):
        seen.append(f"used {result}")
    assert seen == ["made 0", "used 0", "made 1", "used 1", "made 2", "used 4"]


def test_whoever_stops_early_does_not_wait_for_what_was_taken_ahead() -> None:
    begun, stopped = Event(), Event()
    waited: list[bool] = []

    def work(item: int) -> int:
        if item:
            begun.set()
            waited.append(stopped.wait(2))
        return item

    results = map_ahead(work, range(4), 2)
    assert next(results) == 0
    assert begun.wait(10)
    results.close()
    stopped.set()
    while not waited:
        time.sleep(0.001)
    assert waited == [True]


def test_a_thread_that_outlives_the_main_one_submits_its_batches(
    ledger: Ledger, tmp_path: Path
) -> None:
    """From then on no pool of threads takes work."""
    for name, (record,) in enumerate(batches_of(ledger, 3, each=1)):
        (tmp_path / f"{name}").write_bytes(record)
    ledger.close()
    program = """
import sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from ledgercore import Ledger
def run():
    try:
        while ThreadPoolExecutor(1).submit(int):
            time.sleep(0.01)
    except RuntimeError:
        with Ledger.open(directory / "a.ledger") as ledger:
            print(list(ledger.submit_batches(batches)))
directory = Path(sys.argv[1])
batches = [[(directory / f"{name}").read_bytes()] for name in range(3)]
threading.Thread(target=run).start()
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (done.stdout, done.stderr) == ("[[1], [2], [3]]\n", "")


def test_readers_submit_nothing_and_tasks_do(ledger: Ledger, tmp_path: Path) -> None:
    batches = batches_of(ledger, 3)
    with (
        Ledger.open(tmp_path / "a.ledger", read_only=True) as reader,
        pytest.raises(UnavailableError),
    ):
        reader.submit_batches(batches)
    ledger.close()

    async def run() -> list[object]:
        async with await AsyncLedger.open(tmp_path / "a.ledger") as ledger:
            return [outcomes async for outcomes in ledger.submit_batches(batches)]

    assert asyncio.run(run()) == [[*range(1, 7)], [*range(7, 13)], [*range(13, 19)]]


def test_what_a_failing_source_gave_comes_first() -> None:
    def source() -> Iterator[int]:
        yield from range(5)
        raise ValueError("the source broke")

    results = map_ahead(lambda number: number * 2, source(), 2)

    assert [next(results) for _ in range(5)] == [0, 2, 4, 6, 8]
    with pytest.raises(ValueError, match="the source broke"):
        next(results)


def test_what_a_caller_holds_is_let_go_without_the_garbage_collector() -> None:
    """A batch has megabytes, and the collector may not run before some are done."""

    def call() -> weakref.ref[Event]:
        held = Event()
        assert [*map_ahead(lambda number: number, range(3), 2)] == [0, 1, 2]
        return weakref.ref(held)

    gc.disable()
    try:
        assert call()() is None
    finally:
        gc.enable()


def test_a_payload_that_no_record_holds_refuses_all(tmp_path: Path) -> None:
    """Also where the payloads before it fill blocks of their own."""
    with Ledger.create(tmp_path / "a.ledger", origin="a.example") as ledger:
        with pytest.raises(LimitError):
            ledger.append_many([*[b"x"] * 20_000, bytes(64 * 1024)])

        assert ledger.size == 1


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no nice value")
def test_what_is_verified_ahead_gives_way(ledger: Ledger) -> None:
    def nice_values(name: str) -> set[int]:
        tasks = [task / "stat" for task in Path("/proc/self/task").iterdir()]
        named = [each.read_text() for each in tasks if f"({name} " in each.read_text()]
        return {int(each.rpartition(")")[2].split()[16]) for each in named}

    list(ledger.submit_batches(batches_of(ledger, 2, each=200)))
    ledger.submit_many(batches_of(ledger, 1, each=200)[0])
    (usual,) = nice_values("verify")
    assert nice_values("ahead") == {min(usual + 5, 19)}


class Counted(Sequence[bytes]):
    """Says that it has one record."""

    def __init__(self, records: list[bytes]) -> None:
        self._records = records

    def __len__(self) -> int:
        return 1

    def __getitem__(self, at: Any) -> Any:
        return self._records[at]


def test_records_that_are_more_than_was_counted_are_refused(ledger: Ledger) -> None:
    records = testing.signed_records(ledger, signers=1, count=20)
    with pytest.raises(TypeError, match="records were 1 and then 20: hand over a list"):
        ledger.submit_many(Counted(records))
    assert ledger.size == 1
    assert ledger.submit_many(records) == [*range(1, 21)]
