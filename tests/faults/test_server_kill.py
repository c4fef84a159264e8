"""Row 3 on a server: writer, server or primary killed, and what was acknowledged is there."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from ledgercore import Ledger, LedgerError, RollbackError, SigningKey, StoreError
from ledgercore.store import session as session_module
from tests.faults.row import reliability_row
from tests.faults.test_kill import APPEND, Acknowledged, run_and_kill
from tests.postgres import Server, running_server

SEED = 20261128
WRITER_KILLS = 6
SERVER_KILLS = 10
FAILOVERS = 2
KEY = SigningKey(bytes([6]) * 32)
ORIGIN = "fault.example/log"


def present_in(ledger: Ledger) -> Acknowledged:
    return {index: record.id.hex() for index, record in enumerate(ledger)}


def test_what_was_acknowledged_survives_a_kill_of_the_writer(
    server: Server, schema: str, tmp_path: Path
) -> None:
    choose, place = random.Random(SEED), server.address(tmp_path, schema)
    Ledger.create(place, origin=ORIGIN).close()
    acknowledged: Acknowledged = {}
    with reliability_row(3, "kill -9, on a server", seed=SEED, want=WRITER_KILLS) as row:
        for _ in range(WRITER_KILLS):
            acknowledged |= run_and_kill(place, choose.random() * 0.15, APPEND)
            with Ledger.open(place) as ledger:
                present = present_in(ledger)
                assert acknowledged.items() <= present.items()
                assert ledger.verify().records == len(present)
            row.count()
        row.details["acknowledged records"] = len(acknowledged)


class Appender(Thread):
    """Appends to an open ledger until it cannot, and remembers what was acknowledged."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__()
        self.ledger = ledger
        self.acknowledged: Acknowledged = {}
        self.error: LedgerError | None = None
        self.start()

    def run(self) -> None:
        for number in range(1_000_000):
            try:
                receipts = self.ledger.append_many([b"line %d" % number] * (1 + number % 8))
                for index in [receipt.index for receipt in receipts]:
                    self.acknowledged[index] = self.ledger.record(index).id.hex()
            except LedgerError as error:
                self.error = error
                return


@contextmanager
def appending(place: str) -> Iterator[Appender]:
    """What is appended in a thread until the server is gone."""
    with Ledger.open(place, key=KEY) as ledger:
        appender = Appender(ledger)
        yield appender
        appender.join()
        assert isinstance(appender.error, StoreError), appender.error
        with pytest.raises(StoreError):
            ledger.append(b"the server is gone, or was")


def test_what_was_acknowledged_survives_a_kill_of_the_server(tmp_path: Path) -> None:
    choose = random.Random(SEED)
    acknowledged: Acknowledged = {}
    want = SERVER_KILLS
    with (
        running_server() as server,
        reliability_row(3, "kill -9 of the server", seed=SEED, want=want) as row,
    ):
        place = server.address(tmp_path)
        Ledger.create(place, origin=ORIGIN, key=KEY).close()
        for _ in range(SERVER_KILLS):
            with appending(place) as appender:
                time.sleep(choose.random() * 0.25)
                server.kill()
            acknowledged |= appender.acknowledged
            server.start()
            with Ledger.open(place, key=KEY) as ledger:
                present = present_in(ledger)
                assert acknowledged.items() <= present.items()
                assert ledger.verify().records == len(present)
            row.count()
        row.details["acknowledged records"] = len(acknowledged)


