"""Ctrl-C of the demonstration ends all that it started, whenever it comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ledgercore import Ledger
from tests.cli.command import COMMAND

PATIENCE_S = 60

MOMENTS = {
    "the first process begins": ("tax-authority.key", 1),
    "the last process begins": ("regulator.key", 2),
    "the ledger is made": ("exchange.ledger", 1),
    "the desks are open": ("regulator.vault", 2),
    "records are ordered": ("bank.vault-wal", 1),
    "packs are written": ("packs", 2),
}
"""Each by the file that is there from then on, and how often it is interrupted."""

HELD = """
from threading import Event

from ledgercore.cli import main
from ledgercore.demo import run

run.verify_pack = lambda *_: Event().wait()
main()
"""
"""The command as it is, but that it waits at the first pack: it would end before the interrupt."""

FAILING = """
from ledgercore.cli import main
from ledgercore.demo import run
from ledgercore.errors import StoreError


def fail(*_):
    raise StoreError("cannot read missing: No such file")


run.verify_pack = fail
main()
"""


def members_of(session: int) -> list[int]:
    """The processes of a session; one that has ended and was not waited for is none."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of, *_ = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(of) == session and state != "Z":
            found.append(int(path.parent.name))
    return found


def until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < PATIENCE_S
        assert process.poll() is None, "it was over before"
        time.sleep(0.001)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("moment", MOMENTS)
def test_an_interrupt_ends_every_process_and_leaves_whole_files(
    tmp_path: Path, moment: str
) -> None:
    name, times = MOMENTS[moment]
    directory, sign = tmp_path / "run", tmp_path / "run" / name
    command = (sys.executable, "-c", HELD) if name == "packs" else COMMAND
    process = subprocess.Popen(
        [*command, "demo", "--firms", "40", "--directory", str(directory)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    until(sign.exists, process)
    assert process.pid in members_of(process.pid)

    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.01)
    output, complaint = process.communicate(timeout=PATIENCE_S)

    assert (process.returncode, output) == (130, b"")
    assert complaint == said(directory)
    assert ended(process.pid)
    assert [path.name for path in directory.rglob("*") if path.suffix in (".new", ".tmp")] == []
    if (ledger := directory / "exchange.ledger").exists():
        with Ledger.open(ledger, read_only=True) as opened:
            opened.verify()


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_of_a_terminal_is_said_once_while_processes_begin(tmp_path: Path) -> None:
    """A terminal interrupts every process of the command, also those that still import."""
    process = subprocess.Popen(
        [*COMMAND, "demo", "--firms", "40", "--directory", str(tmp_path / "run")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    until(lambda: any(map(imports_a_desk, members_of(process.pid))), process)

    os.killpg(process.pid, signal.SIGINT)
    output, complaint = process.communicate(timeout=PATIENCE_S)

    assert (process.returncode, output) == (130, b"")
    assert complaint in (b"ledgercore: interrupted\n", said(tmp_path / "run"))
    assert ended(process.pid)


def test_a_run_that_fails_says_what_it_left_as_well(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    command = [sys.executable, "-c", FAILING, "demo", "--firms", "1", "--directory", str(directory)]

    done = subprocess.run(command, capture_output=True, timeout=PATIENCE_S, check=False)

    left = f"(what it made so far is in {directory}, and can be removed)"
    assert done.returncode == 4
    assert done.stderr.decode() == f"ledgercore: cannot read missing: No such file {left}\n"


def said(directory: Path) -> bytes:
    """All that an interrupted run says, once it has made anything."""
    left = f"what it made so far is in {directory}, and can be removed"
    return f"ledgercore: interrupted ({left})\n".encode()


def imports_a_desk(process: int) -> bool:
    """Whether it is a party's, as multiprocessing begins one, and has loaded the core."""
    try:
        command, maps = (Path(f"/proc/{process}/{of}").read_bytes() for of in ("cmdline", "maps"))
    except (FileNotFoundError, ProcessLookupError):
        return False
    return b"spawn_main" in command and b"_core.abi3" in maps


def ended(session: int) -> bool:
    """Whether all processes of a session end, within moments."""
    begin = time.monotonic()
    while members_of(session):
        if time.monotonic() - begin > PATIENCE_S:
            return False
        time.sleep(0.01)
    return True
