"""A ledger on a PostgreSQL server beside one in a file, with the same records.

Two rows: 1,000 records' bundles committed by the two stores, with a plain table of the server as a
peer; and signed records submitted. The server is started for it, on a socket and with its data in
the system's temporary directory; the rows are left out where none is installed.
"""

from __future__ import annotations

import atexit
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from ledgercore import Ledger, testing
from ledgercore.store import SqliteStore, Store, create_on_server, parse_address
from measure import OURS, Operation, Skipped, Way
from submit import COUNT, RECORD_BYTES, SIGNERS, create_ledger, make_ours, submit_once

sys.path.append(str(Path(__file__).resolve().parent.parent))

from tests.postgres import BINARIES, Server, running_server

__all__ = ["OPERATIONS"]

RECORDS = 1_000
BUNDLE = 256


@cache
def start_server() -> Server:
    """One server for all rows, until the program ends."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(running_server(where=tempfile.gettempdir()))


def commit_bundles(store: Store) -> Way:
    """Commit 1,000 records as a block's bundles, again and again."""
    sizes = [min(BUNDLE, RECORDS - begin) for begin in range(0, RECORDS, BUNDLE)]
    bundles = [bytes(size * RECORD_BYTES) for size in sizes]
    heights = count()

    def run() -> tuple[int, float]:
        height = next(heights)
        begin = time.perf_counter()
        with store.transaction():
            store.add_bundles(height, height * RECORDS, bundles)
        return RECORDS, time.perf_counter() - begin

    return run


def insert_rows(connection: psycopg.Connection[Any]) -> Way:
    """The same bytes in a table of a row a record, as is done at first thought."""
    connection.execute("CREATE TABLE IF NOT EXISTS plain (id bigserial PRIMARY KEY, record bytea)")
    records = [(bytes(RECORD_BYTES),) for _ in range(RECORDS)]

    def run() -> tuple[int, float]:
        begin = time.perf_counter()
        with connection.transaction(), connection.cursor() as cursor:
            cursor.executemany("INSERT INTO plain (record) VALUES (%b)", records)
        return RECORDS, time.perf_counter() - begin

    return run


def prepare_store(directory: Path) -> Mapping[str, Way | Skipped]:
    server = start_server()
    connection = psycopg.connect(server.server_url(), autocommit=True)
    atexit.register(connection.close)
    address = parse_address(server.address(directory / "beside", "bench_store"))
    return {
        OURS: commit_bundles(create_on_server(address)),
        "SQLite store": commit_bundles(SqliteStore.create(directory / "bench.store")),
        "PostgreSQL, a row each": insert_rows(connection),
    }


def prepare_submit(directory: Path) -> Mapping[str, Way | Skipped]:
    server = start_server()
    place = server.address(directory / "beside", "bench_submit")
    members = testing.test_members(SIGNERS)
    Ledger.create(place, origin="bench.example", members=members).close()
    return {
        OURS: make_ours(place, submit_once, COUNT),
        "file": make_ours(create_ledger(directory / "bench.ledger"), submit_once, COUNT),
    }


OPERATIONS = [
    Operation(
        id="server",
        what="1,000 records' bundles committed on a PostgreSQL server",
        unit="records/s",
        floor=None,
        prepare=prepare_store,
    ),
    Operation(
        id="server-submit",
        what="the same as P5 on a PostgreSQL server",
        unit="records/s",
        floor=None,
        prepare=prepare_submit,
    ),
]
if BINARIES is None:
    print("skipping a server's rows: apt-get install postgresql", file=sys.stderr)
    OPERATIONS = []
