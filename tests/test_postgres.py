"""A server's store refuses what would not hold, and every writer but the one with the lease."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg.pq import TransactionStatus

from ledgercore import (
    BusyError,
    CorruptError,
    FencedError,
    Ledger,
    LedgerError,
    MalformedError,
    Replica,
    SigningKey,
    StoreError,
    UnavailableError,
)
from ledgercore.cli import root
from ledgercore.store import (
    StoredBlock,
    create_on_server,
    is_there,
    open_store,
    parse_address,
)
from ledgercore.store.postgres import PostgresStore
from ledgercore.store.session import LOCK_CLASS, Session
from tests.interrupts import interrupted
from tests.postgres import Server

KEY = SigningKey(bytes([8]) * 32)
ORIGIN = "server.example/log"

Place = Callable[..., str]


@pytest.fixture
def place(server: Server, schema: str, tmp_path: Path) -> Place:
    """The address of one ledger, as hosts of different names have it."""

    def address(host: str = "one", **parameters: str) -> str:
        return server.address(tmp_path / host, schema, **parameters)

    return address


def sessions_of(server: Server, schema: str) -> list[int]:
    """The server's processes that serve a writer of a schema."""
    rows = server.execute(
        f"SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = {LOCK_CLASS} "
        f"AND objid = '{schema}'::regnamespace::oid"
    )
    return [process for (process,) in rows]


def cut_off(server: Server, schema: str) -> None:
    """End a writer's session, as a server does whose client's host is gone."""
    for process in sessions_of(server, schema):
        server.execute(f"SELECT pg_terminate_backend({process}, 5000)")


# Addresses.


def test_an_address_has_our_parameters_and_the_servers() -> None:
    address = parse_address(
        "postgresql://me:secret@a.example,b.example/x?sslmode=verify-full&schema=tax"
        "&directory=/var/lib/lc&options=-c%20a%3Db"
    )

    assert address.name == "postgresql://me@a.example,b.example/x"
    assert address.server == (
        "postgresql://me:secret@a.example,b.example/x?sslmode=verify-full&options=-c%20a%3Db"
    )
    assert (address.schema, address.files) == ("tax", Path("/var/lib/lc/tax"))
    assert not parse_address("postgresql.ledger").server


def test_a_schema_is_a_plain_name() -> None:
    with pytest.raises(MalformedError, match="lower-case letters"):
        parse_address("postgresql:///x?schema=a%22%3B+DROP")


def test_a_schema_that_the_server_keeps_for_itself_is_refused_as_one() -> None:
    with pytest.raises(MalformedError, match="'pg_x', want one that does not begin with pg_: Post"):
        parse_address("postgresql:///x?directory=/tmp&schema=pg_x")


def test_a_writer_needs_a_directory(server: Server) -> None:
    with pytest.raises(StoreError, match=r"add \?directory="):
        Ledger.create(server.server_url(), origin=ORIGIN)


