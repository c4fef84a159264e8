"""Rows 6 and 19: a damaged copy is made whole from a peer, and a lost one made anew."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from ledgercore import (
    CorruptError,
    ForkError,
    Ledger,
    LedgerError,
    MalformedError,
    Replica,
    RollbackError,
    SigningKey,
    StoreError,
    UnavailableError,
    testing,
)
from ledgercore.clock import ManualClock
from ledgercore.sync import Request, Response, Source, begin_copy, rebuild_copy
from tests.faults.row import reliability_row

SEED = 20261128
FLIPS = 200
LOST = 5
ORIGIN = "repaired.example"
KEY = SigningKey(bytes(32))
SIGNERS = 4
PEERS = ["liar", "honest"]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    clock, members = ManualClock(1_800_000_000_000), testing.test_members(SIGNERS)
    with Ledger.create(
        tmp_path / "a.ledger", origin=ORIGIN, members=members, key=KEY, clock=clock
    ) as ledger:
        for _ in range(4):
            records = testing.signed_records(ledger, signers=SIGNERS, count=90, body_bytes=60)
            ledger.submit_many(records)
        yield ledger


class Peers:
    """One that answers with flipped bits, and one that is honest."""

    def __init__(self, ledger: Ledger) -> None:
        self._source = Source(ledger)
        self.honest = True
        self.asked: list[str] = []

    def carry(self, peer: str, request: Request) -> Response:
        self.asked.append(request.path)
        response = self._source.answer(request)
        if peer == "honest":
            if not self.honest:
                raise OSError("connection refused")
            return response
        at = len(response.body) // 2
        changed = bytes([response.body[at] ^ 4])
        return Response(response.status, response.body[:at] + changed + response.body[at + 1 :])


def audited(path: Path) -> str:
    """The newest checkpoint of a ledger that holds as a whole, or nothing."""
    try:
        with Ledger.open(path, read_only=True) as ledger:
            ledger.verify()
            return ledger.checkpoint
    except LedgerError:
        return ""


def test_flipped_bits_are_found_and_made_good_from_a_peer(ledger: Ledger, tmp_path: Path) -> None:
    choose, peers = random.Random(SEED), Peers(ledger)
    ledger.backup(tmp_path / "whole.ledger")
    whole = (tmp_path / "whole.ledger").read_bytes()
    with reliability_row(6, "repair from a peer", seed=SEED, want=FLIPS) as row:
        for number in range(FLIPS):
            path = tmp_path / f"{number}.ledger"
            data = bytearray(whole)
            at = choose.randrange(len(data))
            data[at] ^= 1 << choose.randrange(8)
            path.write_bytes(data)
            if audited(path) == ledger.checkpoint:
                row.count("harmless")
            else:
                done = rebuild_copy(path, ledger.trust_anchor, PEERS, peers.carry)
                row.count("repaired, with a block of a peer" if done.fetched else "repaired alone")
                assert audited(path) == ledger.checkpoint
                assert Path(f"{path}.damaged").read_bytes() == bytes(data)
            for file in tmp_path.glob(f"{number}.ledger*"):
                file.unlink()
        assert row.details["repaired, with a block of a peer"] > 20


def test_a_lost_copy_is_made_anew_among_a_lying_peer(ledger: Ledger, tmp_path: Path) -> None:
    peers = Peers(ledger)
    with reliability_row(19, "lost copy, lying peer", seed=SEED, want=LOST) as row:
        for number in range(LOST):
            path = tmp_path / f"{number}.ledger"
            ledger.backup(path)
            shutil.copy(tmp_path / "a.ledger.head", f"{path}.head")
            path.unlink()

            done = rebuild_copy(path, ledger.trust_anchor, PEERS, peers.carry)

            assert done.height == ledger.height and len(done.fetched) == ledger.height + 1
            assert audited(path) == ledger.checkpoint
            row.count("blocks", 1)


def test_blocks_that_are_not_here_come_many_at_once_and_one_between_others_alone(
    ledger: Ledger, tmp_path: Path
) -> None:
    peers, path = Peers(ledger), tmp_path / "b.ledger"
    shutil.copy(tmp_path / "a.ledger.head", f"{path}.head")

    assert rebuild_copy(path, ledger.trust_anchor, ["honest"], peers.carry).height == ledger.height
    asked = [each for each in peers.asked if each.startswith("/v1/blocks")]
    assert asked == [
        "/v1/blocks?begin=0&end=1",
        "/v1/blocks?begin=1&end=1025",
        f"/v1/blocks?begin={ledger.height + 1}&end={ledger.height + 1025}",
    ]

    with closing(sqlite3.connect(path)) as connection, connection:
        for table in ("block", "bundle"):
            connection.execute(f"DELETE FROM {table} WHERE height IN (2, 3)")
    peers.asked.clear()
    assert rebuild_copy(path, ledger.trust_anchor, ["honest"], peers.carry).fetched == [2, 3]
    assert peers.asked[0] == "/v1/blocks?begin=2&end=4"


def test_without_an_honest_peer_the_old_copy_stays_and_the_next_call_goes_on(
    ledger: Ledger, tmp_path: Path
) -> None:
    peers, path = Peers(ledger), tmp_path / "b.ledger"
    ledger.backup(path)
    data = path.read_bytes()
    record = ledger.record(300).encode()
    at = data.index(record)
    damaged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    path.write_bytes(damaged)
    peers.honest = False

    with pytest.raises(UnavailableError, match=r"there is no peer: add a \[\[peer\]\] to the set"):
        rebuild_copy(path, ledger.trust_anchor, [], peers.carry)
    with pytest.raises(
        UnavailableError, match="is damaged here, and no peer gave one that holds: liar"
    ):
        rebuild_copy(path, ledger.trust_anchor, PEERS, peers.carry)

    assert path.read_bytes() == damaged
    peers.honest = True
    done = rebuild_copy(path, ledger.trust_anchor, PEERS, peers.carry)
    assert len(done.fetched) == 1 and audited(path) == ledger.checkpoint
    with pytest.raises(UnavailableError, match=r"genesis .*: there is no peer: add a \[\[peer\]\]"):
        rebuild_copy(tmp_path / "c.ledger", ledger.trust_anchor, [], peers.carry)
    path.write_bytes(damaged)
    with pytest.raises(StoreError, match="exists already: move it away"):
        rebuild_copy(path, ledger.trust_anchor, PEERS, peers.carry)


def change_a_bit(path: Path, record: bytes) -> bytes:
    """Damage a record as it is stored; the file's bytes."""
    data = bytearray(path.read_bytes())
    data[data.index(record)] ^= 1
    path.write_bytes(data)
    return bytes(data)


