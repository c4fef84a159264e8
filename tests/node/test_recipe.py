"""Run docs/network.md as it stands there: certificates, four nodes, a record, its receipt."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from ledgercore import Ledger
from ledgercore.demo.processes import free_ports
from tests.conftest import REPOSITORY

DOCUMENT = (REPOSITORY / "docs" / "network.md").read_text()
PORTS = ("7443", "7444", "7445", "7446")
MEMBERS = ("tax", "bank", "hospital", "regulator")


def steps(text: str) -> list[tuple[str, str]]:
    """The document's blocks, each with its language; the ports are such as are free here."""
    for shown, port in zip(PORTS, free_ports(len(PORTS)), strict=True):
        text = text.replace(f":{shown}", f":{port}")
    return re.findall(r"^```(sh|python)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def run(language: str, block: str, directory: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    program = ["sh", "-eu", "-c"] if language == "sh" else [sys.executable, "-c"]
    return subprocess.run(
        [*program, block],
        cwd=directory,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def nodes(directory: Path) -> list[int]:
    return [int(line) for line in (directory / "nodes").read_text().split()]


def runs(process: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_the_recipe_works_as_it_is_written(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here: apt-get install openssl")
    found = steps(DOCUMENT)
    assert [language for language, _ in found] == [
        *["sh"] * 3,
        *["python"] * 2,
        *["sh"] * 3,
    ]
    *before, verify, stop = found
    other = subprocess.Popen(["sleep", "600"])  # whose number a node of an earlier run had
    (tmp_path / "nodes").write_text(f"{other.pid}\n")
    started: list[int] = []
    try:
        for step in before:
            done = run(*step, tmp_path)
            started = nodes(tmp_path)
            logs = [log.read_text() for log in tmp_path.glob("*/node.log")]
            assert done.returncode == 0, "\n".join([step[1], done.stdout, done.stderr, *logs])

        assert "SUSPENDED" in done.stdout  # of who governance had suspended
        assert '"event": "reloaded"' in (tmp_path / "bank" / "node.log").read_text()
        assert "verified" in run(*verify, tmp_path).stdout
        independent = [
            *(sys.executable, REPOSITORY / "verifier" / "ledgercore_verify.py"),
            *("delivery.receipt", "--anchor", "tax/anchor.toml", "--record", "delivery"),
        ]
        subprocess.run(independent, cwd=tmp_path, check=True, capture_output=True)
        (tmp_path / "delivery").write_bytes(b"delivery 17 acceptee")
        assert run(*verify, tmp_path).returncode != 0

        assert run(*stop, tmp_path).returncode == 0
        until = time.monotonic() + 30
        while any(map(runs, started)):
            assert time.monotonic() < until
            time.sleep(0.05)
        assert len(started) == len(MEMBERS) and other.poll() is None
        with Ledger.open(tmp_path / "tax" / "tax.ledger", read_only=True) as ledger:
            members = [*ledger.records(1, ledger.size)]  # all but the genesis
        assert len(members) > 4 and all(record.expiry_ms for record in members)
    finally:
        for process in started:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        other.kill()
        other.wait()
    for member in MEMBERS:
        assert '"event": "stopped"' in (tmp_path / member / "node.log").read_text()
