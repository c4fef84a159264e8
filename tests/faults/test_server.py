"""Rows 6, 15 and 16 on a server: flipped bits, full disks, connections cut at each statement."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ledgercore import (
    CorruptError,
    DiskFullError,
    FencedError,
    Ledger,
    RollbackError,
    SigningKey,
    StoreError,
)
from ledgercore.ledger.reader import Reader
from ledgercore.store.postgres import PostgresStore
from ledgercore.store.session import Session
from ledgercore.store.tables import TABLES
from tests.faults.row import reliability_row
from tests.faults.test_bit_flip import PAYLOADS, Model, judge, look_up
from tests.postgres import Server, running_server
from tests.small_disk import fill, leave_room, small_disk

SEED = 20261129
FLIPS = 60
STATEMENTS = 8
"""Of a block at least: begin, lease, records, tiles, runs, states, header, commit."""
KEY = SigningKey(bytes([5]) * 32)
ORIGIN = "fault.example/log"
BLOCK = [b"payload %d " % number * 30 for number in range(300)]

Do = Callable[[Session], None]


class Calls:
    """Counts what a session asks of its server, and does something before one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made = 0
        self._at: int | str | None = None
        self._do: Do = lambda session: None
        for name in ("_execute", "run_many", "copy"):
            monkeypatch.setattr(Session, name, self._wrapped(getattr(Session, name)))

    def _wrapped(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(session: Session, statement: str, *arguments: Any) -> Any:
            if self._at in (self.made, statement):
                self._at = None
                self._do(session)
            self.made += 1
            return call(session, statement, *arguments)

        return wrapped

    def before(self, which: int | str, do: Do) -> None:
        """Do something before the call that is so far away, or before the next such statement."""
        self._at = self.made + which if isinstance(which, int) else which
        self._do = do

    def stop(self) -> bool:
        """Do nothing any more; whether that call had not come."""
        waited, self._at = self._at is not None, None
        return waited


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(monkeypatch)


def count_block(calls: Calls, ledger: Ledger) -> int:
    """How many calls a block takes."""
    before = calls.made
    ledger.append_many(BLOCK)
    return calls.made - before


def cut(server: Server) -> Do:
    """End a session on its server."""

    def cut_session(session: Session) -> None:
        server.execute(f"SELECT pg_terminate_backend({session._connection.info.backend_pid}, 5000)")

    return cut_session


def test_a_connection_that_is_cut_in_a_block_leaves_all_of_it_or_nothing(
    server: Server, schema: str, tmp_path: Path, calls: Calls
) -> None:
    place = server.address(tmp_path, schema)
    with Ledger.create(place, origin=ORIGIN, key=KEY) as ledger:
        want = count_block(calls, ledger)
    assert want >= STATEMENTS
    with reliability_row(16, "connection cut", seed=0, want=want) as row:
        for index in range(want):
            with Ledger.open(place, key=KEY) as ledger:
                size = ledger.size
                calls.before(index, cut(server))
                try:
                    ledger.append_many(BLOCK)
                except StoreError:
                    with pytest.raises(StoreError, match="writer has stopped"):
                        ledger.append(b"after a block that failed")
                    row.count("refused")
                else:
                    row.count("made anew before the block began")
                    assert ledger.size == size + len(BLOCK)
                assert ledger.record(1).body == BLOCK[0]
                ledger.receipt(1).verify(BLOCK[0], ledger.trust_anchor)
            with Ledger.open(place, key=KEY) as ledger:
                assert ledger.size in (size, size + len(BLOCK))
        with Ledger.open(place, key=KEY) as ledger:
            ledger.verify()
    assert row.details["refused"] >= STATEMENTS


def test_a_commit_whose_answer_is_lost_is_not_acknowledged(
    server: Server, schema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The block is there, and nobody was told: its records sent again have their indices."""
    execute = Session._execute

    def commit_and_cut(session: Session, statement: str, bindings: Any) -> Any:
        cursor = execute(session, statement, bindings)
        if statement == "COMMIT":
            session._connection.close()
            raise psycopg.OperationalError("server closed the connection")
        return cursor

    place = server.address(tmp_path, schema)
    with Ledger.create(place, origin=ORIGIN, key=KEY) as ledger:
        record = KEY.sign_record(
            ledger.suite, ledger.network, "data", b"x", sequence=1, previous=ledger.record(0).id
        )
        monkeypatch.setattr(Session, "_execute", commit_and_cut)
        with pytest.raises(StoreError):
            ledger.submit(record.encode())
        assert ledger.size == 1
        monkeypatch.undo()
        with pytest.raises(StoreError, match="writer has stopped"):
            ledger.append(b"y")
    with Ledger.open(place, key=KEY) as ledger:
        assert ledger.size == 2
        assert ledger.submit(record.encode()).index == 1


# A full disk.


@contextmanager
def small_space(server: Server, megabytes: int) -> Iterator[Path]:
    """A tablespace on a file system of its own."""
    place = server.directory.with_name("small")
    with small_disk(place, megabytes):
        try:
            space = place / "space"
            space.mkdir()
            os.chown(space, server.directory.stat().st_uid, server.directory.stat().st_gid)
            server.execute(f"CREATE TABLESPACE small LOCATION '{space}'")
            yield place
        finally:
            server.stop()


def test_a_full_disk_of_the_server_is_refused_and_passes(tmp_path: Path) -> None:
    choose = random.Random(SEED)
    with running_server() as server, small_space(server, 64) as disk:
        place = server.address(tmp_path, options="-c%20default_tablespace%3Dsmall")
        tries = 10
        with (
            reliability_row(15, "disk of a server full", seed=SEED, want=tries) as row,
            Ledger.create(place, origin=ORIGIN, key=KEY) as ledger,
        ):
            ledger.append(b"first")
            for _ in range(tries):
                size, filler = ledger.size, fill(disk)
                leave_room(filler, choose.randrange(40) * 8192)
                with pytest.raises(DiskFullError, match="free space"):
                    for _ in range(100):
                        size = ledger.size
                        ledger.append_many(BLOCK)
                assert ledger.size == size
                ledger.receipt(1).verify(b"first", ledger.trust_anchor)
                ledger.prove_consistency(1)
                filler.unlink()
                ledger.append(b"there is space again")
                row.count()
            ledger.verify()
            size = ledger.size
        with Ledger.open(place, key=KEY) as ledger:
            assert ledger.size == size


def no_space(session: Session) -> None:
    """What a server says whose disk is full, without a full disk."""
    with session._translated:
        session._cursor.execute("DO $$ BEGIN RAISE 'no space' USING ERRCODE = '53100'; END $$")


def test_every_statement_may_find_the_disk_full(
    server: Server, schema: str, tmp_path: Path, calls: Calls
) -> None:
    place = server.address(tmp_path, schema)
    with Ledger.create(place, origin=ORIGIN, key=KEY) as ledger:
        with reliability_row(15, "no space at a statement", seed=0, want=STATEMENTS) as row:
            for index in count():
                size = ledger.size
                calls.before(index, no_space)
                try:
                    ledger.append_many(BLOCK)
                except DiskFullError as error:
                    assert "free space" in str(error)
                else:
                    assert calls.stop(), "the block has no more statements"
                    break
                assert ledger.size == size
                assert ledger.append(b"there is space again").index == size
                row.count()
        ledger.verify()


class HiddenErrors:
    """A transaction that ends as if its server had refused nothing."""

    def __init__(self, transaction: Any) -> None:
        self._transaction = transaction

    def __enter__(self) -> None:
        self._transaction.__enter__()

    def __exit__(self, *error: Any) -> bool:
        with suppress(StoreError):
            self._transaction.__exit__(*error)
        return True


@pytest.mark.parametrize(("row", "fault"), [(15, "no space"), (16, "cut")])
def test_the_control_run_acknowledges_what_is_not_there(
    server: Server,
    schema: str,
    tmp_path: Path,
    calls: Calls,
    monkeypatch: pytest.MonkeyPatch,
    row: int,
    fault: str,
) -> None:
    do = no_space if fault == "no space" else cut(server)
    place = server.address(tmp_path, schema)
    transaction = PostgresStore.transaction
    with (
        Ledger.create(place, origin=ORIGIN, key=KEY) as ledger,
        monkeypatch.context() as patch,
    ):
        patch.setattr(PostgresStore, "transaction", lambda store: HiddenErrors(transaction(store)))
        calls.before("COMMIT", do)
        ledger.append_many([b"acknowledged"])
        acknowledged = ledger.size - 1
    with pytest.raises(RollbackError), Ledger.open(place, key=KEY):
        pass  # the head file remembers what was acknowledged
    Path(f"{tmp_path / schema}.head").unlink()
    with Ledger.open(place, key=KEY) as ledger:
        lost = acknowledged >= ledger.size

    print(f"\nrow {row}, control that hides errors, on a server: a block lost: {lost}")
    assert lost


# Flipped bits.


class Sampled(Model):
    """A model that looks up some ids, because each asks a server several times."""

    def is_answered_by(self, ledger: Ledger) -> bool:
        records = [(record.id, record.body) for record in ledger]
        found = {index: ledger.find(self.records[index][0]) for index in range(0, 700, 23)}
        return (
            records == self.records
            and all(index == at for index, at in found.items())
            and list(ledger.states(b"")) == self.states
            and [ledger.state(name) for name, _ in self.states] == [v for _, v in self.states]
        )


def make(place: str) -> Model:
    with Ledger.create(place, origin=ORIGIN, key=KEY) as ledger:
        ledger.append_many(PAYLOADS[:600])
        for begin in range(600, 700, 20):
            ledger.append_many(PAYLOADS[begin : begin + 20])
        return Sampled([(r.id, r.body) for r in ledger], list(ledger.states(b"")))


class Rows:
    """The rows of a ledger's tables, in which bits are flipped behind its back."""

    def __init__(
        self, connection: psycopg.Connection[Any], schema: str, tables: Sequence[str], seed: int
    ) -> None:
        self._run = lambda statement: connection.execute(statement.encode())
        self._schema = schema
        self._tables = tables
        self._choose = random.Random(seed)

    def flip(self) -> str:
        """Flip one bit of one value; the statement that flips it back."""
        while True:
            table = self._choose.choice(self._tables)
            column, kind = self._choose.choice(list(TABLES[table].items()))
            bit = self._choose.getrandbits(30)
            value = {
                "bigint": f"{column} # (1::bigint << ({bit} % 63))",
                "bytea": f"set_bit({column}, {bit} % (8 * length({column})), "
                f"1 - get_bit({column}, {bit} % (8 * length({column}))))",
                "text": f"overlay({column} PLACING chr(ascii(substr({column}, 1 + {bit} % 60, 1)) "
                f"# (1 << {bit} % 4)) FROM 1 + {bit} % 60 FOR 1)",
            }[kind]
            name = f"{self._schema}.{table}"
            rows = self._run(f"SELECT ctid::text FROM {name} ORDER BY ctid").fetchall()
            (row,) = self._choose.choice(rows)
            with suppress(psycopg.errors.UniqueViolation, psycopg.errors.DataException):
                moved = self._run(
                    f"UPDATE {name} SET {column} = {value} WHERE ctid = '{row}' "
                    "RETURNING ctid::text"
                ).fetchone()
                assert moved is not None
                return f"UPDATE {name} SET {column} = {value} WHERE ctid = '{moved[0]}'"


def flips(
    server: Server, place: str, schema: str, model: Model, tables: Sequence[str], count: int
) -> list[str]:
    """The outcomes of single flips in values of these tables."""
    outcomes = []
    with psycopg.connect(server.server_url(), autocommit=True) as connection:
        rows = Rows(connection, schema, tables, SEED)
        for _ in range(count):
            flip_back = rows.flip()
            outcomes.append(judge(place, model))
            connection.execute(flip_back.encode())
    assert judge(place, model) == "harmless"  # all is as it was
    return outcomes


def test_no_flip_in_a_row_is_silently_wrong(server: Server, schema: str, tmp_path: Path) -> None:
    place = server.address(tmp_path, schema)
    model = make(place)
    with reliability_row(6, "bit flip in a row of a server", seed=SEED, want=FLIPS) as row:
        for outcome in flips(server, place, schema, model, list(TABLES), FLIPS):
            row.count(outcome)

    assert "silently wrong" not in row.details
    assert "harmless" not in row.details, "an audit compares every value"


def test_the_control_run_is_silently_wrong(
    server: Server, schema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = server.address(tmp_path, schema)
    model = make(place)
    nothing: Callable[..., None] = lambda *arguments: None  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr(Reader, "_check_leaves", nothing)
        patch.setattr(Reader, "_check_state", nothing)
        patch.setattr(Reader, "find", lambda reader, record_id: look_up(reader, record_id))
        patch.setattr(Ledger, "verify", nothing)
        outcomes = flips(server, place, schema, model, ["bundle"], 2 * FLIPS)

    wrong = outcomes.count("silently wrong")
    print(f"\nrow 6, control without checks, on a server: {wrong} of {2 * FLIPS} wrong")
    assert wrong


def test_a_page_that_its_checksum_refuses_is_damage(tmp_path: Path) -> None:
    """A server with checksums finds what was flipped in its files before the ledger does."""
    with running_server("--data-checksums") as server:
        place = server.address(tmp_path)
        make(place)
        ((relation,),) = server.execute("SELECT pg_relation_filepath('ledgercore.bundle')")
        ((toast,),) = server.execute(
            "SELECT pg_relation_filepath(reltoastrelid) FROM pg_class "
            "WHERE oid = 'ledgercore.bundle'::regclass"
        )
        for file in (relation, toast):
            path = server.data / file
            server.stop(signal.SIGINT)
            flip_byte(path)
            server.start()
            with (
                pytest.raises(CorruptError, match="invalid page"),
                Ledger.open(place, read_only=True) as ledger,
            ):
                ledger.verify()
            server.stop(signal.SIGINT)
            flip_byte(path)
            server.start()
        with Ledger.open(place, read_only=True) as ledger:
            ledger.verify()


def flip_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[8000] ^= 1
    path.write_bytes(data)


def test_a_flipped_lease_fences_the_writer(server: Server, schema: str, tmp_path: Path) -> None:
    place = server.address(tmp_path, schema)
    Ledger.create(place, origin=ORIGIN, key=KEY).close()
    for column in ("epoch", "transactions"):
        for bit in range(0, 63, 9):
            flip = f"UPDATE {schema}.lease SET {column} = {column} # (1::bigint << {bit})"
            with Ledger.open(place, key=KEY) as ledger:
                server.execute(flip)
                with pytest.raises(FencedError):
                    ledger.append(b"a block")
                server.execute(flip)