def files(directory: Path, name: str) -> dict[str, bytes]:
    """What is there by every name that begins so, but for the index of SQLite's log."""
    return {
        path.name: path.read_bytes()
        for path in directory.glob(f"{name}*")
        if not path.name.endswith(("-shm", ".lock"))
    }


@pytest.mark.parametrize("head", [False, True])
def test_a_whole_copy_is_left_where_it_is_as_often_as_it_is_repaired(
    ledger: Ledger, tmp_path: Path, head: bool
) -> None:
    """Moved away, it would block the next repair, which may have something to mend."""
    peers, path = Peers(ledger), tmp_path / "b.ledger"
    ledger.backup(path)
    if head:
        shutil.copy(tmp_path / "a.ledger.head", f"{path}.head")
    before = files(tmp_path, "b.ledger")

    for _ in range(2):
        done = rebuild_copy(path, ledger.trust_anchor, PEERS, peers.carry, orders=head)

        assert (done.whole, done.height, done.fetched) == (True, ledger.height, [])
    assert files(tmp_path, "b.ledger") == before
    change_a_bit(path, ledger.record(300).encode())
    assert not rebuild_copy(path, ledger.trust_anchor, PEERS, peers.carry, orders=head).whole
    assert Path(f"{path}.damaged").exists()
    assert rebuild_copy(path, ledger.trust_anchor, PEERS, peers.carry, orders=head).whole