def test_an_error_names_the_server_and_no_password(tmp_path: Path) -> None:
    url = f"postgresql://me:topsecret@/x?host={tmp_path}&directory={tmp_path}&password=secret2"

    with pytest.raises(StoreError, match="see that the server runs") as caught:
        Ledger.open(url, read_only=True)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "place",
    [
        "postgresql://me:topsecret@[bad/x?directory=/tmp",
        "postgresql://me:top%zzsecret@a.example/x?directory=/tmp",
        "postgresql://me:1/topsecret@a.example/x",
        "postgresql://me:1?topsecret@a.example/x",
        "postgresql+psycopg://me:topsecret@a.example/x",
        "mysql://me:topsecret@a.example/x",
    ],
)
def test_what_is_no_address_is_refused_without_its_password(place: str) -> None:
    with pytest.raises(MalformedError, match="address") as caught:
        Ledger.open(place)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_missing_driver_is_named(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ledgercore.store.postgres", None)

    with pytest.raises(UnavailableError, match=r"pip install '.\[postgres\]'"):
        Ledger.open(place(), read_only=True)


def test_the_small_files_stand_in_the_directory(place: Place, schema: str, tmp_path: Path) -> None:
    with Ledger.create(place(), origin=ORIGIN) as ledger:
        ledger.append(b"signed by the key in the directory")
        assert ledger.path == tmp_path / "one" / schema

    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == [f"{schema}.head", f"{schema}.key", f"{schema}.lock"]
    with Ledger.open(place()) as ledger:
        assert ledger.size == 2


def test_the_commands_take_an_address(place: Place, tmp_path: Path) -> None:
    def run(*arguments: str, lines: str = "") -> str:
        done = subprocess.run(
            [sys.executable, "-m", "ledgercore", *arguments],
            input=lines, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout

    run("init", place(), "--origin", ORIGIN)
    assert len(run("append", place(), "--lines", "-", lines="one\ntwo\n").splitlines()) == 2
    assert ORIGIN in run("show", place())
    run("audit", place())
    run("backup", place(), str(tmp_path / "copy.ledger"))
    assert ORIGIN in run("show", str(tmp_path / "copy.ledger"))


def test_no_command_prints_the_password_of_an_address(place: Place, tmp_path: Path) -> None:
    """Nor is it in an error."""
    secret = place(password="topsecret").replace("ledger@", "ledger:secretpw@", 1)
    copy = str(tmp_path / "copy.ledger")
    asked = [
        ("init", secret, "--origin", ORIGIN),
        ("audit", secret),
        ("audit", secret, "--json"),
        ("show", secret),
        ("backup", secret, copy),
        ("backup", copy, secret),
        ("backup", copy, secret, "--json"),
        ("init", secret, "--origin", ORIGIN),
    ]

    done = [CliRunner().invoke(root, arguments) for arguments in asked]

    said = [f"{each.output} {each.exception}" for each in done]
    assert [each.exit_code for each in done[5:7]] == [2, 2]
    assert isinstance(done[7].exception, StoreError)
    assert [each.exit_code for each in done[:5]] == [0] * 5
    assert not any("secret" in each for each in said)
    name = secret.partition("?")[0].replace(":secretpw", "")
    assert all(name in said[at] for at in (0, 1, 2))
    assert "is a URL, want a file" in said[5]


# What a server must be.


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("synchronous_commit", "off"),
        ("synchronous_commit", "local"),
        ("synchronous_commit", "remote_write"),
    ],
)
def test_a_server_that_forgets_is_refused(place: Place, setting: str, value: str) -> None:
    options = f"-c%20{setting}%3D{value}"

    with pytest.raises(StoreError, match=f"{setting} = {value}, want on: ALTER SYSTEM SET"):
        Ledger.create(place(options=options), origin=ORIGIN, key=KEY)


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_a_server_that_does_not_flush_is_refused(
    server: Server, place: Place, setting: str
) -> None:
    with Ledger.create(place(), origin=ORIGIN, key=KEY) as ledger:
        server.execute(f"ALTER SYSTEM SET {setting} = off")
        server.execute("SELECT pg_reload_conf()")
        try:
            for _ in range(1000):
                if server.execute(f"SHOW {setting}") == [("off",)]:
                    break
            with pytest.raises(StoreError, match=f"{setting} = off, want on"):
                Ledger.open(place(), read_only=True)
            with pytest.raises(StoreError, match="turned fsync or full_page_writes off"):
                for _ in range(1000):  # the session hears of it between two statements
                    ledger.append(b"a block")
        finally:
            server.execute(f"ALTER SYSTEM RESET {setting}")
            server.execute("SELECT pg_reload_conf()")
        for _ in range(1000):
            if server.execute(f"SHOW {setting}") == [("on",)]:
                break


def test_another_encoding_is_refused(server: Server, tmp_path: Path) -> None:
    server.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    url = f"{server.server_url('latin')}&directory={tmp_path}"

    with pytest.raises(StoreError, match="createdb --template=template0 --encoding=UTF8"):
        Ledger.create(url, origin=ORIGIN, key=KEY)

    server.execute("DROP DATABASE latin")


