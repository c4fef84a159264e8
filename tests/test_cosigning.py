"""A ledger keeps what witnesses cosigned, and its receipts reach the quorum."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ledgercore import (
    InvalidSignature,
    Ledger,
    LimitError,
    MalformedError,
    StoreError,
    UnavailableError,
    UntrustedError,
    _core,
    cosign_checkpoint,
    testing,
)
from ledgercore.ledger import published
from ledgercore.records import Witness
from ledgercore.store import SqliteStore, Store, StoredBlock

WITNESSES = {f"w{number}.example": testing.signing_key(50 + number) for number in range(3)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.ledger"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    witnesses = [Witness(name, key.public_key) for name, key in WITNESSES.items()]
    with Ledger.create(path, origin="a.example", witnesses=witnesses, quorum=2) as ledger:
        yield ledger


def cosigned(note: str, name: str, time_s: int = 1_700_000_000) -> str:
    return cosign_checkpoint(note, name, WITNESSES[name], time_s)


def test_receipts_verify_once_the_quorum_has_cosigned(ledger: Ledger, path: Path) -> None:
    anchor = ledger.trust_anchor
    assert ledger.append(b"one").index == 1
    note = ledger.checkpoint
    with Ledger.open(path, read_only=True) as reader:
        with pytest.raises(UntrustedError, match="cosigned by 0 witnesses, want 2"):
            reader.receipt(1).verify(b"one", anchor)
        ledger.add_cosignatures(cosigned(note, "w0.example"))
        with pytest.raises(UntrustedError, match="cosigned by 1 witnesses, want 2"):
            reader.receipt(1).verify(b"one", anchor)
        # The second witness cosigned what the operator had signed, and knows of no other.
        whole = ledger.add_cosignatures(cosigned(note, "w2.example"))
        for opened in (ledger, reader):
            assert opened.receipt(1).verify(b"one", anchor).body == b"one"
            assert opened.checkpoint == opened.note(1) == whole

    assert ledger.append(b"two").index == 2
    assert ledger.receipt(1).verify(b"one", anchor).body == b"one"
    ledger.verify()
    ledger.close()
    with Ledger.open(path) as again:
        assert again.note(1) == whole
        again.verify()


def test_a_record_whose_block_was_never_cosigned_is_shown_by_a_later_checkpoint(
    ledger: Ledger, path: Path
) -> None:
    anchor, bodies = ledger.trust_anchor, [b"%d" % number for number in range(7)]
    for body in bodies:
        ledger.append(body)
    assert ledger.published is None

    def publish(height: int) -> str:
        note = ledger.note(height)
        for name in ("w0.example", "w2.example"):
            note = ledger.add_cosignatures(cosigned(note, name))
        return note

    with Ledger.open(path, read_only=True) as reader:
        for height in (3, 5):  # of 1 to 7, each with one record
            note = publish(height)
            for opened in (ledger, reader):
                assert opened.published == note
                receipts = opened.receipts(range(1, 8))
                for receipt, body in zip(receipts[:height], bodies, strict=False):
                    assert receipt.verify(body, anchor).body == body
                for receipt, body in zip(receipts[height:], bodies[height:], strict=True):
                    with pytest.raises(UntrustedError, match="cosigned by 0 witnesses"):
                        receipt.verify(body, anchor)
                assert receipts[height - 1] == opened.receipt(height)
                # Its own block's, where that was cosigned: the same at any time.
                assert receipts[2].checkpoint == ledger.note(3)
                assert receipts[0].checkpoint == note
    ledger.close()
    with Ledger.open(path) as again:
        assert again.published == note
        assert again.receipt(4).verify(bodies[3], anchor).body == bodies[3]


def test_a_published_checkpoint_is_found_however_many_blocks_came_since(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published, "_LOOKED_AT", 2)
    for name in ("w0.example", "w1.example"):
        note = ledger.add_cosignatures(cosigned(ledger.checkpoint, name))
    with Ledger.open(path, read_only=True) as reader:
        assert reader.published == note
        for number in range(5):
            ledger.append(b"%d" % number)
        assert reader.published == ledger.published == note
    with Ledger.open(path, read_only=True) as later:
        assert later.published == note


def test_a_late_cosignature_is_found_however_far_below_the_newest_block_it_is(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(published, "_LOOKED_AT", 2)
    ledger.append(b"one")
    with Ledger.open(path, read_only=True) as reader:
        assert reader.published is ledger.published is None
        for number in range(5):
            ledger.append(b"%d" % number)
        for name in ("w0.example", "w1.example"):  # asked for it when it was the newest
            note = ledger.add_cosignatures(cosigned(ledger.note(1), name))
        for opened in (ledger, reader):
            assert opened.published == note
            assert opened.receipt(1).verify(b"one", ledger.trust_anchor).body == b"one"


def test_the_writer_looks_at_each_block_once_while_its_witnesses_are_away(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    header = SqliteStore.header

    def counted(self: SqliteStore, height: int) -> StoredBlock | None:
        read.append(height)
        return header(self, height)

    def counted_too(self: SqliteStore, begin: int, end: int) -> list[tuple[int, str]]:
        read.extend(range(begin, end))
        return notes(self, begin, end)

    notes = SqliteStore.notes
    for number in range(5):
        ledger.append(b"%d" % number)
    assert ledger.published is None
    monkeypatch.setattr(SqliteStore, "header", counted)
    monkeypatch.setattr(SqliteStore, "notes", counted_too)
    ledger.append(b"more")
    ledger.add_cosignatures(cosigned(ledger.checkpoint, "w0.example"))
    assert ledger.published is None
    assert set(read) == {6}


def test_a_reader_asks_for_many_notes_at_once_while_its_witnesses_are_away(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def counting(name: str) -> None:
        call = getattr(SqliteStore, name)

        def counted(*given: int) -> object:
            asked.append(name)
            return call(*given)

        monkeypatch.setattr(SqliteStore, name, counted)

    for number in range(100):
        ledger.append(b"%d" % number)
    with Ledger.open(path, read_only=True) as reader:
        assert reader.published is None
        ledger.append(b"more")
        for name in ("header", "notes"):
            counting(name)
        assert reader.published is None

    # The head is read, and of 102 notes 1, 4, 16, 64 and the rest.
    assert asked.count("header") < 5 and asked.count("notes") == 5


def test_what_is_published_is_looked_for_again_after_an_error_that_passes(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("w0.example", "w1.example"):
        note = ledger.add_cosignatures(cosigned(ledger.checkpoint, name))
    ledger.append(b"one")
    notes = SqliteStore.notes

    def failing(self: SqliteStore, begin: int, end: int) -> list[tuple[int, str]]:
        if begin == 0:
            raise StoreError("connection lost")
        return notes(self, begin, end)

    with Ledger.open(path, read_only=True) as reader:
        with monkeypatch.context() as broken:
            broken.setattr(SqliteStore, "notes", failing)
            with pytest.raises(StoreError, match="connection lost"):
                _ = reader.published
        assert reader.published == note


def test_without_a_quorum_every_checkpoint_is_published(tmp_path: Path) -> None:
    with Ledger.create(tmp_path / "b.ledger", origin="b.example") as ledger:
        assert ledger.published == ledger.checkpoint
        ledger.append(b"one")
        assert ledger.published == ledger.checkpoint == ledger.receipt(1).checkpoint


def test_a_newer_cosignature_takes_the_place_of_an_older_one(ledger: Ledger) -> None:
    note = ledger.checkpoint
    first = ledger.add_cosignatures(cosigned(note, "w1.example", 100))

    assert ledger.add_cosignatures(cosigned(note, "w1.example", 99)) == first
    newer = ledger.add_cosignatures(cosigned(note, "w1.example", 101))
    assert newer != first
    assert newer.count("w1.example") == 1


def test_strangers_are_passed_over(ledger: Ledger) -> None:
    note = cosign_checkpoint(ledger.checkpoint, "stranger.example", testing.signing_key(9), 100)

    assert ledger.add_cosignatures(note) == ledger.checkpoint
    assert "stranger" not in ledger.checkpoint


def test_what_is_not_of_this_ledger_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    before = ledger.checkpoint
    with Ledger.create(tmp_path / "b.ledger", origin="a.example") as other:
        foreign = cosigned(other.checkpoint, "w0.example")
        other.append(b"further")
        further = cosigned(other.checkpoint, "w0.example")
    with pytest.raises(UntrustedError, match="another than is stored"):
        ledger.add_cosignatures(foreign)
    with pytest.raises(UntrustedError, match="height 1, want at most 0"):
        ledger.add_cosignatures(further)
    forged = cosigned(before, "w0.example").replace("w0.example", "w1.example")
    assert ledger.add_cosignatures(forged) == before, "another key's id is a stranger's"
    lines = cosigned(before, "w0.example").splitlines(keepends=True)
    wrong = "".join([*lines[:-1], lines[-1][:-10] + ("A" if lines[-1][-10] != "A" else "B")
                     + lines[-1][-9:]])  # fmt: skip
    with pytest.raises(InvalidSignature, match=r"w0\.example"):
        ledger.add_cosignatures(wrong)
    with pytest.raises(MalformedError):
        ledger.add_cosignatures("no note")
    assert ledger.checkpoint == before


def test_a_reader_cannot_add_cosignatures(ledger: Ledger, path: Path) -> None:
    note = cosigned(ledger.checkpoint, "w0.example")

    with Ledger.open(path, read_only=True) as reader, pytest.raises(UnavailableError):
        reader.add_cosignatures(note)


def test_times_beyond_the_limit_are_not_signed(ledger: Ledger) -> None:
    assert cosigned(ledger.checkpoint, "w0.example", 2**63 - 1)
    with pytest.raises(LimitError, match="cosigning time"):
        cosigned(ledger.checkpoint, "w0.example", 2**63)


def test_an_operator_is_no_witness_of_its_own(tmp_path: Path) -> None:
    key = testing.signing_key(1)
    with pytest.raises(MalformedError, match="share a name or a key"):
        _core.Anchor(
            origin="a.example",
            network=bytes(16),
            suite="std",
            operator_key=key.public_key,
            witnesses=[("w.example", key.public_key)],
            quorum=1,
        )


def test_histories_and_states_verify_once_every_checkpoint_in_them_is_cosigned(
    ledger: Ledger,
) -> None:
    anchor, name = ledger.trust_anchor, b"member/operator"
    ledger.append(b"one")
    for witness in ("w0.example", "w2.example"):
        for prove in (ledger.prove_history, ledger.state_receipt):
            with pytest.raises(UnavailableError, match="not published yet: too few"):
                prove(name)
        with pytest.raises(UnavailableError, match="not published yet: too few"):
            ledger.receipt(1, state_of=name)
        ledger.add_cosignatures(cosigned(ledger.checkpoint, witness))

    assert len(ledger.prove_history(name).verify(anchor).records) == 1
    assert ledger.state_receipt(name).verify(anchor).state is not None
    with pytest.raises(UnavailableError, match="cosigned block 0 so far; ask as of another height"):
        ledger.prove_history(name, height=0)
    for witness in ("w0.example", "w1.example"):
        ledger.add_cosignatures(cosigned(ledger.note(0), witness))
    assert ledger.prove_history(name, height=0).verify(anchor).checkpoint.size == 1


class FailingStore:
    """A store whose commits fail as a disk does; everything else is the store's."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        yield
        raise StoreError("cannot flush: disk I/O error")


def test_a_failed_flush_of_a_cosignature_stops_the_writer(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.append(b"one")
    with monkeypatch.context() as patch:
        patch.setattr(ledger._reader, "store", FailingStore(ledger._reader.store))
        with pytest.raises(StoreError, match="cannot flush"):
            ledger.add_cosignatures(cosigned(ledger.checkpoint, "w0.example"))

    with pytest.raises(StoreError, match="writer has stopped: cannot flush"):
        ledger.append(b"two")
    assert ledger.size == 2