def test_a_whole_copy_is_held_to_the_end_that_is_given_and_to_its_peers(
    ledger: Ledger, tmp_path: Path
) -> None:
    anchor, path, orders = ledger.trust_anchor, tmp_path / "b.ledger", tmp_path / "d.ledger"
    for each in (path, orders, tmp_path / "fork.ledger"):
        ledger.backup(each)
    shutil.copy(tmp_path / "a.ledger.head", f"{orders}.head")  # put back as old as the ledger
    ledger.append(b"newer")
    with Ledger.open(tmp_path / "fork.ledger", key=KEY) as fork:
        fork.append(b"another history")
        ledger.backup(tmp_path / "c.ledger")

        done = rebuild_copy(path, anchor, ["honest"], Peers(ledger).carry, end=ledger.height)
        assert (done.whole, done.fetched) == (False, [ledger.height])
        done = rebuild_copy(orders, anchor, ["honest"], Peers(ledger).carry, orders=True)
        assert (done.whole, done.fetched) == (False, [ledger.height])
        with pytest.raises(ForkError, match="the operator signed both: nothing was replaced"):
            rebuild_copy(tmp_path / "c.ledger", anchor, ["honest"], Peers(fork).carry)
    assert (tmp_path / "c.ledger.split-view").exists()


def crashes(act: Callable[[], object], step: int) -> bool:
    """Whether that many names are given or taken away before it is done; the next one crashes."""
    left = step

    def before(call: Callable[..., object]) -> Callable[..., object]:
        def instead(*given: Path, **more: bool) -> object:
            nonlocal left
            if not left:
                raise KeyboardInterrupt
            left -= 1
            return call(*given, **more)

        return instead

    with pytest.MonkeyPatch.context() as patched:
        for name in ("rename", "unlink"):
            patched.setattr(Path, name, before(getattr(Path, name)))
        try:
            act()
        except KeyboardInterrupt:
            return True
    return False


@pytest.mark.parametrize("head", [None, b"no checkpoint"])
def test_a_crash_at_any_name_leaves_what_the_next_call_goes_on_from(
    ledger: Ledger, tmp_path: Path, head: bytes | None
) -> None:
    """Also of a repair that comes later; and a head file is there, where there was none that
    holds a checkpoint."""
    peers, step, crashed = Peers(ledger), 0, True
    while crashed:
        path = tmp_path / f"{step}.ledger"
        ledger.backup(path)
        damaged = change_a_bit(path, ledger.record(300).encode())
        repair = partial(rebuild_copy, path, ledger.trust_anchor, PEERS, peers.carry)
        if head is not None:
            Path(f"{path}.head").write_bytes(head)
            repair = partial(repair, end=ledger.height)

        crashed = crashes(repair, step)
        repair()

        assert audited(path) == ledger.checkpoint
        assert Path(f"{path}.head").read_bytes().startswith(ledger.checkpoint.encode())
        assert Path(f"{path}.damaged").read_bytes() == damaged
        assert head is None or Path(f"{path}.damaged.head").read_bytes() == head
        Path(f"{path}.damaged").unlink()
        change_a_bit(path, ledger.record(300).encode())
        assert repair().fetched and audited(path) == ledger.checkpoint
        step += 1
    assert step > 5


def test_the_operators_own_ledger_is_repaired_and_goes_on(ledger: Ledger, tmp_path: Path) -> None:
    path, anchor = tmp_path / "a.ledger", ledger.trust_anchor
    ledger.backup(tmp_path / "peer.ledger")
    checkpoint, record = ledger.checkpoint, ledger.record(300).encode()
    ledger.close()
    change_a_bit(path, record)
    with Ledger.open(tmp_path / "peer.ledger", read_only=True) as peer:
        assert rebuild_copy(path, anchor, ["honest"], Peers(peer).carry, orders=True).fetched
    with Ledger.open(path, key=KEY) as again:
        assert again.checkpoint == checkpoint
        again.append(b"goes on")
        again.verify()