def test_what_is_no_ledger_is_refused(server: Server, place: Place, schema: str) -> None:
    with pytest.raises(StoreError, match="ledgercore init makes one"):
        Ledger.open(place(), key=KEY)
    Ledger.create(place(), origin=ORIGIN, key=KEY).close()
    with pytest.raises(StoreError, match="choose another schema"):
        Ledger.create(place("two"), origin=ORIGIN, key=KEY)
    server.execute(f"UPDATE {schema}.lease SET format = 3")
    with pytest.raises(StoreError, match="format 3, want 2"):
        Ledger.open(place(), key=KEY)
    server.execute(f"DROP SCHEMA {schema} CASCADE")
    with pytest.raises(StoreError, match=r"\.head is there, so it was lost, or is elsewhere"):
        Ledger.open(place(), key=KEY)


def test_what_a_crash_left_is_made_anew(place: Place) -> None:
    create_on_server(parse_address(place())).close()
    with pytest.raises(CorruptError, match="block"):
        Ledger.open(place(), key=KEY)

    with Ledger.create(place(), origin=ORIGIN, key=KEY) as ledger:
        ledger.append(b"first")


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("CREATE VIEW {}.x AS SELECT 1 AS y", "has x"),
        ("CREATE TABLE {}.x (y text)", "has x"),
        ("CREATE INDEX x ON {}.bundle (height)", "has index x"),
        ("ALTER TABLE {}.bundle ADD COLUMN y text", "has bundle"),
        ("ALTER TABLE {}.block ALTER header DROP NOT NULL", "has block|lacks block"),
        ("ALTER TABLE {}.block SET UNLOGGED", "has block|lacks block"),
        ("CREATE RULE x AS ON DELETE TO {}.bundle DO INSTEAD NOTHING", "has rule x"),
        ("CREATE POLICY x ON {}.bundle", "has policy x"),
        (
            "CREATE TRIGGER x BEFORE UPDATE ON {}.block FOR EACH ROW "
            "EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            "has trigger x",
        ),
        ("DROP TABLE {}.tile", "lacks tile"),
    ],
)
def test_a_schema_that_was_changed_is_damage(
    server: Server, place: Place, schema: str, statement: str, what: str
) -> None:
    with Ledger.create(place(), origin=ORIGIN, key=KEY) as ledger:
        server.execute(statement.format(schema))
        with pytest.raises(CorruptError, match=what):
            ledger._reader.store.check()

    with pytest.raises(CorruptError, match=what):
        Ledger.open(place(), read_only=True)


def test_indexes_are_checked_where_the_server_can(
    server: Server, place: Place, schema: str
) -> None:
    server.execute("CREATE EXTENSION amcheck SCHEMA pg_catalog")
    try:
        with Ledger.create(place(), origin=ORIGIN, key=KEY) as ledger:
            ledger.append_many([b"x"] * 3000)
            ledger._reader.store.check()
            # A row that the index does not know, as a page that was not written leaves it.
            server.execute(
                f"UPDATE pg_index SET indisready = false WHERE indexrelid = "
                f"'{schema}.bundle_pkey'::regclass; "
                f"INSERT INTO {schema}.bundle VALUES (99999, 1, 'x'); "
                f"UPDATE pg_index SET indisready = true WHERE indexrelid = "
                f"'{schema}.bundle_pkey'::regclass"
            )
            with pytest.raises(CorruptError, match="lacks matching index tuple"):
                ledger._reader.store.check()
    finally:
        server.execute("DROP EXTENSION amcheck")


# One writer.


def test_a_copy_is_kept_on_a_server_and_has_one_writer(place: Place, tmp_path: Path) -> None:
    with Ledger.create(tmp_path / "a.ledger", origin=ORIGIN, key=KEY) as ledger:
        ledger.append_many([b"one", b"two"])
        anchor, (first, *rest) = ledger.trust_anchor, ledger.blocks()
        assert not is_there(parse_address(place()))
        with Replica.create(place(), anchor, first) as copy:
            assert is_there(parse_address(place()))
            copy.append(rest)
            with pytest.raises(BusyError, match="another writer holds"):
                Replica.open(place("two"), anchor)
        with Replica.open(place("two"), anchor) as copy:  # from another host, which goes on
            ledger.append(b"three")
            copy.append([*ledger.blocks()][-1:])
            assert copy.checkpoint == ledger.checkpoint
            with Ledger.open(place("two"), read_only=True) as read:
                assert read.verify().records == ledger.size


