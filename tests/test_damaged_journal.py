"""A journal that is damaged in its middle: what stands before it is published, and what stands
behind it told."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledgercore import CorruptError, Ledger, MalformedError, RollbackError, SigningKey
from ledgercore.ledger import later
from ledgercore.store.journal import PAGE_BYTES, ROOM_BYTES
from tests.cli.command import objects, run

KEY = SigningKey(bytes(range(32)))
ORIGIN = "damaged.example/log"
BODIES = [b"%d" % number for number in range(6)]


@pytest.fixture(autouse=True)
def not_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread publishes meanwhile."""
    monkeypatch.setattr(later, "PUBLISH_AFTER_S", 3600.0)


@pytest.fixture
def left(tmp_path: Path) -> Iterator[Path]:
    """What a killed writer left: six durable records, the third of which is damaged since."""
    path, left = tmp_path / "made.ledger", tmp_path / "left.ledger"
    with Ledger.create(path, origin=ORIGIN, key=KEY) as ledger:
        for body in BODIES:
            ledger.append_durable(body)
        for suffix in ("", "-wal", ".head", ".journal"):
            shutil.copy(f"{path}{suffix}", f"{left}{suffix}")
    journal = Path(f"{left}.journal")
    data = bytearray(journal.read_bytes())
    data[2 * PAGE_BYTES + 100] ^= 1
    journal.write_bytes(data)
    yield left


def test_what_stands_before_the_damage_is_published_and_what_stands_behind_is_told(
    left: Path,
) -> None:
    journal = Path(f"{left}.journal").read_bytes()
    for _ in range(2):  # a second start finds the same
        with pytest.raises(CorruptError) as raised:
            Ledger.open(left, key=KEY)
        told = str(raised.value)
        assert "journal goes on with the operator's record of sequence 4, want 3" in told
        assert "3 whole records stand behind that, of sequence 4 to 6" in told
        assert "show LEDGER --journal prints what is in them, to be appended anew" in told

    with Ledger.open(left, read_only=True) as reader:
        assert [record.body for record in reader.records(1)] == BODIES[:2]
        found = reader.unpublished()
    assert found.records == ()
    assert [record.body for record in found.behind] == BODIES[3:]
    assert Path(f"{left}.journal").read_bytes() == journal


def test_a_copy_that_lacks_what_is_durable_is_made_and_ends_with_no_success(
    left: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.ledger"
    done = run("backup", left, copy, "--json")

    assert (done.returncode, objects(done.stdout)[0]["unpublished"]) == (1, 2)
    assert b"the copy lacks what else is in %b.journal" % bytes(left) in done.stderr
    with Ledger.open(copy, read_only=True) as reader:
        assert reader.verify().records == reader.size


def test_what_stands_behind_it_is_saved_as_the_error_says(left: Path) -> None:
    with pytest.raises(CorruptError):
        Ledger.open(left, key=KEY)
    done = run("show", left, "--journal", "--json")
    rows = objects(done.stdout)
    by_id = run("show", left, "--id", rows[-1]["id"])
    assert b"in no block, and can have no index: ledgercore show" in by_id.stderr
    for suffix in (".journal", ".head"):
        Path(f"{left}{suffix}").unlink()
    with Ledger.open(left, key=KEY) as again:
        again.append_many([bytes.fromhex(row["body_hex"]) for row in rows])
        bodies = [record.body for record in again.records(1)]
        again.verify()

    assert done.returncode == 1
    assert {row["index"] for row in rows} == {None}
    assert bodies == BODIES[:2] + BODIES[3:]


def test_a_lost_end_leaves_what_stands_before_it_in_a_block(left: Path) -> None:
    data = Path(f"{left}.journal").read_bytes()
    Path(f"{left}.journal").write_bytes(data[: 2 * PAGE_BYTES])

    for _ in range(2):
        with pytest.raises(RollbackError, match=r"sequence 2, had 6: records .* are lost"):
            Ledger.open(left, key=KEY)
    with Ledger.open(left, read_only=True) as reader:
        assert [record.body for record in reader.records(1)] == BODIES[:2]


def test_nothing_is_published_where_no_head_file_shows_that_the_ledger_is_the_newest(
    left: Path,
) -> None:
    """Records of others may have stood between: an older ledger would give other indices."""
    Path(f"{left}.head").unlink()
    with pytest.raises(CorruptError, match="3 whole records stand behind"):
        Ledger.open(left, key=KEY)

    with Ledger.open(left, read_only=True) as reader:
        assert reader.size == 1
        found = reader.unpublished()
    assert [record.body for record in found.records] == BODIES[:2]
    assert not Path(f"{left}.head").exists()


def refused(path: Path, match: str) -> bytes:
    """What a journal holds that keeps a ledger from being written, and is as it was."""
    journal = Path(f"{path}.journal")
    data = journal.read_bytes()
    for _ in range(2):
        with pytest.raises(MalformedError, match=match):
            Ledger.open(path, key=KEY)
    with Ledger.open(path, read_only=True) as reader:
        assert isinstance(reader.unpublished().fault, MalformedError)
    assert journal.read_bytes() == data
    return data


@pytest.mark.parametrize("data", [b"notes of somebody", bytes(PAGE_BYTES) + b"behind zeros"])
def test_what_is_nobody_s_here_is_not_removed(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.ledger"
    Ledger.create(path, origin=ORIGIN, key=KEY).close()
    Path(f"{path}.journal").write_bytes(data)

    refused(path, r"a\.ledger\.journal is not a ledger's journal, or is damaged: .* move it away")
    done = run("audit", path, "--json")
    assert (done.returncode, objects(done.stdout)[0]["verified"]) == (5, True)

    Path(f"{path}.journal").unlink()
    Ledger.open(path, key=KEY).close()


def test_what_is_too_long_for_a_journal_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "a.ledger"
    Ledger.create(path, origin=ORIGIN, key=KEY).close()
    Path(f"{path}.journal").write_bytes(bytes(ROOM_BYTES + 1))

    refused(path, "more than 4194304 bytes, the limit of a journal, and so is none: .* move it")


def test_records_beside_what_is_nobody_s_are_published_and_the_file_stays(left: Path) -> None:
    journal = Path(f"{left}.journal")
    data = bytearray(journal.read_bytes())
    data[2 * PAGE_BYTES + 100] ^= 1  # whole again
    data[-PAGE_BYTES:-1] = b"x" * (PAGE_BYTES - 1)
    journal.write_bytes(data)

    refused(left, "page 1023 begins with 78787878, want 4c444a31 or zeros")

    with Ledger.open(left, read_only=True) as reader:
        assert [record.body for record in reader.records(1)] == BODIES


@pytest.mark.parametrize(
    "data", [b"", bytes(ROOM_BYTES), b"LDJ1" + bytes([0, 0, 0, 9]) + b"torn", b"LD"]
)
def test_what_a_crash_leaves_without_a_record_is_removed(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.ledger"
    Ledger.create(path, origin=ORIGIN, key=KEY).close()
    Path(f"{path}.journal").write_bytes(data)

    Ledger.open(path, key=KEY).close()

    assert not Path(f"{path}.journal").exists()
