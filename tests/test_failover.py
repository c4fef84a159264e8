"""Run every command of docs/failover.md, as it stands there, on a real primary and standby."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from ledgercore import Ledger, StoreError
from tests.conftest import REPOSITORY
from tests.postgres import BINARIES, Server, as_owner, own, running_server

DOCUMENT = (REPOSITORY / "docs" / "failover.md").read_text()


def blocks(text: str) -> list[str]:
    """The indented blocks, also those inside of lists."""
    found = re.findall(r"(?:^ {4,}\S.*\n)+", text, re.MULTILINE)
    return [re.sub(r"^ +", "", block, flags=re.MULTILINE) for block in found]


@contextmanager
def two_hosts(first: Server) -> Iterator[Server]:
    """The place of a second server beside the first; what the commands started is stopped."""
    second = Server(own(first.directory.with_name("second")))
    try:
        yield second
    finally:
        for server in (first, second):
            if (server.data / "postmaster.pid").exists():
                server.run("pg_ctl", "-D", str(server.data), "-m", "immediate", "-w", "stop")


def settle(server: Server) -> None:
    """Give a server that was copied the addresses of its own host."""
    lines = f"\nlisten_addresses = ''\nunix_socket_directories = '{server.directory}'\n"
    with (server.data / "postgresql.conf").open("a") as settings:
        settings.write(lines + "dynamic_shared_memory_type = 'mmap'\n")


def run(block: str, variables: dict[str, str]) -> str:
    """What a block prints: the servers' programs run as their user, ours as who tests."""
    path = f"{Path(sys.executable).parent}:{BINARIES}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-eu", "-c", block],
        capture_output=True,
        text=True,
        timeout=120,
        cwd="/",
        env={**os.environ, **variables, "PATH": path},
        check=False,
        **({} if "ledgercore" in block else as_owner()),
    )
    assert done.returncode == 0, f"{block}\n{done.stderr}"
    return done.stdout


def says(block: str, variables: dict[str, str], want: str) -> bool:
    return run(block, variables) == want


def wait_for(said: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not said():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_every_command_of_the_document_runs_and_nothing_is_lost(tmp_path: Path) -> None:
    assigned, *commands = blocks(DOCUMENT)
    with running_server() as first, two_hosts(first) as second:
        hosts = f"host={first.directory},{second.directory}&port=5432,5432"
        directory = tmp_path / "beside"
        variables = {
            "FIRST": f"host={first.directory} user=ledger dbname=postgres",
            "SECOND": f"host={second.directory} user=ledger dbname=postgres",
            "FIRST_DATA": str(first.data),
            "SECOND_DATA": str(second.data),
            "LEDGER": f"postgresql://ledger@/postgres?{hosts}&target_session_attrs=read-write"
            f"&directory={directory}",
        }
        assert re.findall(r"^(\w+)=", assigned, re.MULTILINE) == list(variables)
        place = variables["LEDGER"]
        for block in commands:
            if "pg_promote" in block:
                with pytest.raises(StoreError):
                    Ledger.open(place)
            if "pg_stat_replication" in block:
                wait_for(partial(says, block, variables, "standby|sync\n"))
            said = run(block, variables)
            if "pg_basebackup" in block:
                settle(first if "$FIRST_DATA" in block else second)
            elif "ledgercore init" in block:
                with Ledger.open(place) as ledger:
                    ledger.append_many([b"one", b"two"])
            elif "pg_promote" in block:
                assert said.endswith("\nf\n")
            elif "ledgercore audit" in block:
                with Ledger.open(place) as ledger:
                    assert [record.body for record in ledger][1:] == [b"one", b"two"]
                    ledger.append(b"three")
        state = "SELECT application_name, sync_state FROM pg_stat_replication"
        wait_for(lambda: second.execute(state) == [("standby", "sync")])
        with Ledger.open(place) as ledger:
            ledger.append(b"confirmed by the one that was the primary")
            assert ledger.verify().records == 5


def test_a_command_that_fails_is_noticed(tmp_path: Path) -> None:
    """The control: a command that does not do what the document says fails the test above."""
    with pytest.raises(AssertionError, match="pg_basebackup"):
        run('pg_basebackup -D "$NOWHERE/data" -d "host=/nowhere"', {"NOWHERE": str(tmp_path)})
