"""Callers who wait for the writer share one block, and each gets what is its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ledgercore import (
    DiskFullError,
    InvalidSignature,
    Ledger,
    LedgerError,
    LimitError,
    RefusedError,
    StoreError,
    testing,
)
from ledgercore.ledger import sequencer as sequencer_module
from ledgercore.ledger import writer as writer_module
from ledgercore.ledger.group import Group

SIGNERS = 4


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    members = testing.test_members(SIGNERS)
    with Ledger.create(tmp_path / "a.ledger", origin="group.example", members=members) as ledger:
        yield ledger


def run_together(ledger: Ledger, calls: list[Callable[[], Any]]) -> list[Any]:
    """What each call gives or raises, when all have come before the writer's turn is free."""
    outcomes: list[Any] = [None] * len(calls)

    def run(at: int) -> None:
        try:
            outcomes[at] = calls[at]()
        except LedgerError as error:
            outcomes[at] = error

    assert ledger._writer is not None
    group = ledger._writer._group
    threads = [threading.Thread(target=run, args=(at,)) for at in range(len(calls))]
    with group._leading:
        for thread in threads:
            before = len(group._queue)
            thread.start()
            while len(group._queue) == before and thread.is_alive():
                thread.join(0.001)
    group._call_next()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return outcomes


def test_appends_and_submissions_share_one_block(ledger: Ledger) -> None:
    records = testing.signed_records(ledger, signers=SIGNERS, count=8, body_bytes=40)
    before = ledger.height

    first, many, submitted, last = run_together(
        ledger,
        [
            lambda: ledger.append(b"first"),
            lambda: ledger.append_many([b"many 0", b"many 1", b"many 2"]),
            lambda: ledger.submit_many(records),
            lambda: ledger.append(b"last"),
        ],
    )

    assert ledger.height == before + 1
    assert [first.index, list(many.indices), submitted, last.index] == [
        1, [2, 3, 4], list(range(5, 13)), 13
    ]  # fmt: skip
    assert first.verify(b"first", ledger.trust_anchor).body == b"first"
    assert [ledger.record(index).body for index in (2, 4, 13)] == [b"many 0", b"many 2", b"last"]
    ledger.verify()


def test_what_one_caller_did_wrong_is_its_own(ledger: Ledger) -> None:
    good, bad = (
        testing.signed_records(ledger, signers=1, count=1, body_bytes=40)[0] for _ in range(2)
    )
    stranger = testing.signing_key(99).sign_record(
        ledger.suite, ledger.network, "data", b"", sequence=0, previous=bytes(32)
    )
    broken = bad[:-1] + bytes([bad[-1] ^ 1])

    outcomes = run_together(
        ledger,
        [
            lambda: ledger.append(b"a"),
            lambda: ledger.append(bytes(70_000)),
            lambda: ledger.submit(stranger.encode()),
            lambda: ledger.submit(broken),
            lambda: ledger.submit(good),
        ],
    )

    kinds = [type(outcome).__name__ for outcome in outcomes]
    assert kinds == ["Receipt", "LimitError", "RefusedError", "InvalidSignature", "Receipt"]
    assert {LimitError, RefusedError, InvalidSignature} >= {type(each) for each in outcomes[1:4]}
    assert (ledger.size, ledger.height) == (3, 1)


def test_everybody_hears_of_a_block_that_failed(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise DiskFullError("disk is full: free space, then go on")

    with monkeypatch.context() as patch:
        patch.setattr(sequencer_module, "commit_block", fail)
        outcomes = run_together(ledger, [lambda: ledger.append(b"lost")] * 3)

    assert [type(each) for each in outcomes] == [DiskFullError] * 3
    assert len({id(each) for each in outcomes}) == 3, "an error of its own for each thread"
    assert ledger.size == 1
    assert ledger.append(b"after").index == 1


def test_a_block_holds_no_more_than_it_may(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ledger._writer is not None
    monkeypatch.setattr(ledger._writer._group, "_limit_records", 5)

    outcomes = run_together(ledger, [lambda: ledger.append_many([b"x", b"y"])] * 6)

    assert sorted(list(each.indices) for each in outcomes) == [[n, n + 1] for n in range(1, 13, 2)]
    assert [ledger.block(height).count for height in (1, 2, 3)] == [4, 4, 4]


def test_a_crowd_of_threads_loses_nothing(ledger: Ledger) -> None:
    receipts: list[tuple[bytes, Any]] = []

    def append(number: int) -> None:
        for at in range(25):
            payload = b"%d %d" % (number, at)
            receipts.append((payload, ledger.append(payload)))

    threads = [threading.Thread(target=append, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert sorted(receipt.index for _, receipt in receipts) == list(range(1, 401))
    for payload, receipt in receipts:
        receipt.verify(payload, ledger.trust_anchor)
    assert ledger.height < 400, "some shared a block"
    ledger.verify()


def test_what_takes_many_blocks_shares_none(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "cut", lambda payloads, total: [payloads[:2], payloads[2:]])
    monkeypatch.setattr(writer_module, "fits", lambda count, total: count < 3)

    first, many, last = run_together(
        ledger,
        [
            lambda: ledger.append_many([b"a", b"b"]),
            lambda: ledger.append_many([b"c", b"d", b"e"]),
            lambda: ledger.append(b"f"),
        ],
    )

    assert (list(first.indices), list(many.indices), last.index) == ([1, 2], [3, 4, 5], 6)
    assert [ledger.block(height).count for height in (1, 2, 3, 4)] == [2, 2, 1, 1]


def test_a_writer_that_an_interrupt_stopped_says_so(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sequencer_module, "commit_block", interrupt)
        with pytest.raises(KeyboardInterrupt):
            ledger.append(b"never written")

    with pytest.raises(StoreError, match=r"writer has stopped: an interrupt \(KeyboardInterrupt\)"):
        ledger.append(b"after")


def test_a_caller_that_is_interrupted_lets_the_next_one_lead(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Group, "_first", interrupt)
        with pytest.raises(KeyboardInterrupt):
            ledger.append(b"never written")

    assert ledger.size == 1
    assert ledger.append(b"one").index == 1