def test_a_peer_that_is_behind_or_forked_does_not_take_the_tail_away(
    ledger: Ledger, tmp_path: Path
) -> None:
    """What was acknowledged, as the head file has it, must be there again."""
    anchor = ledger.trust_anchor
    ledger.backup(tmp_path / "fork.ledger")
    with Ledger.open(tmp_path / "fork.ledger", key=KEY) as fork:
        fork.append(b"another history")
        ledger.append(b"acknowledged")
        ledger.append(b"acknowledged too")
        ledger.close()
        (tmp_path / "a.ledger").unlink()
        with pytest.raises(
            UnavailableError, match="block 6 is not here, and no peer gave one that holds"
        ):
            rebuild_copy(tmp_path / "a.ledger", anchor, ["honest"], Peers(fork).carry)
        fork.append(b"as long")
        for file in tmp_path.glob("a.ledger.rebuilt*"):
            file.unlink()
        with pytest.raises((ForkError, RollbackError)):
            rebuild_copy(tmp_path / "a.ledger", anchor, ["honest"], Peers(fork).carry)
        assert not (tmp_path / "a.ledger").exists()


@pytest.mark.parametrize("ledger_too", [False, True])
def test_a_head_file_that_holds_no_checkpoint_is_set_aside_with_the_rest(
    ledger: Ledger, tmp_path: Path, ledger_too: bool
) -> None:
    peers, path = Peers(ledger), tmp_path / "b.ledger"
    ledger.backup(path)
    head, nothing = Path(f"{path}.head"), bytes(range(100))
    head.write_bytes(nothing)
    if ledger_too:
        path.write_bytes(b"")
    with pytest.raises(CorruptError) as refused:
        Replica.open(path, ledger.trust_anchor)
    (remedy,) = refused.value.__notes__
    assert "ledgercore node repair" in remedy
    assert ("wants the .head file left where it is" in remedy) is not ledger_too

    rebuild_copy(path, ledger.trust_anchor, PEERS, peers.carry, end=ledger.height)

    with Replica.open(path, ledger.trust_anchor) as copy:
        assert copy.checkpoint == ledger.checkpoint
    assert Path(f"{path}.damaged.head").read_bytes() == nothing
    assert head.read_bytes().startswith(ledger.checkpoint.encode())


def test_a_copy_that_nothing_tells_the_end_of_wants_to_be_told(
    ledger: Ledger, tmp_path: Path
) -> None:
    """Its peers' newest block may be older than its own was."""
    peers, path, anchor = Peers(ledger), tmp_path / "b.ledger", ledger.trust_anchor
    head, newest = Path(f"{path}.head"), ledger.height
    head.write_bytes(b"no checkpoint")

    with pytest.raises(
        UnavailableError,
        match=r"b\.ledger\.head holds no checkpoint; the newest that was found is block "
        rf"{newest}, of size {ledger.size} \(liar does not say, honest has block {newest}\): "
        rf"see .* repair SETTINGS --end {newest}$",
    ):
        rebuild_copy(path, anchor, PEERS, peers.carry)
    assert not path.exists() and head.read_bytes() == b"no checkpoint"
    with pytest.raises(UnavailableError, match=f"block {newest + 1} is wanted by the end that was"):
        rebuild_copy(path, anchor, PEERS, peers.carry, end=newest + 1)
    ledger.append(b"meanwhile")

    assert rebuild_copy(path, anchor, PEERS, peers.carry, end=newest).height == newest + 1