def test_a_second_writer_is_refused_on_any_host(place: Place) -> None:
    with Ledger.create(place(), origin=ORIGIN, key=KEY):
        with pytest.raises(BusyError, match="another writer holds"):
            Ledger.open(place("one"), key=KEY)
        with pytest.raises(BusyError, match="end its session on the server"):
            Ledger.open(place("two"), key=KEY)
        Ledger.open(place("two"), read_only=True).close()

    Ledger.open(place("two"), key=KEY).close()


def test_a_writer_whose_connection_was_cut_goes_on(
    server: Server, place: Place, schema: str
) -> None:
    with Ledger.create(place(), origin=ORIGIN, key=KEY) as ledger:
        for number in range(1, 5):
            cut_off(server, schema)
            assert ledger.append(b"a block").index == number
        cut_off(server, schema)
        assert ledger.record(3).body == b"a block"
        ledger.verify()


def test_a_reader_whose_connection_was_cut_follows_on(
    server: Server, place: Place, schema: str
) -> None:
    with (
        Ledger.create(place(), origin=ORIGIN, key=KEY) as ledger,
        Ledger.open(place("two"), read_only=True) as reader,
    ):
        for number in range(1, 4):
            ledger.append(b"a block")
            assert reader.size == number + 1
            backend = reader._reader.store._session._connection.info.backend_pid  # type: ignore[attr-defined]
            server.execute(f"SELECT pg_terminate_backend({backend}, 5000)")
        assert reader.record(3).body == b"a block"
        reader.verify()


def test_a_writer_that_was_replaced_never_commits_again(
    server: Server, place: Place, schema: str
) -> None:
    old = Ledger.create(place(), origin=ORIGIN, key=KEY)
    old.append(b"of the old writer")
    cut_off(server, schema)
    with Ledger.open(place("two"), key=KEY) as new:
        new.append(b"of the new writer")
        with pytest.raises(FencedError, match="another writer has taken over"):
            old.append(b"too late")
    with pytest.raises(StoreError, match=r"writer has stopped: .* taken over"):
        old.append(b"the lease is free again, and not this one's")
    old.close()

    with Ledger.open(place(), key=KEY) as ledger:
        bodies = [record.body for record in ledger.records(1)]
        assert bodies == [b"of the old writer", b"of the new writer"]


def test_a_writer_that_was_interrupted_leaves_no_transaction_open(place: Place) -> None:
    create_on_server(parse_address(place())).close()
    stores = [open_store(parse_address(place()))]
    heights = count()

    def write() -> None:
        with stores[0].transaction():
            stores[0].add_header(height := next(heights), height, b"header", "note")

    for _ in interrupted(write, set(), "store"):
        (store,) = stores
        assert isinstance(store, PostgresStore)
        assert store._session._connection.info.transaction_status == TransactionStatus.IDLE
        store.close()
        stores[0] = open_store(parse_address(place()))
    assert next(heights) > 10
    stores[0].close()


def test_a_transaction_that_was_paused_does_not_commit(
    server: Server, place: Place, schema: str
) -> None:
    """Its session ends while it has written and not committed; then another writer comes."""
    create_on_server(parse_address(place())).close()
    old = open_store(parse_address(place()))
    with pytest.raises(StoreError), old.transaction():
        old.add_header(0, 0, b"old", "old")
        cut_off(server, schema)
        new = open_store(parse_address(place("two")))
        with new.transaction():
            new.add_header(0, 0, b"new", "new")
    with pytest.raises(FencedError), old.transaction():
        pass

    assert new.header(0) == StoredBlock(0, 0, b"new", "new", [])
    new.close()
    old.close()