def test_the_control_run_loses_what_a_server_did_not_flush(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ``synchronous_commit`` off a commit is in the server's memory when it returns."""
    monkeypatch.setitem(session_module._SERVER, "synchronous_commit", ("off",))
    choose, lost, tries = random.Random(SEED), 0, 5
    with running_server(synchronous_commit="off", wal_writer_delay="10s") as server:
        for number in range(tries):
            place = server.address(tmp_path, f"control_{number}")
            Ledger.create(place, origin=ORIGIN, key=KEY).close()
            server.execute("SET synchronous_commit TO on; CHECKPOINT")
            with appending(place) as appender:
                time.sleep(0.05 + choose.random() * 0.1)
                server.kill()
            server.start(synchronous_commit="off", wal_writer_delay="10s")
            with pytest.raises(RollbackError, match="its newest blocks are lost"):
                Ledger.open(place, key=KEY)
            elsewhere = server.address(tmp_path / "elsewhere", f"control_{number}")
            with Ledger.open(elsewhere, key=KEY) as ledger:
                lost += not appender.acknowledged.items() <= present_in(ledger).items()

    print(f"\nrow 3, control with synchronous_commit = off: {lost} of {tries} lost a block")
    assert lost


# Failover.


@contextmanager
def with_standby(server: Server) -> Iterator[Server]:
    """A standby that streams from a server, and confirms nothing yet."""
    directory = server.directory.with_name("standby")
    directory.mkdir()
    if os.geteuid() == 0:
        os.chown(directory, *(server.directory.stat().st_uid, server.directory.stat().st_gid))
    standby = Server(directory)
    source = f"host={server.directory} user=ledger application_name=standby"
    server.run("pg_basebackup", "-D", str(standby.data), "-R", "-d", source, "-c", "fast")
    standby.start()
    try:
        yield standby
    finally:
        standby.stop()


def wait_for(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def set_standbys(server: Server, names: str) -> None:
    server.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
    server.execute("SELECT pg_reload_conf()")
    wait_for(lambda: server.execute("SHOW synchronous_standby_names") == [(names,)])


def either_of(primary: Server, standby: Server, directory: Path) -> str:
    """The address of whichever of two servers takes blocks."""
    hosts = f"host={primary.directory},{standby.directory}&port={primary.port},{standby.port}"
    return (
        f"postgresql://ledger@/postgres?{hosts}&target_session_attrs=read-write"
        f"&directory={directory}"
    )


def promote(standby: Server) -> None:
    def is_primary() -> bool:
        return standby.execute("SELECT pg_is_in_recovery()") == [(False,)]

    standby.execute("SELECT pg_promote()")
    wait_for(is_primary)


def test_failover_loses_nothing_that_was_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "CONFIRM_S", 0.3)
    choose = random.Random(SEED)
    with reliability_row(3, "failover", seed=SEED, want=FAILOVERS) as row:
        for number in range(FAILOVERS):
            with running_server() as primary, with_standby(primary) as standby:
                one, two = tmp_path / f"one-{number}", tmp_path / f"two-{number}"
                Ledger.create(primary.address(one), origin=ORIGIN, key=KEY).close()
                set_standbys(primary, "standby")
                with pytest.raises(StoreError, match="is a standby"):
                    Ledger.open(standby.address(two), key=KEY)
                with appending(primary.address(one)) as appender:
                    time.sleep(0.1 + choose.random() * 0.4)
                    primary.kill()
                promote(standby)
                with Ledger.open(standby.address(two), key=KEY) as ledger:
                    present = present_in(ledger)
                    assert appender.acknowledged
                    assert appender.acknowledged.items() <= present.items()
                    ledger.append(b"the standby goes on")
                    ledger.verify()
                    size = ledger.size
                # An address of both leads to the one that takes blocks.
                either = either_of(primary, standby, two)
                with Ledger.open(either, key=KEY) as ledger:
                    assert ledger.append(b"found by its role").index == size
                    size = ledger.size
                # The old primary comes back, and nobody confirms what it is asked to keep.
                primary.start()
                with pytest.raises(StoreError, match="did not confirm a commit"):
                    Ledger.open(primary.address(one), key=KEY)
                with Ledger.open(standby.address(one), key=KEY) as ledger:
                    assert ledger.size == size  # and host one's own head file agrees
                row.count()
                row.details["acknowledged records"] = len(appender.acknowledged) + row.details.get(
                    "acknowledged records", 0
                )


def test_a_role_that_is_told_of_errors_alone_is_told_that_no_standby_confirms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "CONFIRM_S", 0.3)
    with running_server() as server:
        server.execute("ALTER ROLE ledger SET client_min_messages = 'error'")
        with Ledger.create(server.address(tmp_path), origin=ORIGIN, key=KEY) as ledger:
            ledger.append(b"nobody has to confirm it")
            set_standbys(server, "nobody")
            with pytest.raises(StoreError, match="did not confirm a commit"):
                ledger.append(b"nobody confirms it")


def test_the_control_run_loses_what_a_standby_never_had(tmp_path: Path) -> None:
    """An asynchronous standby that lags is promoted: blocks are gone, and the loss is found."""
    with running_server() as primary, with_standby(primary) as standby:
        place = primary.address(tmp_path / "one")
        with Ledger.create(place, origin=ORIGIN, key=KEY) as ledger:
            ledger.append(b"streamed")
            (end,) = primary.execute("SELECT pg_current_wal_lsn()")
            wait_for(
                lambda: (
                    standby.execute(f"SELECT pg_last_wal_replay_lsn() >= '{end[0]}'") == [(True,)]
                )
            )
            standby.execute("ALTER SYSTEM SET primary_conninfo = ''")
            standby.execute("SELECT pg_reload_conf()")
            wait_for(lambda: not standby.execute("SELECT pid FROM pg_stat_wal_receiver"))
            acknowledged = ledger.append(b"not streamed")
            primary.kill()
        promote(standby)
        with pytest.raises(RollbackError, match="ledger has 2 records, had 3"):
            Ledger.open(standby.address(tmp_path / "one"), key=KEY)
        with Ledger.open(standby.address(tmp_path / "two"), key=KEY) as ledger:
            lost = acknowledged.index >= ledger.size

    print(f"\nrow 3, control with an asynchronous standby: a block lost: {lost}")
    assert lost


@pytest.mark.parametrize("cancelled_by", ["the time", "a person"])
def test_a_commit_that_nobody_confirms_is_not_acknowledged(
    cancelled_by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wait that is cancelled is a warning of the server's, and no error: the block is there."""
    waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    with running_server() as server:
        place = server.address(tmp_path)
        with Ledger.create(place, origin=ORIGIN, key=KEY) as ledger:
            set_standbys(server, "nobody")
            if cancelled_by == "the time":
                monkeypatch.setattr(session_module, "CONFIRM_S", 0.3)
            appender = Appender(ledger)
            if cancelled_by == "a person":
                wait_for(lambda: bool(server.execute(waiting)))
                server.execute(f"SELECT pg_cancel_backend(pid) FROM ({waiting}) AS waiting")
                monkeypatch.setattr(session_module, "CONFIRM_S", 0.3)
            appender.join(20)
            assert not appender.is_alive()
            assert "did not confirm a commit" in str(appender.error)
            assert not appender.acknowledged
            with pytest.raises(StoreError, match="writer has stopped"):
                ledger.append(b"after that")
        with pytest.raises(StoreError, match="did not confirm a commit"):
            Ledger.open(place, key=KEY)
        set_standbys(server, "")
        with Ledger.open(place, key=KEY) as ledger:
            assert ledger.verify().records in (1, 2)