@pytest.mark.parametrize("there", [False, True])
def test_an_operators_ledger_without_a_head_file_ends_where_its_operator_says(
    ledger: Ledger, tmp_path: Path, there: bool
) -> None:
    """It would sign a second history, where a follower would only begin anew."""
    peers, path, anchor = Peers(ledger), tmp_path / "b.ledger", ledger.trust_anchor
    if there:
        ledger.backup(path)
    newest = ledger.height
    ledger.append(b"after the backup")

    repair = partial(rebuild_copy, path, anchor, orders=True, transport=peers.carry)

    with pytest.raises(UnavailableError, match="liar does not say which block is its newest"):
        repair(peers=PEERS, end=newest)
    with pytest.raises(
        UnavailableError,
        match=rf"head is not there; .* second history, and .* --end {newest + 1}$",
    ):
        repair(peers=["honest"])
    # What was found shows that to be wrong, and then nothing tells how wrong.
    with pytest.raises(UnavailableError, match=rf"second history, and .* --end {newest + 1}$"):
        repair(peers=["honest"], end=newest)
    assert path.exists() is there
    assert repair(peers=["honest"], end=newest + 1).height == newest + 1
    with Ledger.open(path, key=KEY) as again:
        again.append(b"goes on")
    # A head file that holds a checkpoint tells the end: then nobody is asked for it.
    path.write_bytes(b"")
    Path(f"{path}.damaged").unlink(missing_ok=True)
    shutil.copy(tmp_path / "a.ledger.head", f"{path}.head")
    assert repair(peers=["honest"]).height == newest + 1


def test_a_peer_that_withholds_a_newer_block_is_named_with_the_way_out(
    ledger: Ledger, tmp_path: Path
) -> None:
    peers, path, anchor = Peers(ledger), tmp_path / "b.ledger", ledger.trust_anchor
    ledger.backup(path)
    ledger.append(b"withheld")

    def carry(peer: str, request: Request) -> Response:
        if request.kind == "blocks" and peer == "withholds":
            return Response(503, b"")
        return peers.carry("honest", request)

    repair = partial(
        rebuild_copy, path, anchor, transport=carry, end=ledger.height - 1, orders=True
    )
    with pytest.raises(
        UnavailableError,
        match=rf"^withholds has block {ledger.height}, and gave none after {ledger.height - 1}: "
        r"try again, or add the \[\[peer\]\] of another member, whose node may have it$",
    ):
        repair(["withholds"])

    done = repair(["withholds", "other"], end=ledger.height)

    assert done.height == ledger.height


def test_an_end_before_the_genesis_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "b.ledger"
    ledger.backup(path)

    with pytest.raises(MalformedError, match=r"^end is -1, want the height of a block, 0 or more$"):
        rebuild_copy(path, ledger.trust_anchor, [], Peers(ledger).carry, end=-1, orders=True)

    assert path.exists()


def test_what_stands_in_the_way_of_a_copy_names_what_mends_it(
    ledger: Ledger, tmp_path: Path
) -> None:
    peers, path, anchor = Peers(ledger), tmp_path / "b.ledger", ledger.trust_anchor
    shutil.copy(tmp_path / "a.ledger.head", f"{path}.head")
    with pytest.raises(
        StoreError, match=r"b\.ledger does not: it was lost; ledgercore node repair"
    ):
        begin_copy(path, anchor, PEERS, peers.carry)
    path.write_bytes(b"")
    with pytest.raises(CorruptError, match="begins as no ledger"):
        Replica.open(path, anchor)
    path.unlink()
    ledger.backup(tmp_path / "old.ledger")
    ledger.append(b"newer than the backup")
    shutil.copy(tmp_path / "old.ledger", path)
    shutil.copy(tmp_path / "a.ledger.head", f"{path}.head")
    with pytest.raises(RollbackError, match="or on a node run ledgercore node repair") as behind:
        Replica.open(path, anchor)
    assert (
        "where nobody has them move the .head and .journal files away" in behind.value.__notes__[0]
    )

    assert rebuild_copy(path, anchor, PEERS, peers.carry).height == ledger.height
    with Replica.open(path, anchor) as copy:
        assert copy.checkpoint == ledger.checkpoint