def test_a_session_that_another_hand_carries_on_is_fenced(
    server: Server, place: Place, schema: str
) -> None:
    """A pooler may hand a session over, and its lock with it: the epoch tells them apart."""
    create_on_server(parse_address(place())).close()
    old = open_store(parse_address(place()))
    server.execute(f"UPDATE {schema}.lease SET epoch = epoch + 1")

    with pytest.raises(FencedError), old.transaction():
        old.add_header(0, 0, b"old", "old")

    assert old.height() == -1
    old.close()


def lose_newest_block(server: Server, schema: str) -> None:
    """As a standby has it that was promoted without having all that was acknowledged."""
    for table in ("block", "bundle"):
        server.execute(
            f"DELETE FROM {schema}.{table} "
            f"WHERE height = (SELECT max(height) FROM {schema}.{table})"
        )
    server.execute(f"UPDATE {schema}.lease SET transactions = transactions - 1")


def test_a_server_that_lost_a_block_fences_the_writer(
    server: Server, place: Place, schema: str
) -> None:
    with Ledger.create(place(), origin=ORIGIN, key=KEY) as ledger:
        ledger.append(b"acknowledged")
        lose_newest_block(server, schema)
        with pytest.raises(FencedError, match="or the server lost what it had"):
            ledger.append(b"on top of what is lost")


def test_the_control_run_without_the_fence_writes_on_top_of_a_loss(
    server: Server, place: Place, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = Session._execute

    def without_fence(session: Session, statement: str, bindings: Any) -> Any:
        if statement.startswith("UPDATE lease SET transactions"):
            before, _, after = statement.partition("WHERE")
            statement, bindings = before + after[after.index("RETURNING") :], ()
        return execute(session, statement, bindings)

    with Ledger.create(place(), origin=ORIGIN, key=KEY) as ledger:
        ledger.append(b"acknowledged")
        lose_newest_block(server, schema)
        monkeypatch.setattr(Session, "_execute", without_fence)
        assert ledger.append_many([b"on top of what is lost"])
    monkeypatch.undo()

    with pytest.raises(LedgerError):
        Ledger.open(place("two"), key=KEY).verify()


PAUSED = """
import sys
from ledgercore import Ledger, LedgerError, SigningKey
with Ledger.open(sys.argv[1], key=SigningKey(bytes([8]) * 32)) as ledger:
    for line in sys.stdin:
        try:
            print(ledger.append(line.encode()).index, flush=True)
        except LedgerError as error:
            print(type(error).__name__, flush=True)
"""


def test_a_process_that_was_paused_comes_back_too_late(
    server: Server, place: Place, schema: str
) -> None:
    Ledger.create(place(), origin=ORIGIN, key=KEY).close()
    process = subprocess.Popen(
        [sys.executable, "-c", PAUSED, place()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None and process.stdout is not None
    print("first", file=process.stdin, flush=True)
    assert process.stdout.readline() == "1\n"
    os.kill(process.pid, signal.SIGSTOP)
    with pytest.raises(BusyError):
        Ledger.open(place("two"), key=KEY)
    cut_off(server, schema)
    with Ledger.open(place("two"), key=KEY) as new:
        new.append(b"meanwhile")
    os.kill(process.pid, signal.SIGCONT)

    answers = process.communicate("second\nthird\n")[0].split()

    assert answers == ["FencedError", "StoreError"]
    with Ledger.open(place(), read_only=True) as ledger:
        assert [record.body for record in ledger.records(1)] == [b"first\n", b"meanwhile"]


def test_a_held_row_is_busy_and_passes(server: Server, place: Place, schema: str) -> None:
    with (
        Ledger.create(place(), origin=ORIGIN, key=KEY) as ledger,
        psycopg.connect(server.server_url()) as other,
    ):
        ledger._reader.store._session.run("SET lock_timeout TO '50ms'")  # type: ignore[attr-defined]
        other.execute(f"SELECT * FROM {schema}.lease FOR UPDATE".encode())
        with pytest.raises(BusyError, match="try again"):
            ledger.append(b"while another holds the row")
        other.rollback()

        assert ledger.append(b"after that").index == 1
